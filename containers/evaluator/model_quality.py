"""`evaluation.json`: SageMaker's model-quality shape, which Model Registry, Studio and model cards read.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-metrics.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from assay.evaluation import Metric
from evaluator.classification import Classified, Counts
from evaluator.intervals import Z95

Json = dict[str, Any]


def leaf(metric: Metric) -> Json | None:
    """A value with its standard deviation, as half of the interval over 1.96; None when there is no value."""
    if metric.value is None:
        return None
    if metric.low is None or metric.high is None:
        return {"value": metric.value, "standard_deviation": "NaN"}
    return {"value": metric.value, "standard_deviation": (metric.high - metric.low) / (2 * Z95)}


def regression(metrics: Mapping[str, Metric]) -> Json:
    found = {name: leaf(metrics[name]) for name in ("mae", "mse", "rmse", "r2")}
    return {"regression_metrics": {name: value for name, value in found.items() if value is not None}}


def classification(
    found: Classified, metrics: Mapping[str, Metric], per_class: Mapping[str, Mapping[str, Metric]]
) -> Json:
    """The family of two classes or of several; empty where the scores are no numbers."""
    answered = bool(found.answered.all())
    if found.positive is None:
        return {"multiclass_classification_metrics": _multiclass(found, metrics) if answered else {}}
    family = _binary(found, metrics, per_class, found.positive) if answered else {}
    return {"binary_classification_metrics": family}


def _multiclass(found: Classified, metrics: Mapping[str, Metric]) -> Json:
    counts, labels = found.counts, found.labels
    constant = np.zeros_like(counts)
    constant[:, counts.sum(axis=1).argmax()] = counts.sum(axis=1)
    names = {
        "accuracy": "accuracy",
        "weighted_recall": "recall_weighted",
        "weighted_precision": "precision_weighted",
        "weighted_f1": "f1_weighted",
        "precision": "precision_macro",
        "recall": "recall_macro",
        "f1": "f1_macro",
    }
    result: Json = {"confusion_matrix": _matrix(counts, labels)}
    result |= {name: leaf(metrics[ours]) for name, ours in names.items()}
    for beta, name in ((0.5, "f0_5"), (2.0, "f2")):
        result[f"weighted_{name}"] = _bare(_weighted(counts, beta))
    result["accuracy_best_constant_classifier"] = _bare(float(np.trace(constant) / counts.sum()))
    for beta, name in ((0.5, "f0_5"), (1.0, "f1"), (2.0, "f2")):
        result[f"weighted_{name}_best_constant_classifier"] = _bare(_weighted(constant, beta))
    result["weighted_recall_best_constant_classifier"] = _bare(_weighted_rate(constant, axis=1))
    result["weighted_precision_best_constant_classifier"] = _bare(_weighted_rate(constant, axis=0))
    return result


def _binary(
    found: Classified, metrics: Mapping[str, Metric], per_class: Mapping[str, Mapping[str, Metric]], positive: int
) -> Json:
    counts, label = found.counts, found.labels[positive]
    other = found.labels[1 - positive]
    constant = np.zeros_like(counts)
    constant[:, counts.sum(axis=1).argmax()] = counts.sum(axis=1)
    recall, specificity = per_class["recall"][label], per_class["recall"][other]
    leaves: dict[str, Json | None] = {
        "recall": leaf(recall),
        "precision": leaf(per_class["precision"][label]),
        "accuracy": leaf(metrics["accuracy"]),
        "true_positive_rate": leaf(recall),
        "true_negative_rate": leaf(specificity),
        "false_positive_rate": _complement(leaf(specificity)),
        "false_negative_rate": _complement(leaf(recall)),
        "auc": leaf(metrics["roc_auc"]),
        "f1": leaf(per_class["f1"][label]),
    }
    for beta, name in ((0.5, "f0_5"), (2.0, "f2")):
        leaves[name] = _bare(_f(counts, positive, beta))
    leaves["accuracy_best_constant_classifier"] = _bare(float(np.trace(constant) / counts.sum()))
    for beta, name in ((0.5, "f0_5"), (1.0, "f1"), (2.0, "f2")):
        leaves[f"{name}_best_constant_classifier"] = _bare(_f(constant, positive, beta))
    # SageMaker's labels of two classes are 0 and 1, the positive one
    order = [1 - positive, positive]
    result: Json = {"confusion_matrix": _matrix(counts[np.ix_(order, order)], ("0", "1"))}
    result |= {name: value for name, value in leaves.items() if value is not None}
    if len(np.unique(found.true)) == 2:
        result |= _curves(found, positive)
    return result


def _curves(found: Classified, positive: int) -> Json:
    from sklearn.metrics import precision_recall_curve, roc_curve  # half a second

    is_positive, scores = found.true == positive, found.probabilities[:, positive]
    false_positive, true_positive, _ = roc_curve(is_positive, scores)
    precision, recall, _ = precision_recall_curve(is_positive, scores)
    return {
        "receiver_operating_characteristic_curve": {
            "false_positive_rates": false_positive.tolist(),
            "true_positive_rates": true_positive.tolist(),
        },
        "precision_recall_curve": {"precisions": precision.tolist(), "recalls": recall.tolist()},
    }


def _matrix(counts: Counts, labels: tuple[str, ...]) -> dict[str, dict[str, int]]:
    return {true: {predicted: int(counts[t, p]) for p, predicted in enumerate(labels)} for t, true in enumerate(labels)}


def _bare(value: float) -> Json:
    return {"value": value, "standard_deviation": "NaN"}


def _complement(rate: Json | None) -> Json | None:
    return None if rate is None else {**rate, "value": 1 - rate["value"]}


def _f(counts: Counts, of: int, beta: float) -> float:
    """F-beta of one class: (1 + β²) tp / ((1 + β²) tp + β² fn + fp)."""
    right = int(counts[of, of])
    missed, wrong = int(counts[of].sum()) - right, int(counts[:, of].sum()) - right
    below = (1 + beta**2) * right + beta**2 * missed + wrong
    return (1 + beta**2) * right / below if below else 0.0


def _weighted(counts: Counts, beta: float) -> float:
    support = counts.sum(axis=1)
    return float(sum(_f(counts, of, beta) * support[of] for of in range(len(counts))) / support.sum())


def _weighted_rate(counts: Counts, axis: int) -> float:
    """Recall (axis 1) or precision (axis 0), averaged over the classes by their size."""
    right, sizes, support = np.diagonal(counts), counts.sum(axis=axis), counts.sum(axis=1)
    rates = np.divide(right, sizes, out=np.zeros(len(counts)), where=sizes > 0)
    return float((rates * support).sum() / support.sum())
