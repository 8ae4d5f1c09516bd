"""What a notice says is a pure function of the summary: each of its branches."""

import shlex
from typing import Any

import pytest

from assay.evaluation import Finding, Metric
from assay.events import Upload
from assay.failure import Failure
from assay.policy import Gate
from assay.summary import Change, Flips, Mistake, Summary
from assay.verdict import GateOutcome
from publish_summary.headline import headline
from publish_summary.mending import commands_that_mend
from publish_summary.notice import TEXT_MAX, Notice, notice, text
from publish_summary.outcome import outcome

RUN = "r" * 20


def gate(result: str, counts_as: str, reason: str, **fields: Any) -> GateOutcome:
    return GateOutcome.model_validate(
        {
            "gate": Gate(metric="accuracy", min=0.9),
            "metric": "accuracy",
            "limit": "at least 0.9",
            "result": result,
            "counts_as": counts_as,
            "reason": reason,
            **fields,
        }
    )


PASSED = gate("pass", "pass", "accuracy is 0.95, must be at least 0.9", value=0.95)
FAILED = gate("fail", "fail", "accuracy is 0.5, must be at least 0.9", value=0.5, champion=0.97)
OPEN = gate("inconclusive", "inconclusive", "accuracy is 0.9 (0.8 to 0.95), must be at least 0.9: 60 samples do not")
WARNED = OPEN.model_copy(update={"counts_as": "warn"})
NOT_APPLICABLE = gate("not applicable", "pass", "there is no champion to compare with")


def summary(verdict: str, model: str = "digits", **fields: Any) -> Summary:
    made = Summary.model_validate(
        {
            "run": RUN,
            "model": model,
            "upload": Upload(bucket="b", key=f"models/{model}/model.tar.gz", version="v1"),
            "verdict": verdict,
            "headline": "",
            **fields,
        }
    )
    return made.model_copy(update={"headline": headline(made)})


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            summary("error", failure=Failure(error="BadModel", message="no saved_model.pb;\n seen: a.txt")),
            "digits could not be judged: no saved_model.pb; seen: a.txt",
        ),
        (summary("error"), "digits could not be judged: no reason is known"),
        (
            summary("pass", gates=(PASSED, NOT_APPLICABLE)),
            "digits passed 1 gate: accuracy 0.95 (at least 0.9)",
        ),
        (summary("pass", gates=(PASSED, WARNED)), f"digits passed 2 gates, with a warning: {OPEN.reason}"),
        (
            summary("fail", gates=(PASSED, FAILED)),
            "digits failed 1 gate: accuracy is 0.5, must be at least 0.9 (the champion's accuracy is 0.97)",
        ),
        (summary("inconclusive", gates=(PASSED, OPEN)), f"digits is not decided by its data: {OPEN.reason}"),
        (
            summary("not judged", metrics={"accuracy": Metric(value=0.97)}),
            "digits was not judged, because its policy has no gates that apply: accuracy is 0.97",
        ),
        (
            summary("not judged", metrics={"ar_1": Metric(value=0.1), "map": Metric(value=0.4321)}),
            "digits was not judged, because its policy has no gates that apply: map is 0.4321",
        ),
        (summary("not judged"), "digits was not judged, because its policy has no gates that apply"),
        (
            summary("fail", gates=(FAILED,) * 5),
            "digits failed 5 gates: "
            + "; ".join([FAILED.reason] * 3)
            + "; and 2 more (the champion's accuracy is 0.97)",
        ),
    ],
)
def test_the_headline_says_how_it_ended_and_why(made: Summary, said: str) -> None:
    assert made.headline == said
    assert text(made, "b").startswith(f"{made.verdict.upper()}: {said}\n")


def told_of(made: Summary) -> Notice:
    return notice(made, outcome(made, "b"), "b")


def change(of: str | None, champion: float, value: float, better: bool = False) -> Change:
    return Change(metric="recall", of=of, value=value, champion=champion, better=better)


def test_the_classes_that_lost_most_are_named_once_each() -> None:
    changes = (
        change("3", 0.98, 0.1),
        Change(metric="f1", of="3", value=0.2, champion=0.98, better=False),
        change(None, 0.9, 0.5),
        change("8", 0.9, 0.6),
        change("9", 0.5, 0.9, better=True),
        change("1", 0.9, 0.8),
        change("2", 0.9, 0.85),
    )
    said = summary("fail", gates=(FAILED,), changes=changes).headline
    assert said.endswith("worst: recall of 3 0.98 → 0.1, recall of 8 0.9 → 0.6, recall of 1 0.9 → 0.8)")


def test_what_may_be_chance_is_said_so_and_is_no_drop() -> None:
    low = Change(metric="recall", of="3", value=0.8, champion=0.9, better=False, low=-0.2, high=0.05)
    sure = Change(metric="recall", slice="sex=f", value=0.5, champion=0.9, better=False, low=-0.5, high=-0.3)
    flips = Flips(samples=100, mended=1, broken=1, mcnemar_p=1.0)
    made = summary("fail", gates=(FAILED,), changes=(sure, low), flips=flips)
    assert made.headline.endswith("; worst: recall where sex=f 0.9 → 0.5)")
    assert """Beside the champion
  1 sample mended and 1 broken of 100: which may well be chance (McNemar's test, p = 1)
  recall where sex=f: 0.9 → 0.5, worse by -0.5 to -0.3
  recall of 3: 0.9 → 0.8, worse by -0.2 to +0.05, which may be chance
""" in text(made, "b")


def test_a_champion_that_was_not_compared_with_is_said() -> None:
    made = summary("not judged", not_compared="it is the champion's own archive")
    assert "Beside the champion\n  it is the champion's own archive\n" in text(made, "b")


def test_the_message_lists_what_decided_it() -> None:
    made = summary(
        "fail",
        gates=(PASSED, NOT_APPLICABLE, WARNED, FAILED),
        changes=(change("3", 0.98, 0.1), change("9", 0.5, 0.9, better=True)),
        champion="c" * 20,
        mistakes=(Mistake(id="7.png", true="3", predicted="8", reason="mistake: 3 taken for 8 with 0.71"),),
        findings=(
            Finding(severity="info", title="Calm", text="all is well"),
            Finding(severity="serious", title="Constant", text="the model always says 8"),
        ),
        rows=1297,
        explanation="done",
    )
    assert text(made, "b").split("\n\n", 1)[1] == (
        """What decided it
  [fail] accuracy is 0.5, must be at least 0.9
  [inconclusive, counts as warn] accuracy is 0.9 (0.8 to 0.95), must be at least 0.9: 60 samples do not
  [pass] accuracy is 0.95, must be at least 0.9
  [not applicable] accuracy, at least 0.9: there is no champion to compare with

Beside the champion
  recall of 3: 0.98 → 0.1, worse
  recall of 9: 0.5 → 0.9, better

Mistakes
  7.png: mistake: 3 taken for 8 with 0.71

Worth knowing
  Constant: the model always says 8

Archive      s3://b/models/digits/model.tar.gz (version v1)
Samples      1,297
Explanation  done
Run          rrrrrrrrrrrrrrrrrrrr

Report       s3://b/runs/digits/rrrrrrrrrrrrrrrrrrrr/summary.html
             https://console.aws.amazon.com/s3/object/b?prefix=runs%2Fdigits%2Frrrrrrrrrrrrrrrrrrrr%2Fsummary.html
"""
    )


def test_classes_that_passed_the_same_gate_share_a_line() -> None:
    each = Gate.model_validate({"metric": "recall", "class": "each", "min": 0.7})
    recalls = {"one": 1.0, "two": 0.85, "three": 0.9, "four": 0.2}
    gates = [
        gate(
            result,
            result,
            f"recall of {of} is {value}, must be at least 0.7",
            gate=each,
            of=of,
            value=value,
            limit="at least 0.7",
        )
        for of, value in recalls.items()
        for result in ["pass" if value >= 0.7 else "fail"]
    ]
    said = text(summary("fail", gates=tuple(gates)), "b")
    assert said.split("\n\n")[1] == (
        "What decided it\n"
        "  [fail] recall of four is 0.2, must be at least 0.7\n"
        "  [pass] recall of 3 classes is 0.85 to 1, each must be at least 0.7"
    )


def test_details_a_request_and_a_failed_explanation_are_told() -> None:
    failure = Failure(error="BadPolicy", message="two problems", details=("a: missing", "b: unknown"))
    made = summary("error", failure=failure, explanation="failed", explanation_failure="out of\nmemory")
    upload = made.upload.model_copy(update={"version": "", "request": "ticket 7"})
    said = text(made.model_copy(update={"upload": upload}), "b")
    assert "Details\n  a: missing\n  b: unknown\n" in said
    assert "Archive      s3://b/models/digits/model.tar.gz\nRequest      ticket 7\n" in said
    assert "Explanation  failed: out of memory\n" in said


def test_a_run_without_a_policy_tells_the_commands_that_mend_it() -> None:
    upload = Upload(bucket="b", key="models/birds/7/model.tar.gz", version="v")
    failure = Failure(error="NoPolicy", message="no policy")
    made = summary("error", "birds", failure=failure, to_mend=commands_that_mend(failure, "birds", upload))
    assert text(made, "b").split("\n\n")[1] == (
        """To mend it, with the data that it is to be judged on for test-data/
  aws s3 cp s3://b/models/birds/7/model.tar.gz model.tar.gz
  assay init model.tar.gz test-data/
  aws s3 cp --recursive test-data/ s3://b/models/birds/test-data/
  aws s3 cp assay.yaml s3://b/models/birds/assay.yaml
  aws s3 cp model.tar.gz s3://b/models/birds/7/model.tar.gz"""
    )
    assert commands_that_mend(Failure(error="BadPolicy", message="a typo"), "birds", upload) == ()
    assert commands_that_mend(None, "birds", upload) == ()


@pytest.mark.parametrize("name", ["a b", "'; rm -rf ~; '", "$(reboot)", "`reboot`", "a\nreboot", "*"])
def test_in_a_command_a_hostile_name_is_one_word(name: str) -> None:
    upload = Upload(bucket="b", key=f"models/{name}/model.tar.gz")
    commands = commands_that_mend(Failure(error="NoPolicy", message="no policy"), name, upload)
    assert all("\n" not in command for command in commands)
    archive = f"s3://b/models/{name}/model.tar.gz".replace("\n", " ")
    assert shlex.split(commands[0]) == ["aws", "s3", "cp", archive, "model.tar.gz"]
    assert len(shlex.split(commands[2])) == 6


def test_long_lists_are_cut_with_their_number() -> None:
    many = tuple(Mistake(id=f"{n}.png", true="3", predicted="8", reason="mistake") for n in range(25))
    said = text(summary("pass", gates=(PASSED,), mistakes=many), "b")
    assert "  4.png: mistake\n  and 20 more\n" in said


@pytest.mark.parametrize("model", ["a\nb", "\u202eevil\u202c", "x" * 300, "größe→ü", "模型"])
def test_a_subject_is_short_ascii_on_one_line_whatever_the_model_is_called(model: str) -> None:
    told = told_of(summary("pass", model, gates=(PASSED,)))
    assert told.subject.startswith("PASS: ")
    assert 0 < len(told.subject) <= 99
    assert told.subject.isascii()
    assert told.subject.isprintable()
    assert all(c == "\n" or c.isprintable() for c in told.text)
    assert len(told.attributes["model"]) <= 256


def test_a_subject_names_the_gates_that_decided_as_many_as_it_has_room_for() -> None:
    assert told_of(summary("fail", gates=(PASSED, FAILED))).subject == "FAIL: digits: accuracy 0.5 (at least 0.9)"
    many = told_of(summary("fail", gates=(FAILED,) * 5)).subject
    assert many == "FAIL: digits: accuracy 0.5 (at least 0.9), accuracy 0.5 (at least 0.9) and 3 more"
    long = told_of(summary("fail", "x" * 300, gates=(FAILED,))).subject
    assert long.startswith("FAIL: xxx")
    assert len(long) == 99


def test_a_message_of_two_megabytes_is_cut_with_a_link() -> None:
    failure = Failure(error="BadModel", message="ü" * (1 << 20), details=("ö" * (1 << 20),))
    told = told_of(summary("error", failure=failure))
    assert len(told.text.encode()) <= TEXT_MAX + 2000
    assert "…\n\nDetails\n(cut: the report has the rest)\n\nReport       s3://b/runs/digits/" in told.text
    assert len(told.message.encode()) < 256 << 10
