"""Bias on all rows of an evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.policy import Facet
from evaluator.facets import name_of, rows_of

from .conftest import GiveModel, Job

RNG = np.random.default_rng(0)
X = RNG.normal(size=400).round(3)
AGE = RNG.integers(18, 70, 400)
SEX = np.where(RNG.random(400) < 0.4, "F", "M")
LABEL = (X + (SEX == "M") > 0.5).astype(int)
POLICY: dict[str, Any] = {
    "task": "tabular_classification",
    "data": {"source": "test.csv", "exclude": ["sex"], "label_base": 0},
    "bias": {"facets": [{"column": "sex", "values": ["F"]}, {"column": "age", "above": 40}]},
    "gates": [{"metric": "bias.DPPL", "facet": "sex=F", "max_abs": 0.5}],
}


def predict(batch: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(1 / (1 + np.exp(-4 * (batch[:, :1] - 0.2))))


def write(job: Job) -> None:
    rows = zip(X, AGE, SEX, LABEL, strict=True)
    job.write_rows([("x", "age", "sex", "label"), *rows])


def with_bias(**parts: Any) -> dict[str, Any]:
    return POLICY | {"bias": POLICY["bias"] | parts}


def test_every_metric_of_each_facet_is_reported_with_its_interval(job: Job, give_model: GiveModel) -> None:
    give_model(predict, 2)
    write(job)
    assert job.run(POLICY) == 0, job.message
    bias = job.report.bias
    assert list(bias) == ["sex=F", "age>40"]
    assert len(bias["sex=F"]) == 21
    dpl = bias["sex=F"]["DPL"]
    assert dpl.value == pytest.approx(LABEL[SEX == "M"].mean() - LABEL[SEX == "F"].mean())
    predicted = predict(X[:, None])[:, 0] >= 0.5
    dppl = bias["age>40"]["DPPL"]
    assert dppl.value == pytest.approx(predicted[AGE <= 40].mean() - predicted[AGE > 40].mean())
    assert dppl.low is not None and dppl.high is not None and dppl.low < (dppl.value or 0) < dppl.high
    assert bias["sex=F"]["FT"].value is not None
    assert bias["sex=F"]["CDDL"].reason == "Group variable is empty or not provided"


def test_only_the_metrics_asked_for_are_measured(job: Job, give_model: GiveModel) -> None:
    give_model(predict, 2)
    write(job)
    assert job.run(with_bias(methods=["DI", "CI"], group="age")) == 0, job.message
    assert list(job.report.bias["sex=F"]) == ["CI", "DI"]


def test_words_among_the_features_leave_only_the_flip_test_out(job: Job, give_model: GiveModel) -> None:
    give_model(lambda batch: predict(batch[:, :1].astype(float)), 3, dtype="string")
    write(job)
    policy = with_bias(methods=["FT", "AD"]) | {"data": {"source": "test.csv", "label_base": 0}}
    assert job.run(policy) == 0, job.message
    bias = job.report.bias["age>40"]
    assert bias["AD"].value is not None
    assert bias["FT"].reason == "FlipTest does not support non-numeric columns"


@pytest.mark.parametrize(
    ("bias", "said"),
    [
        (
            {"facets": [{"column": "gender", "values": ["F"]}]},
            "bias: no column 'gender' in the data; found x, age",
        ),
        ({"facets": [{"column": "sex", "above": 3}]}, "bias.facets: sex is categorical, `above` needs numbers"),
        ({"methods": ["DPPX"]}, "bias.methods: no metric 'DPPX'; there are AD"),
        ({"group": "region"}, "bias: no column 'region'"),
    ],
)
def test_what_the_data_does_not_have_is_said_before_the_model_is_loaded(
    job: Job, bias: dict[str, Any], said: str
) -> None:
    write(job)
    assert job.run(with_bias(**bias)) == 1
    assert said in job.message


def test_three_classes_have_no_positive_one(job: Job, give_model: GiveModel) -> None:
    give_model(lambda batch: np.eye(3)[(batch[:, 0] > 0).astype(int)], 2, outputs=3)
    job.write_rows([("x", "age", "sex", "label"), *zip(X, AGE, SEX, RNG.integers(0, 3, 400), strict=True)])
    assert job.run(POLICY) == 0, job.message
    assert job.report.bias == {}
    assert "Bias is not measured" in [finding.title for finding in job.report.findings]


def test_facets_are_named_as_gates_name_them() -> None:
    assert name_of(Facet(column="race", values=("Black", "Other"))) == "race=Black,Other"
    assert name_of(Facet(column="age", above=40)) == "age>40"


def test_missing_values_are_in_no_facet() -> None:
    assert rows_of(Facet(column="age", above=40), np.array([np.nan, 41.0])).tolist() == [False, True]
    assert rows_of(Facet(column="sex", values=("F",)), np.array(["", "F"], dtype=object)).tolist() == [False, True]
