"""Claims and waiting runs: what must happen once, or to the right one."""

from datetime import UTC, datetime, timedelta

import pytest

from assay.layout import RunFolder
from assay.run import RunState, Waiting
from assay_aws import claims
from assay_aws.claims import do_once
from assay_aws.run_store import RunStore
from assay_aws.waiting import oldest_waiting

from ..conftest import BUCKET, Aws

STORE = RunStore(BUCKET, RunFolder("digits", "r" * 20))


def test_what_is_done_is_not_done_again(aws: Aws) -> None:
    STORE.create_state()
    done: list[int] = []
    assert do_once(STORE, "notice", lambda: done.append(1))
    assert do_once(STORE, "notice", lambda: done.append(2))
    assert done == [1]


def test_while_one_is_at_it_another_leaves_it(aws: Aws) -> None:
    STORE.create_state()
    others: list[bool] = []
    assert do_once(STORE, "notice", lambda: others.append(do_once(STORE, "notice", lambda: others.append(True))))
    assert others == [False]


def test_who_dies_at_it_is_followed_once_the_lease_is_over(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    STORE.create_state()

    def die() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        do_once(STORE, "notice", die)
    done: list[int] = []
    assert not do_once(STORE, "notice", lambda: done.append(1))
    state = STORE.state()
    assert state is not None
    first = state.claims["notice"]
    monkeypatch.setattr(claims, "datetime", clock_at(first.until + timedelta(seconds=1)))
    assert do_once(STORE, "notice", lambda: done.append(2))
    assert done == [2]
    state = STORE.state()
    assert state is not None
    assert state.claims["notice"].id == first.id


def clock_at(moment: datetime) -> type[datetime]:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return moment

    return Clock


def waiting(run: str, minute: int, instance_type: str = "ml.m5.xlarge") -> RunState:
    since = datetime(2026, 1, 1, 0, minute, tzinfo=UTC)
    return RunState(
        run=run, waiting=Waiting(since=since, stage="evaluation", instance_type=instance_type, reason="busy")
    )


def test_who_waits_longest_for_an_instance_type_is_first() -> None:
    states = [waiting("b", 5), waiting("a", 3), RunState(run="busy"), waiting("g", 9, "ml.g5.xlarge")]
    assert [state.run for state in oldest_waiting(states)] == ["a", "g"]
