"""`assay rerun`: what is asked of a stack, and what runs on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from assay.events import Upload
from assay.layout import RunFolder
from assay.names import run_id
from assay_local import rerun
from assay_local.run import Options
from assay_local.upload_story import Again
from tests.local.conftest import Assay

from .conftest import BEGAN, BUCKET, Shelf, ran, run_of

Json = dict[str, Any]


@pytest.fixture
def requested(stack: Shelf) -> Callable[[], list[Json]]:
    """The events that asked for a run, as the queue of the first step gets them."""
    sqs, events = boto3.client("sqs"), boto3.client("events")
    url = sqs.create_queue(QueueName="start-evaluation")["QueueUrl"]
    events.put_rule(Name="requests", EventPattern=json.dumps({"detail-type": ["Assay Run Requested"]}))
    arn = "arn:aws:sqs:eu-west-1:123456789012:start-evaluation"
    events.put_targets(Rule="requests", Targets=[{"Id": "start-evaluation", "Arn": arn}])
    boto3.client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

    def take() -> list[Json]:
        return [json.loads(m["Body"]) for m in sqs.receive_message(QueueUrl=url).get("Messages", [])]

    return take


def put(key: str, body: bytes = b"archive") -> str:
    return str(boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"])


def test_a_models_newest_upload_is_asked_for_and_its_run_is_told(
    assay: Assay, stack: Shelf, requested: Callable[[], list[Json]]
) -> None:
    put("models/birds/1/model.tar.gz")
    version = put("models/birds/2/model.tar.gz")
    put("models/birds/2/data/model.tar.gz.txt")
    put("models/birds/small/3/model.tar.gz")  # another model
    code, out, err = assay("rerun", "birds", "--request", " ticket 12 ", "--stack", "assay")
    assert (code, err) == (0, "")
    [event] = requested()
    assert event["source"] == "assay.command"
    upload = Upload.of_event(event)
    assert upload == Upload(bucket=BUCKET, key="models/birds/2/model.tar.gz", version=version, request="ticket 12")
    # what the first step will call it
    run = run_id(upload.bucket, upload.key, upload.version, upload.request)
    assert f"  run      {run}\n" in out
    assert f"  follow   assay show {run} --stack assay\n" in out
    assert "  request  ticket 12\n" in out


@pytest.mark.parametrize("what", ["models/birds/1/model.tar.gz", f"s3://{BUCKET}/models/birds/1/model.tar.gz"])
def test_a_key_means_its_newest_version(
    assay: Assay, stack: Shelf, requested: Callable[[], list[Json]], what: str
) -> None:
    put("models/birds/1/model.tar.gz", b"old")
    version = put("models/birds/1/model.tar.gz", b"new")
    assert assay("rerun", what, "--stack", "assay")[0] == 0
    [event] = requested()
    assert Upload.of_event(event).version == version


def test_a_run_means_the_version_that_it_judged(
    assay: Assay, stack: Shelf, requested: Callable[[], list[Json]]
) -> None:
    stack.add(ran("old", day=1), ran("new", day=2))
    assert assay("rerun", "ol", "--stack", "assay")[0] == 0
    [event] = requested()
    upload = Upload.of_event(event)
    assert (upload.key, upload.version) == ("models/birds/1/model.tar.gz", "v1")


def test_without_a_request_the_time_is_one(assay: Assay, stack: Shelf, requested: Callable[[], list[Json]]) -> None:
    put("models/birds/1/model.tar.gz")
    _, out, _ = assay("rerun", "birds", "--stack", "assay")
    [event] = requested()
    request = Upload.of_event(event).request
    assert re.fullmatch(r"rerun \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", request)
    assert f"  request  {request}\n" in out


def test_a_request_that_was_made_before_is_said_to_be_that_run(
    assay: Assay, stack: Shelf, requested: Callable[[], list[Json]]
) -> None:
    version = put("models/birds/1/model.tar.gz")
    run = run_id(BUCKET, "models/birds/1/model.tar.gz", version, "ticket 12")
    stack.put(RunFolder("birds", run).run_json, "{}")
    code, _, err = assay("rerun", "birds", "--request", "ticket 12", "--stack", "assay")
    assert code == 2
    assert f"request 'ticket 12' was made before, and is run {run}: give another one with --request" in err
    assert requested() == []


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("models/birds/9/model.tar.gz", f"s3://{BUCKET}/models/birds/9/model.tar.gz does not exist; expected"),
        ("models/birds/model.zip", "key 'models/birds/model.zip' is not of the form models/<model>/model.tar.gz"),
        ("s3://lake/models/birds/1/model.tar.gz", f"judges what lies in its own bucket, {BUCKET}"),
        ("brids", "no run or model 'brids'; did you mean birds?"),
    ],
)
def test_what_cannot_be_asked_for_gets_a_sentence(
    assay: Assay, stack: Shelf, requested: Callable[[], list[Json]], what: str, sentence: str
) -> None:
    stack.add(ran("a"))
    code, out, err = assay("rerun", what, "--stack", "assay")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
    assert requested() == []


@pytest.mark.parametrize("request_", ["", "  ", "x" * 257])
def test_a_request_that_is_none_is_refused(assay: Assay, request_: str) -> None:
    code, _, err = assay("rerun", "birds", "--request", request_)
    assert code == 2
    assert "expected a text of at most 256 characters" in err


@pytest.mark.parametrize("option", [("--policy", "x.yaml"), ("--map", "s3://lake/x=."), ("--open",)])
def test_what_a_stack_would_not_heed_is_refused(
    assay: Assay, stack: Shelf, requested: Callable[[], list[Json]], option: tuple[str, ...]
) -> None:
    put("models/birds/1/model.tar.gz")
    code, _, err = assay("rerun", "birds", "--stack", "assay", *option)
    assert code == 2
    assert f"{option[0]} is for a run on this machine: a stack judges by the policy and the data in its bucket" in err
    assert requested() == []


# On this machine


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """What would have run."""
    seen: list[Options] = []

    def run(options: Options, console: object) -> tuple[int, Path]:
        seen.append(options)
        return 3, Path("summary.html")

    monkeypatch.setattr(rerun, "run", run)
    return seen


def test_here_the_frozen_archive_runs_by_the_policy_of_today(
    assay: Assay, folder: Shelf, runs: list[Options], tmp_path: Path
) -> None:
    archive = RunFolder("birds", run_of("a")).archive
    folder.add(ran("a", day=1), {archive: "archive"})
    code, out, _ = assay("rerun", "birds", "--policy", "stricter.yaml", "--request", "ticket 12", "--timeout", "2")
    assert code == 3
    assert f"The archive of run {run_of('a')}, by stricter.yaml; request: ticket 12\n" in out
    [options] = runs
    assert options.model == tmp_path / "assay-results" / archive
    assert (options.name, options.policy, options.timeout) == ("birds", Path("stricter.yaml"), 120.0)
    assert options.results == tmp_path / "assay-results"
    assert options.again == Again("ticket 12", BEGAN.replace(day=2))


def test_here_a_run_without_its_archive_says_so(assay: Assay, folder: Shelf, runs: list[Options]) -> None:
    folder.add(ran("a"))
    code, _, err = assay("rerun", "birds")
    assert code == 2
    assert f"run {run_of('a')} of birds has no archive here" in err
    assert runs == []
