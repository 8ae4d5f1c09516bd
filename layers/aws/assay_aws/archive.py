"""The uploaded archive: which version exactly, and its frozen copy in the run's folder."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from assay.errors import BadModel, BadSettings
from assay.events import Upload
from assay.run import Archive, Run
from assay_aws.clients import s3
from assay_aws.refusals import code_of, denial_is_a_setting, is_not_found
from assay_aws.run_store import RunStore

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, CopySourceTypeDef, HeadObjectRequestTypeDef

ONE_COPY = 1 << 30
"""Bytes that are copied in one request: more would not be done within a function's time-out."""
PART = 256 << 20
"""Bytes; 10,000 parts are allowed, so up to 2.5 TiB."""
_SOURCE_VERSION = "source-version"
_ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}


def describe_archive(upload: Upload) -> Archive:
    """The version that is asked for, or the newest.

    Raises:
        BadModel: it is gone, empty, or not readable before it is restored.
        BadSettings: the bucket keeps no versions, or may not be read.
    """
    asked: HeadObjectRequestTypeDef = {"Bucket": upload.bucket, "Key": upload.key}
    if upload.version:
        asked["VersionId"] = upload.version
    where = f"s3://{upload.bucket}/{upload.key}" + (f" (version {upload.version})" if upload.version else "")
    try:
        with denial_is_a_setting("s3:GetObjectVersion", where):
            head = s3().head_object(**asked)
    except ClientError as error:
        if is_not_found(error) or code_of(error) == "400":  # 400: no version has such an id
            gone = "this version no longer exists" if upload.version else "there is no such object"
            raise BadModel(f"{where}: {gone}") from error
        raise
    version = head.get("VersionId", "")
    if not version:
        raise BadSettings(f"{where}: the bucket keeps no versions, so that what is judged could change: switch them on")
    if head["ContentLength"] == 0:
        raise BadModel(f"{where}: archive is empty (0 bytes), expected a gzip-compressed tar archive")
    if head.get("StorageClass") in _ARCHIVED and 'ongoing-request="false"' not in head.get("Restore", ""):
        raise BadModel(f"{where}: storage class {head.get('StorageClass')} cannot be read, restore it first")
    return Archive(
        version=version,
        size=head["ContentLength"],
        etag=head["ETag"].strip('"'),
        uploaded_at=head["LastModified"],
    )


def freeze(store: RunStore, run: Run, until: float) -> bool:
    """Copy the exact version into the run's folder, because a job's input cannot name a version.

    A copy that is there already is left. Returns False when a large archive is not wholly copied at `until`
    (time.monotonic): call again to go on.
    """
    archive = run.archive
    if archive is None:
        raise ValueError(f"run {run.id} has no archive, so nothing to freeze")
    if _frozen_version(store) == archive.version:
        return True
    source = f"s3://{run.upload.bucket}/{run.upload.key} (version {archive.version})"
    try:
        with denial_is_a_setting("s3:GetObjectVersion, s3:PutObject", source):
            if archive.size > ONE_COPY:
                return _copy_by_parts(store, run, archive, until)
            s3().copy_object(
                Bucket=store.bucket,
                Key=store.folder.archive,
                CopySource=_source(run, archive),
                MetadataDirective="REPLACE",
                Metadata={_SOURCE_VERSION: archive.version},
                TaggingDirective="REPLACE",  # reading the upload's tags would need one more permission
            )
            return True
    except ClientError as error:
        if code_of(error) in {"NoSuchKey", "NoSuchVersion", "404"}:
            raise BadModel(f"{source}: this version no longer exists") from error
        raise


def _frozen_version(store: RunStore) -> str | None:
    try:
        return s3().head_object(Bucket=store.bucket, Key=store.folder.archive)["Metadata"].get(_SOURCE_VERSION)
    except ClientError as error:
        if is_not_found(error):
            return None
        raise


def _source(run: Run, archive: Archive) -> CopySourceTypeDef:
    return {"Bucket": run.upload.bucket, "Key": run.upload.key, "VersionId": archive.version}


def _copy_by_parts(store: RunStore, run: Run, archive: Archive, until: float) -> bool:
    """The upload's id is in the state, and S3 knows which parts are done: so whoever comes next goes on from there."""
    bucket, key, upload_id = store.bucket, store.folder.archive, _open_multipart(store, archive)
    try:
        done = {
            part["PartNumber"]: part["ETag"]
            for page in s3().get_paginator("list_parts").paginate(Bucket=bucket, Key=key, UploadId=upload_id)
            for part in page.get("Parts", [])
        }
        for number, first in enumerate(range(0, archive.size, PART), start=1):
            if number in done:
                continue
            if time.monotonic() > until:
                return False
            copied = s3().upload_part_copy(
                Bucket=bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
                CopySource=_source(run, archive),
                CopySourceRange=f"bytes={first}-{min(first + PART, archive.size) - 1}",
            )
            done[number] = copied["CopyPartResult"]["ETag"]
        parts: list[CompletedPartTypeDef] = [{"PartNumber": number, "ETag": done[number]} for number in sorted(done)]
        s3().complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts})
    except ClientError as error:
        if code_of(error) != "NoSuchUpload":
            raise
        # Another delivery completed it, or it was aborted and has to begin again.
        store.change(lambda state: state.model_copy(update={"freezing": None}))
        return _frozen_version(store) == archive.version
    return True


def _open_multipart(store: RunStore, archive: Archive) -> str:
    state = store.state()
    if state is not None and state.freezing is not None:
        return state.freezing
    ours = s3().create_multipart_upload(
        Bucket=store.bucket, Key=store.folder.archive, Metadata={_SOURCE_VERSION: archive.version}
    )["UploadId"]
    opened = store.change(
        lambda state: state if state.freezing is not None else state.model_copy(update={"freezing": ours})
    ).freezing
    if opened is None or opened == ours:
        return ours
    s3().abort_multipart_upload(Bucket=store.bucket, Key=store.folder.archive, UploadId=ours)
    return opened
