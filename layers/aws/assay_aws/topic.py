"""The topic that people subscribe to."""

from __future__ import annotations

from collections.abc import Mapping

from assay_aws.clients import sns


def publish(topic_arn: str, subject: str, message: str, attributes: Mapping[str, str]) -> None:
    """Tell subscribers; `message` is a JSON object with a body for each protocol, and `default`."""
    sns().publish(
        TopicArn=topic_arn,
        Subject=subject,
        Message=message,
        MessageStructure="json",
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    )
