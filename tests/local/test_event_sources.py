"""Queues feed functions as Lambda's pollers do: what failed comes again, and ends in the dead-letter queue."""

import json
from typing import Any

import pytest

from assay_local.cloud import Cloud
from assay_local.event_sources import finished

BATCH = [{"MessageId": "a"}, {"MessageId": "b"}]


def failures(*ids: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": id} for id in ids]}


@pytest.mark.parametrize(
    ("answer", "deleted"),
    [
        (None, "ab"),
        ({}, "ab"),
        ({"batchItemFailures": None}, "ab"),
        (failures(), "ab"),
        (failures("a"), "b"),
        (failures("a", "b"), ""),
        (failures("unknown"), ""),
        (failures(""), ""),
        ({"batchItemFailures": [{"wrong": "a"}]}, ""),
        ({"batchItemFailures": "a"}, ""),
        ("text", ""),
    ],
)
def test_the_answer_says_what_is_finished(answer: Any, deleted: str) -> None:
    assert "".join(message["MessageId"] for message in finished(BATCH, answer, partial_failures=True)) == deleted


def test_without_reporting_the_answer_does_not_matter() -> None:
    assert finished(BATCH, failures("a"), partial_failures=False) == BATCH


def send(cloud: Cloud, queue: str, *names: str) -> None:
    entries = [
        {"Id": str(n), "MessageBody": json.dumps(upload(cloud.outputs["BucketName"], name))}
        for n, name in enumerate(names)
    ]
    cloud.client("sqs").send_message_batch(QueueUrl=cloud.resources[queue], Entries=entries)


def upload(bucket: str, name: str) -> dict[str, Any]:
    return {"detail": {"bucket": {"name": bucket}, "object": {"key": f"models/{name}/model.tar.gz"}}}


def left(cloud: Cloud, queue: str) -> tuple[int, int]:
    """Messages that can be received, and those in flight."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    url = cloud.resources[queue]
    attributes = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(attributes[names[0]]), int(attributes[names[1]])


def test_only_what_failed_comes_again_and_ends_in_the_dead_letter_queue(cloud: Cloud) -> None:
    send(cloud, "StartQueue", "good", "bad")
    cloud.drain(timeout=20)
    assert [job.name for job in cloud.jobs()] == ["tiny-good"]
    assert left(cloud, "StartQueue") == (0, 1)

    cloud.retry()  # the second of two deliveries
    cloud.drain(timeout=20)
    assert left(cloud, "StartQueue") == (0, 1)
    assert left(cloud, "DeadLetterQueue") == (0, 0)

    cloud.retry()
    cloud.drain(timeout=20)
    assert left(cloud, "StartQueue") == (0, 0)
    assert left(cloud, "DeadLetterQueue") == (1, 0)
    tries = [i for i in cloud.invocations if "models/bad/" in json.dumps(i.event)]
    assert [record["attributes"]["ApproximateReceiveCount"] for i in tries for record in i.event["Records"]][-1] == "2"


def test_a_raised_error_keeps_the_whole_batch(cloud: Cloud) -> None:
    cloud.client("sqs").send_message(QueueUrl=cloud.resources["FinishQueue"], MessageBody="not JSON")
    cloud.drain(timeout=20)
    assert left(cloud, "FinishQueue") == (0, 1)
    cloud.client("sqs").purge_queue(QueueUrl=cloud.resources["FinishQueue"])


def test_a_delayed_message_waits(cloud: Cloud) -> None:
    body = json.dumps(upload(cloud.outputs["BucketName"], "delayed"))
    cloud.client("sqs").send_message(QueueUrl=cloud.resources["StartQueue"], MessageBody=body, DelaySeconds=600)
    cloud.drain(timeout=20)
    assert "tiny-delayed" not in [job.name for job in cloud.jobs()]
    cloud.retry()
    cloud.drain(timeout=20)
    assert "tiny-delayed" in [job.name for job in cloud.jobs()]


def test_a_record_is_lambda_s(cloud: Cloud) -> None:
    send(cloud, "StartQueue", "record")
    cloud.drain(timeout=20)
    invocation = next(i for i in cloud.invocations if "models/record/" in json.dumps(i.event))
    (record,) = invocation.event["Records"]
    assert set(record) == {
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfBody",
        "eventSource",
        "eventSourceARN",
        "awsRegion",
    }
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"].startswith("arn:aws:sqs:us-east-1:123456789012:assay-StartQueue-")
    assert {"ApproximateReceiveCount", "SentTimestamp", "SenderId"} <= set(record["attributes"])


def test_a_queue_is_polled_with_its_function_s_role(cloud: Cloud) -> None:
    send(cloud, "StartQueue", "role")
    cloud.drain(timeout=20)
    polls = {call.caller.name for call in cloud.calls if call.service == "sqs" and "StartQueue" in call.resource}
    assert polls == {"StartFunction"}
