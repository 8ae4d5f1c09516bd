"""`explain.max_cost`: money buys time by known prices; what cannot be bounded is not begun."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta

import pytest

from assay.errors import BadPolicy
from assay_aws.jobs import DescribedJob
from assay_aws.prices import Prices
from assay_aws.run_store import RunStore
from start_evaluation.handler import start_evaluation
from start_explanation.budget import seconds_for
from start_explanation.handler import start_explanation

from .conftest import BUCKET, ROWS, SAMPLES, Aws, Uploaded, land, report

TABLE = Prices(
    as_of=date(2026, 11, 1), source="a test", usd_per_hour={"us-east-1": {"ml.c5.xlarge": 0.36, "ml.m5.xlarge": 0.72}}
)
POLICY = "{task: tabular_classification, data: {source: test.csv, label: income}, explain: {max_cost: 0.5 USD}}"
HALF_A_DOLLAR = 5000  # seconds at 0.36 USD an hour


def job(instance_type: str, seconds: float | None) -> DescribedJob:
    began = datetime.fromisoformat("2026-11-12T08:20:00+00:00")
    return DescribedJob.model_validate(
        {
            "ProcessingJobName": "former",
            "ProcessingJobStatus": "Stopped",
            "CreationTime": began,
            "ProcessingStartTime": None if seconds is None else began,
            "ProcessingEndTime": None if seconds is None else began + timedelta(seconds=seconds),
            "ProcessingResources": {"ClusterConfig": {"InstanceType": instance_type}},
        }
    )


def test_money_buys_seconds_of_the_instance() -> None:
    assert seconds_for("0.5 USD", "ml.c5.xlarge", "us-east-1", TABLE) == HALF_A_DOLLAR
    assert seconds_for("0.5 USD", "ml.m5.xlarge", "us-east-1", TABLE) == HALF_A_DOLLAR / 2


def test_what_former_attempts_took_is_gone() -> None:
    former = [job("ml.c5.xlarge", 1000), job("ml.m5.xlarge", 500), job("ml.c5.xlarge", None)]
    assert seconds_for("0.5 USD", "ml.c5.xlarge", "us-east-1", TABLE, former) == 3000
    with pytest.raises(BadPolicy) as refused:
        seconds_for("0.5 USD", "ml.c5.xlarge", "us-east-1", TABLE, [job("ml.c5.xlarge", 4990)])
    assert str(refused.value) == (
        "explain.max_cost: 0.5 USD buy 10 s of ml.c5.xlarge in us-east-1 after $0.499 for attempts before, "
        "a job needs at least 120 s"
    )


@pytest.mark.parametrize(
    ("cost", "instance_type", "region", "said"),
    [
        (
            "0.01 USD",
            "ml.c5.xlarge",
            "us-east-1",
            "0.01 USD buy 100 s of ml.c5.xlarge in us-east-1, a job needs at least",
        ),
        (
            "5 USD",
            "ml.g5.xlarge",
            "us-east-1",
            "nothing is explained, as no price is known of ml.g5.xlarge in us-east-1",
        ),
        ("5 USD", "ml.c5.xlarge", "eu-west-1", "no price is known of ml.c5.xlarge in eu-west-1; `assay prices` reads"),
    ],
)
def test_what_cannot_be_bounded_is_refused(cost: str, instance_type: str, region: str, said: str) -> None:
    with pytest.raises(BadPolicy) as refused:
        seconds_for(cost, instance_type, region, TABLE)
    assert said in str(refused.value)


def explaining(aws: Aws, policy: str = POLICY) -> Uploaded:
    """A run whose evaluation is complete, and whose explanation was asked for."""
    aws.put("models/assay.yaml", policy)
    uploaded = land(aws, policy=policy)
    start_evaluation(uploaded.event)
    aws.put(uploaded.folder.report, report(task="tabular_classification", explain=ROWS).to_json())
    aws.put(uploaded.folder.samples, SAMPLES.to_json())
    aws.sagemaker.end(uploaded.job("evaluation"))
    start_explanation(uploaded.changed("evaluation"))
    return uploaded


@pytest.fixture
def prices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("start_explanation.budget.known_prices", lambda: TABLE)


@pytest.mark.usefixtures("prices")
def test_the_job_ends_when_the_money_does_and_begins_no_row_late(aws: Aws) -> None:
    uploaded = explaining(aws)
    started = aws.sagemaker.jobs[uploaded.job("explanation")]
    assert started["StoppingCondition"]["MaxRuntimeInSeconds"] == HALF_A_DOLLAR
    config = json.loads(aws.get(uploaded.folder.analysis_config))
    assert config["methods"]["shap"]["time_budget"] == 0.75 * HALF_A_DOLLAR


@pytest.mark.usefixtures("prices")
def test_the_deployers_time_limit_still_holds(aws: Aws) -> None:
    uploaded = explaining(aws, POLICY.replace("0.5", "500"))
    started = aws.sagemaker.jobs[uploaded.job("explanation")]
    assert started["StoppingCondition"]["MaxRuntimeInSeconds"] == 14_400


@pytest.mark.usefixtures("prices")
def test_the_evaluation_is_not_bounded_by_it(aws: Aws) -> None:
    uploaded = explaining(aws)
    assert aws.sagemaker.jobs[uploaded.job("evaluation")]["StoppingCondition"]["MaxRuntimeInSeconds"] == 14_400


@pytest.mark.usefixtures("prices")
def test_clarify_gets_the_time_limit_alone(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLAINER_ENGINE", "clarify")
    uploaded = explaining(aws)
    started = aws.sagemaker.jobs[uploaded.job("explanation")]
    assert started["StoppingCondition"]["MaxRuntimeInSeconds"] == HALF_A_DOLLAR
    assert "time_budget" not in aws.get(uploaded.folder.analysis_config)


def test_without_a_price_nothing_is_explained_and_the_run_goes_on(aws: Aws) -> None:
    uploaded = explaining(aws)
    assert uploaded.job("explanation") not in aws.sagemaker.jobs
    failure = aws.state(uploaded.folder).failures["explanation"]
    assert failure.error == "BadPolicy"
    assert failure.message == (
        "explain.max_cost: nothing is explained, as no price is known of ml.c5.xlarge in us-east-1; `assay prices` "
        "reads AWS's, and the next deployment takes them along"
    )
    assert aws.due("publish-summary") == [uploaded.folder.run]


def test_on_a_laptop_nothing_costs_anything(aws: Aws) -> None:
    aws.sagemaker.account = "123456789012"
    uploaded = explaining(aws)
    assert aws.sagemaker.jobs[uploaded.job("explanation")]["StoppingCondition"]["MaxRuntimeInSeconds"] == 14_400
    assert "time_budget" not in aws.get(uploaded.folder.analysis_config)


@pytest.mark.usefixtures("prices")
def test_another_attempt_has_what_the_first_has_left(aws: Aws) -> None:
    uploaded = explaining(aws)
    aws.sagemaker.end(
        uploaded.job("explanation"),
        "Failed",
        seconds=1000,
        FailureReason="InternalServerError: We encountered an error.",
    )
    start_explanation(uploaded.due)
    second = aws.sagemaker.jobs[uploaded.job("explanation", 2)]
    assert second["StoppingCondition"]["MaxRuntimeInSeconds"] == HALF_A_DOLLAR - 1000


@pytest.mark.usefixtures("prices")
def test_a_job_that_spent_all_is_not_tried_again(aws: Aws) -> None:
    uploaded = explaining(aws)
    aws.put(uploaded.folder.explanation_parts + "x/1.npy", b"what it has kept")
    aws.sagemaker.end(uploaded.job("explanation"), "Stopped", seconds=HALF_A_DOLLAR)
    start_explanation(uploaded.due)
    assert uploaded.job("explanation", 2) not in aws.sagemaker.jobs
    state = RunStore(BUCKET, uploaded.folder).state()
    assert state is not None
    assert (
        "buy 0 s of ml.c5.xlarge in us-east-1 after $0.5 for attempts before" in state.failures["explanation"].message
    )
