"""The events that come in, read as AWS sends them, and the ones we send ourselves."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, ValidationError

from assay.base import Foreign, Record


class ForeignEvent(ValueError):
    """An event of another shape than the rule that delivers it promises."""


class BusEvent(Foreign):
    """An event of EventBridge, or one that a step sends another."""

    @classmethod
    def parse(cls, event: dict[str, Any]) -> Self:
        """Read an event; raises ForeignEvent when it is not one of these."""
        try:
            return cls.model_validate(event)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ForeignEvent(f"{cls.__name__}: {where}: {first['msg']}") from error


class _Bucket(Foreign):
    name: str


class _Object(Foreign):
    key: str
    size: int = 0
    version_id: str = Field("", alias="version-id")
    """Empty on a bucket without versions."""


class _ObjectDetail(Foreign):
    bucket: _Bucket
    object: _Object


class ModelUploaded(BusEvent):
    """S3 *Object Created* through EventBridge. The key is not URL-encoded here.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """

    source: Literal["aws.s3"]
    detail_type: Literal["Object Created"] = Field(alias="detail-type")
    detail: _ObjectDetail


class _RequestDetail(Foreign):
    bucket: str
    key: str
    version: str = ""
    """Empty: the newest."""
    request: str = Field(min_length=1, max_length=256)
    """What tells this run from the upload's own: a ticket, a schedule's time. The same request is the same run."""


class RunRequested(BusEvent):
    """`Assay Run Requested`: a run that no upload asked for (a re-run, a schedule, a pipeline)."""

    detail_type: Literal["Assay Run Requested"] = Field("Assay Run Requested", alias="detail-type")
    detail: _RequestDetail

    @classmethod
    def of(cls, upload: Upload) -> Self:
        """The event that asks for this run; ValidationError without a request, or with one that is too long."""
        return cls(detail=_RequestDetail(**upload.model_dump()))


class _StepDetail(Foreign):
    run: str
    """The run's id."""


class StepDue(BusEvent):
    """`Assay Step Due`: a step of ours, or the sweep, saw that another step is next. Sent to its queue directly."""

    source: Literal["assay"] = "assay"
    detail_type: Literal["Assay Step Due"] = Field("Assay Step Due", alias="detail-type")
    detail: _StepDetail

    @classmethod
    def of(cls, run: str) -> Self:
        return cls(detail=_StepDetail(run=run))


class _JobDetail(Foreign):
    name: str = Field(alias="ProcessingJobName")
    status: str = Field(alias="ProcessingJobStatus")


class JobChanged(BusEvent):
    """*SageMaker Processing Job State Change*: best effort, several for one change are normal, says AWS.

    https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
    """

    source: Literal["aws.sagemaker"]
    detail_type: Literal["SageMaker Processing Job State Change"] = Field(alias="detail-type")
    detail: _JobDetail


class Upload(Record):
    """Exactly what is to be judged: one version of one archive, and who asked when it was not the upload itself."""

    bucket: str
    key: str
    version: str = ""
    request: str = ""

    @classmethod
    def of_event(cls, event: dict[str, Any]) -> Self:
        """The upload that an *Object Created* or an `Assay Run Requested` speaks of; raises ForeignEvent."""
        if event.get("detail-type") == "Assay Run Requested":
            asked = RunRequested.parse(event).detail
            return cls(bucket=asked.bucket, key=asked.key, version=asked.version, request=asked.request)
        created = ModelUploaded.parse(event).detail
        return cls(bucket=created.bucket.name, key=created.object.key, version=created.object.version_id)
