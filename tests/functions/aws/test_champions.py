"""The champion's pointer in S3: whoever writes it when, it never goes backwards, and a person's decision holds."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from assay.layout import champion_key
from assay.run import Champion
from assay_aws.champions import champion_of, change_title, crown, title_of

from ..conftest import BUCKET, KEY, Aws, Wire, champion, lost_answer, refused_with

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def uploaded(day: int, run: str | None = None) -> Champion:
    """A run that passed, of an upload of that day."""
    at = MONDAY + timedelta(days=day)
    return champion((run or "abcdefghij"[day]) * 20, uploaded_at=at, version=f"v{day}", crowned_at=at)


def promote(one: Champion) -> None:
    change_title(BUCKET, "digits", lambda title: title.promoted(one, "ann", "better in the field"))


def demote(one: Champion) -> None:
    change_title(BUCKET, "digits", lambda title: title.demoted(one.run, "ann", "it hallucinates", MONDAY))


@pytest.mark.parametrize(("days", "moves"), [(1, True), (-1, False)])
def test_the_champion_moves_only_to_a_newer_upload(aws: Aws, days: int, moves: bool) -> None:
    old = champion()
    assert crown(BUCKET, old)
    candidate = champion("n" * 20, uploaded_at=old.uploaded_at + timedelta(days=days))
    assert crown(BUCKET, candidate) == moves
    assert aws.champion() == (candidate if moves else old)


def test_crowned_again_it_stays_as_it_was(aws: Aws) -> None:
    crown(BUCKET, champion())
    version = aws.s3.head_object(Bucket=BUCKET, Key=champion_key("digits"))["VersionId"]
    assert crown(BUCKET, champion(crowned_at=datetime(2027, 1, 1, tzinfo=UTC)))
    assert aws.champion() == champion()
    assert aws.s3.head_object(Bucket=BUCKET, Key=champion_key("digits"))["VersionId"] == version


@pytest.mark.parametrize("reverse", [False, True])
def test_of_two_versions_of_one_second_the_later_one_is_champion(aws: Aws, reverse: bool) -> None:
    versions = [aws.put(KEY, content) for content in ("1", "2")]
    runs = [champion(str(number) * 20, version=version) for number, version in enumerate(versions)]
    for run in runs[::-1] if reverse else runs:
        crown(BUCKET, run)
    assert aws.champion().version == versions[1]


def test_between_equals_the_run_decides_so_that_any_order_ends_the_same(aws: Aws) -> None:
    for run in ("b", "a", "c", "a"):
        crown(BUCKET, champion(run * 20, key=f"models/digits/{run}/model.tar.gz"))
    assert aws.champion().run == "c" * 20


def test_the_pointer_of_version_1_is_read_and_goes_on(aws: Aws) -> None:
    aws.put(champion_key("digits"), uploaded(0).to_json())
    assert champion_of(BUCKET, "digits") == uploaded(0)
    assert crown(BUCKET, uploaded(1))
    assert [turn.champion for turn in title_of(BUCKET, "digits").turns] == [uploaded(1), uploaded(0)]


def test_whatever_the_order_the_newest_that_passed_is_champion(aws: Aws) -> None:
    for order in itertools.permutations(range(3)):
        aws.s3.delete_object(Bucket=BUCKET, Key=champion_key("digits"))
        for day in (*order, *order):  # each event comes twice
            crown(BUCKET, uploaded(day))
        assert aws.champion() == uploaded(2), order


def at_once(*doings: Callable[[], object]) -> None:
    """Run them in threads that begin together; an error in one is the test's."""
    begin = threading.Barrier(len(doings))
    errors: list[BaseException] = []

    def run(doing: Callable[[], object]) -> None:
        begin.wait()
        try:
            doing()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(doing,)) for doing in doings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_runs_that_end_at_once_leave_the_newest_as_champion(aws: Aws) -> None:
    for _ in range(5):
        aws.s3.delete_object(Bucket=BUCKET, Key=champion_key("digits"))
        at_once(*(lambda day=day: crown(BUCKET, uploaded(day)) for day in (0, 1, 2, 3, 0, 1, 2, 3)))
        held = [turn.champion for turn in title_of(BUCKET, "digits").turns]
        assert held[0] == uploaded(3)
        days = [one.uploaded_at for one in held if one is not None]
        assert days == sorted(set(days), reverse=True)  # each held it once, and it never went back


def test_a_promotion_among_runs_that_end_at_once_is_not_lost(aws: Aws) -> None:
    crown(BUCKET, uploaded(4))
    at_once(lambda: promote(uploaded(5)), *(lambda day=day: crown(BUCKET, uploaded(day)) for day in (0, 1, 2, 3)))
    assert [turn.cause for turn in title_of(BUCKET, "digits").turns] == ["promoted", "passed"]
    assert aws.champion() == uploaded(5)


@pytest.mark.parametrize("status", [409, 412])
def test_a_storm_of_conflicts_ends(aws: Aws, wire: Wire, status: int) -> None:
    crown(BUCKET, uploaded(0))
    wire.next("PutObject", *[refused_with(status)] * 30)
    assert crown(BUCKET, uploaded(1))
    assert aws.champion() == uploaded(1)
    wire.next("PutObject", *[refused_with(status)] * 30)
    promote(uploaded(0))
    assert aws.champion() == uploaded(0)


def test_a_promotion_whose_answer_was_lost_is_made_once(aws: Aws, wire: Wire) -> None:
    crown(BUCKET, uploaded(0))
    wire.next("PutObject", lost_answer)
    promote(uploaded(1))
    assert [turn.cause for turn in title_of(BUCKET, "digits").turns] == ["promoted", "passed"]


def test_a_newer_write_between_reading_and_writing_is_seen(aws: Aws) -> None:
    """The older run has read the pointer; before it writes, the newer one passes."""
    crown(BUCKET, uploaded(0))
    asked: list[Champion | None] = []

    def change(title):  # type: ignore[no-untyped-def]
        asked.append(title.champion)
        if len(asked) == 1:
            crown(BUCKET, uploaded(2))
        return title.passed(uploaded(1), lambda key: ())

    change_title(BUCKET, "digits", change)
    assert asked == [uploaded(0), uploaded(2)]
    assert aws.champion() == uploaded(2)


def test_a_promoted_older_run_stays_champion_until_a_newer_upload_passes(aws: Aws) -> None:
    crown(BUCKET, uploaded(0))
    crown(BUCKET, uploaded(3))
    promote(uploaded(0))
    assert aws.champion() == uploaded(0)
    # the displaced one's event comes again; an upload from between ends late; the promoted archive passes once more
    assert not crown(BUCKET, uploaded(3))
    assert not crown(BUCKET, uploaded(2))
    assert not crown(BUCKET, champion("z" * 20, uploaded_at=MONDAY, version="v0"))
    assert aws.champion() == uploaded(0)
    assert crown(BUCKET, uploaded(4))
    assert aws.champion() == uploaded(4)


def test_an_upload_older_than_a_promoted_one_does_not_take_over(aws: Aws) -> None:
    crown(BUCKET, uploaded(0))
    promote(uploaded(3))
    assert not crown(BUCKET, uploaded(2))
    assert not crown(BUCKET, champion("z" * 20, uploaded_at=uploaded(3).uploaded_at, version="v3"))
    assert aws.champion() == uploaded(3)


def test_a_demotion_goes_back_to_who_was_before_and_then_to_none(aws: Aws) -> None:
    for day in range(3):
        crown(BUCKET, uploaded(day))
    demote(uploaded(2))
    assert aws.champion() == uploaded(1)
    demote(uploaded(1))
    assert aws.champion() == uploaded(0)
    demote(uploaded(0))
    assert champion_of(BUCKET, "digits") is None
    # none of them comes back by an event that is told twice
    assert not any(crown(BUCKET, uploaded(day)) for day in range(3))
    assert champion_of(BUCKET, "digits") is None
    assert crown(BUCKET, uploaded(3))


def test_a_run_that_was_demoted_is_not_who_was_before(aws: Aws) -> None:
    crown(BUCKET, uploaded(0))
    crown(BUCKET, uploaded(1))
    demote(uploaded(1))
    crown(BUCKET, uploaded(2))
    demote(uploaded(2))
    assert aws.champion() == uploaded(0)


def test_a_run_that_was_promoted_twice_is_demoted_altogether(aws: Aws) -> None:
    crown(BUCKET, uploaded(0))
    crown(BUCKET, uploaded(1))
    promote(uploaded(0))
    demote(uploaded(0))
    assert aws.champion() == uploaded(1)
    demote(uploaded(1))
    assert champion_of(BUCKET, "digits") is None  # and not the one that was demoted as it stood there first
    promote(uploaded(0))  # a person may think otherwise again
    assert aws.champion() == uploaded(0)


def test_who_is_not_champion_cannot_be_demoted(aws: Aws) -> None:
    crown(BUCKET, uploaded(0))
    before = title_of(BUCKET, "digits")
    demote(uploaded(1))
    assert title_of(BUCKET, "digits") == before


def test_the_history_says_who_when_and_why(aws: Aws) -> None:
    crown(BUCKET, uploaded(0))
    promote(uploaded(1))
    turns = title_of(BUCKET, "digits").turns
    assert [(turn.cause, turn.by, turn.reason) for turn in turns] == [
        ("promoted", "ann", "better in the field"),
        ("passed", None, None),
    ]
    assert [turn.at for turn in turns] == [uploaded(1).crowned_at, uploaded(0).crowned_at]
