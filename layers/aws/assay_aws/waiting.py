"""Runs that wait for capacity: the oldest is tried first, and its success lets the next one try."""

from __future__ import annotations

from collections.abc import Iterable

from assay.run import RunState, Waiting
from assay_aws.run_store import RunStore, find_active, list_active
from assay_aws.settings import Settings
from assay_aws.step_queue import queue_of, send_step_due


def oldest_waiting(states: Iterable[RunState]) -> list[RunState]:
    """The run that has waited longest for each instance type."""
    oldest: dict[str, tuple[Waiting, RunState]] = {}
    for state in states:
        waiting = state.waiting
        if waiting is None:
            continue
        first = oldest.get(waiting.instance_type)
        if first is None or (waiting.since, state.run) < (first[0].since, first[1].run):
            oldest[waiting.instance_type] = (waiting, state)
    return [state for _, state in oldest.values()]


def wake_oldest(settings: Settings) -> None:
    """A job has ended, or one that waited has started: let the next one try."""
    active = (find_active(settings.bucket_name, run) for run in list_active(settings.bucket_name))
    states = (RunStore(settings.bucket_name, run.folder).state() for run in active if run is not None)
    for state in oldest_waiting(state for state in states if state is not None):
        wake(state, settings)


def wake(state: RunState, settings: Settings) -> None:
    if state.waiting is not None:
        send_step_due(queue_of(state.waiting.stage, settings), state.run)
