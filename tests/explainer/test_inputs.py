"""Where the inputs come from: addresses that are inputs of the job, and the archive of a SageMaker Model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from assay.errors import BadModel, BadSettings
from explainer.inputs import JobConfig, describe_model, download_archive, local_path

JOB = JobConfig.model_validate(
    {
        "ProcessingInputs": [
            {
                "InputName": "data",
                "S3Input": {"S3Uri": "s3://bucket/run 1/a+b/", "LocalPath": "/opt/ml/processing/input/data"},
            },
            {
                "InputName": "base",
                "S3Input": {"S3Uri": "s3://bucket/base.csv", "LocalPath": "/opt/ml/processing/input/base"},
            },
        ]
    }
)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("s3://bucket/run 1/a+b/", "data"),
        ("s3://bucket/run 1/a+b/c/d.csv", "data/c/d.csv"),
        ("s3://bucket/base.csv", "base/base.csv"),
    ],
)
def test_an_address_lies_where_the_input_that_brings_it_lies(tmp_path: Path, address: str, place: str) -> None:
    inputs = tmp_path / "processing/input"
    (inputs / "base").mkdir(parents=True)
    (inputs / "base/base.csv").touch()
    assert local_path(address, JOB, tmp_path) == inputs / place


@pytest.mark.parametrize("address", ["s3://bucket/base.csv.bak", "s3://other/base.csv", "s3://bucket/run 1/a+bc"])
def test_an_address_that_no_input_brings_is_an_error_that_lists_them(tmp_path: Path, address: str) -> None:
    with pytest.raises(
        BadSettings, match=r"is not among the job's inputs.*s3://bucket/run 1/a\+b/, s3://bucket/base.csv"
    ):
        local_path(address, JOB, tmp_path)


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_object(Bucket="models", Key="birds/model 1+2.tar.gz", Body=b"the archive")
        yield boto3.client("sagemaker")


def create_model(sagemaker: Any, **container: Any) -> None:
    role = "arn:aws:iam::123456789012:role/role"
    sagemaker.create_model(
        ModelName="birds", PrimaryContainer={"Image": "tensorflow", **container}, ExecutionRoleArn=role
    )


@pytest.mark.parametrize(
    "container",
    [
        {"ModelDataUrl": "s3://models/birds/model 1+2.tar.gz"},
        {
            "ModelDataSource": {
                "S3DataSource": {
                    "S3Uri": "s3://models/birds/model 1+2.tar.gz",
                    "S3DataType": "S3Object",
                    "CompressionType": "Gzip",
                }
            }
        },
    ],
)
def test_a_model_by_name_is_its_archive(sagemaker: Any, tmp_path: Path, container: dict[str, Any]) -> None:
    create_model(sagemaker, **container)
    assert download_archive(describe_model("birds"), tmp_path).read_bytes() == b"the archive"


def test_a_model_that_there_is_not_is_an_error_that_names_it(sagemaker: Any) -> None:
    with pytest.raises(
        BadModel, match=r"predictor\.model_name: cannot fetch the SageMaker Model cats: .*not find model"
    ):
        describe_model("cats")


def test_a_model_whose_archive_is_gone_is_an_error(sagemaker: Any, tmp_path: Path) -> None:
    create_model(sagemaker, ModelDataUrl="s3://models/gone.tar.gz")
    with pytest.raises(BadModel, match=r"cannot fetch the SageMaker Model birds: .*404"):
        download_archive(describe_model("birds"), tmp_path)


def test_a_model_without_archive_is_an_error(sagemaker: Any, tmp_path: Path) -> None:
    create_model(sagemaker)
    with pytest.raises(BadModel, match=r"birds names no model\.tar\.gz in S3"):
        download_archive(describe_model("birds"), tmp_path)


def started(**network: bool) -> JobConfig:
    """A job as a notebook starts one: of all addresses only the data's is an input."""
    arn = "arn:aws:sagemaker:eu-west-1:111122223333:processing-job/clarify"
    return JobConfig.model_validate({"ProcessingJobArn": arn, "NetworkConfig": network})


def test_a_job_with_a_network_fetches_what_no_input_brings(sagemaker: Any, tmp_path: Path) -> None:
    s3 = boto3.client("s3")
    for key in ("base.csv", "base.csv.bak", "rows/a/1.csv", "rows/2.csv", "rows/", "rows-of-others/3.csv"):
        s3.put_object(Bucket="models", Key=key, Body=key.encode())
    one = local_path("s3://models/base.csv", started(), tmp_path)
    assert (one.name, one.read_bytes()) == ("base.csv", b"base.csv")
    for address in ("s3://models/rows", "s3://models/rows/"):
        several = local_path(address, started(), tmp_path)
        found = sorted(path.read_text() for path in several.rglob("*") if path.is_file())
        assert found == ["rows/2.csv", "rows/a/1.csv"]
    with pytest.raises(BadSettings, match=r"s3://models/gone\.csv: nothing lies there"):
        local_path("s3://models/gone.csv", started(), tmp_path)
    with pytest.raises(BadSettings, match=r"s3://nowhere/x\.csv: cannot be fetched: .*NoSuchBucket"):
        local_path("s3://nowhere/x.csv", started(), tmp_path)


@pytest.mark.parametrize("job", [started(EnableNetworkIsolation=True), JobConfig()])
def test_a_job_without_network_says_that_the_address_is_no_input(job: JobConfig, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"s3://models/base\.csv is not among the job's inputs"):
        local_path("s3://models/base.csv", job, tmp_path)
