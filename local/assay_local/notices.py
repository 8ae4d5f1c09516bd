"""What the topics' subscribers got: a queue of our own is subscribed to each topic and read back.

moto sends no mail; what a person would get of a notice is read from moto's own record of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moto.sns.models import sns_backends

from assay_local.clients import client
from assay_local.stack import Stack


@dataclass(frozen=True)
class Notice:
    id: str
    topic: str
    subject: str | None
    message: str
    """As a person gets it, by e-mail."""
    body: str
    """As a queue, a function or a web hook gets it."""
    attributes: Mapping[str, str]


class Subscriber:
    def __init__(self, stack: Stack, endpoint: str) -> None:
        sns = client("sns", endpoint, stack.region)
        self._sqs = client("sqs", endpoint, stack.region)
        self._url = self._sqs.create_queue(QueueName="assay-local-subscriber")["QueueUrl"]
        self._account, self._region = stack.account, stack.region
        self._notices: list[Notice] = []
        arn = f"arn:aws:sqs:{stack.region}:{stack.account}:assay-local-subscriber"
        for topic in stack.topics:
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def notices(self) -> list[Notice]:
        """Oldest first."""
        while messages := self._receive():
            for message in messages:
                envelope = json.loads(message["Body"])
                self._notices.append(notice(envelope, self._sent(envelope)))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return list(self._notices)

    def _receive(self) -> list[Mapping[str, Any]]:
        return list(self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", []))

    def _sent(self, envelope: Mapping[str, Any]) -> str:
        """The message as it was published, with a body for each protocol."""
        topic = sns_backends[self._account][self._region].topics[envelope["TopicArn"]]
        return next(sent for id, sent, *_ in topic.sent_notifications if id == envelope["MessageId"])


def notice(envelope: Mapping[str, Any], sent: str) -> Notice:
    attributes = envelope.get("MessageAttributes", {})
    return Notice(
        id=envelope["MessageId"],
        topic=envelope["TopicArn"],
        subject=envelope.get("Subject"),
        message=mail(sent),
        body=envelope["Message"],
        attributes={name: attribute["Value"] for name, attribute in attributes.items()},
    )


def mail(sent: str) -> str:
    """What is mailed of a message; one that has a body for each protocol always has a default."""
    try:
        bodies = json.loads(sent)
    except json.JSONDecodeError:
        return sent
    return str(bodies.get("email", bodies["default"])) if isinstance(bodies, dict) and "default" in bodies else sent
