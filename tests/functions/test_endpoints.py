"""A policy that asks an endpoint: who allows it, what serves the archive, and what is left behind."""

from __future__ import annotations

from typing import Any

import pytest
from mypy_boto3_sagemaker import SageMakerClient

from assay_aws import clients
from publish_summary.handler import publish_summary
from start_evaluation.handler import start_evaluation
from sweep.handler import handler as sweep

from .conftest import ACCOUNT, BUCKET, Aws, Context, Uploaded, Wire, land, lost_answer, report

POLICY = """
task: tabular_classification
data: {source: test.csv}
model: {predictor: endpoint}
"""
NAMED = POLICY.replace("endpoint}", "endpoint, endpoint_name: Reviews-dev}")
ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint"


@pytest.fixture
def allowed(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    monkeypatch.setenv("ALLOW_ENDPOINT_PREDICTOR", "true")
    monkeypatch.setenv("SHADOW_ENDPOINTS", "true")
    return aws


def rejection(aws: Aws, uploaded: Uploaded) -> tuple[str, str]:
    start_evaluation(uploaded.event)
    assert aws.sagemaker.creations == 0
    rejected = aws.run(uploaded.folder).rejected
    assert rejected is not None
    return rejected.error, rejected.message


def models() -> list[str]:
    return [found["ModelName"] for found in clients.sagemaker().list_models()["Models"]]


def test_no_endpoint_is_asked_unless_the_deployer_allows_it(aws: Aws) -> None:
    error, message = rejection(aws, land(aws, policy=NAMED))
    assert error == "BadPolicy"
    assert "AllowEndpointPredictor=true" in message


@pytest.mark.parametrize(
    ("arns", "named"), [("", "none"), (f"{ARN}/birds-*,{ARN}/reviews", "birds-*, reviews")], ids=["none", "others"]
)
def test_only_the_deployers_endpoints_may_be_named(
    allowed: Aws, monkeypatch: pytest.MonkeyPatch, arns: str, named: str
) -> None:
    monkeypatch.setenv("ENDPOINT_ARNS", arns)
    assert rejection(allowed, land(allowed, policy=NAMED)) == (
        "BadPolicy",
        f"model.endpoint_name Reviews-dev: not allowed; EndpointArns allows {named}",
    )


def test_a_job_that_asks_a_named_endpoint_has_a_network_and_no_model_is_made(
    allowed: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENDPOINT_ARNS", f"{ARN}/reviews-*")  # SageMaker writes names into ARNs in lower case
    uploaded = land(allowed, policy=NAMED)
    start_evaluation(uploaded.event)
    job = allowed.sagemaker.jobs[uploaded.job("evaluation")]
    assert job["NetworkConfig"] == {"EnableNetworkIsolation": False}
    assert models() == []
    assert allowed.state(uploaded.folder).serving_model is None


def test_without_a_name_the_archive_is_served_under_the_jobs_name_until_the_run_ends(allowed: Aws) -> None:
    uploaded = land(allowed, policy=POLICY)
    start_evaluation(uploaded.event)
    name = uploaded.job("evaluation")
    assert allowed.sagemaker.jobs[name]["NetworkConfig"] == {"EnableNetworkIsolation": False}
    made: dict[str, Any] = dict(clients.sagemaker().describe_model(ModelName=name))
    assert made["PrimaryContainer"]["ModelDataUrl"] == f"s3://{BUCKET}/{uploaded.folder.archive}"
    allowed.put(uploaded.folder.report, report().to_json())
    allowed.sagemaker.end(name)
    publish_summary(uploaded.due)
    assert allowed.state(uploaded.folder).progress == "ended"
    assert models() == []


def test_a_lost_answer_to_the_model_is_a_model(allowed: Aws, wire: Wire) -> None:
    uploaded = land(allowed, policy=POLICY)
    wire.next("CreateModel", lost_answer)
    start_evaluation(uploaded.event)
    assert models() == list(allowed.sagemaker.jobs) == [uploaded.job("evaluation")]


def test_without_a_serving_image_nothing_can_serve_the_archive(allowed: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVING_IMAGE_URI", "")
    error, message = rejection(allowed, land(allowed, policy=POLICY))
    assert error == "BadSettings"
    assert "ServingImageUri is empty" in message


def make_endpoint(name: str) -> SageMakerClient:
    sagemaker = clients.sagemaker()
    if not models():
        sagemaker.create_model(ModelName="m", ExecutionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/jobs")
    sagemaker.create_endpoint_config(
        EndpointConfigName=f"{name}-c",
        ProductionVariants=[
            {"VariantName": "v", "ModelName": models()[0], "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        ],
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-c")
    return sagemaker


def endpoints() -> list[str]:
    found = [endpoint["EndpointName"] for endpoint in clients.sagemaker().list_endpoints()["Endpoints"]]
    configurations = clients.sagemaker().list_endpoint_configs()["EndpointConfigs"]
    assert sorted(entry["EndpointConfigName"] for entry in configurations) == sorted(f"{name}-c" for name in found)
    return found


def test_an_endpoint_is_deleted_once_its_job_is_over_and_not_before(allowed: Aws) -> None:
    uploaded = land(allowed, policy=POLICY)
    start_evaluation(uploaded.event)
    name = uploaded.job("evaluation")
    make_endpoint(name)
    make_endpoint("assay-of-somebody-else")
    sweep({}, Context())
    assert name in endpoints()
    allowed.sagemaker.end(name, "Stopped")
    sweep({}, Context())
    assert endpoints() == ["assay-of-somebody-else"]


def test_clarifys_endpoint_is_deleted_once_its_run_has_ended(allowed: Aws) -> None:
    uploaded = land(allowed, policy=POLICY)
    start_evaluation(uploaded.event)
    name = f"assay-{uploaded.folder.run}-1732190000-a1b2"
    make_endpoint(name)
    allowed.sagemaker.jobs[uploaded.job("explanation")] = dict(allowed.sagemaker.jobs[uploaded.job("evaluation")])
    sweep({}, Context())
    assert endpoints() == [name]
    allowed.s3.delete_object(Bucket=BUCKET, Key=f"active/{uploaded.folder.run}")
    sweep({}, Context())
    assert endpoints() == []


def test_one_that_is_still_being_made_is_left_to_the_next_sweep(allowed: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.sagemaker.models import sagemaker_backends

    name = f"assay-{'a' * 20}-01-evaluation"
    make_endpoint(name)
    endpoint = sagemaker_backends[ACCOUNT]["us-east-1"].endpoints[name]
    monkeypatch.setattr(endpoint, "endpoint_status", "Creating")
    sweep({}, Context())
    assert endpoints() == [name]
    monkeypatch.setattr(endpoint, "endpoint_status", "Failed")
    sweep({}, Context())
    assert endpoints() == []


def test_where_jobs_make_no_endpoints_nobody_looks_for_them(aws: Aws) -> None:
    name = f"assay-{'a' * 20}-01-evaluation"
    make_endpoint(name)
    sweep({}, Context())
    assert endpoints() == [name]
