"""The whole program on rows of CSV, JSON Lines and Parquet."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, r2_score, recall_score, roc_auc_score

from assay.evaluation import Tensor
from assay.failure import Failure
from assay.policy import Data, ModelOptions, read_policy
from evaluator import outputs
from evaluator.outputs import Outputs
from evaluator.request import Request
from evaluator.rows_data import ask_about, score_rows
from evaluator.rows_job import score
from evaluator.scored import Unreadable
from job.folders import Folders
from job.progress import Progress
from model.load import Model
from model.tables import open_table

from .conftest import GiveModel, Job, known

ADULT = Path(__file__).parents[3] / "shared/data/adult"

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


JOBS = ["clerk", "farmer", "", "clerk", "farmer", "farmer", "nobody", "clerk"]
AGES = [20.0, 60.0, 50.5, None, 30.0, 70.0, 45.0, 41.0]
TRUE = ["no", "yes", "yes", "no", "yes", "no", "no", "yes"]
WEIGHTS = [1.0, 2.0, 0.5, 1.0, 3.0, 1.0, 0.0, 2.0]
MIXED: dict[str, Any] = {
    "task": "tabular_classification",
    "data": {"source": "rows", "labels": ["no", "yes"], "id": "key", "weight": "w", "missing": ["?", ""]},
}


def chance_of(age: float | None, job: str) -> float:
    """What the model with an input for each column says: NaN counts as 40."""
    return float(1 / (1 + np.exp(-((40 if age is None else age) - 40) / 10 - (job == "farmer") + (job == ""))))


def mixed_model(*names: str) -> Model:
    """Takes an age as a number and a job as text."""

    def function(arrays: Any) -> Any:
        ages, jobs = (arrays[name][:, 0] for name in names)
        assert ages.dtype == np.float32 and jobs.dtype == object
        known = [chance_of(None if np.isnan(age) else float(age), job) for age, job in zip(ages, jobs, strict=True)]
        return {"scores": np.array(known)[:, None]}

    return one_input_a_column(function, dict(zip(names, ("float32", "string"), strict=True)))


def one_input_a_column(function: Callable[[Any], Any], inputs: dict[str, str]) -> Model:
    """Inputs: name → dtype."""
    tensors = [Tensor(name=name, shape=(None, 1), dtype=dtype) for name, dtype in inputs.items()]
    return Model(function, tensors, [Tensor(name="scores", shape=(None, 1), dtype="float32")], "SavedModel", "known")


def write_table(job: Job, kind: str, columns: dict[str, Sequence[Any]], unknown: str = "?") -> None:
    """A table as a file of the kind; None is `unknown` in a CSV file, null in the others."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if kind == "csv":
        cells = ([unknown if value is None else value for value in row.values()] for row in rows)
        job.write_rows([tuple(columns), *cells], "rows.csv")
    elif kind == "jsonl":
        (job.input("dataset") / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(
            pa.table({name: list(values) for name, values in columns.items()}), job.input("dataset") / "rows.parquet"
        )


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_numbers_and_categories_with_weights_and_unknown_values(
    job: Job, archives: dict[bytes, Model], kind: str
) -> None:
    archives[b"an archive"] = mixed_model("age", "job")
    keys = [f"r{number}" for number in range(8)]
    write_table(job, kind, {"key": keys, "age": AGES, "job": JOBS, "w": WEIGHTS, "label": TRUE})
    assert job.run(MIXED) == 0

    chance = np.array([chance_of(age, name) for age, name in zip(AGES, JOBS, strict=True)])
    said = np.where(chance >= 0.5, "yes", "no")
    report = job.report
    accuracy = accuracy_score(TRUE, said, sample_weight=WEIGHTS)
    assert accuracy != accuracy_score(TRUE, said)
    assert report.metrics["accuracy"].value == pytest.approx(accuracy)
    found = job.predictions
    assert [row["id"] for row in found] == keys
    assert [row["weight"] for row in found] == WEIGHTS
    assert [row["predicted"] for row in found] == said.tolist()
    assert [row["scores"][1] for row in found] == pytest.approx(chance.tolist())
    assert report.speed is not None and report.speed.unit == "rows" and report.speed.latency_p50_ms is not None

    assert report.explain is not None
    assert report.explain.types == {"age": "numeric", "job": "categorical"}
    with (job.output / "explain/rows/data.csv").open(newline="") as file:
        rows = {row[3]: row for row in csv.reader(file)}
    assert rows["r1"] in (["60", "farmer", "yes", "r1"], ["60.0", "farmer", "yes", "r1"])


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_regression_with_inputs_named_otherwise_and_a_transform(
    job: Job, archives: dict[bytes, Model], kind: str
) -> None:
    archives[b"an archive"] = mixed_model("age_in", "job_in")
    ages, jobs = [age or 33.0 for age in AGES], [name or "clerk" for name in JOBS]
    price = np.arange(1.0, 9.0)
    write_table(job, kind, {"age": ages, "price": price.tolist(), "job": jobs})
    policy = {
        "task": "tabular_regression",
        "data": {"source": "rows", "label": "price"},
        "model": {"inputs": {"age": "age_in", "job": "job_in"}, "output_transform": "exp"},
    }
    assert job.run(policy) == 0
    said = np.exp([chance_of(age, name) for age, name in zip(ages, jobs, strict=True)])
    assert [row["predicted"] for row in job.predictions] == pytest.approx(said.tolist())
    assert [row["true"] for row in job.predictions] == price.tolist()
    assert job.report.metrics["mae"].value == pytest.approx(mean_absolute_error(price, said))


def test_logits_become_probabilities_by_the_transform(job: Job, give_model: GiveModel) -> None:
    give_model(lambda batch: batch @ np.array([[1.0, 0.0, -1.0], [-1.0, 0.5, 1.0]]), 2, outputs=3)
    job.write_rows([("a", "b", "label"), *((*row, number % 3) for number, row in enumerate(features()))])
    assert job.run(with_data(CLASSES, label_base=0) | {"model": {"output_transform": "softmax"}}) == 0
    assert [row["scores"] for row in job.predictions] == pytest.approx(softmax(features()), rel=1e-5)
    assert job.report.explain is not None


def test_a_category_that_is_a_number_code_is_explained_as_the_number_it_is(job: Job, give_model: GiveModel) -> None:
    give_model(logistic, 2)
    job.write_rows([("a", "code", "label"), (1, 7, 0), (2, 8, 1)])
    assert job.run(with_data(CLASSES, columns={"code": "categorical"})) == 0
    assert job.report.explain is not None


def test_unknown_values_are_empty_where_rows_are_explained(job: Job, give_model: GiveModel) -> None:
    give_model(lambda batch: logistic(np.nan_to_num(batch)), 2)
    job.write_rows([("a", "b", "label"), (1, 7, 0), ("?", 8, 1), (3, 1, 1)])
    assert job.run(with_data(CLASSES, missing=["?"])) == 0
    assert job.report.data.rows == 3
    with (job.output / "explain/rows/data.csv").open(newline="") as file:
        assert sorted(row[0] for row in csv.reader(file)) == ["", "1", "3"]


def test_several_files_are_one_table_and_each_bad_row_has_its_file(job: Job, give_model: GiveModel) -> None:
    give_model(logistic, 2)
    job.write_rows([("a", "b", "label"), (1, 0, 1), (0, 1, 0)], "part-0.csv")
    job.write_rows([("a", "b", "label"), (1, 0), (1, "x", 1), (0, 2, 0)], "part-1.csv")
    assert job.run(CLASSES | {"evaluate": {"max_unreadable": 2}}) == 0
    assert [row["row"] for row in job.predictions] == [0, 1, 4]
    assert job.report.data.unreadable_names == (
        "part-1.csv, line 2: 2 cells, expected 3 (a, b, label)",
        "part-1.csv, line 3: b is 'x', expected a finite number",
    )
    job.write_rows([("b", "a", "label"), (1, 0, 1)], "part-1.csv")
    assert job.run(CLASSES) == 1
    assert job.message == "part-1.csv: its columns are b, a, label; expected those of part-0.csv: a, b, label"


def test_predictions_written_in_parts_are_whole(
    job: Job, give_model: GiveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_model(softmax, 2, outputs=3)
    job.write_rows([("a", "b", "label"), *((*row, number % 3) for number, row in enumerate(features()))])
    assert job.run(CLASSES) == 0
    whole = job.predictions
    assert len(whole) == 60 and len({row["fingerprint"] for row in whole}) == 60
    monkeypatch.setattr(outputs, "_PART", 7)
    assert job.run(CLASSES) == 0
    assert job.predictions == whole


def test_a_model_can_be_asked_about_some_of_the_rows_alone(job: Job, give_model: GiveModel) -> None:
    asked: list[int] = []

    def counting(batch: NDArray[Any]) -> NDArray[Any]:
        asked.append(len(batch))
        return logistic(batch)

    give_model(counting, 2)
    x = features()
    job.write_rows([("a", "b", "label"), *((*row, number % 2) for number, row in enumerate(x))])
    folders = Folders(job.root)
    request = Request(folders, Progress(folders.progress), read_policy(CLASSES), Outputs(job.output), only={59, 3, 17})
    scored = score(request)
    assert scored.samples.rows.tolist() == [3, 17, 59]
    assert asked == [3]
    np.testing.assert_allclose(scored.scores, logistic(x[[3, 17, 59]]), rtol=1e-6)


def test_a_weight_that_is_0_everywhere_is_refused(job: Job, give_model: GiveModel) -> None:
    give_model(logistic, 2)
    job.write_rows([("a", "b", "w", "label"), (1, 2, 0, 0), (2, 1, 0, 1)])
    assert job.run(with_data(CLASSES, weight="w")) == 1
    assert job.message == "data.weight: w is 0 in all rows"


def test_memory_grows_by_labels_scores_and_fingerprints_alone(tmp_path: Path) -> None:
    """32 bytes of fingerprint, 8 of the place, 4 of the label, 8 of the score: 52 a row, whatever the features."""
    model = known(lambda batch: batch[:, :1], [20], 1)
    peaks = []
    for rows in (50_000, 150_000):
        path = tmp_path / f"{rows}.csv"
        line = ",".join(["0.25"] * 20)
        path.write_text(",".join(f"x{n}" for n in range(20)) + ",label\n" + f"{line},1\n" * rows)
        table = open_table([path], Data(source="x"))
        assert table.survey.rows == rows
        asked = ask_about(table, model, ModelOptions())
        tracemalloc.start()
        assert len(score_rows(table, asked, (), Unreadable(0), Progress(tmp_path / "progress"))) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 100_000 == pytest.approx(52, abs=8)


@pytest.mark.skipif(not ADULT.is_dir(), reason=f"needs the public census data in {ADULT}")
def test_census_income_as_it_is(job: Job, archives: dict[bytes, Model]) -> None:
    """Mixed columns, `?` for what is unknown, a code that is a category."""

    def function(arrays: Any) -> Any:
        rich = (arrays["capital_gain"] > 7000) | ((arrays["education_num"] == "14") & (arrays["age"] > 40))
        return {"scores": np.where(rich, 0.9, 0.1)}

    words = dict.fromkeys(("education_num", "workclass", "occupation"), "string")
    archives[b"an archive"] = one_input_a_column(function, {"age": "float32", "capital_gain": "float32", **words})
    (job.input("dataset") / "test.csv").write_bytes((ADULT / "test.csv").read_bytes())
    data = {
        "source": "test.csv",
        "label": "income",
        "labels": ["<=50K", ">50K"],
        "exclude": ["fnlwgt"],
        "missing": ["?"],
        "columns": {"education_num": "categorical"},
    }
    assert job.run({**CLASSES, "data": data, "evaluate": {"slices": ["sex", "workclass"]}}) == 0

    with (ADULT / "test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    said = [
        ">50K"
        if int(row["capital_gain"]) > 7000 or (row["education_num"] == "14" and int(row["age"]) > 40)
        else "<=50K"
        for row in rows
    ]
    report = job.report
    assert report.data.rows == len(rows)
    assert report.metrics["accuracy"].value == pytest.approx(
        accuracy_score([row["income"] for row in rows], said), abs=1e-12
    )
    of = {one.name: one.n for one in report.slices}
    assert of["sex=Female"] == sum(row["sex"] == "Female" for row in rows)
    assert of["workclass is missing"] == sum(row["workclass"] == "?" for row in rows)
    unseen = next(one.text for one in report.findings if one.title == "Columns that the model does not see")
    assert "marital_status" in unseen and "age" not in unseen


def test_who_asks_again_minds_no_row_that_cannot_be_read(job: Job, give_model: GiveModel) -> None:
    give_model(logistic, 2)
    job.write_rows([("a", "b", "label"), (1, 0, 1), (1, "x", 0), (0,), (0, 1, 0)])
    folders = Folders(job.root)
    request = Request(folders, Progress(folders.progress), read_policy(CLASSES), Outputs(job.output), only={1, 2, 3})
    assert score(request).samples.rows.tolist() == [3]
