"""Which run of a model ended last, in S3: whoever writes it when, it never goes backwards."""

from __future__ import annotations

import itertools
import threading
from datetime import UTC, datetime, timedelta

import pytest

from assay.layout import last_run_key
from assay.run import LastRun
from assay_aws.last_runs import last_run_of, remember_last

from ..conftest import BUCKET, Aws, Wire, lost_answer

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
RUNS = [
    LastRun(model="digits", run=run * 20, ended_at=MONDAY + timedelta(days=day))
    for run, day in (("c", 0), ("b", 1), ("a", 1))
]


@pytest.mark.parametrize("order", list(itertools.permutations(RUNS)))
def test_in_whatever_order_they_are_told_the_last_one_stays(aws: Aws, order: tuple[LastRun, ...]) -> None:
    """Of two that ended at once the same one, always."""
    assert last_run_of(BUCKET, "digits") is None
    for run in order:
        remember_last(BUCKET, run)
    assert last_run_of(BUCKET, "digits") == RUNS[1]


def test_told_again_nothing_is_written(aws: Aws) -> None:
    remember_last(BUCKET, RUNS[0])
    version = aws.s3.head_object(Bucket=BUCKET, Key=last_run_key("digits"))["VersionId"]
    remember_last(BUCKET, RUNS[0])
    assert aws.s3.head_object(Bucket=BUCKET, Key=last_run_key("digits"))["VersionId"] == version


def test_told_at_once_none_is_lost(aws: Aws) -> None:
    runs = [LastRun(model="digits", run=f"{n:020}", ended_at=MONDAY + timedelta(seconds=n)) for n in range(8)]
    threads = [threading.Thread(target=remember_last, args=(BUCKET, run)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert last_run_of(BUCKET, "digits") == runs[-1]


def test_a_lost_answer_changes_nothing(aws: Aws, wire: Wire) -> None:
    wire.next("PutObject", lost_answer)
    remember_last(BUCKET, RUNS[0])
    assert last_run_of(BUCKET, "digits") == RUNS[0]
