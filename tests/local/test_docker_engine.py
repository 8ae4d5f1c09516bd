"""With `engine="docker"` a job runs its image, with its folders at /opt/ml."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from assay_local.cloud import Cloud

APPLICATION = Path(__file__).with_name("application")
IMAGE = "python:3.13-slim"
PROGRAM = b"""
import pathlib, sys, time
root = pathlib.Path("/opt/ml")
print("started", flush=True)
if sys.argv[1:] == ["sleep"]:
    time.sleep(60)
(root / "processing/output/result.txt").write_text(sys.argv[1].upper())
(root / "output/message").write_text("from the image")
"""


def missing() -> str | None:
    """Why an image cannot be run here."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    found = subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, text=True, check=False)
    return f"no engine that has {IMAGE}: {found.stderr.strip()}" if found.returncode else None


def run_image(cloud: Cloud, name: str, argument: str, seconds: int) -> dict[str, Any]:
    s3, bucket = cloud.client("s3"), cloud.outputs["BucketName"]
    s3.put_object(Bucket=bucket, Key="program/program.py", Body=PROGRAM)
    folder = "/opt/ml/processing/input/program"
    source = {
        "S3Uri": f"s3://{bucket}/program",
        "LocalPath": folder,
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    output = {
        "S3Uri": f"s3://{bucket}/out",
        "LocalPath": "/opt/ml/processing/output",
        "S3UploadMode": "EndOfJob",
    }
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_processing_job(
        ProcessingJobName=name,
        RoleArn=cloud.stack.functions["ProbeFunction"].environment["JOB_ROLE_ARN"],
        AppSpecification={
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", f"{folder}/program.py"],
            "ContainerArguments": [argument],
        },
        NetworkConfig={"EnableNetworkIsolation": True},
        StoppingCondition={"MaxRuntimeInSeconds": seconds},
        ProcessingResources={
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 30}
        },
        ProcessingInputs=[{"InputName": "program", "S3Input": source}],
        ProcessingOutputConfig={"Outputs": [{"OutputName": "result", "S3Output": output}]},
    )
    cloud.drain(timeout=120)
    return dict(sagemaker.describe_processing_job(ProcessingJobName=name))


@pytest.mark.engine
def test_an_image_runs_as_the_job() -> None:
    if reason := missing():
        pytest.skip(reason)
    with Cloud(APPLICATION / "template.yaml", schedules=False, engine="docker") as cloud:
        described = run_image(cloud, "docker-hello", "hello", seconds=100)
        assert described["ProcessingJobStatus"] == "Completed", cloud.jobs()[0].log
        assert described["ExitMessage"] == "from the image"
        result = cloud.client("s3").get_object(Bucket=cloud.outputs["BucketName"], Key="out/result.txt")
        assert result["Body"].read() == b"HELLO"

        described = run_image(cloud, "docker-sleep", "sleep", seconds=5)
        assert described["ProcessingJobStatus"] == "Stopped"
        assert "started" in cloud.jobs()[1].log
        names = subprocess.run(["docker", "ps", "--format", "{{.Names}}"], capture_output=True, text=True, check=True)
        assert "docker-sleep" not in names.stdout
