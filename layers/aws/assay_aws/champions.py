"""Which run of a model is its champion, in S3: read, and changed only if it is still what was read."""

from __future__ import annotations

from collections.abc import Callable

from assay.layout import champion_key
from assay.run import Champion
from assay.title import Title
from assay_aws import objects
from assay_aws.clients import s3


def title_of(bucket: str, model: str) -> Title:
    """The model's title, without a turn while nobody has held it."""
    stored = objects.read(bucket, champion_key(model))
    return Title(model=model) if stored is None else Title.parse(stored.content)


def champion_of(bucket: str, model: str) -> Champion | None:
    return title_of(bucket, model).champion


def crown(bucket: str, candidate: Champion) -> bool:
    """Make it the champion, if what it judged is newer than what all champions did; returns whether it is now."""
    title = change_title(bucket, candidate.model, lambda title: title.passed(candidate, version_order(bucket)))
    return title.champion is not None and title.champion.run == candidate.run


def change_title(bucket: str, model: str, change: Callable[[Title], Title]) -> Title:
    """Change a title; `change` is pure, and asked again when another writer came first.

    When our own first try was it, unanswered, `change` finds its work done.
    """
    key = champion_key(model)
    while True:
        stored = objects.read(bucket, key)
        before = Title(model=model) if stored is None else Title.parse(stored.content)
        after = change(before)
        if after == before:
            return before
        if objects.replace_record(bucket, key, after, None if stored is None else stored.etag):
            return after


def version_order(bucket: str) -> Callable[[str], list[str]]:
    """The versions of a key of the bucket, newest first."""

    def versions(key: str) -> list[str]:
        return [
            version["VersionId"]
            for page in s3().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
            for version in page.get("Versions", [])
            if version["Key"] == key
        ]

    return versions
