"""Whom a job asks that has no model of its own, by what SageMaker says of the job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from assay.errors import BadPolicy, BadSettings
from assay.policy import ModelOptions
from job.described import DescribedJob, described_job
from job.folders import Folders
from model.predictor import open_endpoint

JOB = "assay-aaaaaaaaaaaaaaaaaaaa-01-evaluation"
OWN = ModelOptions(predictor="endpoint")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folders]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-a-test")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with mock_aws():
        yield Folders(tmp_path)


def describe(folders: Folders, **cluster: Any) -> None:
    content = {
        "ProcessingJobArn": f"arn:aws:sagemaker:eu-west-1:111122223333:processing-job/{JOB}",
        "ProcessingJobName": JOB,
        "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, **cluster}},
    }
    folders.config.parent.mkdir(parents=True)
    folders.config.write_text(json.dumps(content))


def test_a_jobs_own_endpoint_is_in_its_region_on_its_instance_type_under_its_name(folders: Folders) -> None:
    describe(folders, InstanceType="ml.c5.xlarge")
    assert described_job(folders) == DescribedJob(JOB, "eu-west-1", "ml.c5.xlarge")
    client = boto3.client("sagemaker", region_name="eu-west-1")
    client.create_model(ModelName=JOB, ExecutionRoleArn="arn:aws:iam::111122223333:role/jobs")
    with open_endpoint(OWN, None, folders) as endpoint:
        assert endpoint.name == JOB
        (variant,) = client.describe_endpoint_config(EndpointConfigName=JOB)["ProductionVariants"]
        assert variant["InstanceType"] == "ml.c5.xlarge"
    asked = OWN.model_copy(update={"instance_type": "ml.m5.large"})
    with open_endpoint(asked, None, folders):
        (variant,) = client.describe_endpoint_config(EndpointConfigName=JOB)["ProductionVariants"]
        assert variant["InstanceType"] == "ml.m5.large"
    assert client.list_endpoints()["Endpoints"] == []


def test_a_named_endpoint_is_asked_and_none_is_made(folders: Folders) -> None:
    describe(folders, InstanceType="ml.c5.xlarge")
    with open_endpoint(OWN.model_copy(update={"endpoint_name": "reviews-dev"}), None, folders) as endpoint:
        assert endpoint.name == "reviews-dev"
        assert endpoint.runtime == "endpoint reviews-dev, text/csv"
        assert boto3.client("sagemaker", region_name="eu-west-1").list_endpoints()["Endpoints"] == []


def test_where_nothing_says_what_to_make_it_says_so(folders: Folders) -> None:
    with pytest.raises(BadSettings, match=r"in which region is the endpoint\?"):
        open_endpoint(OWN.model_copy(update={"endpoint_name": "reviews-dev"}), None, folders).__enter__()
    with pytest.raises(BadSettings, match=r"only a SageMaker job makes an endpoint; say model.endpoint_name"):
        open_endpoint(OWN, None, folders).__enter__()
    describe(folders, InstancePreferences=[{"InstanceType": "ml.c5.xlarge"}])
    with pytest.raises(BadPolicy, match=r"say model.instance_type"):
        open_endpoint(OWN, None, folders).__enter__()
    folders.config.write_text("{}")
    with pytest.raises(BadSettings, match="expected the job's description, found none: KeyError"):
        described_job(folders)
