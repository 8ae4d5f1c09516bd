"""boto3's clients, built on first use: importing a handler speaks to nobody."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

# Standard mode waits between tries with jitter. Six tries take 16 s on average and 31 s at most, which leaves a step
# time within its 60 s; after that the queue brings the message again.
_RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=5, read_timeout=20)
# Copying 1 GiB inside S3 is one request, answered when it is done.
_SLOW_ANSWERS = Config(read_timeout=50)


@cache
def s3() -> S3Client:
    return boto3.client("s3", config=_RETRIES.merge(_SLOW_ANSWERS))


@cache
def sagemaker() -> SageMakerClient:
    return boto3.client("sagemaker", config=_RETRIES)


@cache
def sns() -> SNSClient:
    return boto3.client("sns", config=_RETRIES)


@cache
def sqs() -> SQSClient:
    return boto3.client("sqs", config=_RETRIES)


@cache
def events() -> EventBridgeClient:
    return boto3.client("events", config=_RETRIES)
