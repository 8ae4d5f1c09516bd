"""An upload landed: start a job whose name derives from the event, unless the event says to fail."""

import json
import os
from typing import Any

import boto3
from greeting import greet  # type: ignore[import-not-found]  # the layer brings it


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    failed = []
    for record in event["Records"]:
        upload = json.loads(record["body"])
        print(greet(upload["detail"]["object"]["key"]))
        try:
            start(upload["detail"])
        except ValueError as error:
            print("failed", error)
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def start(detail: dict[str, Any]) -> None:
    bucket, key = detail["bucket"]["name"], detail["object"]["key"]
    name = key.split("/")[1]
    if name == "bad":
        raise ValueError(key)
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_processing_job(
        ProcessingJobName=f"{os.environ['PREFIX']}-{name}",
        RoleArn=os.environ["JOB_ROLE_ARN"],
        AppSpecification={"ImageUri": os.environ["IMAGE_URI"]},
        NetworkConfig={"EnableNetworkIsolation": True},
        ProcessingResources={
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 30}
        },
        ProcessingInputs=[
            {
                "InputName": "model",
                "S3Input": {
                    "S3Uri": f"s3://{bucket}/{key}",
                    "LocalPath": "/opt/ml/processing/input/model",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ],
        ProcessingOutputConfig={
            "Outputs": [
                {
                    "OutputName": "result",
                    "S3Output": {
                        "S3Uri": f"s3://{bucket}/runs/{name}",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "Continuous",
                    },
                }
            ]
        },
    )
