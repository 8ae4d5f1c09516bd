"""The whole program on rows of a CSV file."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score, mean_absolute_error, r2_score, recall_score, roc_auc_score

from assay.failure import Failure

from .conftest import GiveModel, Job

CLASSES: dict[str, Any] = {"task": "tabular_classification", "data": {"source": "test.csv"}}
PRICES: dict[str, Any] = {"task": "tabular_regression", "data": {"source": "test.csv", "label": "price"}}


def with_data(policy: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {**policy, "data": {**policy["data"], **parts}}


def logistic(batch: NDArray[Any]) -> NDArray[Any]:
    """One output: the chance of the positive class."""
    chance: NDArray[Any] = 1 / (1 + np.exp(-(batch @ np.array([[2.0], [-1.0]]))))
    return chance


def softmax(batch: NDArray[Any]) -> NDArray[Any]:
    scores: NDArray[Any] = np.exp(batch @ np.array([[1.0, 0.0, -1.0], [-1.0, 0.5, 1.0]]))
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def features(n: int = 60) -> NDArray[np.float64]:
    return np.random.default_rng(3).normal(size=(n, 2)).round(3)


def test_a_model_with_one_output_scores_the_positive_class(job: Job, give_model: GiveModel) -> None:
    give_model(logistic, 2)
    x = features()
    chance = logistic(x.astype(np.float32))[:, 0]
    true = np.where(np.random.default_rng(4).random(60) < chance, "yes", "no")
    job.write_rows([("a", "label", "b"), *zip(x[:, 0], true, x[:, 1], strict=True)])
    policy = with_data(CLASSES, labels=["yes", "no"], positive="yes")
    assert job.run(policy | {"explain": {"representative": {"samples": 9}, "chosen": {"samples": 3}}}) == 0

    report = job.report
    predicted = np.where(chance >= 0.5, "yes", "no")
    assert report.labels == ("yes", "no")
    assert report.metrics["roc_auc"].value == pytest.approx(roc_auc_score(true == "yes", chance))
    assert report.metrics["recall"].value == pytest.approx(recall_score(true, predicted, pos_label="yes"))
    assert report.metrics["f1"].value == pytest.approx(f1_score(true, predicted, pos_label="yes"))
    explain = report.explain
    assert explain is not None
    assert (explain.kind, explain.label, explain.label_headers, explain.positive) == ("rows", "label", ("yes",), "yes")
    assert explain.headers == ("a", "b", "label", "assay_id")

    with (job.output / "explain/rows/data.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == len(job.samples) == explain.samples
    for row, sample in zip(rows, job.samples, strict=True):
        assert (row[2], row[3]) == (sample.true, sample.id)
        assert [float(row[0]), float(row[1])] == x[sample.row].tolist()
    assert sum("representative" in sample.sample for sample in job.samples) == 9
    chosen = [sample for sample in job.samples if "chosen" in sample.sample]
    wrong = [sample for sample in chosen if sample.true != sample.predicted]
    assert len(chosen) == len(wrong) == 3
    surest = sorted(np.abs(chance - 0.5)[true != predicted])[-3:]
    assert sorted(abs((sample.score or 0) - 0.5) for sample in wrong) == pytest.approx(surest)
    assert [row["scores"] for row in job.predictions] == pytest.approx(np.stack([chance, 1 - chance], axis=1))


def test_the_threshold_decides_between_two_classes(job: Job, give_model: GiveModel) -> None:
    give_model(logistic, 2)
    x = features()
    chance = logistic(x.astype(np.float32))[:, 0]
    job.write_rows([("a", "b", "label"), *((*row, int(p >= 0.8)) for row, p in zip(x, chance, strict=True))])
    assert job.run(CLASSES | {"evaluate": {"threshold": 0.8}}) == 0
    assert job.report.metrics["accuracy"].value == 1
    assert job.report.labels == ("0", "1")


def test_champion_and_challenger_get_the_same_representative_rows(job: Job, give_model: GiveModel) -> None:
    job.write_rows([("a", "b", "label"), *((*row, number % 3) for number, row in enumerate(features()))])
    policy = CLASSES | {"explain": {"representative": {"samples": 10}, "chosen": {"samples": 4}}}
    drawn = []
    for model in (softmax, lambda batch: softmax(-batch)):
        give_model(model, 2, outputs=3)
        assert job.run(policy) == 0
        drawn.append({sample.row for sample in job.samples if "representative" in sample.sample})
    assert len(drawn[0]) == 10
    assert drawn[0] == drawn[1]
    assert job.run(policy | {"explain": {"seed": 1, "representative": {"samples": 10}}}) == 0
    assert {sample.row for sample in job.samples if "representative" in sample.sample} != drawn[0]


def test_several_classes_are_explained_by_their_names(job: Job, give_model: GiveModel) -> None:
    give_model(softmax, 2, outputs=3)
    names = ["low", "middle", "high"]
    said = softmax(features()).argmax(axis=1)
    job.write_rows([("a", "b", "label"), *((*row, names[i]) for row, i in zip(features(), said, strict=True))])
    assert job.run(with_data(CLASSES, labels=names)) == 0
    report = job.report
    assert report.metrics["accuracy"].value == 1
    assert report.explain is not None
    assert report.explain.label_headers == ("low", "middle", "high")
    assert report.explain.positive is None


def test_columns_that_the_model_does_not_see_and_the_rows_own_ids(job: Job, give_model: GiveModel) -> None:
    give_model(logistic, 2)
    lines = [("key", "a", "weather", "b", "label"), ("r1", 1, "sun", 0, 1), ("r2", 0, "rain", 1, 0)]
    job.write_rows(lines)
    assert job.run(with_data(CLASSES, id="key", exclude=["weather"])) == 0
    assert [row["id"] for row in job.predictions] == ["r1", "r2"]
    explain = job.report.explain
    assert explain is not None
    assert explain.headers == ("a", "b", "label", "assay_id")
    assert (
        job.run(
            with_data(CLASSES, id="key", exclude=["weather"]) | {"explain": {"chosen": {"only": {"weather": "rain"}}}}
        )
        == 0
    )
    assert {sample.id for sample in job.samples if "chosen" in sample.sample} == {"r2"}


def test_headers_from_the_policy_where_the_file_has_none(job: Job, give_model: GiveModel) -> None:
    give_model(logistic, 2)
    job.write_rows([(1, 0, 1), (0, 1, 0)])
    assert job.run(with_data(CLASSES, headers=["a", "b", "label"])) == 0
    assert job.report.data.rows == 2


def test_a_regression_is_measured_and_its_largest_errors_chosen(job: Job, give_model: GiveModel) -> None:
    give_model(lambda batch: batch.sum(axis=1, keepdims=True), 2)
    x = features()
    said = x.astype(np.float32).sum(axis=1)
    true = (x.sum(axis=1) + np.random.default_rng(5).normal(size=60)).round(3)
    job.write_rows([("a", "price", "b"), *zip(x[:, 0], true, x[:, 1], strict=True)])
    assert job.run(PRICES | {"explain": {"representative": {"samples": 0}, "chosen": {"samples": 2}}}) == 0
    metrics = job.report.metrics
    assert metrics["mae"].value == pytest.approx(mean_absolute_error(true, said))
    assert metrics["r2"].value == pytest.approx(r2_score(true, said))
    assert {sample.row for sample in job.samples} == set(np.argsort(-abs(said - true))[:2].tolist())
    for sample in job.samples:
        assert sample.reason == f"error: {said[sample.row]:.4g} instead of {true[sample.row]:.4g}"
    explain = job.report.explain
    assert explain is not None
    assert (explain.label_headers, explain.positive) == (("price",), None)
    quality = job.evaluation["regression_metrics"]
    assert set(quality) == {"mae", "mse", "rmse", "r2"}
    assert quality["mae"]["value"] == metrics["mae"].value


def test_a_regression_that_answers_no_numbers_has_reasons_in_the_place_of_values(
    job: Job, give_model: GiveModel
) -> None:
    give_model(lambda batch: np.full((len(batch), 1), np.inf), 2)
    job.write_rows([("a", "b", "price"), (1, 2, 3), (4, 5, 6)])
    assert job.run(PRICES) == 0
    assert job.report.metrics["mae"].reason == "2 of 2 predictions are NaN or infinite"
    assert [finding.severity for finding in job.report.findings] == ["serious"]
    assert job.evaluation == {"regression_metrics": {}}


@pytest.mark.parametrize(
    ("lines", "policy", "said"),
    [
        ([("a", "b", "label")], CLASSES, "test.csv: no rows after the header"),
        ([], CLASSES, "test.csv: no rows: the file is empty"),
        ([("a", "b", "y"), (1, 2, 0)], CLASSES, "test.csv: no column 'label' for data.label; found a, b, y"),
        ([("a", "b", "label"), (1, 2, 0), (1, 2)], CLASSES, "test.csv, line 3: 2 cells, expected 3 (a, b, label)"),
        ([("a", "b", "price"), (1, 2, 0), (1, 2, "much")], PRICES, "line 3: price is 'much', expected a finite number"),
        ([("a", "b", "price"), (1, 2, 0), (1, 2, "nan")], PRICES, "line 3: price is 'nan', expected a finite number"),
        (
            [("a", "b", "label"), (1, 2, "yes"), (1, 2, "no")],
            CLASSES,
            "the labels are text (no, yes): say data.labels",
        ),
        (
            [("a", "b", "label"), (1, 2, "yes"), (1, 2, "maybe")],
            with_data(CLASSES, labels=["no", "yes"]),
            "label 'maybe' is none of data.labels (no, yes)",
        ),
        (
            [("a", "b", "label"), (1, 2, 0), (1, 2, 1)],
            with_data(CLASSES, labels=[0, 1], positive=2),
            "data.positive is '2', which is none of the labels 0, 1",
        ),
        (
            [("k", "a", "label"), ("r1", 2, 0), ("r2", 2, 1), ("r1", 2, 1)],
            with_data(CLASSES, id="k"),
            "test.csv, line 4: id 'r1' stands twice",
        ),
    ],
)
@pytest.mark.usefixtures("no_model_is_loaded")
def test_what_is_wrong_with_the_data_is_found_before_the_model_is_loaded(
    job: Job, lines: list[tuple[object, ...]], policy: dict[str, Any], said: str
) -> None:
    job.write_rows(lines)
    assert job.run(policy) == 1
    assert said in job.message


def test_a_cell_that_is_no_number_is_named_by_line_and_column(job: Job, give_model: GiveModel) -> None:
    give_model(logistic, 2)
    job.write_rows([("a", "b", "label"), (1, 2, 0), (3, "?", 1), (5, "", 1)])
    assert job.run(CLASSES) == 1
    assert "2 unreadable, at most 0 allowed (evaluate.max_unreadable)" in job.message
    assert "test.csv, line 3: b is '?', expected a finite number; test.csv, line 4: b is '', expected" in job.message
    assert job.run(CLASSES | {"evaluate": {"max_unreadable": 2}}) == 0
    assert (job.report.data.rows, job.report.data.unreadable) == (1, 2)


def test_another_number_of_features_names_them(job: Job, give_model: GiveModel) -> None:
    give_model(softmax, 3, outputs=3)
    job.write_rows([("a", "b", "label"), (1, 2, 0)])
    assert job.run(with_data(CLASSES, label_base=0)) == 1
    assert job.message == "the model expects 3 features, the data has 2: a, b"
    assert Failure.model_validate_json((job.output / "failure.json").read_bytes()).error == "BadModel"


def test_a_regression_of_a_model_with_two_outputs_is_refused(job: Job, give_model: GiveModel) -> None:
    give_model(lambda batch: batch, 2, outputs=2)
    job.write_rows([("a", "b", "price"), (1, 2, 0)])
    assert job.run(PRICES) == 1
    assert job.message == "the model has 2 outputs, a regression needs 1"


def test_logits_are_measured_by_their_order_and_named_as_what_they_are(job: Job, give_model: GiveModel) -> None:
    give_model(lambda batch: 7 * batch @ np.eye(2, 3), 2, outputs=3)
    said = (7 * features() @ np.eye(2, 3)).argmax(axis=1)
    job.write_rows([("a", "b", "label"), *((*row, i) for row, i in zip(features(), said, strict=True))])
    assert job.run(with_data(CLASSES, label_base=0)) == 0
    report = job.report
    assert report.metrics["accuracy"].value == 1
    assert report.metrics["log_loss"].value is None
    assert "probabilities" in (report.metrics["log_loss"].reason or "")
    assert [finding.title for finding in report.findings] == ["Scores that are no probabilities"]


def test_two_logits_are_compared_and_not_held_against_a_threshold(job: Job, give_model: GiveModel) -> None:
    give_model(lambda batch: 7 * batch - 20, 2, outputs=2)
    said = features().argmax(axis=1)
    job.write_rows([("a", "b", "label"), *((*row, i) for row, i in zip(features(), said, strict=True))])
    assert job.run(with_data(CLASSES, label_base=0)) == 0
    assert job.report.metrics["accuracy"].value == 1
