"""SageMaker's Model Registry: a model's versions, each with what was measured of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from assay.errors import BadSettings
from assay_aws.clients import sagemaker
from assay_aws.refusals import code_of, denial_is_a_setting, text_of

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import CreateModelPackageInputTypeDef

_NO_RETRY_CURES = {"ValidationException", "ResourceNotFound", "ResourceLimitExceeded", "ConflictException"}


def register_package(request: CreateModelPackageInputTypeDef) -> str:
    """Register a version, once for each ClientToken; returns its ARN.

    Raises:
        BadSettings: the group does not exist, is not allowed, is full, or the request is refused.
    """
    group = request["ModelPackageGroupName"]
    try:
        with denial_is_a_setting("sagemaker:CreateModelPackage", f"group {group} (the stack's ModelPackageGroup)"):
            return sagemaker().create_model_package(**request)["ModelPackageArn"]
    except ClientError as error:
        if code_of(error) not in _NO_RETRY_CURES:
            raise
        raise BadSettings(f"model package group {group}: {text_of(error)}") from error
