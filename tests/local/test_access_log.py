"""Calls are recorded as IAM would be asked about them."""

from collections.abc import Iterator
from typing import Any

import pytest

from assay_local.clients import client
from assay_local.cloud import Cloud
from assay_local.credentials import Roles


@pytest.fixture(scope="module")
def s3(cloud: Cloud) -> Any:
    """With a job's credentials, so that its calls are kept."""
    roles = Roles(cloud.endpoint, cloud.account, cloud.region, cloud._log)
    role = cloud.stack.functions["ProbeFunction"].environment["JOB_ROLE_ARN"]
    return client("s3", cloud.endpoint, cloud.region, roles.assume(role, "sagemaker.amazonaws.com", "a-job"))


@pytest.fixture
def recorded(cloud: Cloud) -> Iterator[list[tuple[str, str]]]:
    """Fills with action and resource of what a test called."""
    before = len(cloud.calls)
    calls: list[tuple[str, str]] = []
    yield calls
    assert [(call.action, call.resource) for call in cloud.calls[before:]] == calls
    assert {call.caller.name for call in cloud.calls[before:]} == {"a-job"}


def test_the_object_is_named(cloud: Cloud, s3: Any, recorded: list[tuple[str, str]]) -> None:
    bucket = cloud.outputs["BucketName"]
    s3.put_object(Bucket=bucket, Key="a key+é", Body=b"")
    s3.head_object(Bucket=bucket, Key="a key+é")
    s3.list_objects_v2(Bucket=bucket, Prefix="a")
    recorded += [
        ("PutObject", f"arn:aws:s3:::{bucket}/a key+é"),
        ("GetObject", f"arn:aws:s3:::{bucket}/a key+é"),
        ("ListBucket", f"arn:aws:s3:::{bucket}"),
    ]


def test_a_version_and_a_copy_s_source_need_their_own_permission(
    cloud: Cloud, s3: Any, recorded: list[tuple[str, str]]
) -> None:
    bucket = cloud.outputs["BucketName"]
    source = {"Bucket": bucket, "Key": "from é"}
    version = cloud.client("s3").put_object(Body=b"", **source)["VersionId"]
    s3.get_object(VersionId=version, **source)
    s3.head_object(VersionId=version, **source)
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source)
    s3.copy_object(Bucket=bucket, Key="to", CopySource={**source, "VersionId": version})
    recorded += [
        ("GetObjectVersion", f"arn:aws:s3:::{bucket}/from é"),
        ("GetObjectVersion", f"arn:aws:s3:::{bucket}/from é"),
        ("PutObject", f"arn:aws:s3:::{bucket}/to"),
        ("GetObject", f"arn:aws:s3:::{bucket}/from é"),
        ("PutObject", f"arn:aws:s3:::{bucket}/to"),
        ("GetObjectVersion", f"arn:aws:s3:::{bucket}/from é"),
    ]


def test_a_condition_is_among_the_parameters(cloud: Cloud, s3: Any) -> None:
    s3.list_objects_v2(Bucket=cloud.outputs["BucketName"], Prefix="only/")
    assert cloud.calls[-1].parameters["prefix"] == "only/"
    s3.put_object(Bucket=cloud.outputs["BucketName"], Key="tagged", Body=b"", Tagging="a=b")
    assert cloud.calls[-1].parameters["x-amz-tagging"] == "a=b"


def test_the_owner_s_calls_are_not_kept(cloud: Cloud) -> None:
    before = cloud.calls
    cloud.client("s3").list_buckets()
    assert cloud.calls == before
