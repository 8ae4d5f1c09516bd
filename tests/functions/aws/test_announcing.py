"""Claims, champions and waiting runs: what must happen once, or to the right one."""

from datetime import UTC, datetime, timedelta

import pytest

from assay.layout import RunFolder, champion_key
from assay.run import Champion, RunState, Waiting
from assay_aws import claims
from assay_aws.champions import crown
from assay_aws.claims import do_once
from assay_aws.run_store import RunStore
from assay_aws.waiting import oldest_waiting

from ..conftest import BUCKET, KEY, Aws, champion

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


def current(aws: Aws) -> Champion:
    return Champion.model_validate_json(aws.get(champion_key("digits")))


@pytest.mark.parametrize(("days", "moves"), [(1, True), (-1, False)])
def test_the_champion_moves_only_to_a_newer_upload(aws: Aws, days: int, moves: bool) -> None:
    old = champion()
    assert crown(BUCKET, old)
    candidate = champion("n" * 20, uploaded_at=old.uploaded_at + timedelta(days=days))
    assert crown(BUCKET, candidate) == moves
    assert current(aws) == (candidate if moves else old)


def test_crowned_again_it_stays_as_it_was(aws: Aws) -> None:
    crown(BUCKET, champion())
    assert crown(BUCKET, champion(crowned_at=datetime(2027, 1, 1, tzinfo=UTC)))
    assert current(aws) == champion()


@pytest.mark.parametrize("reverse", [False, True])
def test_of_two_versions_of_one_second_the_later_one_is_champion(aws: Aws, reverse: bool) -> None:
    versions = [aws.put(KEY, content) for content in ("1", "2")]
    runs = [champion(str(number) * 20, version=version) for number, version in enumerate(versions)]
    for run in runs[::-1] if reverse else runs:
        crown(BUCKET, run)
    assert current(aws).version == versions[1]


def test_between_equals_the_run_decides_so_that_any_order_ends_the_same(aws: Aws) -> None:
    for run in ("b", "a", "c", "a"):
        crown(BUCKET, champion(run * 20, key=f"models/digits/{run}/model.tar.gz"))
    assert current(aws).run == "c" * 20


def waiting(run: str, minute: int, instance_type: str = "ml.m5.xlarge") -> RunState:
    since = datetime(2026, 1, 1, 0, minute, tzinfo=UTC)
    return RunState(
        run=run, waiting=Waiting(since=since, stage="evaluation", instance_type=instance_type, reason="busy")
    )


def test_who_waits_longest_for_an_instance_type_is_first() -> None:
    states = [waiting("b", 5), waiting("a", 3), RunState(run="busy"), waiting("g", 9, "ml.g5.xlarge")]
    assert [state.run for state in oldest_waiting(states)] == ["a", "g"]
