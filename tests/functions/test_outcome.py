"""What programs are told of a run: golden, small enough to be sent, and whole whatever things are called."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern
from moto.sns.utils import FilterPolicyMatcher

from assay.evaluation import Finding, Metric
from assay.events import Upload
from assay.failure import Failure
from assay.names import run_id
from assay.outcome import Outcome, RunFinished, Severity
from assay.policy import Gate
from assay.run import Registration
from assay.summary import JobTime, Summary
from assay.verdict import GateOutcome
from assay_aws.prices import Prices
from publish_summary.costs import costs
from publish_summary.headline import headline
from publish_summary.notice import notice
from publish_summary.outcome import OUTCOME_MAX, outcome, sent_size, severity

from .test_notice import FAILED, OPEN, PASSED, WARNED, summary

EVENT = json.loads((Path(__file__).parents[2] / "events/run-finished.json").read_text())
README = (Path(__file__).parents[2] / "README.md").read_text()
SNS_MAX = 256 << 10
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img onerror=x>',
    "\u202eevil\u202c",
    "x" * 300,
    "🦜" * 300,
    "a\nb\0c",
    "\ufffe",
]


def gate(metric: str, value: float, low: float, high: float, result: str, least: float, **fields: Any) -> GateOutcome:
    of = f" of {fields['of'][:20]}" if "of" in fields else ""
    return GateOutcome.model_validate(
        {
            "gate": Gate(metric=metric, min=least),
            "metric": metric,
            "value": value,
            "low": low,
            "high": high,
            "limit": f"at least {least}",
            "result": result,
            "counts_as": result,
            "reason": f"{metric}{of} is {value} ({low} to {high}), must be at least {least}",
            **fields,
        }
    )


def birds() -> Summary:
    """The run that the event file tells of."""
    upload = Upload(
        bucket="assay-bucket-1a2b3c4d5e6f",
        key="models/birds/7/model.tar.gz",
        version="IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
    )
    began = datetime(2026, 11, 12, 8, 20, tzinfo=UTC)
    jobs = tuple(
        JobTime(
            name=f"assay-{stage}",
            stage=stage,
            status="Completed",
            instance_type="ml.m5.xlarge",
            started_at=began,
            ended_at=began + timedelta(seconds=seconds),
        )
        for stage, seconds in (("evaluation", 221), ("explanation", 600))
    )
    made = Summary(
        run=run_id(upload.bucket, upload.key, upload.version),
        model="birds",
        task="image_classification",
        upload=upload,
        verdict="fail",
        headline="",
        gates=(
            gate("accuracy", 0.93, 0.91, 0.95, "pass", 0.9, champion=0.92),
            gate("recall", 0.5, 0.35, 0.65, "fail", 0.7, of="Painted Bunting", champion=0.8),
        ),
        metrics={"accuracy": Metric(value=0.93), "roc_auc": Metric(reason="more than two classes")},
        champion="k3x5vvw2cdhqkxgwqk4a",
        findings=(Finding(severity="warning", title="Few samples", text="Painted Bunting has 40 samples."),),
        rows=730,
        explanation="done",
        jobs=jobs,
        costs=costs(jobs, (), (), "us-east-1", Prices(source="a test")),
    )
    return made.model_copy(update={"headline": headline(made)})


REGISTERED = Registration(
    group="birds",
    approval="Rejected",
    package="arn:aws:sagemaker:us-east-1:111122223333:model-package/birds/7",
)


def test_the_event_file_is_what_its_run_tells() -> None:
    made = birds()
    assert EVENT["detail"] == json.loads(outcome(made, made.upload.bucket, REGISTERED).as_message())
    assert RunFinished.parse(EVENT).detail.gates[0].of == "Painted Bunting"  # what decided it is first
    assert "roc_auc" not in EVENT["detail"]["metrics"]


CALM = Finding(severity="info", title="Calm", text="all is well")
ODD = Finding(severity="serious", title="Constant", text="the model always says 8")


@pytest.mark.parametrize(
    ("made", "is_"),
    [
        (summary("pass", gates=(PASSED,), findings=(CALM,)), "info"),
        (summary("not judged"), "info"),
        (summary("pass", gates=(PASSED, WARNED)), "warning"),
        (summary("pass", gates=(PASSED,), findings=(ODD,)), "warning"),
        (summary("pass", gates=(PASSED,), explanation="failed"), "warning"),
        (summary("inconclusive", gates=(OPEN,)), "warning"),
        (summary("fail", gates=(FAILED,)), "serious"),
        (summary("error"), "serious"),
    ],
)
def test_how_much_a_person_has_to_do(made: Summary, is_: Severity) -> None:
    assert severity(made) == is_
    assert notice(made, outcome(made, "b"), "b").attributes["severity"] == is_


def test_a_registration_that_failed_is_something_to_look_at() -> None:
    passed = summary("pass", gates=(PASSED,))
    failed = Registration(
        group="birds", approval="Approved", failure=Failure(error="BadSettings", message="no such\ngroup")
    )
    assert [severity(passed, one) for one in (None, REGISTERED, failed)] == ["info", "info", "warning"]
    assert severity(summary("fail", gates=(FAILED,)), failed) == "serious"
    assert "\nRegistered   no: no such group\nRun " in notice(passed, outcome(passed, "b", failed), "b").text


@pytest.mark.parametrize(
    ("approval", "said"),
    [
        ("Approved", "approved: arn:aws:…/birds/7"),
        ("PendingManualApproval", "waits for approval: arn:aws:…/birds/7"),
        ("Rejected", "rejected: arn:aws:…/birds/7"),
    ],
)
def test_people_read_how_the_model_was_registered(approval: str, said: str) -> None:
    found = Registration.model_validate({"group": "birds", "approval": approval, "package": "arn:aws:…/birds/7"})
    made = summary("pass", gates=(PASSED,))
    assert f"\nRegistered   {said}\nRun " in notice(made, outcome(made, "b", found), "b").text


def test_every_protocol_of_programs_gets_the_outcome_and_people_a_text() -> None:
    made = birds()
    told = notice(made, outcome(made, "b"), "b")
    bodies = json.loads(told.message)
    assert bodies.keys() == {"default", "sqs", "lambda", "http", "https"}
    for protocol in ("sqs", "lambda", "http", "https"):
        assert Outcome.model_validate_json(bodies[protocol]) == outcome(made, "b")
    assert bodies["default"] == told.text
    assert told.text.startswith("FAIL: birds failed 1 gate: recall")


def test_a_run_without_a_policy_has_no_task_to_filter_by() -> None:
    made = summary("error", failure=Failure(error="NoPolicy", message="no policy"))
    assert "task" not in notice(made, outcome(made, "b"), "b").attributes


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_arrives_as_it_is_and_breaks_nothing(name: str) -> None:
    upload = Upload(bucket="b", key=f"models/{name}/model.tar.gz", version="v")
    made = summary("fail", name, gates=(FAILED.model_copy(update={"of": name}),), upload=upload)
    told = notice(made, outcome(made, "b"), "b")
    body = json.loads(told.message)["sqs"]
    assert body.isascii()
    assert body.isprintable()
    read = Outcome.model_validate_json(body)
    assert (read.model, read.upload.key, read.gates[0].of) == (name, upload.key, name)
    assert read.complete
    assert all(0 < len(value) <= 256 and value.isprintable() for value in told.attributes.values())


def test_what_is_too_much_to_send_is_cut_and_says_so() -> None:
    gates = tuple(
        gate("recall", 0.5, 0.4, 0.6, "fail" if n == 700 else "pass", 0.7, of=f"{n}" + "🦜" * 2000) for n in range(900)
    )
    findings = tuple(Finding(severity="info", title="t" * 5000, text="\\" * 100_000) for _ in range(50))
    metrics = {f"m{n}": Metric(value=n / 7) for n in range(10_000)}
    key = "models/" + "🦜" * 250 + "/model.tar.gz"
    made = summary(
        "error",
        "🦜" * 250,
        gates=gates,
        findings=findings,
        metrics=metrics,
        upload=Upload(bucket="b", key=key, version="v", request="🦜" * 256),
        failure=Failure(error="NoPolicy", message="🦜" * (1 << 20)),
        to_mend=("aws s3 cp " + "🦜" * 250,) * 5,
    )
    found = outcome(made, "b")
    assert sent_size(found) <= OUTCOME_MAX
    assert not found.complete
    assert found.upload.key == key
    told = notice(made, found, "b")
    # with the attributes, whose names, types and values count
    attributes = sum(len(name) + len("String") + len(value.encode()) for name, value in told.attributes.items())
    assert len(told.message.encode()) + attributes <= SNS_MAX


def test_of_many_gates_those_that_decided_stay() -> None:
    gates = tuple(
        gate("recall", 0.5, 0.4, 0.6, "fail" if n == 700 else "pass", 0.7, of=f"class {n}") for n in range(900)
    )
    found = outcome(summary("fail", gates=gates), "b")
    assert found.gates[0].of == "class 700"
    assert 100 < len(found.gates) < 900
    assert not found.complete


def test_a_cut_text_is_said() -> None:
    found = outcome(summary("error", failure=Failure(error="BadModel", message="x" * 2000)), "b")
    assert found.failure is not None
    assert len(found.failure.message) == 1000
    assert found.failure.message.endswith("…")
    assert not found.complete


def examples() -> tuple[dict[str, Any], dict[str, Any]]:
    """The README's filter policy and its rule's pattern."""
    policy, pattern = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", README, re.DOTALL))
    return policy, pattern


@pytest.mark.parametrize(
    ("made", "is_told"),
    [
        (summary("fail", "birds", gates=(FAILED,)), True),
        (summary("pass", "birds", gates=(PASSED, WARNED)), True),
        (summary("pass", "birds", gates=(PASSED,)), False),
        (summary("fail", "cells", gates=(FAILED,)), False),
    ],
)
def test_the_readmes_filter_policy_lets_through_what_it_says(made: Summary, is_told: bool) -> None:
    policy, _ = examples()
    told = notice(made, outcome(made, "b"), "b").attributes
    attributes = {name: {"Type": "String", "Value": value} for name, value in told.items()}
    assert FilterPolicyMatcher(policy, "MessageAttributes").matches(attributes, "") == is_told


@pytest.mark.parametrize(("made", "is_told"), [(summary("pass", "birds"), True), (summary("fail", "birds"), False)])
def test_the_readmes_rule_sees_what_it_says(made: Summary, is_told: bool) -> None:
    _, pattern = examples()
    event = RunFinished(detail=outcome(made, "<bucket>")).model_dump(mode="json", by_alias=True)
    assert EventPattern.load(json.dumps(pattern)).matches_event(event) == is_told  # type: ignore[arg-type]
