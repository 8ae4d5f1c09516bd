"""Mixed columns in every format: read as Clarify reads them, explained as one."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from assay.policy import ColumnType
from explainer.baseline import clusters
from explainer.coding import coding_of
from explainer.table import Meaning, Table

FEATURES = ["age", "job", "code"]
ROWS: list[list[Any]] = [[30, "nurse", "7"], [50.5, "smith", "7"], [41, "nurse", "9"], [22, "", "9"]]
JOBS = {"nurse": 1.0, "smith": -2.0, "": 0.0}
PREDICTOR = {"model_name": "people"}


def score(inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Additive, so that each attribution is known: age, and a number for each job and code."""
    jobs = np.array([JOBS[job] for job in inputs["job"].tolist()])
    codes = np.array([float(code) for code in inputs["code"].tolist()])
    return np.asarray(inputs["age"] + 10 * jobs + 100 * codes)[:, None]


def known(row: list[Any], base: list[Any]) -> list[float]:
    return [row[0] - base[0], 10 * (JOBS[row[1]] - JOBS[base[1]]), 100 * (float(row[2]) - float(base[2]))]


@pytest.fixture
def people(job: Any, give_model: Any) -> Any:
    give_model(score, age="float32", job="string", code="string")
    return job


def local_values(job: Any) -> NDArray[np.float64]:
    with (job.output / "explanations_shap/out.csv").open(newline="") as stream:
        return np.array([[float(cell) for cell in row] for row in list(csv.reader(stream))[1:]])


def write(folder: Path, dataset_type: str) -> dict[str, Any]:
    """The rows, each with a label, in that format; what the configuration has to say about it."""
    labels = ["yes", "no", "yes", "no"]
    if dataset_type == "text/csv":
        with (folder / "rows").open("w", newline="") as stream:
            csv.writer(stream).writerows([*row, label] for row, label in zip(ROWS, labels, strict=True))
        return {"headers": [*FEATURES, "label"], "label": "label"}
    if dataset_type == "application/x-parquet":
        columns = {name: [row[place] for row in ROWS] for place, name in enumerate(FEATURES)}
        pq.write_table(pa.table(columns | {"label": labels}), folder / "rows")
        return {"label": "label"}
    records = [{"features": row, "label": label} for row, label in zip(ROWS, labels, strict=True)]
    if dataset_type == "application/jsonlines":
        (folder / "rows").write_text("".join(json.dumps(record) + "\n" for record in records))
        return {"headers": [*FEATURES, "Wanted"], "label": "label", "features": "features"}
    (folder / "rows").write_text(json.dumps({"instances": records}))
    return {
        "headers": [*FEATURES, "Wanted"],
        "label": "instances[*].label",
        "features": "instances[*].features",
    }


FORMATS = ["text/csv", "application/x-parquet", "application/jsonlines", "application/json"]


@pytest.mark.parametrize("dataset_type", FORMATS)
def test_mixed_rows_of_every_format_are_explained(people: Any, dataset_type: str) -> None:
    baseline: Any = [[40, "smith", "8"]]
    if dataset_type == "application/json":
        baseline = {"instances": [{"features": baseline[0]}]}
    elif dataset_type == "application/jsonlines":
        baseline = [{"features": baseline[0]}]
    config = {
        "dataset_type": dataset_type,
        "column_types": {"code": "categorical"},
        "methods": {"shap": {"baseline": baseline}},
        "predictor": PREDICTOR,
    } | write(people.data, dataset_type)
    assert people.run(config) == 0, people.message
    expected = [known(row, [40, "smith", "8"]) for row in ROWS]
    np.testing.assert_allclose(local_values(people), expected, atol=1e-9)
    assert (people.output / "explanations_shap/baseline.csv").read_text() == "age,job,code\n40,smith,8\n"
    # the label's header names the only output
    name = "Wanted" if dataset_type in FORMATS[2:] else "label"
    assert list(people.analysis["explanations"]["kernel_shap"]) == [name]


@pytest.mark.parametrize("dataset_type", FORMATS[:3])
def test_a_baseline_file_is_of_the_data_s_kind(people: Any, dataset_type: str, tmp_path: Path) -> None:
    folder = people.root / "processing/input/baseline"
    folder.mkdir()
    if dataset_type == "text/csv":
        (folder / "base.csv").write_text("40,smith,8\n")
    elif dataset_type == "application/jsonlines":
        (folder / "base.jsonl").write_text('{"features": [40, "smith", "8"]}\n')
    else:
        pq.write_table(pa.table({"age": [40], "job": ["smith"], "code": ["8"]}), folder / "base.parquet")
    job_config = people.root / "config/processingjobconfig.json"
    job_config.parent.mkdir(exist_ok=True)
    s3 = {"S3Uri": "s3://bucket/base", "LocalPath": "/opt/ml/processing/input/baseline"}
    job_config.write_text(json.dumps({"ProcessingInputs": [{"InputName": "baseline", "S3Input": s3}]}))
    config = {
        "dataset_type": dataset_type,
        "column_types": {"code": "categorical"},
        "methods": {"shap": {"baseline": "s3://bucket/base"}},
        "predictor": PREDICTOR,
    } | write(people.data, dataset_type)
    assert people.run(config) == 0, people.message
    np.testing.assert_allclose(local_values(people)[0], known(ROWS[0], [40, "smith", "8"]), atol=1e-9)


def test_a_number_code_is_a_number_unless_it_is_declared(people: Any) -> None:
    config = {
        "dataset_type": "text/csv",
        "methods": {"shap": {"baseline": [[40, "smith", 8]]}},
        "predictor": PREDICTOR,
    } | write(people.data, "text/csv")
    assert people.run(config) == 0, people.message
    assert local_values(people)[0].tolist() == pytest.approx(known(ROWS[0], [40, "smith", "8"]))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"column_types": {"cod": "categorical"}}, r"^Feature names not found\. column_types: 'cod' is not among age"),
        (
            {"methods": {"shap": {"baseline": [{"values": [1, "a", "7"]}]}}},
            r"methods\.shap\.baseline: nothing stands at features 'features'",
        ),
        ({"headers": ["age", "job", "Wanted"]}, r"3 values, expected 2 \(age, job\)"),
        ({"features": "instances"}, r"line 1: .*'instances' finds nothing"),
        ({"features": "a[["}, r"^features: 'a\[\[' is no JMESPath expression$"),
        ({"dataset_type": "application/x-parquet"}, r"^rows: not Parquet: .*; dataset_type is application/x-parquet$"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(people: Any, changes: dict[str, Any], says: str) -> None:
    config = {
        "dataset_type": "application/jsonlines",
        "methods": {"shap": {"baseline": [{"features": [40, "smith", "8"]}]}},
        "predictor": PREDICTOR,
    } | write(people.data, "application/jsonlines")
    assert people.run(config | changes) == 1
    assert re.search(says, people.message), people.message


def table(columns: dict[str, NDArray[Any]]) -> Table:
    types: dict[str, ColumnType] = {
        name: "numeric" if values.dtype.kind == "f" else "categorical" for name, values in columns.items()
    }
    return Table(Meaning(tuple(columns), None, None, None, None), types, columns)


def test_clusters_have_means_and_the_most_frequent_categories() -> None:
    data = table(
        {
            "x": np.array([1.0, 2.0, 3.0, 101.0, 102.0, 103.0]),
            "kind": np.array(["a", "a", "b", "c", "c", "c"], dtype=object),
        }
    )
    found = clusters(data, 2, seed=0)
    assert found["x"].tolist() == [2, 102]
    assert found["kind"].tolist() == ["a", "c"]


def test_categories_alone_make_clusters() -> None:
    kinds = np.array(["a", "b", "a", "c"] * 5, dtype=object)
    found = clusters(table({"kind": kinds, "other": kinds.copy()}), 12, seed=0)
    assert found["kind"].tolist() == ["a", "b", "c"]
    assert found["other"].tolist() == ["a", "b", "c"]


def test_missing_numbers_do_not_move_a_centre() -> None:
    found = clusters(table({"x": np.array([1.0, np.nan, 3.0]), "y": np.full(3, np.nan)}), 1, seed=0)
    assert found["x"].tolist() == [2]
    assert np.isnan(found["y"]).all()


def test_a_coded_matrix_is_its_columns_again() -> None:
    columns = {"x": np.array([1.5, np.nan]), "kind": np.array(["b", ""], dtype=object)}
    coding = coding_of(["x", "kind"], {"x": "numeric", "kind": "categorical"}, columns)
    decoded = coding.decode(coding.encode(columns))
    np.testing.assert_array_equal(decoded["x"], columns["x"])
    assert decoded["kind"].tolist() == ["b", ""]


def test_a_baseline_by_name_may_name_its_features_in_any_order(people: Any) -> None:
    config = {
        "dataset_type": "application/jsonlines",
        "column_types": {"code": "categorical"},
        "methods": {"shap": {"baseline": [{"features": {"code": "8", "age": 40, "job": "smith"}}]}},
        "predictor": PREDICTOR,
    } | write(people.data, "application/jsonlines")
    assert people.run(config) == 0, people.message
    np.testing.assert_allclose(local_values(people)[0], known(ROWS[0], [40, "smith", "8"]), atol=1e-9)
    config["methods"] = {"shap": {"baseline": [{"features": {"age": 40, "job": "smith", "cod": "8"}}]}}
    assert people.run(config) == 1
    assert re.search(r"^Feature names not found\. .*row 0 has age, job, cod; .*missing code$", people.message)


@pytest.mark.parametrize(
    "baseline",
    [
        [{"age": 40, "job": "smith", "code": "8"}],
        {"age": 40, "job": "smith", "code": "8"},
        [{"Wanted": "no", "code": "8", "job": "smith", "age": 40}],
    ],
)
def test_records_at_the_top_of_a_document_have_a_baseline_like_themselves(people: Any, baseline: Any) -> None:
    """AWS's notebook of JSON: the list itself, its features by a list of names."""
    records = [dict(zip(FEATURES, row, strict=True)) | {"Wanted": "yes"} for row in ROWS]
    (people.data / "rows.json").write_text(json.dumps(records))
    config = {
        "dataset_type": "application/json",
        "headers": [*FEATURES, "Wanted"],
        "features": '[*].["age","job","code"]',
        "label": "[*].Wanted",
        "column_types": {"code": "categorical"},
        "methods": {"shap": {"baseline": baseline}},
        "predictor": PREDICTOR,
    }
    assert people.run(config) == 0, people.message
    np.testing.assert_allclose(local_values(people)[0], known(ROWS[0], [40, "smith", "8"]), atol=1e-9)
    assert list(people.analysis["explanations"]["kernel_shap"]) == ["Wanted"]


def test_a_label_that_is_a_path_and_has_no_header_is_no_name(people: Any) -> None:
    records = [dict(zip(FEATURES, row, strict=True)) | {"Wanted": "yes"} for row in ROWS]
    (people.data / "rows.json").write_text(json.dumps(records))
    config = {
        "dataset_type": "application/json",
        "features": "[*].{age: age, job: job, code: code}",
        "label": "[*].Wanted",
        "column_types": {"code": "categorical"},
        "methods": {"shap": {"baseline": [{"age": 40, "job": "smith", "code": "8"}]}},
        "predictor": PREDICTOR,
    }
    assert people.run(config) == 0, people.message
    assert list(people.analysis["explanations"]["kernel_shap"]) == ["label0"]


def parquet(people: Any, headers: list[str]) -> int:
    columns = {name: [row[place] for row in ROWS] for name, place in (("a", 0), ("b", 1), ("c", 2))}
    pq.write_table(pa.table(columns | {"l": ["yes", "no", "yes", "no"]}), people.data / "rows.parquet")
    ran: int = people.run(
        {
            "dataset_type": "application/x-parquet",
            "headers": headers,
            "label": headers[-1],
            "methods": {"shap": {"baseline": [[40, "smith", "8"]]}},
            "predictor": PREDICTOR,
        }
    )
    return ran


def test_headers_name_the_columns_of_parquet_in_their_order(people: Any) -> None:
    assert parquet(people, [*FEATURES, "Wanted"]) == 0, people.message
    np.testing.assert_allclose(local_values(people)[0], known(ROWS[0], [40, "smith", "8"]), atol=1e-9)


def test_too_few_headers_for_parquet_are_an_error(people: Any) -> None:
    assert parquet(people, ["age", "job", "Wanted"]) == 1
    assert people.message == (
        "Headers in config do not match with the number of columns in the dataset. rows.parquet: 4 columns "
        "(a, b, c, l), expected 3 (age, job, Wanted)"
    )


def test_half_of_a_surrogate_pair_is_named_where_it_stands(people: Any) -> None:
    """JSON can write it, UTF-8 cannot: it would break every file of the results."""
    (people.data / "rows.jsonl").write_text('{"features":[30,"a\\ud800b","7"],"label":"yes"}\n')
    config = {
        "dataset_type": "application/jsonlines",
        "headers": [*FEATURES, "Wanted"],
        "features": "features",
        "label": "label",
        "methods": {"shap": {"baseline": [{"features": [40, "smith", "8"]}]}},
        "predictor": PREDICTOR,
    }
    assert people.run(config) == 1
    assert people.message == "rows.jsonl, line 1: \\ud800 is half of a surrogate pair, and no character"


def test_the_largest_numbers_make_clusters_too() -> None:
    huge = np.array([1.7e308, 1.6e308, -1.7e308, -1.6e308])
    found = clusters(table({"huge": huge}), 2, seed=0)
    np.testing.assert_allclose(found["huge"], [-1.65e308, 1.65e308])


@pytest.mark.parametrize(
    ("dataset_type", "text"),
    [
        ("text/csv", "NaN,nurse,7\n50.5,smith,7\nnan,nurse,9\n22,,9\n"),
        (
            "application/jsonlines",
            '{"x":[NaN,"nurse",7]}\n{"x":[50.5,"smith",7]}\n{"x":[null,"nurse",9]}\n{"x":[22,"",9]}\n',
        ),
    ],
)
def test_nan_is_a_missing_value_as_pandas_writes_it(people: Any, give_model: Any, dataset_type: str, text: str) -> None:
    give_model(
        lambda inputs: np.nan_to_num(inputs["age"], nan=30.0)[:, None], age="float32", job="string", code="string"
    )
    (people.data / "rows").write_text(text)
    config = {
        "dataset_type": dataset_type,
        "headers": FEATURES,
        "methods": {"shap": {"baseline": [[40, "smith", 8]]}},
        "predictor": PREDICTOR,
    } | ({} if dataset_type == "text/csv" else {"features": "x"})
    assert people.run(config) == 0, people.message
    np.testing.assert_allclose(local_values(people)[:, 0], [-10, 10.5, -10, -18])
