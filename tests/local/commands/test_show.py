"""`assay show`, `assay open` and `assay compare`: what a person is told of one run, and of two."""

from __future__ import annotations

import json
import re
import webbrowser
from datetime import datetime, timedelta

import boto3
import pytest

from assay.evaluation import Finding
from assay.layout import RunFolder
from assay.run import Job, Registration, RunState, Waiting
from assay.summary import Change, Flips
from assay_local import report
from assay_local.compare import COUNTED, VERDICTS
from tests.local.conftest import Assay

from .conftest import BEGAN, BUCKET, Shelf, champion, outcomes, ran, run_of, running


def test_a_run_is_told_whole(assay: Assay, shelf: Shelf) -> None:
    shelf.add(
        ran(
            "a",
            day=1,
            right=70,
            verdict="fail",
            champion=run_of("b"),
            changes=(Change(metric="recall", of="wren", value=0.5, champion=0.9, better=False, low=-0.5, high=-0.3),),
            findings=(Finding(severity="serious", title="Duplicates", text="12 rows stand\ntwice"),),
            explanation="failed",
            explanation_failure="out of memory",
        ),
        ran("b"),
    )
    shelf.crown(champion("b"))
    code, out, err = assay("show", "a", *shelf.options)
    assert (code, err) == (0, "")
    assert out.startswith("FAIL: birds ended as fail\n\nWhat decided it\n  [fail] accuracy is 0.7 (0.6042 to 0.7811)")
    assert "Beside the champion\n  recall of wren: 0.9 → 0.5, worse by -0.5 to -0.3\n" in out
    assert re.search(r"accuracy +0\.7 +0\.6042 to 0\.7811\n", out)
    assert "  serious: Duplicates: 12 rows stand twice\n" in out
    assert re.search(rf"assay-{run_of('a')}-01-evaluation +Completed +ml\.m5\.xlarge +12 min\n", out)
    assert f"Champion      {run_of('b')}\n" in out
    assert "Explanation   failed: out of memory\n" in out
    assert "Took          12 min, $0.046\n" in out
    root = "assay-results" if shelf.kind == "folder" else f"s3://{BUCKET}"
    assert f"Report        {root}/runs/birds/{run_of('a')}/summary.html\n" in out
    assert f"assay open {run_of('a')}{''.join(f' {option}' for option in shelf.options)}\n" in out


def test_the_champion_is_said_to_be_it_with_who_and_why(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a", verdict="inconclusive"))
    assert "Champion" not in assay("show", "a", *shelf.options)[1].replace("Champion      none", "")
    assay("promote", "a", "--reason", "the first one", *shelf.options)
    out = assay("show", "a", *shelf.options)[1]
    assert re.search(r"Champion      this run, since .*: the first one \(promoted by .+\)\n", out)


def test_what_a_label_is_called_moves_no_cursor_and_breaks_no_line(assay: Assay, shelf: Shelf) -> None:
    evil = "wren\x1b[2J\nPASS: all is well\u202e[bold]"
    change = Change(metric="recall", of=evil, value=0.5, champion=0.9, better=False)
    findings = (Finding(severity="warning", title=evil, text=evil),)
    shelf.add(ran("a", changes=(change,), findings=findings, headline=evil, explanation_failure=evil), ran("b"))
    for command in (("show", "a"), ("compare", "a", "b"), ("promote", "a", "--reason", evil), ("show", "a")):
        out = assay(*command, *shelf.options)[1]
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert not [line for line in out.splitlines() if line.startswith("PASS: all")]
    assert "recall of wren[2J PASS: all is well[bold]: 0.9 → 0.5, worse" in assay("show", "a", *shelf.options)[1]


def test_what_the_registry_has_of_it_is_said(assay: Assay, shelf: Shelf) -> None:
    package = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/birds/7"
    registration = Registration(group="birds", approval="PendingManualApproval", package=package)
    state = RunState(run=run_of("a"), progress="ended", registration=registration)
    shelf.add(ran("a"), {RunFolder("birds", run_of("a")).state_json: state.to_json()})
    assert f"Registered    waits for approval: {package}\n" in assay("show", "a", *shelf.options)[1]


def test_an_error_says_what_went_wrong_and_what_mends_it(assay: Assay, shelf: Shelf) -> None:
    failure = {"error": "BadData", "message": "2 pictures are broken", "details": ["a.png: empty", "b.png: no PNG"]}
    shelf.add(ran("a", verdict="error", failure=failure, gates=(), metrics={}, to_mend=("assay init m d",)))
    out = assay("show", "a", *shelf.options)[1]
    assert "Details\n  a.png: empty\n  b.png: no PNG\n" in out
    assert "To mend it\n  assay init m d\n" in out
    assert "Metrics" not in out


def test_a_run_under_way_shows_how_far_it_is(assay: Assay, shelf: Shelf) -> None:
    waiting = Waiting(since=BEGAN, stage="explanation", instance_type="ml.g5.xlarge", reason="quota of 2 used")
    job = Job(name="assay-x-01-evaluation", stage="evaluation", attempt=1, started_at=BEGAN)
    shelf.add(running("a", RunState(run=run_of("a"), progress="evaluating", waiting=waiting, jobs=(job,))))
    code, out, _ = assay("show", "a", *shelf.options)
    assert code == 0
    assert f"{run_of('a')} of birds has no summary yet: waiting for ml.g5.xlarge\n" in out
    assert "quota of 2 used" in out
    assert "assay-x-01-evaluation, started 20" in out


# open


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    urls: list[str] = []
    monkeypatch.setattr(webbrowser, "open", urls.append)
    monkeypatch.setattr(report, "has_display", lambda: True)
    return urls


def test_a_folders_report_is_opened(assay: Assay, folder: Shelf, opened: list[str]) -> None:
    folder.add(ran("a"))
    path = f"assay-results/runs/birds/{run_of('a')}/summary.html"
    assert assay("open", "latest", "--print") == (0, f"{path}\n", "")
    assert opened == []
    assert assay("open", "latest") == (0, f"{path}\n", "")
    [url] = opened
    assert url.startswith("file:///")
    assert url.endswith(path)


def test_a_stacks_report_is_opened_by_a_link_that_says_when_it_ends(
    assay: Assay, stack: Shelf, opened: list[str]
) -> None:
    stack.add(ran("a", model="bi rds+"))
    before = datetime.now().astimezone()
    code, out, _ = assay("open", "latest", *stack.options)
    assert code == 0
    url, valid, console, address = out.splitlines()
    assert opened == [url]
    assert url.startswith(f"https://{BUCKET}.s3.eu-west-1.amazonaws.com/runs/")
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
    assert "X-Amz-Expires=3600" in url
    ends = [f"{before + timedelta(hours=1, minutes=late):%H:%M}" for late in (0, 1)]
    assert valid in [f"  valid until {end}, or until the credentials that signed it end" for end in ends]
    key = f"runs/bi rds+/{run_of('a')}/summary.html"
    assert console == (
        f"  console   https://console.aws.amazon.com/s3/object/{BUCKET}?region=eu-west-1&prefix="
        f"runs%2Fbi%20rds%2B%2F{run_of('a')}%2Fsummary.html"
    )
    assert address == f"  address   s3://{BUCKET}/{key}"


def test_a_stacks_link_leads_to_the_report(assay: Assay, stack: Shelf) -> None:
    from urllib.parse import unquote, urlsplit

    stack.add(ran("a", model="bi rds+"))
    url = assay("open", "a", "--print", *stack.options)[1].splitlines()[0]
    key = unquote(urlsplit(url).path).lstrip("/")
    assert boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"<!doctype html>"


def test_without_a_display_it_is_said(assay: Assay, folder: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.add(ran("a"))
    monkeypatch.setattr(report, "has_display", lambda: False)
    code, _, err = assay("open", "a")
    assert (code, err) == (0, "no display to open it on\n")


def test_a_run_without_a_report_says_why(assay: Assay, shelf: Shelf) -> None:
    shelf.add(running("a", RunState(run=run_of("a"), progress="explaining")))
    code, _, err = assay("open", "a", *shelf.options)
    assert (code, err) == (2, f"assay: run {run_of('a')} of birds has no report: explaining\n")


# compare


def test_two_runs_stand_side_by_side(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a", day=1), ran("b", day=2, right=70, verdict="fail"))
    code, out, err = assay("compare", "a", "b", *shelf.options)
    assert (code, err) == (1, "")
    assert re.search(rf"A  {run_of('a')}  birds  .*  pass +12 min, \$0\.046\n", out)
    assert re.search(rf"B  {run_of('b')}  birds  .*  fail +12 min, \$0\.046\n", out)
    assert "Both saw the same data: 100 samples." in out
    assert re.search(r"accuracy +0\.95 pass +0\.7 fail +at least 0\.8\n", out)
    assert re.search(r"accuracy +0\.95 +0\.7 +-0\.25 +worse\n", out)
    assert re.search(r"log_loss +0\.05 +0\.3 +\+0\.25 +worse\n", out)


def test_a_better_one_ends_with_0(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a", day=1), ran("b", day=2, right=97))
    code, out, _ = assay("compare", "a", "b", *shelf.options)
    assert code == 0
    assert re.search(r"accuracy +0\.95 +0\.97 +\+0\.02 +better, may be chance\n", out)


def test_other_data_is_said(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a"), ran("b", data="other"), ran("e", verdict="error", gates=(), metrics={}))
    assert "They saw other data: A 100 samples, B 100." in assay("compare", "a", "b", *shelf.options)[1]
    code, out, _ = assay("compare", "a", "e", *shelf.options)
    assert code == 1
    assert "is not known: one of them left no report" in out


def test_a_gate_that_got_worse_counts_though_the_verdict_is_the_same(assay: Assay, shelf: Shelf) -> None:
    warns = {"metric": "accuracy", "min": 0.94, "on_inconclusive": "warn"}
    shelf.add(ran("a", gates=outcomes(100, warns)), ran("b", gates=outcomes(95, warns)))
    assert assay("compare", "a", "b", *shelf.options)[0] == 1
    assert assay("compare", "b", "a", *shelf.options)[0] == 0


def test_a_limit_that_moved_is_still_the_same_gate(assay: Assay, shelf: Shelf) -> None:
    stricter = outcomes(95, {"metric": "accuracy", "min": 0.99}, {"metric": "log_loss", "max": 0.5})
    shelf.add(ran("a"), ran("b", gates=stricter, verdict="fail"))
    code, out, _ = assay("compare", "a", "b", "--json", *shelf.options)
    found = json.loads(out)
    assert code == 1
    assert [(gate["gate"], gate["a"], gate["b"], gate["worse"]) for gate in found["gates"]] == [
        ("accuracy", "pass", "fail", True),
        ("log_loss", None, "inconclusive", False),
    ]


def test_for_programs_a_comparison_is_a_record(assay: Assay, shelf: Shelf) -> None:
    flips = Flips(samples=100, mended=3, broken=12, mcnemar_p=0.03)
    shelf.add(ran("a", day=1), ran("b", day=2, right=80, champion=run_of("a"), flips=flips))
    found = json.loads(assay("compare", "a", "b", "--json", *shelf.options)[1])
    assert (found["a"]["run"], found["b"]["verdict"], found["same_data"]) == (run_of("a"), "pass", True)
    assert found["flips"]["broken"] == 12
    [accuracy] = [pair for pair in found["metrics"] if pair["metric"] == "accuracy"]
    assert accuracy["difference"] == pytest.approx(-0.15)
    assert (accuracy["better"], accuracy["overlap"]) == (False, False)
    assert "3 samples mended and 12 broken of 100" in assay("compare", "a", "b", *shelf.options)[1]
    # held against another champion, its flips say nothing of A
    shelf.add(ran("b", day=2, champion=run_of("z"), flips=flips))
    assert json.loads(assay("compare", "a", "b", "--json", *shelf.options)[1])["flips"] is None


def test_one_run_is_not_compared_with_itself_nor_with_one_under_way(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a"), running("b", RunState(run=run_of("b")), model="fish"))
    code, _, err = assay("compare", "birds", "a", *shelf.options)
    assert (code, err) == (2, f"assay: birds and a are one run, {run_of('a')}: there is nothing to compare\n")
    code, _, err = assay("compare", "birds", "fish", *shelf.options)
    assert (code, err) == (2, f"assay: run {run_of('b')} of fish has no summary yet: received\n")


def test_each_verdict_and_result_has_its_rank() -> None:
    from typing import get_args

    from assay.verdict import Counted, Verdict

    assert set(VERDICTS) == set(get_args(Verdict))
    assert set(COUNTED) == set(get_args(Counted))
