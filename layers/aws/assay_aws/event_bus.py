"""The account's default event bus, on which others' rules wait."""

from __future__ import annotations

from assay.events import RunRequested, Upload
from assay.outcome import RunFinished
from assay_aws.clients import events


class NotPut(Exception):
    """EventBridge answered, but did not take the event: it comes again."""


def put(event: RunFinished) -> None:
    """Raises NotPut."""
    _put(event.source, event.detail_type, event.detail.as_message())


def request_run(upload: Upload, source: str) -> None:
    """Ask for a run that no upload causes, by its `request`; raises NotPut."""
    event = RunRequested.of(upload)
    _put(source, event.detail_type, event.detail.model_dump_json())


def _put(source: str, detail_type: str, detail: str) -> None:
    answer = events().put_events(Entries=[{"Source": source, "DetailType": detail_type, "Detail": detail}])
    if answer["FailedEntryCount"]:
        refused = answer["Entries"][0]
        raise NotPut(f"{detail_type}: {refused.get('ErrorCode')}: {refused.get('ErrorMessage')}")
