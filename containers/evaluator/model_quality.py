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

from assay.evaluation import Metric
from assay.rates import Z95
from evaluator.classification import SEED, Classified, Counts, divide, of_confusion
from evaluator.intervals import resample_confusion

Json = dict[str, Any]
OfCounts = Callable[[Counts], NDArray[np.float64]]
"""(…, K, K) → (…): a metric of many confusion matrices at once; NaN where it is not defined."""

CURVE_POINTS = 1000
"""Of a curve at most: the file is read by screens, and a million rows would make it 100 MB."""


def regression(metrics: Mapping[str, Metric]) -> Json:
    """The family of a regression."""
    found = {name: _of_metric(metrics[name]) for name in ("mae", "mse", "rmse", "r2")}
    return {"regression_metrics": _known(found)}


def classification(found: Classified, metrics: Mapping[str, Metric]) -> Json:
    """The family of two classes or of several; empty where the scores are no numbers."""
    answered = bool(found.answered.all())
    if found.positive is None:
        return {"multiclass_classification_metrics": _multiclass(found) if answered else {}}
    return {"binary_classification_metrics": _binary(found, found.positive, metrics["roc_auc"]) if answered else {}}


def _multiclass(found: Classified) -> Json:
    """Averages weighted by the classes' sizes; `precision`, `recall` and `f1`, which SageMaker has not, are macro."""
    weighted: dict[str, OfCounts] = {
        "accuracy": lambda counts: of_confusion(counts)["accuracy"],
        "weighted_recall": lambda counts: of_confusion(counts)["recall_weighted"],
        "weighted_precision": lambda counts: of_confusion(counts)["precision_weighted"],
        "weighted_f0_5": lambda counts: _weighted(_f(counts, 0.5), counts),
        "weighted_f1": lambda counts: of_confusion(counts)["f1_weighted"],
        "weighted_f2": lambda counts: _weighted(_f(counts, 2.0), counts),
    }
    macro: dict[str, OfCounts] = {
        "precision": lambda counts: of_confusion(counts)["precision_macro"],
        "recall": lambda counts: of_confusion(counts)["recall_macro"],
        "f1": lambda counts: of_confusion(counts)["f1_macro"],
    }
    return (
        {"confusion_matrix": _matrix(found.counts, found.labels)}
        | _leaves(weighted | macro, found.counts)
        | _best_constant(weighted, found.counts)
    )


def _binary(found: Classified, positive: int, auc: Metric) -> Json:
    def share(counts: Counts, true: int, predicted: int) -> NDArray[np.float64]:
        """Of the samples of a class, those that were predicted as a class."""
        return divide(counts[..., true, predicted], counts[..., true, :].sum(axis=-1), otherwise=np.nan)

    def precision(counts: Counts) -> NDArray[np.float64]:
        return divide(counts[..., positive, positive], counts[..., :, positive].sum(axis=-1), otherwise=np.nan)

    negative = 1 - positive
    compared: dict[str, OfCounts] = {
        "recall": lambda counts: share(counts, positive, positive),
        "precision": precision,
        "accuracy": lambda counts: of_confusion(counts)["accuracy"],
        "f0_5": lambda counts: _f(counts, 0.5)[..., positive],
        "f1": lambda counts: _f(counts, 1.0)[..., positive],
        "f2": lambda counts: _f(counts, 2.0)[..., positive],
    }
    rates: dict[str, OfCounts] = {
        "true_positive_rate": lambda counts: share(counts, positive, positive),
        "true_negative_rate": lambda counts: share(counts, negative, negative),
        "false_positive_rate": lambda counts: share(counts, negative, positive),
        "false_negative_rate": lambda counts: share(counts, positive, negative),
    }
    order = [negative, positive]  # SageMaker calls the two classes 0 and 1, 1 being the positive one
    return (
        {"confusion_matrix": _matrix(found.counts[np.ix_(order, order)], ("0", "1"))}
        | _leaves(compared | rates, found.counts)
        | _known({"auc": _of_metric(auc)})
        | _curves(found, positive)
        | _best_constant(compared, found.counts)
    )


def _curves(found: Classified, positive: int) -> Json:
    """By scikit-learn; none of one class alone."""
    from sklearn.metrics import precision_recall_curve, roc_curve  # half a second

    is_positive, scores = found.true == positive, found.probabilities[:, positive]
    if is_positive.all() or not is_positive.any():
        return {}
    false_positive, true_positive, _ = roc_curve(is_positive, scores)
    precision, recall, _ = precision_recall_curve(is_positive, scores, drop_intermediate=True)
    return {
        "receiver_operating_characteristic_curve": {
            "false_positive_rates": _thinned(false_positive),
            "true_positive_rates": _thinned(true_positive),
        },
        # from scikit-learn's last threshold to its first, so that recalls rise as SageMaker's do
        "precision_recall_curve": {"precisions": _thinned(precision[::-1]), "recalls": _thinned(recall[::-1])},
    }


def _thinned(curve: NDArray[np.float64]) -> list[float]:
    """At most CURVE_POINTS of its points, the ends among them."""
    places = np.linspace(0, len(curve) - 1, min(len(curve), CURVE_POINTS)).round().astype(np.intp)
    points: list[float] = curve[places].tolist()
    return points


def _leaves(functions: Mapping[str, OfCounts], counts: Counts) -> Json:
    resampled = resample_confusion(counts, np.random.default_rng(SEED))
    leaves = {}
    for name, function in functions.items():
        varied = function(resampled)
        varied = varied[np.isfinite(varied)]
        leaves[name] = _leaf(float(function(counts)), float(np.std(varied, ddof=1)) if len(varied) > 1 else None)
    return _known(leaves)


def _best_constant(functions: Mapping[str, OfCounts], counts: Counts) -> Json:
    """What the best classifier that always gives the same answer would reach, by each metric."""
    constant = np.zeros((len(counts), *counts.shape), dtype=np.int64)
    for answer in range(len(counts)):
        constant[answer, :, answer] = counts.sum(axis=1)
    leaves = {}
    for name, function in functions.items():
        values = function(constant)
        values = values[np.isfinite(values)]
        leaves[f"{name}_best_constant_classifier"] = _leaf(float(values.max()), None) if len(values) else None
    return _known(leaves)


def _of_metric(metric: Metric) -> Json | None:
    """A leaf whose deviation is that of a normal distribution with this interval."""
    if metric.value is None:
        return None
    if metric.low is None or metric.high is None:
        return _leaf(metric.value, None)
    return _leaf(metric.value, (metric.high - metric.low) / (2 * Z95))


def _leaf(value: float, deviation: float | None) -> Json | None:
    if not np.isfinite(value):
        return None
    return {"value": value, "standard_deviation": "NaN" if deviation is None else deviation}


def _known(leaves: Mapping[str, Json | None]) -> Json:
    return {name: leaf for name, leaf in leaves.items() if leaf is not None}


def _matrix(counts: Counts, labels: tuple[str, ...]) -> dict[str, dict[str, int]]:
    return {true: {predicted: int(counts[t, p]) for p, predicted in enumerate(labels)} for t, true in enumerate(labels)}


def _f(counts: Counts, beta: float) -> NDArray[np.float64]:
    """F-beta of each class, (…, K, K) → (…, K): (1 + β²) tp / (β² true + predicted); 0 of a class that is neither."""
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    return divide((1 + beta**2) * right, beta**2 * counts.sum(axis=-1) + counts.sum(axis=-2))


def _weighted(of_class: NDArray[np.float64], counts: Counts) -> NDArray[np.float64]:
    """The mean over the classes by their sizes."""
    support = counts.sum(axis=-1)
    return divide((of_class * support).sum(axis=-1), support.sum(axis=-1))
