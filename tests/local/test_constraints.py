"""Requests are refused for what AWS's own service model forbids, in AWS's words."""

from typing import Any

import pytest

from assay_local.clients import service_model
from assay_local.constraints import refusal, violations


def request(**changes: Any) -> dict[str, Any]:
    return {
        "ProcessingJobName": "assay-job",
        "RoleArn": "arn:aws:iam::123456789012:role/job",
        "AppSpecification": {"ImageUri": "image"},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 30}
        },
    } | changes


def judged(value: dict[str, Any]) -> list[str]:
    model = service_model("sagemaker").operation_model("CreateProcessingJob")
    assert model.input_shape is not None
    return violations(model.input_shape, value)


def test_a_good_request_breaks_nothing() -> None:
    assert judged(request(Environment={"A": "b"}, Tags=[{"Key": "größe", "Value": "1"}])) == []


def input_named(name: str) -> dict[str, Any]:
    s3 = {"S3Uri": "s3://b/k", "LocalPath": "/opt/ml/x", "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {"InputName": name, "S3Input": s3}


def cluster(**changes: Any) -> dict[str, Any]:
    config = {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 30} | changes
    return {"ClusterConfig": config}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"ProcessingJobName": "x" * 64},
            "at 'processingJobName' failed to satisfy constraint: Member must have length",
        ),
        ({"ProcessingJobName": "a_b"}, "Member must satisfy regular expression pattern: [a-zA-Z0-9]"),
        ({"ProcessingJobName": "a-"}, "Member must satisfy regular expression pattern"),
        ({"ProcessingInputs": [input_named(f"i{n}") for n in range(11)]}, "have length less than or equal to 10"),
        ({"Environment": {"A": "x" * 257}}, "have length less than or equal to 256"),
        ({"Environment": {f"A{n}": "x" for n in range(101)}}, "have length less than or equal to 100"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 777_601}}, "have value less than or equal to 777600"),
        ({"ProcessingResources": cluster(InstanceCount=0)}, "InstanceCount, value: 0, valid min value: 1"),
        ({"ProcessingResources": cluster(InstanceType="ml.none")}, "satisfy enum value set: ["),
        ({"ProcessingResources": cluster(InstanceCount="1")}, "Invalid type for parameter"),
        ({"Unknown": 1}, 'Unknown parameter in input: "Unknown"'),
    ],
)
def test_a_broken_limit_is_named(changes: dict[str, Any], said: str) -> None:
    assert said in refusal(judged(request(**changes)))


def test_a_missing_field_is_named() -> None:
    without_role = request()
    del without_role["RoleArn"]
    assert 'Missing required parameter in input: "RoleArn"' in refusal(judged(without_role))


def test_all_that_is_broken_is_told_at_once() -> None:
    found = judged(request(ProcessingJobName="a_b", StoppingCondition={"MaxRuntimeInSeconds": 777_601}))
    assert len(found) == 2
    assert refusal(found).startswith("2 validation errors detected: Value 'a_b' at 'processingJobName'")
