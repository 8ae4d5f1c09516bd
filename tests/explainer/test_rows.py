"""Jobs on rows: Clarify's files, read back as Clarify's users read them."""

from __future__ import annotations

import csv
import json
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from explainer.rows import aggregate

WEIGHTS = np.array([[0.5, -1.0], [2.0, 0.25], [-1.5, 3.0]])
ROWS = [[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0], [0.0, -2.0, 1.0], [4.0, 1.0, -1.0]]
BASELINE = [[0.5, 0.0, 1.0]]


def linear(batch: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(batch.astype(np.float64) @ WEIGHTS)


def curved(batch: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.tanh(linear(batch)) + batch[:, :1] * batch[:, 1:2])


def config(**changes: Any) -> dict[str, Any]:
    shap = {"baseline": BASELINE} | changes.pop("shap", {})
    return {
        "dataset_type": "text/csv",
        "headers": ["height", "width", "depth", "price", "assay_id"],
        "label": "price",
        "joinsource_name_or_index": "assay_id",
        "methods": {"shap": {name: value for name, value in shap.items() if value is not None}},
        "predictor": {"model_name": "boxes", "label_headers": ["cheap", "dear"]},
    } | changes


@pytest.fixture
def rows(job: Any, give_model: Any) -> Any:
    """A job on four rows, with a label and an identifier, and a model that is linear."""
    with (job.data / "data.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([*row, "dear", f"box-{index}"] for index, row in enumerate(ROWS))
    give_model(linear, 3)
    return job


def local_values(job: Any) -> list[dict[str, str]]:
    with (job.output / "explanations_shap/out.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_local_values_have_clarifys_columns_and_add_up(rows: Any) -> None:
    assert rows.run(config()) == 0
    found = local_values(rows)
    assert list(found[0]) == [
        "height_cheap",
        "width_cheap",
        "depth_cheap",
        "height_dear",
        "width_dear",
        "depth_dear",
        "assay_id",
    ]
    assert [row["assay_id"] for row in found] == ["box-0", "box-1", "box-2", "box-3"]
    values = np.array([[float(cell) for cell in list(row.values())[:6]] for row in found]).reshape(4, 2, 3)
    expected = (np.array(ROWS) - BASELINE)[:, None, :] * WEIGHTS.T
    np.testing.assert_allclose(values, expected, atol=1e-9)


def test_the_baseline_is_written_with_feature_columns_only(rows: Any) -> None:
    rows.run(config())
    assert (rows.output / "explanations_shap/baseline.csv").read_text() == "height,width,depth\n0.5,0,1\n"


def test_analysis_json_has_clarifys_shape_and_ours_beside(rows: Any) -> None:
    rows.run(config())
    shap = rows.analysis["explanations"]["kernel_shap"]
    assert list(shap) == ["cheap", "dear"]
    assert list(shap["dear"]) == ["global_shap_values", "expected_value"]
    assert list(shap["dear"]["global_shap_values"]) == ["height", "width", "depth"]
    assert shap["dear"]["expected_value"] == pytest.approx(float((np.array(BASELINE) @ WEIGHTS)[0, 1]))
    expected = np.abs((np.array(ROWS) - BASELINE) * WEIGHTS[:, 0]).mean(axis=0)
    assert list(shap["cheap"]["global_shap_values"].values()) == pytest.approx(expected.tolist())
    assay = rows.analysis["assay"]
    assert assay["engine"] == "assay"
    assert assay["samples"] == 4
    assert assay["max_additivity_gap"] < 1e-9
    assert assay["model_calls"] == sum(rows.calls) - 1  # one more to see how many outputs there are


@pytest.mark.parametrize(
    ("method", "expected"),
    [("mean_abs", [8 / 3, 4 / 3]), ("median", [2.0, 0.0]), ("mean_sq", [10.0, 10 / 3])],  # by hand
)
def test_global_values_are_aggregated_as_asked(method: str, expected: list[float]) -> None:
    values = np.array([[-1.0, 3.0], [2.0, 0.0], [5.0, -1.0]])
    assert aggregate(values[:, :, None], method)[:, 0].tolist() == pytest.approx(expected)


def test_rows_chosen_for_being_mistakes_do_not_count_for_global_values(rows: Any) -> None:
    folder = rows.root / "processing/input/samples"
    folder.mkdir()
    kinds = [["representative"], ["chosen"], ["representative", "chosen"], ["chosen"]]
    samples = [{"id": f"{row}", "row": row, "sample": kind, "reason": f"why {row}"} for row, kind in enumerate(kinds)]
    (folder / "samples.json").write_text(json.dumps({"samples": samples}))
    assert rows.run(config()) == 0
    expected = np.abs((np.array(ROWS)[[0, 2]] - BASELINE) * WEIGHTS[:, 0]).mean(axis=0)
    found = rows.analysis["explanations"]["kernel_shap"]["cheap"]["global_shap_values"]
    assert list(found.values()) == pytest.approx(expected.tolist())
    assert len(local_values(rows)) == 4
    shown = re.findall("why [0-9]", (rows.output / "report.html").read_text())
    assert shown == ["why 1", "why 2", "why 3"]
    (folder / "samples.json").write_text(json.dumps({"samples": samples[:3]}))
    assert rows.run(config()) == 1
    assert "samples.json names 3 samples, the data has 4 rows" in rows.message


def test_values_of_a_curved_model_add_up_to_the_score(rows: Any, give_model: Any) -> None:
    give_model(curved, 3)
    assert rows.run(config()) == 0
    sums = [sum(float(row[f"{name}_dear"]) for name in ("height", "width", "depth")) for row in local_values(rows)]
    expected = curved(np.array(ROWS))[:, 1] - curved(np.array(BASELINE))[0, 1]
    assert sums == pytest.approx(expected.tolist(), abs=1e-9)


def test_one_seed_gives_the_same_bytes(rows: Any, give_model: Any) -> None:
    def run() -> dict[str, bytes]:
        give_model(curved, 3)
        assert rows.run(config(shap={"baseline": None, "num_clusters": 2, "num_samples": 4, "seed": 5})) == 0
        return {str(path): path.read_bytes() for path in rows.output.rglob("*") if path.is_file()}

    first = run()
    assert len(first) == 10
    assert run() == first


def test_without_a_baseline_it_is_clusters_of_the_data(rows: Any) -> None:
    assert rows.run(config(shap={"baseline": None, "num_clusters": 2})) == 0
    baseline = np.loadtxt(rows.output / "explanations_shap/baseline.csv", delimiter=",", skiprows=1)
    assert baseline.shape == (2, 3)
    expected = (baseline @ WEIGHTS).mean(axis=0)
    found = rows.analysis["explanations"]["kernel_shap"]
    assert [found[label]["expected_value"] for label in ("cheap", "dear")] == pytest.approx(expected.tolist())


def test_fewer_distinct_rows_than_clusters_are_clusters_themselves(rows: Any) -> None:
    (rows.data / "data.csv").write_text("1,2,3,a,x\n1,2,3,a,y\n1,2,3,a,z\n")
    assert rows.run(config(shap={"baseline": None, "num_clusters": 5})) == 0
    assert (rows.output / "explanations_shap/baseline.csv").read_text() == "height,width,depth\n1,2,3\n"


def test_a_baseline_by_address_is_found_among_the_inputs(rows: Any) -> None:
    folder = rows.root / "processing/input/baseline"
    folder.mkdir()
    (folder / "base.csv").write_text("height,width,depth\n0,0,0\n1,1,1\n")
    (rows.root / "config").mkdir()
    inputs = [
        {
            "InputName": "baseline",
            "S3Input": {"S3Uri": "s3://bucket/some/base.csv", "LocalPath": "/opt/ml/processing/input/baseline"},
        }
    ]
    (rows.root / "config/processingjobconfig.json").write_text(json.dumps({"ProcessingInputs": inputs}))
    assert rows.run(config(shap={"baseline": "s3://bucket/some/base.csv"})) == 0
    text = (rows.output / "explanations_shap/baseline.csv").read_text()
    assert text == "height,width,depth\n0,0,0\n1,1,1\n"


def test_a_baseline_by_an_address_that_is_no_input_says_which_there_are(rows: Any) -> None:
    assert rows.run(config(shap={"baseline": "s3://bucket/base.csv"})) == 1
    assert rows.message.startswith(
        "s3://bucket/base.csv is not among the job's inputs; expected one of them to bring it"
    )


def test_log_odds_add_up_in_their_own_units(rows: Any, give_model: Any) -> None:
    give_model(lambda batch: 1 / (1 + np.exp(-linear(batch))), 3)
    assert rows.run(config(shap={"use_logit": True})) == 0
    values = [[float(row[f"{name}_cheap"]) for name in ("height", "width", "depth")] for row in local_values(rows)]
    np.testing.assert_allclose(values, (np.array(ROWS) - BASELINE) * WEIGHTS[:, 0], atol=1e-6)


def test_log_odds_of_scores_that_are_no_probabilities_are_refused(rows: Any) -> None:
    assert rows.run(config(shap={"use_logit": True})) == 1
    assert "log-odds need scores between 0 and 1, found" in rows.message


def test_local_values_are_left_out_when_not_wanted(rows: Any) -> None:
    assert rows.run(config(shap={"save_local_shap_values": False})) == 0
    assert sorted(path.name for path in (rows.output / "explanations_shap").iterdir()) == ["baseline.csv"]


def test_excluded_columns_are_not_the_models(rows: Any, give_model: Any) -> None:
    give_model(lambda batch: linear(np.insert(batch, 1, 0.0, axis=1)), 2)
    assert rows.run(config(excluded_columns=["width"], shap={"baseline": [[0, 0]]})) == 0
    assert list(rows.analysis["explanations"]["kernel_shap"]["dear"]["global_shap_values"]) == ["height", "depth"]


@pytest.mark.parametrize(
    ("label_headers", "label", "outputs", "expected"),
    [
        (None, "price", 1, ["price"]),
        (None, "price", 2, ["label0", "label1"]),
        (None, None, 1, ["label0"]),
        ([0, "1"], "price", 2, ["0", "1"]),
    ],
)
def test_labels_are_named_as_clarify_names_them(
    rows: Any, give_model: Any, label_headers: list[str] | None, label: str | None, outputs: int, expected: list[str]
) -> None:
    give_model(lambda batch: linear(batch)[:, :outputs], 3)
    asked = config(excluded_columns=["price"])
    asked["predictor"] = {"label_headers": label_headers} if label_headers else {}
    if label is None:
        del asked["label"]
    assert rows.run(asked) == 0
    assert list(rows.analysis["explanations"]["kernel_shap"]) == expected


def test_probability_picks_one_output(rows: Any) -> None:
    assert rows.run(config(predictor={"probability": 1, "label_headers": ["dear"]})) == 0
    assert list(rows.analysis["explanations"]["kernel_shap"]) == ["dear"]
    first = local_values(rows)[0]
    assert float(first["depth_dear"]) == pytest.approx((3.0 - 1.0) * 3.0)


@pytest.mark.parametrize("repeated", [True, False])
def test_a_header_row_in_the_file_is_no_data(rows: Any, repeated: bool) -> None:
    header = "height,width,depth,price,assay_id\n"
    (rows.data / "data.csv").write_text(header + "1,2,3,dear,a\n")
    (rows.data / "more.csv").write_text(header + "4,5,6,dear,b\n")
    asked = config()
    if not repeated:
        del asked["headers"]
    assert rows.run(asked) == 0
    assert [row["assay_id"] for row in local_values(rows)] == ["a", "b"]


def test_columns_without_any_header_are_numbered(rows: Any) -> None:
    (rows.data / "data.csv").write_text("1,2,3\n4,5,6\n")
    asked = config()
    for key in ("headers", "label", "joinsource_name_or_index"):
        del asked[key]
    assert rows.run(asked) == 0
    assert list(local_values(rows)[0])[:3] == ["column_0_cheap", "column_1_cheap", "column_2_cheap"]


@pytest.mark.parametrize(
    ("data", "changes", "says"),
    [
        (None, {}, r"^Data must contain features\. Found no file in .*data; expected CSV files"),
        ("height,width,depth,price,assay_id\n", {}, r"^Data must contain features\. Found no rows in data\.csv"),
        (
            "1,2,3,dear,a\n1,2,3,a\n",
            {},
            r"^Headers in config do not .* dataset\. data\.csv, line 2: 4 cells, expected 5 \(height, width",
        ),
        (
            "1,2,3,dear,a\n1,wide,3,dear,b\n",
            {},
            r"^Could not convert string to float\. data\.csv, line 2: width is 'wide', expected a finite number",
        ),
        (
            "1,2,3,dear,a\n" * 2 + "1,inf,3,dear,a\n",
            {},
            r"^Could not convert string to float\. .*line 3: width is 'inf'",
        ),
        ("1,2,3,dear,a\n", {"label": 7}, r"^Feature names not found\. label: index 7, expected 0 to 4 for 5 columns"),
        (
            "1,2,3,dear,a\n",
            {"excluded_columns": ["weight"]},
            r"^Feature names not found\. excluded_columns: 'weight' is not among height, width",
        ),
        (
            "1,2,3,dear,a\n",
            {"excluded_columns": [0, 1, 2]},
            r"^Data must contain features\. All columns are label, prediction, identifier or excluded",
        ),
        (
            "1,2,3,dear,a\n",
            {"shap": {"baseline": [[1, 2]]}},
            r"^Headers in config do not .*dataset\. methods\.shap\.baseline, row 0 has 2 values; expected one for each",
        ),
        (
            "1,2,3,dear,a\n",
            {"shap": {"baseline": [[1, 2, "x"]]}},
            r"^Could not convert string to float\. methods\.shap\.baseline, row 0: depth is 'x', expected a number",
        ),
    ],
)
@pytest.mark.usefixtures("without_tensorflow")
def test_what_is_wrong_with_the_data_is_said_before_the_model_is_loaded(
    rows: Any, monkeypatch: pytest.MonkeyPatch, data: str | None, changes: dict[str, Any], says: str
) -> None:
    monkeypatch.setattr("explainer.request.load_model", lambda _: pytest.fail("loaded the model"))
    if data is None:
        (rows.data / "data.csv").unlink()
    else:
        (rows.data / "data.csv").write_text(data)
    assert rows.run(config(**changes)) == 1
    assert re.search(says, rows.message), rows.message


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"predictor": {"label_headers": ["a", "b", "c"]}},
            r"predictor\.label_headers: 3 names \(a, b, c\), but the model has 2 outputs",
        ),
        ({"predictor": {"probability": 2}}, r"predictor\.probability: column 2, expected 0 to 1: the model has 2"),
        (
            {"excluded_columns": ["width"], "shap": {"baseline": [[0, 0]]}},
            "the model expects 3 features, the data has 2: height, depth",
        ),
    ],
)
def test_what_does_not_fit_the_model_is_said(rows: Any, changes: dict[str, Any], says: str) -> None:
    assert rows.run(config(**changes)) == 1
    assert re.search(says, rows.message), rows.message


def test_scores_that_are_not_numbers_are_the_models_fault(rows: Any, give_model: Any) -> None:
    give_model(lambda batch: linear(batch) * np.nan, 3)
    assert rows.run(config()) == 1
    assert "cannot be explained: the model's scores hold nan" in rows.message


@pytest.mark.usefixtures("without_tensorflow")
def test_a_job_without_model_says_where_one_was_looked_for(rows: Any) -> None:
    (rows.root / "processing/input/model/model.tar.gz").unlink()
    assert rows.run(config(predictor={"label_headers": ["a", "b"]})) == 1
    assert "neither" in rows.message
    assert "predictor.model_name" in rows.message


@pytest.mark.usefixtures("without_tensorflow")
def test_a_mistake_in_the_configuration_is_the_jobs_message(rows: Any) -> None:
    assert rows.run('{"dataset_type": ') == 1
    assert rows.message.startswith("Unable to load analysis configuration as JSON.")


def test_the_report_shows_names_literally_and_needs_nothing_beside_it(rows: Any) -> None:
    asked = config(headers=["<script>alert(1)</script>", "{{ 7 * 7 }}", "depth", "price", "assay_id"])
    asked["methods"]["report"] = {"name": "mine", "title": "Boxes & co"}
    assert rows.run(asked) == 0
    page = (rows.output / "mine.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7 * 7 }}" in page
    assert "<h1>Boxes &amp; co</h1>" in page
    assert not re.search(r"(src|href)=", page)


def test_a_thousand_labels_and_features_are_cut_with_a_note(rows: Any, give_model: Any) -> None:
    features = 1000
    (rows.data / "data.csv").write_text(",".join(["1"] * features) + "\n")
    give_model(lambda batch: np.repeat(batch.sum(axis=1, keepdims=True), 300, axis=1), features)
    asked = config(
        headers=[f"f{index}" for index in range(features)], shap={"baseline": [[0] * features], "num_samples": 64}
    )
    for key in ("label", "joinsource_name_or_index"):
        del asked[key]
    asked["predictor"] = {}
    assert rows.run(asked) == 0
    page = (rows.output / "report.html").read_text()
    assert "Not shown here: 288 more labels and 980 more features." in page
    assert len(page) < 200_000
