"""`assay runs` and what finds a run: on a folder and on a stack alike."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from assay.layout import RunFolder
from assay.run import RunState, Waiting
from assay.verdict import Verdict
from assay_local.commands.runs import VERDICTS
from assay_local.place import Place
from assay_local.problem import Problem
from assay_local.runs import Runs
from tests.local.conftest import Assay

from .conftest import BEGAN, BUCKET, Shelf, champion, ran, run_of, running


def lines(out: str) -> list[list[str]]:
    """The table's cells: two spaces stand between them."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines()]


def test_the_newest_run_is_first_and_the_champion_is_marked(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("old", day=1), ran("new", day=2, right=70, verdict="fail"), ran("oldest", day=0))
    shelf.crown(champion("old", day=1))
    code, out, err = assay("runs", *shelf.options)
    assert (code, err) == (0, "")
    header, *rows = lines(out)
    assert header == ["run", "model", "uploaded", "verdict", "took", "what decided it"]
    assert [row[row.index("birds") - 1] for row in rows] == [run_of("new"), run_of("old"), run_of("oldest")]
    assert [row[0] == "★" for row in rows] == [False, True, False]
    assert rows[0][-3:] == ["fail", "12 min, $0.046", "accuracy 0.7 (at least 0.8)"]


def test_what_goes_to_a_program_is_whole_and_has_no_colours(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("one", model="b" * 90, verdict="error", failure={"error": "BadModel", "message": "m" * 300}))
    _, out, _ = assay("runs", *shelf.options)
    assert "b" * 90 in out
    assert "m" * 300 in out
    assert "\x1b" not in out
    assert "…" not in out


def test_runs_are_chosen_by_model_verdict_and_date(assay: Assay, shelf: Shelf) -> None:
    shelf.add(
        ran("a", day=1),
        ran("b", day=2, verdict="fail", right=70),
        ran("c", day=3, model="fish"),
        ran("d", day=4, model="team/fish", verdict="not judged", gates=()),
    )

    def found(*arguments: str) -> list[str]:
        code, out, _ = assay("runs", "--json", *arguments, *shelf.options)
        assert code == 0
        return [line["run"][:1] for line in json.loads(out)]

    assert found() == ["d", "c", "b", "a"]
    assert found("--model", "birds") == ["b", "a"]
    assert found("--model", "team/fish") == ["d"]
    assert found("--verdict", "fail") == ["b"]
    assert found("--verdict", "not-judged") == ["d"]
    assert found("--since", "2026-01-03T12:00") == ["d", "c"]
    assert found("--limit", "1") == ["d"]
    assert found("--limit", "0", "--verdict", "pass") == ["c", "a"]
    assert found("--since", "1h") == []


def test_how_many_were_left_out_is_said(assay: Assay, shelf: Shelf) -> None:
    shelf.add(*(ran(letter, day=day) for day, letter in enumerate("abc")))
    _, out, _ = assay("runs", "--limit", "2", *shelf.options)
    assert "The newest 2 of 3 runs looked at; --limit 0 shows all." in out
    _, out, _ = assay("runs", "--limit", "3", *shelf.options)
    assert "--limit" not in out


def test_for_programs_a_run_is_a_record(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a", day=1))
    shelf.crown(champion("a", day=1))
    [line] = json.loads(assay("runs", "--json", *shelf.options)[1])
    assert line == {
        "run": run_of("a"),
        "model": "birds",
        "key": "models/birds/1/model.tar.gz",
        "version": "v1",
        "request": None,
        "opened_at": "2026-01-02T00:01:00Z",
        "uploaded_at": "2026-01-02T00:00:00Z",
        "verdict": "pass",
        "stage": None,
        "headline": "birds ended as pass",
        "decided": "accuracy 0.95 (at least 0.8)",
        "champion": True,
        "seconds": 720.0,
        "usd": 0.046,
        "problem": None,
    }


def test_runs_that_have_not_ended_show_their_stage(assay: Assay, shelf: Shelf) -> None:
    waiting = Waiting(since=BEGAN, stage="evaluation", instance_type="ml.g5.xlarge", reason="no capacity")
    shelf.add(
        running("a", None, day=1),
        running("b", RunState(run=run_of("b")), day=2),
        running("c", RunState(run=run_of("c"), progress="evaluating"), day=3),
        running("d", RunState(run=run_of("d"), progress="explaining"), day=4),
        running("e", RunState(run=run_of("e"), waiting=waiting), day=5),
        running("f", RunState(run=run_of("f"), progress="ended"), day=6),
    )
    found = json.loads(assay("runs", "--json", *shelf.options)[1])
    assert [(line["key"], line["stage"], line["verdict"]) for line in found[::-1]] == [
        (f"models/birds/{day}/model.tar.gz", stage, None)
        for day, stage in enumerate(
            ("received", "received", "evaluating", "explaining", "waiting for ml.g5.xlarge", "announcing"), start=1
        )
    ]
    assert "waiting for ml.g5.xlarge" in assay("runs", *shelf.options)[1]


def test_a_run_that_cannot_be_read_hides_no_other(assay: Assay, shelf: Shelf) -> None:
    broken = ran("b", day=2)
    broken[RunFolder("birds", run_of("b")).summary_json] = '{"schema_version": 99}'
    lost = ran("c", day=3)
    lost[RunFolder("birds", run_of("c")).run_json] = "{"
    shelf.add(ran("a", day=1), broken, lost)
    code, out, _ = assay("runs", *shelf.options)
    assert code == 0
    assert [row[1] for row in lines(out) if row[0] != "run"].count("birds") == 3
    assert "summary.json: not written by this version of Assay" in out
    assert "pass" in out


def test_a_name_that_is_hostile_stays_on_its_line(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a", model="[red]b\u202eirds[/red]"))
    _, out, _ = assay("runs", *shelf.options)
    assert "[red]birds[/red]" in out


def test_an_unknown_model_is_named_with_the_nearest(assay: Assay, shelf: Shelf) -> None:
    shelf.add(ran("a"))
    code, out, err = assay("runs", "--model", "brids", *shelf.options)
    assert (code, out) == (2, "")
    assert "no run of brids; did you mean birds?" in err


def test_no_runs_are_no_error(assay: Assay, shelf: Shelf) -> None:
    code, out, _ = assay("runs", *shelf.options)
    assert code == 0
    assert "no runs yet" in out
    shelf.add(ran("a"))
    assert "no runs that match" in assay("runs", "--verdict", "fail", *shelf.options)[1]
    assert assay("runs", "--json", "--verdict", "fail", *shelf.options)[1] == "[]\n"


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "7w"])
def test_a_date_that_is_none_is_refused(assay: Assay, since: str) -> None:
    code, _, err = assay("runs", "--since", since)
    assert code == 2
    assert "expected a date such as 2026-11-12, or 7d or 12h" in err


def test_each_verdict_can_be_asked_for() -> None:
    from typing import get_args

    assert set(VERDICTS) == set(get_args(Verdict))


# Where


def test_a_folder_that_is_not_there_is_said(assay: Assay, folder: Shelf) -> None:
    code, _, err = assay("runs", "--results", "elsewhere")
    assert code == 2
    assert "results folder elsewhere: does not exist; `assay run` makes it" in err


def test_a_stack_that_is_not_there_or_not_ours_is_said(assay: Assay, aws: None) -> None:
    import boto3

    code, _, err = assay("runs", "--stack", "asay")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("assay: stack asay: Stack with id asay does not exist")
    body = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    boto3.client("cloudformation").create_stack(StackName="other", TemplateBody=body)
    code, _, err = assay("runs", "--stack", "other")
    assert code == 2
    assert "stack other in eu-west-1: no stack of Assay's: it has no output BucketName" in err


def test_without_a_region_or_credentials_a_stack_says_what_is_missing(
    assay: Assay, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, f"{tmp_path}/none")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    code, _, err = assay("runs", "--stack", "assay")
    assert (code, err) == (
        2,
        "assay: stack assay: no AWS region is set; say which with AWS_DEFAULT_REGION or AWS_PROFILE\n",
    )
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    code, _, err = assay("runs", "--stack", "assay")
    assert code == 2
    assert err.startswith("assay: stack assay: no AWS credentials were found; log in")


def test_a_folder_and_a_stack_at_once_are_refused(assay: Assay) -> None:
    code, _, err = assay("runs", "--stack", "assay", "--results", "here")
    assert code == 2
    assert "not allowed with" in err


# Finding


def place_of(shelf: Shelf) -> Place:
    from pathlib import Path

    from assay_local.deployed import Deployed
    from assay_local.results import Results

    return Results(Path("assay-results")) if shelf.kind == "folder" else Deployed("assay")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("latest", "fresh"),
        ("birds", "new"),
        ("fish", "fresh"),
        (run_of("old"), "old"),
        ("ol", "old"),
        (f"assay-results/runs/birds/{run_of('old')}/", "old"),
        (f"s3://{BUCKET}/runs/birds/{run_of('old')}", "old"),
    ],
)
def test_a_run_is_meant_by_id_beginning_model_or_latest(shelf: Shelf, text: str, found: str) -> None:
    shelf.add(ran("old", day=0), ran("new", day=1), ran("fresh", day=2, model="fish"))
    assert Runs(place_of(shelf)).find(text).run == run_of(found)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ne", rf"^run ne could be {run_of('nea')} of birds, {run_of('neb')} of birds: say more of it$"),
        ("brids", "no run or model 'brids'; did you mean birds"),
        ("neaxxxxxxxxxxxxxxxxz", f"did you mean {run_of('nea')}"),
        ("zz", "no run or model 'zz'; `assay runs` lists what there is"),
        ("", "no run or model ''"),
        ("/", "no run or model '/'"),
    ],
)
def test_what_is_not_one_run_gets_a_sentence(shelf: Shelf, text: str, sentence: str) -> None:
    shelf.add(ran("nea", day=0), ran("neb", day=1))
    with pytest.raises(Problem, match=sentence):
        Runs(place_of(shelf)).find(text)


def test_a_model_that_is_named_like_a_run_is_a_model(shelf: Shelf) -> None:
    name = "abcdefghijklmnopqrst"
    shelf.add(ran("a", model=name))
    runs = Runs(place_of(shelf))
    assert runs.folders() == [RunFolder(name, run_of("a"))]
    assert runs.find(name).run == run_of("a")


def test_without_runs_nothing_is_found(shelf: Shelf) -> None:
    with pytest.raises(Problem, match="no runs yet"):
        Runs(place_of(shelf)).find("latest")


def test_the_latest_is_the_one_opened_last_though_its_upload_is_old(shelf: Shelf) -> None:
    again = ran("again", day=0)
    key = RunFolder("birds", run_of("again")).run_json
    opened = json.loads(again[key]) | {"opened_at": (BEGAN + timedelta(days=9)).isoformat()}
    shelf.add(ran("new", day=1), {**again, key: json.dumps(opened)})
    assert Runs(place_of(shelf)).find("latest").run == run_of("again")
