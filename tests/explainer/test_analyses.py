"""Bias and partial dependence in a job, beside attributions or alone; an analysis that fails says so in its place."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

HEADERS = ["age", "sex", "income"]
RNG = np.random.default_rng(0)
AGE = RNG.integers(18, 70, 200)
SEX = RNG.choice(["f", "m"], 200)
INCOME = np.where(RNG.random(200) < np.where(SEX == "m", 0.6, 0.3), "high", "low")
FACET = [{"name_or_index": "sex", "value_or_threshold": ["f"]}]


def score(inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Rises with age, more so for men."""
    return np.asarray((inputs["age"] / 100 + 0.2 * (inputs["sex"] == "m"))[:, None])


@pytest.fixture
def people(job: Any, give_model: Any) -> Any:
    lines = [f"{age},{sex},{income}" for age, sex, income in zip(AGE, SEX, INCOME, strict=True)]
    (job.data / "people.csv").write_text("\n".join(lines) + "\n")
    give_model(score, age="float32", sex="string")
    return job


def config(methods: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "dataset_type": "text/csv",
        "headers": HEADERS,
        "label": "income",
        "label_values_or_threshold": ["high"],
        "facet": FACET,
        "methods": methods,
        "predictor": {"model_name": "people"},
    } | changes


def metrics(analysis: dict[str, Any], stage: str, facet: str = "sex") -> dict[str, Any]:
    (found,) = analysis[f"{stage}_training_bias_metrics"]["facets"][facet]
    return {metric["name"]: metric for metric in found["metrics"]}


def bring(job: Any, name: str, address: str, content: str) -> None:
    """Another input of the job, from an S3 address."""
    folder = job.root / f"processing/input/{name}"
    folder.mkdir()
    (folder / f"{name}.csv").write_text(content)
    path = job.root / "config/processingjobconfig.json"
    path.parent.mkdir(exist_ok=True)
    given = json.loads(path.read_text())["ProcessingInputs"] if path.exists() else []
    s3 = {"S3Uri": address, "LocalPath": f"/opt/ml/processing/input/{name}"}
    path.write_text(json.dumps({"ProcessingInputs": [*given, {"InputName": name, "S3Input": s3}]}))


@pytest.mark.usefixtures("without_tensorflow")
def test_bias_before_training_needs_no_model(people: Any) -> None:
    asked = config({"pre_training_bias": {"methods": "all"}})
    del asked["predictor"]
    assert people.run(asked) == 0, people.message
    before = people.analysis["pre_training_bias_metrics"]
    assert (before["label"], before["label_value_or_threshold"]) == ("income", "high")
    found = metrics(people.analysis, "pre")
    high = INCOME == "high"
    assert found["DPL"]["value"] == pytest.approx(high[SEX == "m"].mean() - high[SEX == "f"].mean())
    assert found["CDDL"]["error"] == "Group variable is empty or not provided"
    interval = people.analysis["assay"]["bias"]["sex=f"]["DPL"]
    assert interval["low"] < found["DPL"]["value"] < interval["high"]
    assert people.calls == []


def test_the_model_itself_is_asked_where_the_job_brings_no_predictions(people: Any) -> None:
    assert people.run(config({"post_training_bias": {"methods": "all"}})) == 0, people.message
    predicted = score({"age": AGE, "sex": SEX})[:, 0] > 0.5
    assert (score({"age": AGE, "sex": SEX})[:, 0] == 0.5).any()
    assert predicted.any()
    found = metrics(people.analysis, "post")
    assert found["DPPL"]["value"] == pytest.approx(predicted[SEX == "m"].mean() - predicted[SEX == "f"].mean())
    assert len(found) == 13


def test_the_highest_of_several_scores_is_the_prediction(people: Any, give_model: Any) -> None:
    give_model(lambda inputs: np.hstack([1 - score(inputs), score(inputs)]), age="float32", sex="string")
    asked = config({"post_training_bias": {"methods": ["DPPL"]}}, predictor={"label_headers": ["low", "high"]})
    assert people.run(asked) == 0, people.message
    predicted = score({"age": AGE, "sex": SEX})[:, 0] > 0.5
    value = metrics(people.analysis, "post")["DPPL"]["value"]
    assert value == pytest.approx(predicted[SEX == "m"].mean() - predicted[SEX == "f"].mean())


PREDICTED = np.where(AGE > 45, "high", "low")


@pytest.mark.usefixtures("without_tensorflow")
@pytest.mark.parametrize("joined", [False, True])
def test_predictions_come_from_a_data_set_of_their_own(people: Any, joined: bool) -> None:
    order = np.arange(200)[::-1] if joined else np.arange(200)
    lines = [f"{place},{PREDICTED[place]}" if joined else PREDICTED[place] for place in order]
    bring(people, "predictions", "s3://bucket/predictions.csv", "\n".join(lines) + "\n")
    asked = config(
        {"post_training_bias": {"methods": ["DPPL"]}},
        predicted_label_dataset_uri="s3://bucket/predictions.csv",
        predicted_label_headers=["id", "said"] if joined else ["said"],
    )
    if joined:
        rows = [f"{a},{s},{i},{n}" for n, (a, s, i) in enumerate(zip(AGE, SEX, INCOME, strict=True))]
        (people.data / "people.csv").write_text("\n".join(rows) + "\n")
        asked |= {"headers": [*HEADERS, "id"], "joinsource_name_or_index": "id", "predicted_label": "said"}
    assert people.run(asked) == 0, people.message
    said = PREDICTED == "high"
    value = metrics(people.analysis, "post")["DPPL"]["value"]
    assert value == pytest.approx(said[SEX == "m"].mean() - said[SEX == "f"].mean())


def joined(people: Any, predictions: str, **changes: Any) -> dict[str, Any]:
    """A job whose rows have an identifier, as have the predictions beside them."""
    rows = [f"{n},{a},{s},{i}" for n, (a, s, i) in enumerate(zip(AGE, SEX, INCOME, strict=True))]
    (people.data / "people.csv").write_text("\n".join(rows) + "\n")
    bring(people, "predictions", "s3://bucket/predictions.csv", predictions)
    return config(
        {"post_training_bias": {"methods": ["DPPL"]}},
        headers=["id", *HEADERS],
        joinsource_name_or_index=0,
        predicted_label_dataset_uri="s3://bucket/predictions.csv",
        **changes,
    )


@pytest.mark.usefixtures("without_tensorflow")
@pytest.mark.parametrize("changes", [{}, {"predicted_label_headers": ["key", "said"]}])
def test_an_identifier_by_its_place_is_at_that_place_in_the_predictions(people: Any, changes: dict[str, Any]) -> None:
    lines = [f"{place},{PREDICTED[place]}" for place in reversed(range(200))]
    asked = joined(people, "\n".join(lines) + "\n", **({"predicted_label_headers": ["id", "said"]} | changes))
    assert people.run(asked) == 0, people.message
    said = PREDICTED == "high"
    value = metrics(people.analysis, "post")["DPPL"]["value"]
    assert value == pytest.approx(said[SEX == "m"].mean() - said[SEX == "f"].mean())


@pytest.mark.usefixtures("without_tensorflow")
def test_an_identifier_with_two_predictions_is_an_error(people: Any) -> None:
    lines = [f"{place},{PREDICTED[place]}" for place in range(200)]
    asked = joined(people, "\n".join([*lines, "7,high"]) + "\n", predicted_label_headers=["id", "said"])
    assert people.run(asked) == 1
    assert people.message == (
        "predicted_label_dataset_uri: s3://bucket/predictions.csv has more than one row id = '7'; expected one for each"
    )


@pytest.mark.parametrize(
    ("outputs", "changes", "says"),
    [
        (1, {"probability_threshold": 2.0}, r"scores from 0\.18 to 0\.89, probability_threshold is 2\.0$"),
        (
            2,
            {},
            r"found label0, label1; predictor\.label_headers says what the model's outputs are called in the data$",
        ),
    ],
)
def test_a_model_that_predicts_nothing_positive_has_no_bias_to_measure(
    people: Any, give_model: Any, outputs: int, changes: dict[str, Any], says: str
) -> None:
    give_model(lambda inputs: np.hstack([score(inputs), 1 - score(inputs)][:outputs]), age="float32", sex="string")
    assert people.run(config({"post_training_bias": {"methods": "all"}}, **changes)) == 1
    assert people.message.startswith("No Label values are present in the predicted Label Column, ")
    assert re.search(says, people.message), people.message


@pytest.mark.usefixtures("without_tensorflow")
def test_facets_come_from_a_data_set_of_their_own(people: Any) -> None:
    bring(people, "facets", "s3://bucket/facets.csv", "\n".join(np.where(AGE > 40, "old", "young")) + "\n")
    asked = config(
        {"pre_training_bias": {"methods": ["CI"]}},
        facet_dataset_uri="s3://bucket/facets.csv",
        facet_headers=["group"],
        facet=[{"name_or_index": "group", "value_or_threshold": ["old"]}],
    )
    assert people.run(asked) == 0, people.message
    old = (AGE > 40).sum()
    assert metrics(people.analysis, "pre", "group")["CI"]["value"] == pytest.approx((200 - 2 * old) / 200)


def test_dependence_follows_the_model(people: Any) -> None:
    asked = config({"pdp": {"features": ["age", "sex"], "grid_resolution": 5}})
    assert people.run(asked) == 0, people.message
    age, sex = people.analysis["explanations"]["pdp"]
    assert (age["feature_name"], age["data_type"]) == ("age", "numerical")
    men = (SEX == "m").mean()
    expected = np.array(age["feature_values"]) / 100 + 0.2 * men
    np.testing.assert_allclose(age["model_predictions"], [expected], rtol=1e-6)
    assert sum(age["data_distribution"]) == pytest.approx(1)
    assert (sex["data_type"], sex["feature_values"]) == ("categorical", ["f", "m"])
    assert sex["model_predictions"][0][1] - sex["model_predictions"][0][0] == pytest.approx(0.2)
    assert sex["label_headers"] == ["income"]


def test_the_most_important_features_are_taken_where_none_is_named(people: Any) -> None:
    asked = config({"shap": {"baseline": [[40, "f"]]}, "pdp": {"grid_resolution": 3, "top_k_features": 1}})
    assert people.run(asked) == 0, people.message
    (only,) = people.analysis["explanations"]["pdp"]
    values = people.analysis["explanations"]["kernel_shap"]["income"]["global_shap_values"]
    assert only["feature_name"] == max(values, key=values.__getitem__)


def test_of_the_features_to_explain_the_most_important_ones_are_taken(people: Any) -> None:
    shap = {"baseline": [[40, "f"]], "features_to_explain": ["sex"]}
    assert people.run(config({"shap": shap, "pdp": {"grid_resolution": 3, "top_k_features": 1}})) == 0, people.message
    (only,) = people.analysis["explanations"]["pdp"]
    assert only["feature_name"] == "sex"
    (values,) = people.analysis["explanations"]["kernel_shap"].values()
    assert list(values["global_shap_values"]) == ["sex"]


def test_an_analysis_that_fails_says_so_in_its_place_and_the_others_go_on(people: Any) -> None:
    asked = config(
        {
            "shap": {"baseline": [[40, "f"]]},
            "pdp": {"features": ["height"], "grid_resolution": 3},
            "pre_training_bias": {"methods": ["CI"]},
        },
        facet=[{"name_or_index": "height", "value_or_threshold": [1]}],
    )
    assert people.run(asked) == 0, people.message
    analysis = people.analysis
    assert "kernel_shap" in analysis["explanations"]
    (pdp,) = analysis["explanations"]["pdp"]
    assert pdp["feature_name"] == "height"
    assert pdp["error"].startswith("Feature names not found. methods.pdp.features: 'height' is not among age, sex")
    (facet,) = analysis["pre_training_bias_metrics"]["facets"]["height"]
    (ci,) = facet["metrics"]
    assert (ci["name"], ci["description"], ci["value"]) == ("CI", "Class Imbalance (CI)", None)
    assert ci["error"].startswith("Unable to locate the facet.")
    page = (people.output / "report.html").read_text()
    assert "Unable to locate the facet." in page


def test_bias_is_told_where_the_model_cannot_be_asked(people: Any, give_model: Any) -> None:
    give_model(lambda batch: batch, 7)
    asked = config({"shap": {"baseline": [[40, "f"]]}, "pre_training_bias": {"methods": ["CI"]}})
    assert people.run(asked) == 0, people.message
    assert people.analysis["explanations"]["error"].startswith("the model expects 7 features, the data has 2")
    assert metrics(people.analysis, "pre")["CI"]["value"] is not None


@pytest.mark.usefixtures("without_tensorflow")
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"label": None}, r"^Headers must contain label\."),
        (
            {"label_values_or_threshold": []},
            r"^Positive label values or thresholds are empty for Label column\. .*found there (high, low|low, high)$",
        ),
        ({"facet": []}, r"^Unable to locate the facet\. facet: missing; .*found the columns age, sex, income$"),
        (
            {"label_values_or_threshold": ["none"], "predicted_label": "age"},
            "^No Label values are present in the predicted Label Column",
        ),
    ],
)
def test_a_job_fails_when_none_of_its_analyses_succeeds(people: Any, changes: dict[str, Any], says: str) -> None:
    stage = "post_training_bias" if "predicted_label" in changes else "pre_training_bias"
    asked = config({stage: {"methods": "all"}}) | changes
    assert people.run({key: value for key, value in asked.items() if value is not None}) == 1
    assert re.search(says, people.message), people.message
    assert not (people.output / "analysis.json").exists()


def test_the_page_shows_curves_and_metrics(people: Any) -> None:
    asked = config(
        {
            "shap": {"baseline": [[40, "f"]]},
            "pdp": {"features": ["age", "sex"], "grid_resolution": 5},
            "pre_training_bias": {"methods": "all"},
            "post_training_bias": {"methods": "all"},
        }
    )
    assert people.run(asked) == 0, people.message
    page = (people.output / "report.html").read_text()
    assert page.count("<svg") == 1  # of a number; a category's values are bars
    for said in (
        "f (45% of the rows)",
        "Bias before training",
        "Bias after training",
        "sex = f",
        "Disparate Impact (DI)",
    ):
        assert said in page


def test_a_feature_without_dependence_says_so_in_its_place_and_the_others_go_on(people: Any) -> None:
    assert people.run(config({"pdp": {"features": ["age", "height", 1], "grid_resolution": 3}})) == 0, people.message
    age, height, sex = people.analysis["explanations"]["pdp"]
    assert len(age["model_predictions"][0]) == 3
    assert height == {
        "feature_name": "height",
        "data_type": "unknown",
        "error": "Feature names not found. methods.pdp.features: 'height' is not among age, sex",
    }
    assert sex["feature_values"] == ["f", "m"]
    assert "pdp of height: Feature names not found" in (people.output / "report.html").read_text()


def test_scores_that_are_not_finite_fail_their_feature_alone(people: Any, give_model: Any) -> None:
    def breaks(inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
        of_many = len(inputs["age"]) > len(AGE)
        middle = (inputs["age"] != np.round(inputs["age"])) & of_many
        return np.where(middle[:, None], np.nan, score(inputs))

    give_model(breaks, age="float32", sex="string")
    assert people.run(config({"pdp": {"features": ["age", "sex"], "grid_resolution": 4}})) == 0, people.message
    age, sex = people.analysis["explanations"]["pdp"]
    assert re.fullmatch(
        r"the predictions cannot be explained: scores where age is 24\.375 are not finite", age["error"]
    )
    assert "error" not in sex


def test_the_first_rows_own_curves_are_beside_clarifys_files(people: Any) -> None:
    asked = config({"pdp": {"features": ["age", "height", "sex"], "grid_resolution": 3}})
    assert people.run(asked) == 0, people.message
    lines = (people.output / "assay/individual.csv").read_text().splitlines()
    assert lines[0] == "feature,value,row,income"
    assert len(lines) == 1 + 50 * (3 + 2)
    middle = people.analysis["explanations"]["pdp"][0]["feature_values"][1]
    (found,) = [line for line in lines if line.startswith(f"age,{middle},7,")]
    expected = score({"age": np.array([middle]), "sex": SEX[7:8]})[0, 0]
    assert float(found.split(",")[3]) == pytest.approx(expected, abs=1e-6)


def test_a_feature_without_any_value_has_no_dependence(people: Any, give_model: Any) -> None:
    give_model(lambda inputs: (inputs["sex"] == "m")[:, None] * 0.5, age="float32", sex="string")
    rows = [f",{s},{i}" for s, i in zip(SEX, INCOME, strict=True)]
    (people.data / "people.csv").write_text("\n".join(rows) + "\n")
    asked = config({"pdp": {"features": ["age", "sex"]}}, column_types={"age": "numeric"})
    assert people.run(asked) == 0, people.message
    age, sex = people.analysis["explanations"]["pdp"]
    assert age == {"feature_name": "age", "data_type": "unknown", "error": "age has no value in any row"}
    assert sex["model_predictions"] == [[0.0, 0.5]]
