"""Events have AWS's shape, come once, and go where the rules say; a test can lose, repeat and forge them."""

import json
import re
from typing import Any

from assay_local.cloud import Cloud


def put(cloud: Cloud, key: str, body: bytes = b"hello") -> dict[str, Any]:
    """The event of an upload that no rule matches."""
    cloud.client("s3").put_object(Bucket=cloud.outputs["BucketName"], Key=key, Body=body)
    return cloud.events[-1]


def test_an_upload_s_event_is_aws_s(cloud: Cloud) -> None:
    event = put(cloud, "data/a key+with %2F é.csv")
    version = cloud.client("s3").head_object(Bucket=cloud.outputs["BucketName"], Key="data/a key+with %2F é.csv")
    assert {key: event[key] for key in ("version", "detail-type", "source", "account", "region", "resources")} == {
        "version": "0",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "123456789012",
        "region": "us-east-1",
        "resources": ["arn:aws:s3:::tiny-bucket-123456789012"],
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["time"])
    stored = event["detail"]["object"]
    assert stored.pop("sequencer")
    assert stored == {
        "key": "data/a key+with %2F é.csv",
        "size": 5,
        "etag": "5d41402abc4b2a76b9719d911017c592",
        "version-id": version["VersionId"],
    }
    assert event["detail"]["bucket"] == {"name": "tiny-bucket-123456789012"}
    assert event["detail"]["reason"] == "PutObject"


def test_ids_and_sequencers_differ_and_rise(cloud: Cloud) -> None:
    first, second = put(cloud, "data/a"), put(cloud, "data/a")
    assert first["id"] != second["id"]
    assert first["detail"]["object"]["sequencer"] < second["detail"]["object"]["sequencer"]


def test_a_copy_says_so(cloud: Cloud) -> None:
    put(cloud, "data/from")
    bucket = cloud.outputs["BucketName"]
    cloud.client("s3").copy_object(Bucket=bucket, Key="data/to", CopySource={"Bucket": bucket, "Key": "data/from"})
    assert cloud.events[-1]["detail"]["reason"] == "CopyObject"
    assert cloud.events[-1]["detail"]["object"]["key"] == "data/to"


def test_a_multipart_upload_sends_one_event(cloud: Cloud) -> None:
    s3, bucket = cloud.client("s3"), cloud.outputs["BucketName"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="data/large")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="data/large", UploadId=upload, PartNumber=1, Body=b"x" * 10)
    before = len(cloud.events)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="data/large", UploadId=upload, MultipartUpload=parts)
    (event,) = cloud.events[before:]
    assert event["detail"]["reason"] == "CompleteMultipartUpload"
    assert event["detail"]["object"]["size"] == 10


def test_a_deleted_object_is_no_created_one(cloud: Cloud) -> None:
    put(cloud, "data/gone")
    before = len(cloud.events)
    cloud.client("s3").delete_object(Bucket=cloud.outputs["BucketName"], Key="data/gone")
    assert cloud.events[before:] == []


def test_a_custom_event_keeps_its_fields(cloud: Cloud) -> None:
    entry = {
        "Source": "tests",
        "DetailType": "Something Asked",
        "Detail": json.dumps({"a": [1, {"b": None}]}),
        "Resources": ["arn:x"],
    }
    answer = cloud.client("events").put_events(Entries=[entry])
    event = cloud.events[-1]
    assert event["id"] == answer["Entries"][0]["EventId"]
    assert (event["source"], event["detail-type"], event["resources"]) == ("tests", "Something Asked", ["arn:x"])
    assert event["detail"] == {"a": [1, {"b": None}]}
    assert event["account"] == "123456789012"


def test_what_put_events_refuses_is_no_event(cloud: Cloud) -> None:
    before = len(cloud.events)
    answer = cloud.client("events").put_events(Entries=[{"Source": "tests", "DetailType": "x", "Detail": "{"}])
    assert answer["Entries"][0]["ErrorCode"] == "MalformedDetail"
    assert cloud.events[before:] == []


def starts(cloud: Cloud) -> int:
    return sum(i.function == "StartFunction" for i in cloud.invocations)


def test_a_dropped_event_can_come_late_and_twice(cloud: Cloud) -> None:
    dropped = cloud.drop(lambda event: event["detail"]["object"]["key"].startswith("models/late/"))
    put(cloud, "models/late/model.tar.gz")
    cloud.drain(timeout=20)
    assert starts(cloud) == 0
    assert cloud.undelivered == []

    cloud.deliver(dropped[0])
    cloud.drain(timeout=20)
    assert starts(cloud) == 1

    cloud.deliver(dropped[0])
    cloud.drain(timeout=20)
    assert starts(cloud) == 2
    assert [job.name for job in cloud.jobs()] == ["tiny-late"]


def test_firing_a_schedule_invokes_its_function_with_aws_s_event(cloud: Cloud) -> None:
    assert cloud.fire("SweepFunction") == "Scheduled Event"
    event = cloud.invocations[-1].event
    assert event["resources"] == [cloud.stack.schedules[0].arn]
    assert event["source"] == "aws.events"
