"""evaluation.json: SageMaker's shape to the letter, and its documentation's own example recomputed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evaluator import regression
from evaluator.classification import Classified, estimate
from evaluator.model_quality import CURVE_POINTS, classification
from evaluator.model_quality import regression as regression_quality

COMPARED = ("accuracy", "recall", "precision", "f0_5", "f1", "f2")
BINARY = {
    "confusion_matrix",
    "auc",
    "true_positive_rate",
    "true_negative_rate",
    "false_positive_rate",
    "false_negative_rate",
    "receiver_operating_characteristic_curve",
    "precision_recall_curve",
    *COMPARED,
    *(f"{name}_best_constant_classifier" for name in COMPARED),
}
WEIGHTED = ("accuracy", "weighted_recall", "weighted_precision", "weighted_f0_5", "weighted_f1", "weighted_f2")
MULTICLASS = {
    "confusion_matrix",
    "precision",
    "recall",
    "f1",
    *WEIGHTED,
    *(f"{name}_best_constant_classifier" for name in WEIGHTED),
}


def of_counts(counts: list[list[int]], positive: int | None = None) -> Classified:
    """A classification with this confusion matrix, whose scores say no more than the predicted class."""
    pairs = [(t, p) for t, row in enumerate(counts) for p, count in enumerate(row) for _ in range(count)]
    true, predicted = np.array(pairs).T
    labels = tuple(str(number) for number in range(len(counts)))
    return Classified(true, predicted, np.eye(len(counts))[predicted], labels, positive)


def quality_of(found: Classified) -> dict[str, Any]:
    (family,) = classification(found, estimate(found)).values()
    return dict(family)


def values_of(family: dict[str, Any]) -> dict[str, float]:
    return {name: leaf["value"] for name, leaf in family.items() if "value" in leaf}


def check_leaves(family: dict[str, Any]) -> None:
    for name, leaf in family.items():
        if name == "confusion_matrix" or name.endswith("_curve"):
            continue
        assert set(leaf) == {"value", "standard_deviation"}, name
        assert isinstance(leaf["value"], float), name
        assert leaf["standard_deviation"] == "NaN" or leaf["standard_deviation"] >= 0, name
    json.dumps(family, allow_nan=False)


def test_sagemakers_example_of_two_classes() -> None:
    """The guide's, but for accuracy: its constant answer is 1 (0.25), the best by accuracy is 0 (0.75)."""
    family = quality_of(of_counts([[1, 2], [0, 1]], positive=1))
    assert set(family) == BINARY
    check_leaves(family)
    assert family["confusion_matrix"] == {"0": {"0": 1, "1": 2}, "1": {"0": 0, "1": 1}}
    values = values_of(family)
    del values["auc"]  # its scores are not given
    assert values == pytest.approx(
        {
            "recall": 1.0,
            "precision": 0.3333333333333333,
            "accuracy": 0.5,
            "recall_best_constant_classifier": 1.0,
            "precision_best_constant_classifier": 0.25,
            "accuracy_best_constant_classifier": 0.75,
            "true_positive_rate": 1.0,
            "true_negative_rate": 0.33333333333333337,
            "false_positive_rate": 0.6666666666666666,
            "false_negative_rate": 0.0,
            "f0_5": 0.3846153846153846,
            "f1": 0.5,
            "f2": 0.7142857142857143,
            "f0_5_best_constant_classifier": 0.29411764705882354,
            "f1_best_constant_classifier": 0.4,
            "f2_best_constant_classifier": 0.625,
        }
    )


def test_sagemakers_example_of_several_classes() -> None:
    """The guide's; its constant answer is the rarer class, ours is the best one."""
    family = quality_of(of_counts([[1180, 510], [268, 138]]))
    assert set(family) == MULTICLASS
    check_leaves(family)
    assert family["confusion_matrix"] == {"0": {"0": 1180, "1": 510}, "1": {"0": 268, "1": 138}}
    values = values_of(family)
    expected = {
        "accuracy": 0.6288167938931297,
        "weighted_recall": 0.6288167938931297,
        "weighted_precision": 0.6983172269629505,
        "weighted_f0_5": 0.6803947318178771,
        "weighted_f1": 0.6571162346664904,
        "weighted_f2": 0.6384024354394601,
        "accuracy_best_constant_classifier": 1 - 0.19370229007633588,
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected)


def test_the_positive_class_is_called_1_whichever_it_is() -> None:
    first = quality_of(of_counts([[7, 3], [1, 9]], positive=0))
    assert first["confusion_matrix"] == {"0": {"0": 9, "1": 1}, "1": {"0": 3, "1": 7}}
    assert first["recall"]["value"] == pytest.approx(0.7)
    assert first["false_positive_rate"]["value"] == pytest.approx(0.1)


def test_deviations_are_those_of_the_metric() -> None:
    """A rate of n samples varies by √(p(1 − p)/n)."""
    family = quality_of(of_counts([[70, 30], [20, 180]], positive=1))
    assert family["recall"]["standard_deviation"] == pytest.approx((0.9 * 0.1 / 200) ** 0.5, rel=0.1)
    assert family["false_positive_rate"]["standard_deviation"] == pytest.approx((0.3 * 0.7 / 100) ** 0.5, rel=0.1)


def test_what_has_no_value_is_left_out() -> None:
    family = quality_of(of_counts([[3, 0], [0, 0]], positive=1))
    assert {"recall", "precision", "auc", "precision_recall_curve"}.isdisjoint(family)
    assert family["accuracy"]["value"] == 1
    check_leaves(family)


def test_a_model_that_answers_labels_has_no_curves() -> None:
    found = replace(of_counts([[7, 3], [1, 9]], positive=1), labels_only=True)
    assert set(quality_of(found)) == BINARY - {
        "auc",
        "receiver_operating_characteristic_curve",
        "precision_recall_curve",
    }


def test_weighted_samples_weigh_in_every_number_but_the_confusion_matrix() -> None:
    """0 is right 7 of 10 times, 1 9 of 10 times; samples of 1 count three times."""
    found = of_counts([[7, 3], [1, 9]], positive=1)
    weighted = replace(found, weights=np.where(found.true == 1, 3.0, 1.0))
    family = quality_of(weighted)
    check_leaves(family)
    assert family["confusion_matrix"] == {"0": {"0": 7, "1": 3}, "1": {"0": 1, "1": 9}}
    values = values_of(family)
    assert values["precision"] == pytest.approx(27 / 30)
    assert values["accuracy"] == pytest.approx(34 / 40)
    assert values["accuracy_best_constant_classifier"] == pytest.approx(30 / 40)
    assert values["auc"] == pytest.approx((0.7 + 0.9) / 2)
    curve = family["precision_recall_curve"]
    assert curve["precisions"][curve["recalls"].index(pytest.approx(0.9))] == pytest.approx(27 / 30)


def test_curves_of_many_rows_stay_small_and_keep_their_ends() -> None:
    random = np.random.default_rng(0)
    true = random.integers(0, 2, 20_000)
    scores = (true + random.normal(size=20_000)) / 10 + 0.5
    found = Classified(true, (scores >= 0.55).astype(np.int64), np.stack([1 - scores, scores], axis=1), ("a", "b"), 1)
    family = quality_of(found)
    roc, curve = family["receiver_operating_characteristic_curve"], family["precision_recall_curve"]
    assert len(roc["false_positive_rates"]) == len(roc["true_positive_rates"]) <= CURVE_POINTS
    assert (roc["false_positive_rates"][0], roc["false_positive_rates"][-1]) == (0, 1)
    assert len(curve["precisions"]) == len(curve["recalls"]) <= CURVE_POINTS
    assert (curve["recalls"][0], curve["recalls"][-1]) == (0, 1)


def test_a_regression() -> None:
    true = np.random.default_rng(0).normal(size=50)
    family = regression_quality(regression.estimate(true, true + 1))["regression_metrics"]
    assert set(family) == {"mae", "mse", "rmse", "r2"}
    check_leaves(family)
    assert family["mae"]["value"] == pytest.approx(1)
    assert regression_quality(regression.estimate(true, true * np.nan)) == {"regression_metrics": {}}
