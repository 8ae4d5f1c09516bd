"""`assay promote` and `assay demote`: a person decides, says why, and it is written down."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from assay.layout import RunFolder, champion_key
from assay.run import RunState
from assay_aws.champions import crown
from assay_local.results import Results, no_versions
from tests.local.conftest import Assay

from .conftest import BEGAN, BUCKET, Shelf, champion, ran, run_of, running


def passes(shelf: Shelf, name: str, *, day: int) -> None:
    """What the last step does for a run that passed."""
    one = champion(name, day=day)
    if shelf.kind == "stack":
        crown(BUCKET, one)
    else:
        Results(Path("assay-results")).change_title("birds", lambda title: title.passed(one, no_versions))


def present(shelf: Shelf) -> str | None:
    champion = shelf.title().champion
    return None if champion is None else champion.run


def test_the_first_champion_comes_from_an_inconclusive_run(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a", day=1, verdict="inconclusive"))
    code, out, err = assay("promote", "latest", "--reason", "40 samples\n are all there is ", *shelf.options)
    assert (code, err) == (0, "")
    assert out.startswith(f"birds: run {run_of('a')} is champion now, where there was none\n")
    assert "its data did not decide its gates" in out
    stack = "".join(f" {option}" for option in shelf.options)
    assert f'undo it  assay demote {run_of("a")}{stack} --reason "…"\n' in out
    [turn] = shelf.title().turns
    assert turn.champion is not None
    assert (turn.champion.run, turn.champion.archive_sha256) == (run_of("a"), "sha95")
    assert (turn.champion.uploaded_at, turn.champion.key) == (
        BEGAN + timedelta(days=1),
        "models/birds/1/model.tar.gz",
    )
    assert (turn.cause, turn.reason) == ("promoted", "40 samples are all there is")


def test_who_did_it_is_recorded(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a"))
    assay("promote", "a", "--reason", "why not", *shelf.options)
    [turn] = shelf.title().turns
    expected = r"arn:aws:sts::123456789012:.+" if shelf.kind == "stack" else r"\S+ on \S+"
    assert re.fullmatch(expected, turn.by or "")


def test_a_promotion_says_in_whose_place(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a", day=1), ran("b", day=2))
    passes(shelf, "b", day=2)
    code, out, _ = assay("promote", "a", "--reason", "b is worse in the field", *shelf.options)
    assert code == 0
    assert f"run {run_of('a')} is champion now, in place of {run_of('b')}\n" in out
    # until: the newest upload that ever was champion, not the promoted one's
    assert f"newer than {(BEGAN + timedelta(days=2)).astimezone():%Y-%m-%d %H:%M:%S}" in out


def test_promoted_again_nothing_changes(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a"))
    assay("promote", "a", "--reason", "why not", *shelf.options)
    before = shelf.get(champion_key("birds"))
    code, out, _ = assay("promote", "a", "--reason", "once more", *shelf.options)
    assert (code, out) == (0, f"birds: run {run_of('a')} is the champion already: nothing was changed\n")
    assert shelf.get(champion_key("birds")) == before


def test_a_promotion_holds_until_a_newer_upload_passes(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a", day=1), ran("b", day=2))
    passes(shelf, "b", day=2)
    assay("promote", "a", "--reason", "b is worse in the field", *shelf.options)
    passes(shelf, "b", day=2)  # its event comes once more
    assert present(shelf) == run_of("a")
    passes(shelf, "c", day=3)
    assert present(shelf) == run_of("c")


@pytest.mark.parametrize(
    ("left", "sentence"),
    [
        (
            ran("a", verdict="error", headline="birds could not be judged: no data"),
            "cannot be champion: its verdict is error: birds could not be judged: no data",
        ),
        (ran("a", verdict="fail"), "cannot be champion: birds ended as fail; --even-failed makes it so all the same"),
        (running("a", RunState(run=run_of("a"), progress="explaining")), "has no summary yet: explaining; promote it"),
    ],
)
def test_what_cannot_be_champion_is_refused(assay: Assay, shelf: Shelf, left: dict[str, str], sentence: str) -> None:
    shelf.add(left)
    code, out, err = assay("promote", "a", "--reason", "why not", *shelf.options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"birds: run {run_of('a')} {sentence}" in err
    code, _, _ = assay("demote", "birds", "--reason", "there is none", *shelf.options)
    assert code == 2


def test_a_run_without_a_report_is_refused(assay: Assay, shelf: Shelf) -> None:
    left = ran("a")
    del left[RunFolder("birds", run_of("a")).report]
    shelf.add(left)
    code, _, err = assay("promote", "a", "--reason", "why not", "--even-failed", *shelf.options)
    assert code == 2
    assert "it left no evaluation/report.json, so nothing could be compared with it" in err


@pytest.mark.parametrize(
    ("verdict", "note"),
    [("fail", "it failed: newer models"), ("not judged", "no gate has looked at it"), ("pass", None)],
)
def test_what_is_doubtful_is_said_with_it(assay: Assay, shelf: Shelf, verdict: str, note: str | None) -> None:
    shelf.add(ran("a", verdict=verdict))  # type: ignore[arg-type]
    code, out, _ = assay("promote", "a", "--reason", "why not", "--even-failed", *shelf.options)
    assert code == 0
    assert present(shelf) == run_of("a")
    assert ("note" in out) == (note is not None)
    assert (note or "") in out


@pytest.mark.parametrize("reason", [[], ["--reason", ""], ["--reason", " \n"], ["--reason", "x" * 501]])
def test_without_a_reason_nothing_is_done(assay: Assay, folder: Shelf, reason: list[str]) -> None:
    folder.add(ran("a"))
    for command in ("promote", "demote"):
        code, _, err = assay(command, "a", *reason)
        assert code == 2
        assert "--reason" in err
    assert not Path("assay-results/champions").exists()


def test_a_demotion_goes_back_and_then_to_none(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a", day=1), ran("b", day=2))
    passes(shelf, "a", day=1)
    passes(shelf, "b", day=2)
    code, out, _ = assay("demote", "birds", "--reason", "takes wrens for robins", *shelf.options)
    assert code == 0
    assert out.startswith(f"birds: run {run_of('b')} is champion no more: {run_of('a')} is again\n")
    assert "results are gone" not in out
    assert present(shelf) == run_of("a")
    code, out, _ = assay("demote", "a", "--reason", "so does it", *shelf.options)
    assert out.startswith(f"birds: run {run_of('a')} is champion no more: there is none now\n")
    assert present(shelf) is None
    code, _, err = assay("demote", "birds", "--reason", "again", *shelf.options)
    assert code == 2
    assert re.search(r"birds has no champion since 20.*: so does it\n", err)
    assert [turn.cause for turn in shelf.title().turns] == ["demoted", "demoted", "passed", "passed"]
    # it comes back neither by itself nor by an event that is told again
    passes(shelf, "b", day=2)
    assert present(shelf) is None


def test_going_back_to_one_whose_results_are_gone_is_said(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("b", day=2))
    passes(shelf, "a", day=1)
    passes(shelf, "b", day=2)
    out = assay("demote", "birds", "--reason", "takes wrens for robins", *shelf.options)[1]
    assert "note     its results are gone: nothing will be compared with it" in out


def test_only_the_champion_can_be_demoted(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a", day=1), ran("b", day=2))
    passes(shelf, "b", day=2)
    code, _, err = assay("demote", "a", "--reason", "why not", *shelf.options)
    assert (code, err) == (2, f"assay: birds: run {run_of('a')} is not the champion: that is {run_of('b')}\n")
    code, _, err = assay("demote", "brids", "--reason", "why not", *shelf.options)
    assert code == 2
    assert "did you mean birds?" in err
    assert present(shelf) == run_of("b")


def test_a_demotion_that_comes_too_late_changes_nothing(
    assay: Assay, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a person decides, a newer upload passes."""
    from assay_local.deployed import Deployed

    shelf.add(ran("a", day=1))
    passes(shelf, "a", day=1)

    def who(self: object) -> str:
        passes(shelf, "b", day=2)
        return "ann"

    monkeypatch.setattr(Deployed if shelf.kind == "stack" else Results, "who", who)
    code, _, err = assay("demote", "birds", "--reason", "why not", *shelf.options)
    assert code == 2
    assert f"has just ceased to be champion, {run_of('b')} is: nothing was changed" in err
    assert present(shelf) == run_of("b")


def test_a_champion_of_the_first_version_is_promoted_over_and_come_back_to(assay: Assay, shelf: Shelf) -> None:
    shelf.crown(champion("a", day=1))
    shelf.add(ran("a", day=1), ran("b", day=2, verdict="inconclusive"))
    assay("promote", "b", "--reason", "why not", *shelf.options)
    assert present(shelf) == run_of("b")
    assay("demote", "b", "--reason", "that is why", *shelf.options)
    assert present(shelf) == run_of("a")


def test_a_pointer_that_cannot_be_read_is_named(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a"), {champion_key("birds"): '{"schema_version": 3}'})
    code, _, err = assay("promote", "a", "--reason", "why not", *shelf.options)
    assert (code, err.count("\n")) == (2, 1)
    assert "champions/birds.json: not written by this version of Assay: schema_version" in err
