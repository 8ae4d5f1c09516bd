"""Which run of a model last passed."""

from __future__ import annotations

from assay.layout import champion_key
from assay.run import Champion
from assay_aws import objects
from assay_aws.clients import s3


def champion_of(bucket: str, model: str) -> Champion | None:
    return objects.read_record(bucket, champion_key(model), Champion)


def crown(bucket: str, candidate: Champion) -> bool:
    """Make it the champion, if what it judged is newer than what the champion did; returns whether it is now."""
    key = champion_key(candidate.model)
    while True:
        stored = objects.read(bucket, key)
        if stored is not None:
            champion = Champion.model_validate_json(stored.content)
            if champion.run == candidate.run:
                return True
            if not is_newer(bucket, candidate, champion):
                return False
        if objects.replace_record(bucket, key, candidate, None if stored is None else stored.etag):
            return True


def is_newer(bucket: str, one: Champion, other: Champion) -> bool:
    """A later upload; in the same second, which is all that S3 tells, the later version of the same key."""
    if one.uploaded_at != other.uploaded_at:
        return one.uploaded_at > other.uploaded_at
    if one.key == other.key and one.version != other.version:
        order = _versions_newest_first(bucket, one.key)
        if one.version in order and other.version in order:
            return order.index(one.version) < order.index(other.version)
    return one.run > other.run


def _versions_newest_first(bucket: str, key: str) -> list[str]:
    return [
        version["VersionId"]
        for page in s3().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
        for version in page.get("Versions", [])
        if version["Key"] == key
    ]
