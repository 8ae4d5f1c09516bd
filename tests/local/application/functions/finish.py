"""A job ended: say so."""

import json
import os
from typing import Any

import boto3


def handler(event: dict[str, Any], context: Any) -> None:
    for record in event["Records"]:
        detail = json.loads(record["body"])["detail"]
        boto3.client("sns").publish(
            TopicArn=os.environ["TOPIC_ARN"],
            Subject=f"{detail['ProcessingJobName']} {detail['ProcessingJobStatus']}",
            Message="done",
            MessageAttributes={"status": {"DataType": "String", "StringValue": detail["ProcessingJobStatus"]}},
        )
