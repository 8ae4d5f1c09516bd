"""What the topics' subscribers got: a queue of our own is subscribed to each topic and read back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay_local.clients import client
from assay_local.stack import Stack


@dataclass(frozen=True)
class Notice:
    id: str
    topic: str
    subject: str | None
    message: str
    attributes: Mapping[str, str]


class Subscriber:
    def __init__(self, stack: Stack, endpoint: str) -> None:
        sns = client("sns", endpoint, stack.region)
        self._sqs = client("sqs", endpoint, stack.region)
        self._url = self._sqs.create_queue(QueueName="assay-local-subscriber")["QueueUrl"]
        self._notices: list[Notice] = []
        arn = f"arn:aws:sqs:{stack.region}:{stack.account}:assay-local-subscriber"
        for topic in stack.topics:
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def notices(self) -> list[Notice]:
        """Oldest first."""
        while messages := self._receive():
            for message in messages:
                self._notices.append(notice(json.loads(message["Body"])))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return list(self._notices)

    def _receive(self) -> list[Mapping[str, Any]]:
        return list(self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", []))


def notice(envelope: Mapping[str, Any]) -> Notice:
    attributes = envelope.get("MessageAttributes", {})
    return Notice(
        id=envelope["MessageId"],
        topic=envelope["TopicArn"],
        subject=envelope.get("Subject"),
        message=envelope["Message"],
        attributes={name: attribute["Value"] for name, attribute in attributes.items()},
    )
