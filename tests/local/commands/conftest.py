"""Runs in a results folder and in a stack's bucket: what a command says must be the same of both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from assay.evaluation import DataFacts, EvaluationReport, Metric, ModelFacts
from assay.events import Upload
from assay.layout import RunFolder, active_key, champion_key
from assay.policy import Gate, read_policy
from assay.rates import wilson
from assay.run import ActiveRun, Archive, Champion, Run, RunState
from assay.summary import Costs, JobTime, Spent, Summary
from assay.title import Title
from assay.verdict import GateOutcome, Verdict, judge
from assay_aws import clients

BUCKET = "archives-of-a-test"
STACK = "assay"
TEMPLATE = {
    "Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}}},
    "Outputs": {"BucketName": {"Value": {"Ref": "Bucket"}}},
}
POLICY = read_policy(
    {
        "task": "image_classification",
        "data": {"source": "test/", "annotations": "test.csv"},
        "gates": [{"metric": "accuracy", "min": 0.8}],
    }
)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Shelf:
    """A results folder, or a stack's bucket."""

    kind: str
    options: tuple[str, ...]
    """That lead a command to it."""
    put: Callable[[str, str], None]
    get: Callable[[str], str]

    def title(self, model: str = "birds") -> Title:
        return Title.parse(self.get(champion_key(model)))

    def add(self, *files: dict[str, str]) -> None:
        for some in files:
            for key, text in some.items():
                self.put(key, text)

    def crown(self, champion: Champion) -> None:
        self.put(champion_key(champion.model), champion.to_json())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "assay-results"
    results.mkdir()

    def put(key: str, text: str) -> None:
        path = results / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return Shelf("folder", (), put, lambda key: (results / key).read_text())


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-a-test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        forget_clients()
        yield
    forget_clients()


def forget_clients() -> None:
    for client in (clients.s3, clients.events):
        client.cache_clear()


@pytest.fixture
def stack(aws: None) -> Shelf:
    boto3.client("cloudformation").create_stack(StackName=STACK, TemplateBody=json.dumps(TEMPLATE))
    s3 = boto3.client("s3")

    def put(key: str, text: str) -> None:
        s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())

    def get(key: str) -> str:
        return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()

    return Shelf("stack", ("--stack", STACK), put, get)


@pytest.fixture(params=["folder", "stack"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def run_of(name: str) -> str:
    """A run's whole id that begins so."""
    return name.ljust(20, "x")


def rate(right: int, n: int = 100) -> Metric:
    low, high = wilson(right, n)
    return Metric(value=right / n, low=low, high=high, n=n, higher_is_better=True)


def report(right: int, data: str = "da") -> EvaluationReport:
    return EvaluationReport(
        task="image_classification",
        labels=("wren", "robin"),
        metrics={"accuracy": rate(right), "log_loss": Metric(value=1 - right / 100, higher_is_better=False)},
        model=ModelFacts(format="Keras", runtime="none", archive_sha256=f"sha{right}", inputs=(), outputs=()),
        data=DataFacts(rows=100, sha256=data),
    )


def outcomes(right: int, *gates: dict[str, Any]) -> tuple[GateOutcome, ...]:
    asked = [Gate(**gate) for gate in gates] or list(POLICY.gates)
    return judge(asked, report(right)).gates


def ran(
    name: str,
    *,
    model: str = "birds",
    day: int = 0,
    right: int = 95,
    verdict: Verdict = "pass",
    data: str = "da",
    **fields: Any,
) -> dict[str, str]:
    """What a run of the archive of that day left behind, by key."""
    run, folder = run_of(name), RunFolder(model, run_of(name))
    at = BEGAN + timedelta(days=day)
    upload = Upload(bucket=BUCKET, key=f"models/{model}/{day}/model.tar.gz", version=f"v{day}")
    jobs = (
        JobTime(
            name=f"assay-{run}-01-evaluation",
            stage="evaluation",
            status="Completed",
            instance_type="ml.m5.xlarge",
            started_at=at,
            ended_at=at + timedelta(minutes=12),
        ),
    )
    summary = Summary(
        **{
            "run": run,
            "model": model,
            "task": "image_classification",
            "upload": upload,
            "uploaded_at": at,
            "verdict": verdict,
            "headline": f"{model} ended as {verdict}",
            "gates": outcomes(right),
            "metrics": report(right).metrics,
            "rows": 100,
            "jobs": jobs,
            "costs": Costs(total=Spent(seconds=720, usd=0.046)),
            **fields,
        }
    )
    left = {
        folder.run_json: Run(
            id=run,
            model=model,
            upload=upload,
            archive=Archive(version=f"v{day}", size=1, etag="e", uploaded_at=at),
            opened_at=at + timedelta(minutes=1),
            policy=POLICY,
        ).to_json(),
        folder.state_json: RunState(run=run, progress="ended").to_json(),
        folder.summary_json: summary.to_json(),
        folder.key("summary.html"): "<!doctype html>",
    }
    return left if verdict == "error" else {**left, folder.report: report(right, data).to_json()}


def running(name: str, state: RunState | None, *, model: str = "birds", day: int = 9) -> dict[str, str]:
    """A run that has not ended; without a state it has nothing yet but its place in the index."""
    upload = Upload(bucket=BUCKET, key=f"models/{model}/{day}/model.tar.gz", version=f"v{day}")
    opened = BEGAN + timedelta(days=day)
    active = ActiveRun(upload=upload, opened_at=opened)
    run = active.folder.run if state is None else run_of(name)
    left = {active_key(run): active.to_json()}
    if state is not None:
        folder = RunFolder(model, run)
        left[folder.run_json] = Run(id=run, model=model, upload=upload, opened_at=opened).to_json()
        left[folder.state_json] = state.to_json()
    return left


def champion(name: str, *, day: int = 0, model: str = "birds") -> Champion:
    at = BEGAN + timedelta(days=day)
    return Champion(
        model=model,
        run=run_of(name),
        uploaded_at=at,
        key=f"models/{model}/{day}/model.tar.gz",
        version=f"v{day}",
        crowned_at=at,
    )
