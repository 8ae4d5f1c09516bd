"""What an address in S3 means, and whether there is anything at it."""

from __future__ import annotations

import posixpath

from botocore.exceptions import ClientError

from assay.errors import BadData, BadPolicy
from assay_aws.clients import s3
from assay_aws.refusals import denial_is_a_setting, is_not_found


def bucket_and_key(address: str) -> tuple[str, str]:
    """The parts of `s3://bucket/key`; a key is taken to the letter."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key


def resolved(address: str, policy_source: str) -> str:
    """An address as it stands, or what a relative one means beside the policy's file."""
    if address.startswith("s3://"):
        bucket, key = bucket_and_key(address)
        if not bucket or not key:
            raise BadPolicy(f"data address {address}: expected s3://bucket/key")
        return address
    if address.startswith("/") or "://" in address:
        raise BadPolicy(f"data address {address}: expected s3://bucket/key, or one relative to the policy's file")
    bucket, key = bucket_and_key(policy_source)
    path = posixpath.normpath(posixpath.join(posixpath.dirname(key), address))
    if path.startswith(".."):
        raise BadPolicy(f"data address {address} leads out of bucket {bucket}: the policy is {policy_source}")
    folder = address.endswith("/") or posixpath.basename(address) in {".", ".."}
    return f"s3://{bucket}/" + ("" if path == "." else path + ("/" if folder else ""))


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
