"""The parts of a CreateProcessingJob request, as data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from assay_aws.settings import JobSettings

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.literals import ProcessingInstanceTypeType
    from mypy_boto3_sagemaker.type_defs import CreateProcessingJobRequestTypeDef, ProcessingInputTypeDef

_INPUT = "/opt/ml/processing/input"
_OUTPUT = "/opt/ml/processing/output"


def folder_input(name: str, uri: str, local: str) -> ProcessingInputTypeDef:
    """All objects whose address begins with `uri`."""
    return _input(name, uri, local, manifest=False)


def manifest_input(name: str, manifest_uri: str, local: str) -> ProcessingInputTypeDef:
    """Exactly the objects that a manifest names."""
    return _input(name, manifest_uri, local, manifest=True)


def _input(name: str, uri: str, local: str, *, manifest: bool) -> ProcessingInputTypeDef:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"{_INPUT}/{local}",
            "S3DataType": "ManifestFile" if manifest else "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
            "S3CompressionType": "None",
        },
    }


def manifest_of(address: str) -> str:
    """The ManifestFile of one object: a prefix `test.csv` would also bring `test.csv.bak`."""
    folder, _, name = address.rpartition("/")
    return manifest_below(f"{folder}/", [name])


def manifest_below(folder: str, names: Sequence[str]) -> str:
    """The ManifestFile of these objects below an address that ends with /."""
    return json.dumps([{"prefix": folder}, *names])


def processing_job(
    *,
    name: str,
    image: str,
    instance_type: str,
    inputs: list[ProcessingInputTypeDef],
    output: tuple[str, str],
    isolated: bool,
    settings: JobSettings,
) -> CreateProcessingJobRequestTypeDef:
    """A job on one instance whose results, `output` (name, address), are uploaded while they are made."""
    output_name, output_uri = output
    return {
        "ProcessingJobName": name,
        "AppSpecification": {"ImageUri": image},
        "RoleArn": settings.job_role_arn,
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": cast("ProcessingInstanceTypeType", instance_type),  # a policy may name any
                "VolumeSizeInGB": settings.job_volume_gb,
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": settings.job_time_limit_seconds},
        "NetworkConfig": {"EnableNetworkIsolation": isolated},
        "ProcessingInputs": inputs,
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": output_name,
                    # Continuous: what was done is kept when a job is stopped.
                    "S3Output": {"S3Uri": output_uri, "LocalPath": _OUTPUT, "S3UploadMode": "Continuous"},
                }
            ]
        },
    }
