"""Objects in S3: records read and written whole, created once, or replaced only if unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from botocore.exceptions import ClientError

from assay.base import Record
from assay_aws.clients import s3
from assay_aws.refusals import code_of, is_conflict, is_not_found

AnyRecord = TypeVar("AnyRecord", bound=Record)


class Stored(NamedTuple):
    """An object's content, and the tag that it has as long as it is unchanged."""

    content: bytes
    etag: str


def exists(bucket: str, key: str) -> bool:
    try:
        s3().head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if is_not_found(error):
            return False
        raise
    return True


def read(bucket: str, key: str) -> Stored | None:
    """The object; None when there is none."""
    try:
        answer = s3().get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if is_not_found(error):
            return None
        raise
    return Stored(answer["Body"].read(), answer["ETag"])


def write(bucket: str, key: str, content: str | bytes, content_type: str) -> None:
    body = content.encode() if isinstance(content, str) else content
    s3().put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)


def read_record(bucket: str, key: str, kind: type[AnyRecord]) -> AnyRecord | None:
    stored = read(bucket, key)
    return None if stored is None else kind.model_validate_json(stored.content)


def create_record(bucket: str, key: str, record: AnyRecord) -> AnyRecord:
    """Write the record unless there is one: the first stays, and is returned."""
    while True:
        if _put_if(bucket, key, record, etag=None):
            return record
        first = read_record(bucket, key, type(record))
        if first is not None:
            return first


def replace_record(bucket: str, key: str, record: Record, etag: str | None) -> bool:
    """Write the record if the object still has this tag (None: if there still is none); False when it was changed."""
    return _put_if(bucket, key, record, etag)


def _put_if(bucket: str, key: str, record: Record, etag: str | None) -> bool:
    body = record.to_json().encode()
    try:
        if etag is None:
            s3().put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*")
        else:
            s3().put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", IfMatch=etag)
    except ClientError as error:
        # With If-Match an object that was deleted meanwhile answers 404.
        if is_conflict(error) or (etag is not None and code_of(error) == "NoSuchKey"):
            return False
        raise
    return True


def delete(bucket: str, key: str) -> None:
    s3().delete_object(Bucket=bucket, Key=key)


def keys_below(bucket: str, prefix: str) -> Iterator[str]:
    for page in s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            yield entry["Key"]
