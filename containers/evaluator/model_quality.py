"""`evaluation.json`: SageMaker's model-quality shape, which Model Registry, Studio and model cards read.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-metrics.html

A leaf is `{"value": …, "standard_deviation": …}`; what has no value is left out. A deviation is that of the bootstrap
(SageMaker's own is that of five random parts of the data), or the text `NaN` where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.classification import Classified, Estimates
from evaluator.intervals import Estimate, divide
from evaluator.tally import Tally, f_beta, of_all

Array = NDArray[np.float64]
Json = dict[str, Any]
OfTally = Callable[[Tally], Array]
"""A metric of many tallies at once, (…); NaN where it is not defined."""

CURVE_POINTS = 1000
"""Of a curve at most: the file is read by screens, and a million rows would make it 100 MB."""


def regression(estimates: Mapping[str, Estimate]) -> Json:
    """The family of a regression."""
    return {
        "regression_metrics": _known({name: _of_estimate(estimates[name]) for name in ("mae", "mse", "rmse", "r2")})
    }


def classification(found: Classified, estimates: Estimates) -> Json:
    """The family of two classes or of several; empty where nothing could be measured.

    The confusion matrix counts samples; every other number is weighted where the samples are.
    """
    family = "multiclass_classification_metrics" if found.positive is None else "binary_classification_metrics"
    if estimates.tally is None or estimates.resampled is None:
        return {family: {}}
    if found.positive is None:
        return {family: _multiclass(found, estimates.tally, estimates.resampled)}
    auc = _of_estimate(estimates.metrics["roc_auc"])
    return {family: _binary(found, found.positive, estimates.tally, estimates.resampled, auc)}


def detection(of_all: Mapping[str, Estimate], of_class: Mapping[str, Mapping[str, Estimate]]) -> Json:
    """SageMaker has no family for detectors: ours, `object_detection_metrics`, has its leaves.

    COCO's numbers, precision, recall and F1 of all classes under their names, average precision also a class.
    """
    classes = {
        name: _known({label: _of_estimate(estimate) for label, estimate in of_class[name].items()})
        for name in ("ap", "ap50", "ap75")
    }
    return {
        "object_detection_metrics": _known({name: _of_estimate(estimate) for name, estimate in of_all.items()})
        | classes
    }


def _multiclass(found: Classified, tally: Tally, resampled: Tally) -> Json:
    """Averages weighted by the classes' sizes; `precision`, `recall` and `f1`, which SageMaker has not, are macro."""

    def named(name: str) -> OfTally:
        return lambda tally: of_all(tally)[name]

    def weighted_f(beta: float) -> OfTally:
        return lambda tally: divide((f_beta(tally, beta) * tally.true).sum(axis=0), tally.true.sum(axis=0))

    weighted: dict[str, OfTally] = {
        "accuracy": named("accuracy"),
        "weighted_recall": named("recall_weighted"),
        "weighted_precision": named("precision_weighted"),
        "weighted_f0_5": weighted_f(0.5),
        "weighted_f1": weighted_f(1.0),
        "weighted_f2": weighted_f(2.0),
    }
    macro = {name: named(f"{name}_macro") for name in ("precision", "recall", "f1")}
    return (
        {"confusion_matrix": _matrix(found.counts, found.labels)}
        | _leaves(weighted | macro, tally, resampled)
        | _best_constant(weighted, tally)
    )


def _binary(found: Classified, positive: int, tally: Tally, resampled: Tally, auc: Json | None) -> Json:
    def right(number: int) -> OfTally:
        """Of the samples of a class, those that were predicted so."""
        return lambda tally: divide(tally.right[number], tally.true[number], otherwise=np.nan)

    def wrong(number: int) -> OfTally:
        return lambda tally: divide(tally.true[number] - tally.right[number], tally.true[number], otherwise=np.nan)

    def f(beta: float) -> OfTally:
        return lambda tally: f_beta(tally, beta)[positive]

    negative = 1 - positive
    compared: dict[str, OfTally] = {
        "recall": right(positive),
        "precision": lambda tally: divide(tally.right[positive], tally.predicted[positive], otherwise=np.nan),
        "accuracy": lambda tally: of_all(tally)["accuracy"],
        "f0_5": f(0.5),
        "f1": f(1.0),
        "f2": f(2.0),
    }
    rates = {
        "true_positive_rate": right(positive),
        "true_negative_rate": right(negative),
        "false_positive_rate": wrong(negative),
        "false_negative_rate": wrong(positive),
    }
    order = [negative, positive]  # SageMaker calls the two classes 0 and 1, 1 being the positive one
    return (
        {"confusion_matrix": _matrix(found.counts[np.ix_(order, order)], ("0", "1"))}
        | _leaves(compared | rates, tally, resampled)
        | _known({"auc": auc})
        | ({} if found.labels_only else _curves(found, positive))
        | _best_constant(compared, tally)
    )


def _curves(found: Classified, positive: int) -> Json:
    """By scikit-learn; none of one class alone, or of a model without scores."""
    if found.labels_only:
        return {}
    from sklearn.metrics import precision_recall_curve, roc_curve  # half a second

    is_positive, scores, weights = found.true == positive, found.probabilities[:, positive], found.weights
    counts = np.ones(len(scores)) if weights is None else weights
    if not counts[is_positive].any() or not counts[~is_positive].any():
        return {}
    false_positive, true_positive, _ = roc_curve(is_positive, scores, sample_weight=weights)
    precision, recall, _ = precision_recall_curve(is_positive, scores, sample_weight=weights, drop_intermediate=True)
    return {
        "receiver_operating_characteristic_curve": {
            "false_positive_rates": _thinned(false_positive),
            "true_positive_rates": _thinned(true_positive),
        },
        # from scikit-learn's last threshold to its first, so that recalls rise as SageMaker's do
        "precision_recall_curve": {"precisions": _thinned(precision[::-1]), "recalls": _thinned(recall[::-1])},
    }


def _thinned(curve: Array) -> list[float]:
    """At most CURVE_POINTS of its points, the ends among them."""
    places = np.linspace(0, len(curve) - 1, min(len(curve), CURVE_POINTS)).round().astype(np.intp)
    points: list[float] = curve[places].tolist()
    return points


def _leaves(functions: Mapping[str, OfTally], tally: Tally, resampled: Tally) -> Json:
    return _known(
        {
            name: _of_estimate(Estimate(float(function(tally)[0]), 0, function(resampled)))
            for name, function in functions.items()
        }
    )


def _best_constant(functions: Mapping[str, OfTally], tally: Tally) -> Json:
    """What the best classifier that always gives the same answer would reach, by each metric."""
    sizes = tally.true[:, 0]
    constant = Tally(np.diag(sizes), np.repeat(tally.true, len(sizes), axis=1), np.eye(len(sizes)) * sizes.sum())
    leaves = {}
    for name, function in functions.items():
        values = function(constant)
        values = values[np.isfinite(values)]
        leaves[f"{name}_best_constant_classifier"] = _leaf(float(values.max()), None) if len(values) else None
    return _known(leaves)


def _of_estimate(estimate: Estimate) -> Json | None:
    return _leaf(estimate.value, estimate.deviation)


def _leaf(value: float, deviation: float | None) -> Json | None:
    if not np.isfinite(value):
        return None
    return {"value": value, "standard_deviation": "NaN" if deviation is None else deviation}


def _known(leaves: Mapping[str, Json | None]) -> Json:
    return {name: leaf for name, leaf in leaves.items() if leaf is not None}


def _matrix(counts: NDArray[np.int64], labels: tuple[str, ...]) -> dict[str, dict[str, int]]:
    return {true: {predicted: int(counts[t, p]) for p, predicted in enumerate(labels)} for t, true in enumerate(labels)}
