"""Which run of a model ended last, in S3: read, and changed only if it is still what was read."""

from __future__ import annotations

from assay.layout import last_run_key
from assay.run import LastRun
from assay_aws import objects


def last_run_of(bucket: str, model: str) -> LastRun | None:
    return objects.read_record(bucket, last_run_key(model), LastRun)


def remember_last(bucket: str, ended: LastRun) -> None:
    """Unless another run, which ended later, is remembered already; asked again when another writer came first."""
    key = last_run_key(ended.model)
    while True:
        stored = objects.read(bucket, key)
        if stored is not None and not ended.is_after(LastRun.model_validate_json(stored.content)):
            return
        if objects.replace_record(bucket, key, ended, None if stored is None else stored.etag):
            return
