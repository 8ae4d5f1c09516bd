"""Who reads Clarify's results reads ours: pandas as AWS's notebooks do, and the model cards of SageMaker's SDK."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pd = pytest.importorskip("pandas")

AGE, HOURS = np.arange(20, 60, 2), np.tile([20, 40], 10)
SEX = np.array(["f", "m"] * 10)
METHODS: dict[str, Any] = {
    "shap": {"baseline": [[40, 30, "f"]], "agg_method": "mean_abs"},
    "pdp": {"features": ["age", "sex", "height"], "grid_resolution": 2},
    "pre_training_bias": {"methods": "all"},
    "post_training_bias": {"methods": "all"},
    "report": {"name": "report", "title": "Analysis Report"},
}


def score(inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
    return np.asarray((inputs["age"] / 100 + inputs["hours"] / 1000 + 0.25 * (inputs["sex"] == "m"))[:, None])


@pytest.fixture
def people(job: Any, give_model: Any) -> Any:
    lines = [f"{int(a > 39)},{a},{h},{s}" for a, h, s in zip(AGE, HOURS, SEX, strict=True)]
    (job.data / "people.csv").write_text("\n".join(lines) + "\n")
    give_model(score, age="float32", hours="float32", sex="string")
    return job


def config(*methods: str, **changes: Any) -> dict[str, Any]:
    return {
        "dataset_type": "text/csv",
        "headers": ["Target", "age", "hours", "sex"],
        "label": "Target",
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "sex", "value_or_threshold": ["f"]}],
        "methods": {name: METHODS[name] for name in methods},
        "predictor": {"model_name": "people"},
    } | changes


def test_the_files_are_clarifys_to_the_letter(people: Any) -> None:
    asked = config("shap", "pdp", "pre_training_bias", "report")
    asked["methods"] = asked["methods"] | {
        "pdp": {"features": ["sex"]},
        "pre_training_bias": {"methods": ["CI", "DPL"]},
    }
    assert people.run(asked) == 0, people.message
    content = people.analysis
    assert list(content) == ["version", "explanations", "pre_training_bias_metrics", "assay"]
    shap = content["explanations"]["kernel_shap"]["Target"]
    assert shap["global_shap_values"] == pytest.approx({"age": 0.1, "hours": 0.01, "sex": 0.125}, abs=1e-6)
    assert shap["expected_value"] == pytest.approx(0.43)
    (curve,) = content["explanations"]["pdp"]
    assert {key: value for key, value in curve.items() if key != "model_predictions"} == {
        "feature_name": "sex",
        "data_type": "categorical",
        "feature_values": ["f", "m"],
        "data_distribution": [0.5, 0.5],
        "label_headers": ["Target"],
    }
    assert curve["model_predictions"] == [pytest.approx([0.42, 0.67])]
    assert content["pre_training_bias_metrics"] == {
        "label": "Target",
        "label_value_or_threshold": "1",
        "facets": {
            "sex": [
                {
                    "value_or_threshold": "f",
                    "metrics": [
                        {"name": "CI", "description": "Class Imbalance (CI)", "value": 0.0},
                        {
                            "name": "DPL",
                            "description": "Difference in Positive Proportions in Labels (DPL)",
                            "value": 0.0,
                        },
                    ],
                }
            ]
        },
    }
    folder = people.output / "explanations_shap"
    assert (folder / "baseline.csv").read_text() == "age,hours,sex\n40,30,f\n"
    assert (folder / "out.csv").read_text().splitlines()[0] == "age_Target,hours_Target,sex_Target"


def test_pandas_reads_them_as_awss_notebooks_do(people: Any) -> None:
    asked = config("shap", predictor={"model_name": "people", "label_headers": ["label0"]})
    assert people.run(asked) == 0, people.message
    analysis = people.analysis
    # fraud detection: the object of a label is a frame, sorted by its values
    values = pd.DataFrame(analysis["explanations"]["kernel_shap"]["label0"])
    ranked = values["global_shap_values"].sort_values(ascending=False)
    assert list(ranked.index) == ["sex", "age", "hours"]
    # fairness and explainability: columns without their label, a row's values
    local = pd.read_csv(people.output / "explanations_shap/out.csv")
    local.columns = [str.replace(column, "_label0", "") for column in local.columns.to_series()]
    assert list(local.columns) == ["age", "hours", "sex"]
    assert local.dtypes.map(str).tolist() == ["float64"] * 3
    assert len(local) == len(AGE)
    # credit risk: what the values add up to, from the expected value
    expected = analysis["explanations"]["kernel_shap"]["label0"]["expected_value"]
    known = score({"age": AGE, "hours": HOURS, "sex": SEX})[:, 0]
    np.testing.assert_allclose(expected + local.sum(axis=1), known, atol=1e-6)
    np.testing.assert_allclose(local.abs().mean()[ranked.index], ranked, atol=1e-12)


SDK_PYTHON = Path(__file__).parents[2] / ".envs/sagemaker2/bin/python"
ASK_SDK = """
import json, sys
from sagemaker.model_card.evaluation_metric_parsers import ClarifyBiasParser, ClarifyExplainabilityParser
bias, explained = json.load(sys.stdin)
print(json.dumps([ClarifyBiasParser().run(bias), ClarifyExplainabilityParser().run(explained)]))
"""


@pytest.mark.skipif(not SDK_PYTHON.exists(), reason="version 2 of SageMaker's SDK is not set up: `make test` does it")
def test_model_cards_of_sagemakers_sdk_read_them(people: Any) -> None:
    assert people.run(config("pre_training_bias", "post_training_bias")) == 0, people.message
    bias = people.analysis
    assert people.run(config("shap", "pdp")) == 0, people.message
    answer = subprocess.run(
        [SDK_PYTHON, "-W", "ignore", "-c", ASK_SDK],
        input=json.dumps([bias, people.analysis]),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr[-500:]
    of_bias, explained = json.loads(answer.stdout.splitlines()[-1])
    assert [group["name"] for group in of_bias["metric_groups"]] == [
        "pre_training_bias_metrics - label Target = 1 and facet sex=f",
        "post_training_bias_metrics - label Target = 1 and facet sex=f",
    ]
    shap, pdp = explained["metric_groups"]
    assert [one["name"] for one in shap["metric_data"]] == ["age", "hours", "sex"]
    assert [one["name"] for one in pdp["metric_data"]] == [
        "data_distribution - feature=age",
        "model_predictions - feature=age, label=Target",
        "data_distribution - feature=sex",
        "model_predictions - feature=sex, label=Target",
    ]


HOSTILE = [
    "a\nb",
    "</script><script>alert(1)</script>",
    '"q",;',
    "=cmd()",
    "\u202eevil",
    "x" * 5000,
    "\0\x1b[31m",
    "{{7*7}}",
]


def test_whatever_columns_and_labels_are_called_every_file_is_whole(job: Any, give_model: Any) -> None:
    width, labels = len(HOSTILE), ["</style><b>", "\n,"]
    rows = np.arange(3 * width).reshape(3, width)
    (job.data / "rows.jsonl").write_text("".join(json.dumps({"f": row}) + "\n" for row in rows.tolist()))
    give_model(lambda batch: np.stack([batch.sum(axis=1), batch[:, 0]], axis=1), width)
    asked = {
        "dataset_type": "application/jsonlines",
        "headers": HOSTILE,
        "features": "f",
        "methods": {
            "shap": {"baseline": [{"f": [0] * width}]},
            "pdp": {"features": [0, 1, 5], "grid_resolution": 3},
            "report": {"name": "r", "title": "</title><script>x"},
        },
        "predictor": {"model_name": "m", "label_headers": labels},
    }
    assert job.run(asked) == 0, job.message
    local = pd.read_csv(job.output / "explanations_shap/out.csv")
    assert list(local.columns) == [f"{name}_{label}" for label in labels for name in HOSTILE]
    np.testing.assert_allclose(local.to_numpy()[:, :width], rows, atol=1e-9)
    assert list(job.analysis["explanations"]["kernel_shap"]["\n,"]["global_shap_values"]) == HOSTILE
    assert "<script>alert" not in (job.output / "r.html").read_text()
    assert "<script>x" not in (job.output / "r.html").read_text()
    assert json.loads((job.output / "r.ipynb").read_text())["cells"]
    assert (job.output / "r.pdf").read_bytes().startswith(b"%PDF")
