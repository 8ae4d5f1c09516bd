"""Which upload an event speaks of."""

from __future__ import annotations

from typing import Any

from assay.events import ForeignEvent, StepDue, Upload
from assay.names import model_name
from assay_aws.run_store import find_active
from assay_aws.settings import Settings

MODEL_NAME_MAX = 600
"""Bytes of UTF-8, so that every key of a run's folder stays within S3's 1,024 and SageMaker's S3Uri."""


def upload_of(event: dict[str, Any], settings: Settings) -> Upload | None:
    """The upload of an *Object Created*, an `Assay Run Requested` or an `Assay Step Due`; None if that run has ended.

    Raises:
        ForeignEvent: the event is none of these, or its object can never be judged here.
    """
    if event.get("detail-type") == "Assay Step Due":
        active = find_active(settings.bucket_name, StepDue.parse(event).detail.run)
        return None if active is None else active.upload
    upload = Upload.of_event(event)
    check(upload, settings.bucket_name)
    return upload


def check(upload: Upload, bucket: str) -> None:
    if upload.bucket != bucket:
        raise ForeignEvent(f"an object of bucket {upload.bucket}, expected {bucket}")
    try:
        model = model_name(upload.key)
    except ValueError as error:
        raise ForeignEvent(str(error)) from error
    if len(model.encode()) > MODEL_NAME_MAX:
        raise ForeignEvent(f"key {upload.key!r}: a model's name may have {MODEL_NAME_MAX} bytes")
    if not upload.version and not upload.request:
        raise ForeignEvent(f"{upload.key!r} has no version: switch versions on for bucket {bucket}")
