"""Rows that an endpoint is asked about: what it answers decides what can be measured."""

from __future__ import annotations

import csv
import gzip
import io
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.standin import Answer, Asked, point_boto3_at, standing_in

from .conftest import Job

Answers = Callable[[list[list[str]]], list[str]]
"""From the rows of a request in CSV to the lines of its answer."""

CLASSES: dict[str, Any] = {
    "task": "tabular_classification",
    "data": {"source": "test.csv", "label": "income", "labels": ["low", "high"]},
    "model": {"predictor": "endpoint", "endpoint_name": "census", "predicted_label": 0},
}
PRICES: dict[str, Any] = {
    "task": "tabular_regression",
    "data": {"source": "test.csv", "label": "price"},
    "model": {"predictor": "endpoint", "endpoint_name": "houses"},
}
CENSUS = [("age", "job", "income")] + [
    (str(age), "farmer, or so" if age % 3 else "", "high" if age > 40 else "low") for age in range(20, 60)
]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Answers]]:
    """The function in it is what the endpoint answers."""
    how: list[Answers] = []

    def answer(asked: Asked) -> Answer:
        return Answer("\n".join(how[-1](list(csv.reader(io.StringIO(asked.text))))), "text/csv")

    with standing_in(answer) as there:
        point_boto3_at(there, monkeypatch)
        yield how


@pytest.fixture
def job(tmp_path: Any) -> Job:
    return with_archive(Job(tmp_path / "ml"), "one")


def with_archive(job: Job, content: str) -> Job:
    """An archive that only its handler could ask."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content.encode()))
    (job.input("model") / "model.tar.gz").write_bytes(gzip.compress(packed.getvalue()))
    return job


def older(than: int) -> Answers:
    return lambda rows: [f"{'high' if int(age) > than else 'low'},x" for age, _ in rows]


def test_of_labels_alone_nothing_is_said_that_needs_scores(job: Job, answers: list[Answers]) -> None:
    answers.append(older(44))
    job.write_rows(CENSUS)
    assert job.run(CLASSES) == 0
    report = job.report
    assert report.metrics["accuracy"].value == pytest.approx(36 / 40)
    assert report.metrics["recall"].value == pytest.approx(15 / 19)
    without = {name for name, metric in report.metrics.items() if metric.reason}
    assert without == {"log_loss", "brier", "ece", "roc_auc", "pr_auc"}
    assert {report.metrics[name].reason for name in without} == {"the model answers labels, not scores"}
    assert report.per_class["roc_auc"]["high"].reason
    assert report.per_class["recall"]["high"].value is not None
    assert report.reliability == ()
    assert set(report.plots) == {"plots/confusion.svg", "plots/classes.svg"}
    family = job.evaluation["binary_classification_metrics"]
    assert "accuracy" in family
    assert not {"auc", "receiver_operating_characteristic_curve", "precision_recall_curve"} & set(family)
    assert "The model gives no scores" in [finding.title for finding in report.findings]
    assert report.model.handler
    assert job.predictions[0]["predicted"] == "low"
    assert report.explain is not None
    assert (report.explain.kind, report.explain.label_headers) == ("rows", ("low", "high"))


def test_of_scores_everything_is(job: Job, answers: list[Answers]) -> None:
    answers.append(lambda rows: [f"{1 - int(age) / 80},{int(age) / 80}" for age, _ in rows])
    job.write_rows(CENSUS)
    assert job.run(CLASSES | {"model": {"predictor": "endpoint", "endpoint_name": "census"}}) == 0
    assert job.report.metrics["accuracy"].value == pytest.approx(39 / 40)  # 40 is 0.5
    assert job.report.metrics["roc_auc"].value == 1
    assert job.report.metrics["log_loss"].value is not None


def test_rows_come_as_they_stand_in_the_data(job: Job, answers: list[Answers]) -> None:
    seen: list[list[str]] = []

    def remember(rows: list[list[str]]) -> list[str]:
        seen.extend(rows)
        return ["low"] * len(rows)

    answers.append(remember)
    job.write_rows(CENSUS)
    assert job.run(CLASSES) == 0
    assert seen[:40] == [[age, work] for age, work, _ in CENSUS[1:]]


def test_a_regressions_value_is_the_answer(job: Job, answers: list[Answers]) -> None:
    answers.append(lambda rows: [str(2 * float(size) + 1) for (size,) in rows])
    job.write_rows([("size", "price"), *((str(size / 2), str(size)) for size in range(1, 20))])
    assert job.run(PRICES) == 0
    assert job.report.metrics["mae"].value == pytest.approx(1)


def test_a_champion_behind_an_endpoint_is_compared_by_what_it_stored(
    job: Job, answers: list[Answers], tmp_path: Any
) -> None:
    champion = with_archive(Job(tmp_path / "champion"), "two")
    for one, than in ((champion, 49), (job, 44)):
        answers.append(older(than))
        one.write_rows(CENSUS)
        assert (one.run(CLASSES) if one is champion else one.run_beside(champion, CLASSES)) == 0
    comparison = job.report.comparison
    assert comparison is not None
    assert comparison.refused is None
    assert (comparison.mended, comparison.broken, comparison.rescored) == (5, 0, 0)
    assert comparison.metrics["accuracy"].value == pytest.approx(5 / 40)
    assert comparison.metrics["log_loss"].reason


def test_labels_have_to_be_said_where_only_labels_are_answered(job: Job, answers: list[Answers]) -> None:
    answers.append(older(44))
    job.write_rows([("age", "job", "income"), ("20", "x", "0"), ("50", "x", "1")])
    assert job.run(CLASSES | {"data": {"source": "test.csv", "label": "income"}}) == 1
    assert "say data.labels, all that it may answer" in job.message
