"""What a run leaves behind for others, whole, one of each verdict: a change of shape or of words is seen.

`golden/<verdict>.json` is summary.json, `golden/<verdict>.txt` the notice that people get. After a change on purpose:

    RENEW_GOLDEN=1 pytest tests/functions/test_golden.py

and read the difference before it is committed. `golden/written/` holds summaries as earlier versions of Assay wrote
them: nothing there is ever changed, for all of them must be readable for ever.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assay.evaluation import (
    Comparison,
    Difference,
    EvaluationReport,
    Explainable,
    ExplainSample,
    ExplainSamples,
    Finding,
    Flip,
    Metric,
    Slice,
)
from assay.events import Upload
from assay.explanation import AnalysisReport
from assay.failure import Failure
from assay.names import Stage
from assay.outcome import Outcome
from assay.policy import Policy, read_policy
from assay.run import Archive, LastRun, Registration, Run, RunState
from assay.summary import JobTime, Summary
from assay_aws.jobs import DescribedJob
from assay_aws.prices import Prices
from publish_summary.conclusion import conclude
from publish_summary.evidence import Evidence, Explained
from publish_summary.importance import LocalValues
from publish_summary.notice import notice
from publish_summary.outcome import outcome

from .conftest import champion, report
from .test_drift import model

GOLDEN = Path(__file__).with_name("golden")
WRITTEN = sorted((GOLDEN / "written").glob("*.json"))
RUN = "golden" + "r" * 14
BUCKET = "archives"
ROWS = 12
FEATURES = ("age", "hours", "gain", "loss")
BEGAN = datetime(2026, 11, 12, 8, 20, tzinfo=UTC)
PRICES = Prices(as_of=date(2026, 11, 1), source="a test", usd_per_hour={"us-east-1": {"ml.m5.xlarge": 0.36}})
POLICY = {
    "task": "tabular_classification",
    "data": {"source": "test.csv", "label": "income"},
    "gates": [
        {"metric": "accuracy", "min": 0.8},
        {"metric": "recall", "class": "each", "min": 0.6},
        {"metric": "accuracy", "max_worse": 0.15},
        {"metric": "explanation_rank_correlation", "min": 0.4},
    ],
}
EXPLAIN = Explainable(
    kind="rows",
    samples=ROWS,
    headers=(*FEATURES, "income", "assay_id"),
    label="income",
    label_headers=("low", "high"),
)


def job(stage: Stage, seconds: int) -> DescribedJob:
    name = f"assay-{RUN}-01-{stage}"
    return DescribedJob.model_validate(
        {
            "ProcessingJobName": name,
            "ProcessingJobArn": f"arn:aws:sagemaker:us-east-1:111122223333:processing-job/{name}",
            "ProcessingJobStatus": "Completed",
            "CreationTime": BEGAN,
            "ProcessingStartTime": BEGAN,
            "ProcessingEndTime": BEGAN + timedelta(seconds=seconds),
            "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.xlarge"}},
        }
    )


def interval(value: float, half: float = 0.025) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": 500, "higher_is_better": True}


def measured(accuracy: float, **fields: Any) -> EvaluationReport:
    recall = {"low": Metric(**interval(accuracy + 0.04)), "high": Metric(**interval(accuracy - 0.04))}
    part = Slice(name="sex=f", columns=("sex",), found="declared", n=200, metrics={"accuracy": recall["low"]})
    ours = Difference(ours=accuracy, champion=0.9, **{**interval(accuracy - 0.9), "value": accuracy - 0.9})
    compared = Comparison(
        champion="c" * 20,
        archive_sha256="other",
        rows=500,
        metrics={"accuracy": ours},
        mended=12,
        broken=14,
        mcnemar_p=0.85,
        flips=(Flip(id="row 1", row=1, true="low", predicted="high", champion="low"),),
    )
    found = report(
        task="tabular_classification",
        labels=("low", "high"),
        metrics={"accuracy": Metric(**interval(accuracy)), "roc_auc": Metric(reason="only one class in the labels")},
        per_class={"recall": recall},
        slices=(part,),
        bias={"sex=f": {"DPPL": Metric(value=-0.1, low=-0.15, high=-0.05, n=500)}},
        findings=(Finding(severity="info", title="Duplicates", text="3 rows come twice."),),
        comparison=compared,
        explain=EXPLAIN,
    )
    return found.model_copy(update=fields)


def explained(run: Run, weights: list[float]) -> Explained:
    of = model(weights)
    by_id = {f"row {r}": tuple(of(r, f, o) for o in range(2) for f in range(len(FEATURES))) for r in range(ROWS)}
    samples = [
        ExplainSample(
            id=f"row {r}",
            row=r,
            sample=("representative", "chosen") if r == 1 else ("representative",),
            reason="mistake: low taken for high with 0.7" if r == 1 else "drawn",
            true="low",
            predicted="high" if r == 1 else "low",
            score=0.7,
            fingerprint=f"content {r}",
        )
        for r in range(ROWS)
    ]
    analysis = AnalysisReport.model_validate(
        {"assay": {"engine": "assay", "samples": ROWS, "model_calls": 900, "max_additivity_gap": 1e-9}}
    )
    values = LocalValues(FEATURES, ("low", "high"), by_id)
    return Explained(run.folder, ExplainSamples(samples=tuple(samples)), analysis, values)


def evidence(found: EvaluationReport | None, policy: dict[str, Any] | None = POLICY, **fields: Any) -> Evidence:
    read: Policy | None = None if policy is None else read_policy(policy)
    run = Run(
        id=RUN,
        model="incomes",
        upload=Upload(bucket=BUCKET, key="models/incomes/7/model.tar.gz", version="v7"),
        archive=Archive(version="v7", size=3, etag="e", uploaded_at=BEGAN),
        opened_at=BEGAN,
        policy_source=f"s3://{BUCKET}/models/assay.yaml",
        policy=read,
        champion=champion(model="incomes") if found is not None and found.comparison is not None else None,
        previous=LastRun(model="incomes", run="p" * 20, ended_at=BEGAN),
    )
    jobs: tuple[tuple[Stage, DescribedJob], ...] = ()
    if found is not None:
        jobs = (("evaluation", job("evaluation", 221)), ("explanation", job("explanation", 600)))
    made = Evidence(run, RunState(run=RUN), jobs=jobs, report=found)
    if run.champion is None:
        return Evidence(**{**vars(made), **fields})
    theirs = tuple(
        JobTime(
            name=f"assay-{'c' * 20}-01-{stage}",
            stage=stage,
            status="Completed",
            instance_type="ml.m5.xlarge",
            started_at=BEGAN,
            ended_at=BEGAN + timedelta(seconds=300),
        )
        for stage in ("evaluation", "explanation")
    )
    # the last run got no further than its evaluation
    last = (theirs[0].model_copy(update={"name": f"assay-{'p' * 20}-01-evaluation"}),)
    beside = {
        "explained": explained(run, [3, 2, 1, 0.3]),
        "champion": measured(0.9),
        "champion_explained": explained(run, [2.5, 2.1, 1.2, 0.2]),
        "champion_jobs": theirs,
        "previous_jobs": last,
    }
    return Evidence(**{**vars(made), **beside, **fields})


NO_GATES = {**POLICY, "gates": [{"metric": "accuracy", "max_worse": 0.15}]}
ENDED: dict[str, Evidence] = {
    "pass": evidence(measured(0.93)),
    "fail": evidence(
        measured(0.7),
        explained=None,
        champion_explained=None,
        explanation_failure=Failure(error="JobFailed", message="job assay-x failed: out of memory"),
    ),
    "inconclusive": evidence(measured(0.81)),
    "not judged": evidence(measured(0.93, comparison=None, explain=None), NO_GATES),
    "error": evidence(
        None, None, failure=Failure(error="NoPolicy", message="no policy for models/incomes/7/model.tar.gz")
    ),
}
REGISTERED = Registration(
    group="incomes", approval="PendingManualApproval", package="arn:aws:…:model-package/incomes/3"
)


def summed_up(verdict: str) -> Summary:
    return conclude(ENDED[verdict], PRICES)


def told(verdict: str) -> str:
    made = summed_up(verdict)
    sent = notice(made, outcome(made, BUCKET, REGISTERED if verdict == "pass" else None), BUCKET)
    attributes = "\n".join(f"{name}: {value}" for name, value in sent.attributes.items())
    return f"{attributes}\n\nSubject: {sent.subject}\n\n{sent.text}"


def rounded(text: str) -> str:
    """To 12 digits: Python 3.12 adds numbers up more exactly than 3.11 does."""
    content = json.loads(text, parse_float=lambda number: float(f"{float(number):.12g}"))
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def held_against(file: Path, now: str) -> None:
    if os.environ.get("RENEW_GOLDEN"):
        file.write_text(now)
    assert now == file.read_text(), f"{file.name} is no longer what it was; if that is meant: RENEW_GOLDEN=1 pytest …"


@pytest.mark.parametrize("verdict", ENDED)
def test_a_summary_is_what_it_was(verdict: str) -> None:
    made = summed_up(verdict)
    assert made.verdict == verdict
    held_against(GOLDEN / f"{verdict.replace(' ', '-')}.json", rounded(made.to_json()))
    assert Summary.model_validate_json(made.to_json()) == made


@pytest.mark.parametrize("verdict", ENDED)
def test_a_notice_is_what_it_was(verdict: str) -> None:
    held_against(GOLDEN / f"{verdict.replace(' ', '-')}.txt", told(verdict))


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: file.stem)
def test_what_earlier_versions_wrote_can_be_read(file: Path) -> None:
    found = Summary.model_validate_json(file.read_bytes())
    assert Outcome.model_validate_json(outcome(found, BUCKET).as_message()).verdict == found.verdict
    assert notice(found, outcome(found, BUCKET), BUCKET).text.startswith(found.verdict.upper())


def test_there_are_earlier_versions() -> None:
    assert len(WRITTEN) >= 3
