"""Whether there is anything at an address in S3."""

from __future__ import annotations

from botocore.exceptions import ClientError

from assay.errors import BadData
from assay_aws.clients import s3
from assay_aws.refusals import denial_is_a_setting, is_not_found


def bucket_and_key(address: str) -> tuple[str, str]:
    """The parts of `s3://bucket/key`; a key is taken to the letter."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key


def check_is_there(address: str) -> None:
    """Raises BadData unless there is an object, or below an address that ends with / at least one."""
    try:
        if address.endswith("/"):
            _check_folder(address)
        else:
            _check_object(address)
    except ClientError as error:
        if not is_not_found(error):
            raise
        raise BadData(f"{address} does not exist; expected an object, or a folder (its address ends with /)") from error


def _check_folder(address: str) -> None:
    bucket, prefix = bucket_and_key(address)
    with denial_is_a_setting("s3:ListBucket", address):
        # Two, because the first may be the console's empty object for the folder itself.
        found = s3().list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=2).get("Contents", [])
    if not any(entry["Key"] != prefix for entry in found):
        raise BadData(f"{address} holds no objects; expected the data")


def _check_object(address: str) -> None:
    bucket, key = bucket_and_key(address)
    with denial_is_a_setting("s3:GetObject", address):
        size = s3().head_object(Bucket=bucket, Key=key)["ContentLength"]
    if size == 0:
        raise BadData(f"{address}: no rows: the object is empty")
