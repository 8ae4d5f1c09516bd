"""A function runs in Lambda's own image on Python 3.13, built by `sam build`, against the embedded AWS."""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay_local import application
from assay_local.cloud import Cloud
from assay_local.stack import TemplateLoader

ROOT = application.root()
BRIDGES = ("10.88.0.1", "172.17.0.1")
"""Where a container finds the machine it runs on: Podman's bridge, Docker's."""
POLICY = b"""
task: image_classification
data: {source: photos/, annotations: photos.csv}
"""

sam = ROOT / ".envs" / "sam" / "bin" / "sam"


def missing() -> str | None:
    """Why no function can be run in its image here."""
    if not sam.exists():
        return f"there is no {sam}: `python3 tools/environment.py sam` makes it"
    if "DOCKER_HOST" not in os.environ and shutil.which("docker") is None:
        return "there is no container engine"
    if (
        "DOCKER_HOST" not in os.environ
        and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        return "no container engine answers"
    return None if bridge() else f"none of {', '.join(BRIDGES)} is an address of this machine"


def docker_answers() -> bool:
    docker = shutil.which("docker")
    return docker is not None and not subprocess.run([docker, "info"], capture_output=True, check=False).returncode


def bridge() -> str | None:
    for address in BRIDGES:
        with socket.socket() as probe:
            try:
                probe.bind((address, 0))
            except OSError:
                continue
            return address
    return None


def build(folder: Path) -> Path:
    """The built template, with the one variable that a function needs to find the embedded AWS."""
    run("build", "--template", str(ROOT / "template.yaml"), "--build-dir", str(folder), cwd=ROOT)
    template = folder / "template.yaml"
    # `sam local invoke` sets no variable that the template does not declare.
    content = yaml.load(template.read_text(), Loader=TemplateLoader)
    content["Globals"]["Function"]["Environment"]["Variables"]["AWS_ENDPOINT_URL"] = ""
    template.write_text(json.dumps(content))
    return template


def run(*arguments: str, cwd: Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    path = f"{sam.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [str(sam), *arguments],
        cwd=cwd,
        env={**os.environ, "PATH": path, "SAM_CLI_TELEMETRY": "0", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def sqs_event(event: dict[str, Any]) -> dict[str, Any]:
    """The event as its queue delivers it: events/sqs/model-uploaded.json with another body."""
    delivered: dict[str, Any] = json.loads((ROOT / "events" / "sqs" / "model-uploaded.json").read_text())
    delivered["Records"][0]["body"] = json.dumps(event)
    return delivered


@pytest.mark.engine
def test_start_evaluation_runs_in_lambdas_image_and_starts_the_job(tmp_path: Path) -> None:
    if reason := missing():
        pytest.skip(reason)
    template = build(tmp_path / "build")
    with Cloud(schedules=False, host=str(bridge())) as cloud:
        s3, bucket = cloud.client("s3"), cloud.outputs["BucketName"]
        for key, body in {"assay.yaml": POLICY, "photos/1.png": b"x", "photos.csv": b"x"}.items():
            s3.put_object(Bucket=bucket, Key=f"models/birds/{key}", Body=body)
        lost = cloud.drop(lambda event: event["detail-type"] == "Object Created" and "models" in str(event["detail"]))
        s3.put_object(Bucket=bucket, Key="models/birds/1/model.tar.gz", Body=b"an archive")
        cloud.drain(timeout=30)
        assert len(lost) == 1
        assert cloud.jobs() == []

        event, variables = tmp_path / "event.json", tmp_path / "variables.json"
        event.write_text(json.dumps(sqs_event(lost[0])))
        function = cloud.stack.functions["StartEvaluationFunction"]
        given = {**function.environment, "AWS_ENDPOINT_URL": cloud.endpoint}
        variables.write_text(json.dumps({function.logical_id: given}))
        invoked = run(
            "local", "invoke", function.logical_id, "--template", str(template), "--event", str(event),
            "--env-vars", str(variables), "--skip-pull-image", "--region", cloud.region,
            cwd=tmp_path,
            environment={"AWS_ACCESS_KEY_ID": "owner", "AWS_SECRET_ACCESS_KEY": "owner"},
        )  # fmt: skip

        assert json.loads(invoked.stdout) == {"batchItemFailures": []}
        cloud.drain(timeout=60)
        assert [job.name.rsplit("-", 1)[-1] for job in cloud.jobs()] == ["evaluation"]
        # photos.csv is no annotation file, and the chain goes on from the job to say so
        assert [notice.attributes["verdict"] for notice in cloud.notices()] == ["error"]
        assert "photos.csv: no column 'image_file_name'" in cloud.notices()[0].message
