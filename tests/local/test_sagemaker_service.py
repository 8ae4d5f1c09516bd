"""Processing jobs behave as SageMaker's: names, refusals, states, files, messages and events."""

import json
import os
import re
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from assay_local.cloud import Cloud, Job
from assay_local.processing_run import DataError, bucket_and_key, docker_command, exit_code, manifest_files, relative
from assay_local.sagemaker_service import page


def create(cloud: Cloud, name: str, told: str = "work", **changes: Any) -> None:
    bucket = cloud.outputs["BucketName"]
    cloud.client("s3").put_object(Bucket=bucket, Key=f"inputs/{name}/model.tar.gz", Body=told.encode())
    request = {
        "ProcessingJobName": name,
        "RoleArn": job_role(cloud),
        "AppSpecification": {"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/double:1"},
        "NetworkConfig": {"EnableNetworkIsolation": True},
        "Environment": {"GIVEN": "value"},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 30}
        },
        "ProcessingInputs": [source("model", f"s3://{bucket}/inputs/{name}/model.tar.gz")],
        "ProcessingOutputConfig": {"Outputs": [output(f"s3://{bucket}/out/{name}")]},
        "Tags": [{"Key": "run", "Value": "x"}],
    }
    cloud.client("sagemaker").create_processing_job(**request | changes)


def job_role(cloud: Cloud) -> str:
    return str(cloud.stack.functions["ProbeFunction"].environment["JOB_ROLE_ARN"])


def source(name: str, uri: str, kind: str = "S3Prefix") -> dict[str, Any]:
    path = f"/opt/ml/processing/input/{name}"
    return {
        "InputName": name,
        "S3Input": {"S3Uri": uri, "LocalPath": path, "S3DataType": kind, "S3InputMode": "File"},
    }


def output(uri: str, mode: str = "Continuous") -> dict[str, Any]:
    path = "/opt/ml/processing/output"
    return {"OutputName": "result", "S3Output": {"S3Uri": uri, "LocalPath": path, "S3UploadMode": mode}}


def describe(cloud: Cloud, name: str) -> dict[str, Any]:
    return dict(cloud.client("sagemaker").describe_processing_job(ProcessingJobName=name))


def ended(cloud: Cloud, name: str, told: str = "work", **changes: Any) -> dict[str, Any]:
    create(cloud, name, told, **changes)
    cloud.drain(timeout=30)
    return describe(cloud, name)


def stored(cloud: Cloud, prefix: str) -> dict[str, str]:
    s3, bucket = cloud.client("s3"), cloud.outputs["BucketName"]
    keys = [e["Key"] for e in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
    return {key[len(prefix) :]: s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys}


def told(cloud: Cloud, name: str) -> dict[str, Any]:
    """What the program found."""
    return dict(json.loads(stored(cloud, f"out/{name}/")["first.json"]))


def until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def job(cloud: Cloud, name: str) -> Job:
    return next(job for job in cloud.jobs() if job.name == name)


def refused(code: str, message: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\).*{message}")


# The API


def test_a_name_is_taken_once(cloud: Cloud) -> None:
    ended(cloud, "once")
    text = "Job name must be unique within an AWS account and region, and a job with this name already exists"
    with refused("ResourceInUse", text):
        create(cloud, "once")


def test_an_unknown_job_is_not_found(cloud: Cloud) -> None:
    with refused("ValidationException", "Could not find requested job with name: none"):
        describe(cloud, "none")
    with refused("ValidationException", "Could not find requested job with name: none"):
        cloud.client("sagemaker").stop_processing_job(ProcessingJobName="none")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 777_601}}, "less than or equal to 777600"),
        ({"RoleArn": "arn:aws:iam::123456789012:role/nobody"}, "Could not assume role .*/nobody"),
        ({"ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "VolumeSizeInGB": 30}}}, "either InstanceType"),
    ],
)
def test_a_request_is_checked_as_the_service_does(cloud: Cloud, changes: dict[str, Any], said: str) -> None:
    with refused("ValidationException", said):
        create(cloud, "refused", **changes)
    with refused("ValidationException", "Could not find"):
        describe(cloud, "refused")


def test_a_test_can_have_requests_refused(cloud: Cloud) -> None:
    cloud.refuse_jobs("ResourceLimitExceeded", "The account-level service limit is 0 Instances", times=2)
    for _ in range(2):
        with refused("ResourceLimitExceeded", "limit is 0 Instances"):
            create(cloud, "later")
    assert ended(cloud, "later")["ProcessingJobStatus"] == "Completed"


def test_a_job_waits_for_its_place_and_can_be_stopped_there(cloud: Cloud) -> None:
    for name in ("place-1", "place-2"):
        create(cloud, name, "sleep")
    create(cloud, "place-3")
    assert describe(cloud, "place-3")["ProcessingJobStatus"] == "InProgress"
    assert "ProcessingStartTime" not in describe(cloud, "place-3")
    for name in ("place-3", "place-2", "place-1"):
        cloud.client("sagemaker").stop_processing_job(ProcessingJobName=name)
    cloud.drain(timeout=30)
    assert {describe(cloud, f"place-{n}")["ProcessingJobStatus"] for n in (1, 2, 3)} == {"Stopped"}
    assert stored(cloud, "out/place-3/") == {}


def test_a_completed_job_is_described_in_full(cloud: Cloud) -> None:
    start = datetime.now(UTC)
    described = ended(cloud, "described")
    assert described["ProcessingJobStatus"] == "Completed"
    assert described["ExitMessage"] == "said as told: é"
    assert "FailureReason" not in described
    assert described["ProcessingJobArn"] == "arn:aws:sagemaker:us-east-1:123456789012:processing-job/described"
    assert described["Environment"] == {"GIVEN": "value"}
    assert described["RoleArn"] == job_role(cloud)
    assert "Tags" not in described
    times = [
        described[name] for name in ("CreationTime", "ProcessingStartTime", "ProcessingEndTime", "LastModifiedTime")
    ]
    assert times == sorted(times)
    assert start - timedelta(seconds=1) <= times[0] <= datetime.now(UTC)


def test_its_events_are_aws_s(cloud: Cloud) -> None:
    described = ended(cloud, "announced")
    events = [e for e in cloud.events if e["detail"].get("ProcessingJobName") == "announced"]
    assert [e["detail"]["ProcessingJobStatus"] for e in events] == ["InProgress", "Completed"]
    event = events[-1]
    assert (event["source"], event["detail-type"]) == ("aws.sagemaker", "SageMaker Processing Job State Change")
    assert event["resources"] == [described["ProcessingJobArn"]]
    detail = event["detail"]
    assert detail["ProcessingInputs"][0]["S3Input"]["S3DataType"] == "S3_PREFIX"
    assert detail["ProcessingInputs"][0]["S3Input"]["S3InputMode"] == "FILE"
    assert detail["ProcessingInputs"][0]["S3Input"]["S3DataDistributionType"] == "FULLYREPLICATED"
    assert detail["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3UploadMode"] == "CONTINUOUS"
    assert detail["CreationTime"] == int(described["CreationTime"].timestamp() * 1000)
    assert not {"Tags", "Environment", "ExitMessage"} & set(detail)


def test_jobs_are_listed(cloud: Cloud) -> None:
    ended(cloud, "list-a")
    ended(cloud, "list-b", "fail")
    client = cloud.client("sagemaker")
    pages = client.get_paginator("list_processing_jobs").paginate(
        NameContains="list-", SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 1}
    )
    summaries = [summary for page in pages for summary in page["ProcessingJobSummaries"]]
    assert [(s["ProcessingJobName"], s["ProcessingJobStatus"]) for s in summaries] == [
        ("list-a", "Completed"),
        ("list-b", "Failed"),
    ]
    failed = client.list_processing_jobs(NameContains="list-", StatusEquals="Failed")["ProcessingJobSummaries"]
    assert [s["ProcessingJobName"] for s in failed] == ["list-b"]


def test_a_listing_is_newest_first_and_cut_by_time() -> None:
    now = datetime.now(UTC)
    jobs = [
        Job(f"j{n}", "arn", {"ProcessingJobName": f"j{n}"}, created=now + timedelta(hours=n), modified=now)
        for n in range(3)
    ]
    assert [s["ProcessingJobName"] for s in page(jobs, {})["ProcessingJobSummaries"]] == ["j2", "j1", "j0"]
    later = page(jobs, {"CreationTimeAfter": now.timestamp() + 1})
    assert [s["ProcessingJobName"] for s in later["ProcessingJobSummaries"]] == ["j2", "j1"]


# The program


def test_it_finds_its_files_and_its_configuration(cloud: Cloud) -> None:
    ended(cloud, "files")
    found = told(cloud, "files")
    assert found["files"] == [
        "config/processingjobconfig.json",
        "config/resourceconfig.json",
        "output/progress.json",
        "processing/input/model/model.tar.gz",
    ]
    config = found["config"]
    assert config["ProcessingJobName"] == "files"
    assert config["ProcessingInputs"][0]["S3Input"]["LocalPath"] == "/opt/ml/processing/input/model"
    assert config["Environment"] == {"GIVEN": "value"}


def test_with_network_isolation_it_has_no_credentials(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ours")
    ended(cloud, "isolated")
    environment = told(cloud, "isolated")["environment"]
    assert environment["GIVEN"] == "value"
    assert [name for name in environment if name.startswith("AWS_")] == []


def test_without_it_has_its_role_s(cloud: Cloud) -> None:
    ended(cloud, "connected", NetworkConfig={"EnableNetworkIsolation": False})
    environment = told(cloud, "connected")["environment"]
    assert environment["AWS_ENDPOINT_URL"] == cloud.endpoint
    assert environment["AWS_SESSION_TOKEN"]


def test_what_it_leaves_is_uploaded_but_links(cloud: Cloud) -> None:
    ended(cloud, "uploaded")
    assert set(stored(cloud, "out/uploaded/")) == {"first.json", "deep/second.txt"}


def test_its_data_is_moved_with_the_job_s_role(cloud: Cloud) -> None:
    ended(cloud, "role")
    calls = [(call.action, call.resource.rpartition("/")[2]) for call in cloud.calls if call.caller.name == "role"]
    assert ("GetObject", "model.tar.gz") in calls
    assert ("PutObject", "first.json") in calls
    assert {call.caller.role_arn for call in cloud.calls if call.caller.name == "role"} == {job_role(cloud)}


def test_exit_code_one_is_failed(cloud: Cloud) -> None:
    described = ended(cloud, "failed", "fail")
    assert described["ProcessingJobStatus"] == "Failed"
    assert described["FailureReason"] == "AlgorithmError: , exit code: 1"
    assert described["ExitMessage"] == "said as told: é"
    assert "deep/second.txt" in stored(cloud, "out/failed/")


def test_an_abort_is_failed_with_the_signal_s_code(cloud: Cloud) -> None:
    described = ended(cloud, "aborted", "abort")
    assert described["FailureReason"] == "AlgorithmError: , exit code: 134"
    assert "ExitMessage" not in described


def test_a_long_message_is_cut_at_a_kilobyte_of_whole_characters(cloud: Cloud) -> None:
    assert ended(cloud, "babbled", "babble")["ExitMessage"] == "é" * 512


def test_an_output_for_the_end_is_uploaded_only_if_it_worked(cloud: Cloud) -> None:
    bucket = cloud.outputs["BucketName"]
    for name, text in (("end-good", "work"), ("end-bad", "fail")):
        ended(cloud, name, text, ProcessingOutputConfig={"Outputs": [output(f"s3://{bucket}/out/{name}/", "EndOfJob")]})
    assert "deep/second.txt" in stored(cloud, "out/end-good/")
    assert stored(cloud, "out/end-bad/") == {}


def test_progress_and_log_can_be_read_while_it_runs_and_after(cloud: Cloud) -> None:
    create(cloud, "watched", "sleep")
    until(lambda: job(cloud, "watched").progress and "told sleep" in job(cloud, "watched").log, "no progress")
    cloud.client("sagemaker").stop_processing_job(ProcessingJobName="watched")
    cloud.drain(timeout=30)
    assert job(cloud, "watched").progress == {"stage": "doubling", "done": 1, "total": 2}
    assert "told sleep" in job(cloud, "watched").log


def test_stopping_ends_it_and_keeps_what_was_finished(cloud: Cloud) -> None:
    create(cloud, "stopped", "sleep")
    until(lambda: "first.json" in stored(cloud, "out/stopped/"), "a continuous output is uploaded while it runs")
    assert describe(cloud, "stopped")["ProcessingJobStatus"] == "InProgress"
    cloud.client("sagemaker").stop_processing_job(ProcessingJobName="stopped")
    cloud.drain(timeout=30)
    described = describe(cloud, "stopped")
    assert described["ProcessingJobStatus"] == "Stopped"
    assert "FailureReason" not in described
    assert set(stored(cloud, "out/stopped/")) == {"first.json"}
    for pid in pids(job(cloud, "stopped").log):
        until(lambda pid=pid: not alive(pid), f"process {pid} still runs")
    with refused("ValidationException", "in status Stopped"):
        cloud.client("sagemaker").stop_processing_job(ProcessingJobName="stopped")


def pids(log: str) -> list[int]:
    line = next(line for line in log.splitlines() if line.startswith("pids "))
    return [int(pid) for pid in line.split()[1:]]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A child that nobody has waited for yet is dead too.
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_what_its_program_leaves_running_is_ended(cloud: Cloud) -> None:
    assert ended(cloud, "left", "leave")["ProcessingJobStatus"] == "Completed"
    (pid,) = pids(job(cloud, "left").log)
    until(lambda: not alive(pid), f"process {pid} still runs")


def test_an_output_without_its_bucket_fails_the_job(cloud: Cloud) -> None:
    outputs = {"Outputs": [output("s3://no-such-bucket/out", "EndOfJob")]}
    described = ended(cloud, "homeless", ProcessingOutputConfig=outputs)
    assert described["ProcessingJobStatus"] == "Failed"
    assert re.match("ClientError: .*NoSuchBucket", described["FailureReason"])


def test_its_time_limit_stops_it(cloud: Cloud) -> None:
    described = ended(cloud, "limited", "sleep", StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert described["ProcessingJobStatus"] == "Stopped"
    ran = described["ProcessingEndTime"] - described["ProcessingStartTime"]
    assert timedelta(seconds=1) <= ran < timedelta(seconds=10)


def test_a_file_that_is_being_written_is_not_uploaded(cloud: Cloud) -> None:
    create(cloud, "growing", "grow")
    seen = []
    while cloud.waiting():
        seen.append(stored(cloud, "out/growing/").get("grown.txt"))
    assert set(seen) - {None} <= {stored(cloud, "out/growing/")["grown.txt"]}
    assert stored(cloud, "out/growing/")["grown.txt"].endswith("39\nend\n")


def test_an_image_without_a_program_fails_the_job(cloud: Cloud) -> None:
    described = ended(cloud, "image", AppSpecification={"ImageUri": "registry/unknown:1"})
    assert described["ProcessingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("ClientError: image registry/unknown:1: no program for it")


# Inputs


@pytest.fixture(scope="module")
def data(cloud: Cloud) -> str:
    bucket = cloud.outputs["BucketName"]
    files = ["d/test.csv", "d/test.csv.bak", "d/images/a b+c.png", "d/images/deep/é.png", "d2/other.csv"]
    for key in files:
        cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=key.encode())
    manifest = [{"prefix": f"s3://{bucket}/d/"}, "test.csv", "images/a b+c.png"]
    cloud.client("s3").put_object(Bucket=bucket, Key="manifest.json", Body=json.dumps(manifest).encode())
    return bucket


def laid_out(cloud: Cloud, name: str, *inputs: dict[str, Any]) -> list[str]:
    bucket = cloud.outputs["BucketName"]
    ended(cloud, name, ProcessingInputs=[source("model", f"s3://{bucket}/inputs/{name}/model.tar.gz"), *inputs])
    folder = "processing/input/data/"
    return [file.removeprefix(folder) for file in told(cloud, name)["files"] if file.startswith(folder)]


@pytest.mark.parametrize(
    ("uri", "kind", "files"),
    [
        ("d/test.csv", "S3Prefix", ["test.csv", "test.csv.bak"]),
        ("d/images", "S3Prefix", ["a b+c.png", "deep/é.png"]),
        ("d/images/", "S3Prefix", ["a b+c.png", "deep/é.png"]),
        ("manifest.json", "ManifestFile", ["images/a b+c.png", "test.csv"]),
    ],
)
def test_an_input_is_laid_out(cloud: Cloud, data: str, uri: str, kind: str, files: list[str]) -> None:
    name = f"input-{uri.strip('/').replace('/', '-').replace('.', '-')}-{len(uri)}"
    assert laid_out(cloud, name, source("data", f"s3://{data}/{uri}", kind)) == files


@pytest.mark.parametrize(
    ("name", "uri", "kind", "said"),
    [
        ("no-object", "nothing/here", "S3Prefix", "No S3 objects found under S3 URL"),
        ("no-manifest", "nothing/here", "ManifestFile", ".*NoSuchKey"),
        ("no-bucket", "", "S3Prefix", ".*NoSuchBucket"),
    ],
)
def test_a_missing_input_fails_the_job(cloud: Cloud, data: str, name: str, uri: str, kind: str, said: str) -> None:
    address = f"s3://{data}/{uri}" if uri else "s3://no-such-bucket/x"
    described = ended(cloud, name, ProcessingInputs=[source("data", address, kind)])
    assert described["ProcessingJobStatus"] == "Failed"
    assert re.match(f"ClientError: Data download failed:{said}", described["FailureReason"])


@pytest.mark.parametrize(
    ("key", "prefix", "name"),
    [
        ("d/test.csv", "d/test.csv", "test.csv"),
        ("d/test.csv.bak", "d/test.csv", "test.csv.bak"),
        ("d/a/b.png", "d", "a/b.png"),
        ("d/a/b.png", "d/", "a/b.png"),
        ("a.png", "", "a.png"),
        ("d/", "d/", ""),
    ],
)
def test_an_object_s_name_below_its_input(key: str, prefix: str, name: str) -> None:
    assert relative(key, prefix) == name


def test_a_key_may_hold_any_character() -> None:
    assert bucket_and_key("s3://b/a key?x=1#y%2F") == ("b", "a key?x=1#y%2F")


@pytest.mark.parametrize("manifest", [{}, [], ["a.csv"], [{"perfix": "s3://b/"}]])
def test_a_broken_manifest_is_named(manifest: Any) -> None:
    with pytest.raises(DataError, match="a manifest is a list that begins with"):
        list(manifest_files(manifest))


def test_no_key_and_no_path_leads_out_of_the_job_s_folder(cloud: Cloud) -> None:
    bucket = cloud.outputs["BucketName"]
    manifest = [{"prefix": f"s3://{bucket}/"}, "../../../../escaped"]
    cloud.client("s3").put_object(Bucket=bucket, Key="evil.json", Body=json.dumps(manifest).encode())
    described = ended(cloud, "evil", ProcessingInputs=[source("data", f"s3://{bucket}/evil.json", "ManifestFile")])
    assert "would lie outside its folder" in described["FailureReason"]

    outside = source("data", f"s3://{bucket}/d/")
    outside["S3Input"]["LocalPath"] = "/opt/ml/../../etc"
    described = ended(cloud, "outside", ProcessingInputs=[outside])
    assert "LocalPath /opt/ml/../../etc: expected a folder below /opt/ml/" in described["FailureReason"]


@pytest.mark.parametrize(("returncode", "code"), [(0, 0), (3, 3), (-9, 137), (-15, 143)])
def test_a_signal_is_told_as_a_shell_tells_it(returncode: int, code: int) -> None:
    assert exit_code(returncode) == code


# Docker


def test_the_docker_command_mounts_the_root_and_cuts_the_network() -> None:
    request = {
        "ProcessingJobName": "assay-x",
        "AppSpecification": {
            "ImageUri": "image:1",
            "ContainerEntrypoint": ["python3", "-c"],
            "ContainerArguments": ["1"],
        },
        "NetworkConfig": {"EnableNetworkIsolation": True},
    }
    command = docker_command(request, Path("/jobs/x"), {"A": "b c"})
    assert command[:5] == ["docker", "run", "--rm", "--name", "assay-x"]
    assert ("--network", "none") in pairwise(command)
    assert ("--volume", "/jobs/x:/opt/ml") in pairwise(command)
    assert ("--env", "A=b c") in pairwise(command)
    assert command[-5:] == ["--entrypoint", "python3", "image:1", "-c", "1"]
    assert ("--network", "host") in pairwise(docker_command(request | {"NetworkConfig": {}}, Path("/x"), {}))


# Models


def test_a_model_s_name_is_taken_once_until_it_is_deleted(cloud: Cloud) -> None:
    client = cloud.client("sagemaker")
    model = {"ModelName": "m", "ExecutionRoleArn": job_role(cloud), "PrimaryContainer": {"Image": "i"}}
    client.create_model(**model)
    with refused("ValidationException", "Cannot create already existing model"):
        client.create_model(**model)
    client.delete_model(ModelName="m")
    with refused("ValidationException", "Could not find model"):
        client.describe_model(ModelName="m")
    with refused("ValidationException", "Could not find model"):
        client.delete_model(ModelName="m")
    client.create_model(**model)
