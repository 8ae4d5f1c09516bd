"""The account's default event bus, on which others' rules wait."""

from __future__ import annotations

from assay.outcome import RunFinished
from assay_aws.clients import events


class NotPut(Exception):
    """EventBridge answered, but did not take the event: it comes again."""


def put(event: RunFinished) -> None:
    """Raises NotPut."""
    answer = events().put_events(
        Entries=[{"Source": event.source, "DetailType": event.detail_type, "Detail": event.detail.as_message()}]
    )
    if answer["FailedEntryCount"]:
        refused = answer["Entries"][0]
        raise NotPut(f"{event.detail_type}: {refused.get('ErrorCode')}: {refused.get('ErrorMessage')}")
