"""SageMaker's processing jobs and models: started once, described as typed data, its refusals turned into ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import ClientError
from botocore.model import StringShape
from pydantic import Field

from assay.base import Foreign
from assay.errors import BadSettings, NoCapacity
from assay_aws.clients import sagemaker
from assay_aws.refusals import code_of, denial_is_a_setting, text_of

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import CreateProcessingJobRequestTypeDef

JobStatus = Literal["InProgress", "Completed", "Failed", "Stopping", "Stopped"]

_LIMIT = re.compile(r"service limit '(?P<quota>[^']+)' is (?P<limit>\d+)")


class _S3Input(Foreign):
    uri: str = Field(alias="S3Uri")


class _Input(Foreign):
    s3: _S3Input | None = Field(None, alias="S3Input")


class _Cluster(Foreign):
    instance_type: str = Field("", alias="InstanceType")


class _Resources(Foreign):
    cluster: _Cluster = Field(alias="ClusterConfig")


class _StoppingCondition(Foreign):
    seconds: int = Field(86_400, alias="MaxRuntimeInSeconds")
    """By default a day."""


EXAMPLE_ACCOUNT = "123456789012"
"""The account of AWS's documentation, in which nothing runs: an AWS on a laptop has it."""


def is_on_a_laptop(arn: str) -> bool:
    return (arn.split(":") + [""] * 5)[4] == EXAMPLE_ACCOUNT


class DescribedJob(Foreign):
    """DescribeProcessingJob's answer, as far as it is read."""

    name: str = Field(alias="ProcessingJobName")
    arn: str = Field("", alias="ProcessingJobArn")
    status: JobStatus = Field(alias="ProcessingJobStatus")
    role_arn: str = Field("", alias="RoleArn")
    created_at: datetime = Field(alias="CreationTime")
    started_at: datetime | None = Field(None, alias="ProcessingStartTime")
    ended_at: datetime | None = Field(None, alias="ProcessingEndTime")
    exit_message: str | None = Field(None, alias="ExitMessage")
    failure_reason: str | None = Field(None, alias="FailureReason")
    resources: _Resources = Field(alias="ProcessingResources")
    inputs: tuple[_Input, ...] = Field((), alias="ProcessingInputs")
    stopping_condition: _StoppingCondition = Field(default_factory=_StoppingCondition, alias="StoppingCondition")

    @property
    def is_over(self) -> bool:
        return self.status in {"Completed", "Failed", "Stopped"}

    @property
    def region(self) -> str:
        """Empty where the ARN says none."""
        return (self.arn.split(":") + [""] * 4)[3]

    @property
    def is_on_a_laptop(self) -> bool:
        """Nobody charges for it, and no console shows it."""
        return is_on_a_laptop(self.arn)

    @property
    def instance_type(self) -> str:
        return self.resources.cluster.instance_type

    @property
    def time_limit_seconds(self) -> int:
        return self.stopping_condition.seconds

    @property
    def seconds(self) -> float:
        """That it ran; 0: it never began, or has not ended."""
        if self.started_at is None or self.ended_at is None:
            return 0.0
        return (self.ended_at - self.started_at).total_seconds()

    @property
    def reached_its_limit(self) -> bool:
        """Whether it ran as long as it might: SageMaker does not say who stopped a job."""
        if self.started_at is None or self.ended_at is None:
            return False
        return self.ended_at - self.started_at >= timedelta(seconds=self.time_limit_seconds)

    @property
    def input_uris(self) -> list[str]:
        return [given.s3.uri for given in self.inputs if given.s3 is not None]


def describe_job(name: str) -> DescribedJob | None:
    """The job; None when SageMaker has none of that name."""
    try:
        return DescribedJob.model_validate(sagemaker().describe_processing_job(ProcessingJobName=name))
    except ClientError as error:
        if code_of(error) == "ResourceNotFound" or "Could not find requested job" in text_of(error):
            return None
        raise


def start_job(request: CreateProcessingJobRequestTypeDef) -> None:
    """Start a job. That it was started before is success.

    Raises:
        NoCapacity: the quota is used up, or there are no instances: it will do later.
        BadSettings: it will not do before somebody changes something.
    """
    name = request["ProcessingJobName"]
    try:
        with _refusals_are_ours("sagemaker:CreateProcessingJob", name):
            sagemaker().create_processing_job(**request)
    except ClientError as error:
        if not _is_name_in_use(error):
            raise
        # The client's own retry of a start whose answer was lost gets here too.
        if not _is_ours(describe_job(name), request):
            raise BadSettings(
                f"a job named {name} exists already and is not this run's: expected no other stack with this prefix "
                "in this account and region"
            ) from error


def _is_name_in_use(error: ClientError) -> bool:
    return code_of(error) == "ResourceInUse" or "already exists" in text_of(error)


def _is_ours(job: DescribedJob | None, request: CreateProcessingJobRequestTypeDef) -> bool:
    """The same role and the same inputs, which lie in the run's own folder."""
    if job is None:
        return False
    uris = [given["S3Input"]["S3Uri"] for given in request["ProcessingInputs"]]
    return job.role_arn == request["RoleArn"] and job.input_uris == uris


def known_instance_types() -> Sequence[str]:
    """What a processing job may run on, as far as the API's model knows."""
    shape = sagemaker().meta.service_model.shape_for("ProcessingInstanceType")
    return shape.enum if isinstance(shape, StringShape) else ()


def stop_job(name: str) -> None:
    """Stop a job; that it ended meanwhile is success."""
    try:
        sagemaker().stop_processing_job(ProcessingJobName=name)
    except ClientError as error:
        if code_of(error) not in {"ValidationException", "ResourceNotFound"}:
            raise


def create_model(name: str, image: str, archive_uri: str, role_arn: str) -> None:
    """A SageMaker Model of the archive, for Clarify to ask. That it was made before is success.

    Raises:
        NoCapacity, BadSettings: as `start_job`.
    """
    try:
        with _refusals_are_ours("sagemaker:CreateModel", name):
            sagemaker().create_model(
                ModelName=name,
                ExecutionRoleArn=role_arn,
                PrimaryContainer={"Image": image, "ModelDataUrl": archive_uri},
                # The archive's own code may run in there: it gets no network and no credentials.
                EnableNetworkIsolation=True,
            )
    except ClientError as error:
        if "already existing" not in text_of(error):
            raise


def delete_model(name: str) -> None:
    """Delete a SageMaker Model; that there is none is success."""
    try:
        sagemaker().delete_model(ModelName=name)
    except ClientError as error:
        if code_of(error) not in {"ValidationException", "ResourceNotFound"}:
            raise


@contextmanager
def _refusals_are_ours(action: str, resource: str) -> Iterator[None]:
    try:
        with denial_is_a_setting(action, resource):
            yield
    except ClientError as error:
        code, text = code_of(error), text_of(error)
        if code == "ResourceLimitExceeded":
            limit = _LIMIT.search(text)
            if limit is not None and limit["limit"] == "0":
                raise BadSettings(f"quota '{limit['quota']}' is 0: request an increase in Service Quotas") from error
            raise NoCapacity(text) from error
        if code == "ValidationException" and "already exist" not in text:
            raise BadSettings(f"{action} {resource} was refused: {text}") from error
        raise
