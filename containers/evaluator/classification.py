"""Metrics of classifiers: pure functions, each with its formula; how they get their intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import Metric
from assay.rates import wilson
from evaluator.intervals import Weights, bootstrap_interval, resample_confusion, resample_weights

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
OfWeights = Callable[[Weights], Array]
"""(resamples, samples) → (resamples,)"""

_OF_CLASS = ("precision", "recall", "f1")
_OF_SCORES = ("log_loss", "brier", "roc_auc")
_LOWER = frozenset({"log_loss", "brier"})
"""The metrics that are better when they are lower."""

SEED = 0
"""Of the resampling: the same data and scores give the same intervals."""


@dataclass(frozen=True)
class Classified:
    """What a classifier said."""

    true: NDArray[np.int64]
    """(samples,) class numbers"""
    predicted: NDArray[np.int64]
    """(samples,)"""
    probabilities: Array
    """(samples, K): the scores, one a class."""
    labels: tuple[str, ...]
    positive: int | None = None
    """Of two classes, the one that counts as positive."""

    @property
    def answered(self) -> NDArray[np.bool_]:
        """(samples,): whether all scores are numbers; else a predicted class means nothing."""
        return np.asarray(np.isfinite(self.probabilities).all(axis=1))

    @property
    def counts(self) -> Counts:
        """The confusion matrix (K, K): rows are true classes, columns predicted ones."""
        k = len(self.labels)
        return np.bincount(self.true * k + self.predicted, minlength=k * k).reshape(k, k).astype(np.int64)


def classify(scores: Array, threshold: float, positive: int) -> tuple[NDArray[np.int64], Array]:
    """From a model's scores to predicted classes and a score a class.

    Args:
        scores: (samples, outputs).
        threshold: for two classes, the positive class's probability from which it is predicted; two scores that are
            no probabilities are compared with each other.
        positive: the positive class's number; the one output of a model that has one is its score.

    Returns:
        predicted (samples,) and scores (samples, K).
    """
    alone = scores.shape[1] == 1
    if alone:
        both = np.empty((len(scores), 2))
        both[:, positive], both[:, 1 - positive] = scores[:, 0], 1 - scores[:, 0]
        scores = both
    if scores.shape[1] == 2 and (alone or are_probabilities(scores)):
        return np.where(scores[:, positive] >= threshold, positive, 1 - positive).astype(np.int64), scores
    return scores.argmax(axis=1).astype(np.int64), scores


def of_confusion(counts: Counts) -> dict[str, Array]:
    """Metrics that need no more than the confusion matrix, as scikit-learn defines them (zero_division=0).

    Args:
        counts: (…, K, K), rows are true classes.

    Returns:
        name → (…); a class that is neither in the labels nor predicted counts in no average. NaN: kappa and MCC of
        one single class.
    """
    of_class = per_class(counts)
    support, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    n = support.sum(axis=-1)
    right = np.trace(counts, axis1=-2, axis2=-1)
    result = {"accuracy": right / n, "balanced_accuracy": _mean(of_class["recall"], support > 0)}
    for name, values in of_class.items():
        result[f"{name}_macro"] = _mean(values, support + predicted > 0)
        result[f"{name}_weighted"] = (values * support).sum(axis=-1) / n
    by_chance = (support * predicted).sum(axis=-1)
    squares_true, squares_predicted = (support**2).sum(axis=-1), (predicted**2).sum(axis=-1)
    # Gorodkin 2004: the correlation of true and predicted classes
    spread = np.sqrt((n**2 - squares_predicted).astype(float)) * np.sqrt((n**2 - squares_true).astype(float))
    one_class = squares_true == n**2
    result["mcc"] = np.where(one_class, np.nan, divide(right * n - by_chance, spread))
    # Cohen 1960: agreement beyond chance
    result["kappa"] = np.where(one_class, np.nan, divide(right * n - by_chance, n**2 - by_chance))
    return result


def per_class(counts: Counts) -> dict[str, Array]:
    """Precision, recall and F1 of each class against all others: (…, K, K) → name → (…, K)."""
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    support, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    return {
        "precision": divide(right, predicted),
        "recall": divide(right, support),
        "f1": divide(2 * right, support + predicted),
    }


def log_losses(true: NDArray[np.int64], probabilities: Array) -> Array:
    """-log of the true class's probability, of each sample; kept finite as scikit-learn does, by the precision."""
    normalised = probabilities / probabilities.sum(axis=1, keepdims=True)
    own = normalised[np.arange(len(true)), true]
    eps = np.finfo(np.float64).eps
    losses: Array = -np.log(np.clip(own, eps, 1 - eps))
    return losses


def brier_scores(true: NDArray[np.int64], probabilities: Array) -> Array:
    """Squared distance between probabilities and truth, summed over the classes (Brier 1950), of each sample."""
    truth = np.zeros_like(probabilities)
    truth[np.arange(len(true)), true] = 1
    scores: Array = ((probabilities - truth) ** 2).sum(axis=1)
    return scores


class AreaUnderCurve:
    """The area under the ROC curve of weighted samples, for many weightings at once.

    It is the chance that a sample of the class scores higher than one that is not, ties counting half.

    Args:
        is_class: (samples,)
        scores: (samples,)
    """

    def __init__(self, is_class: NDArray[np.bool_], scores: Array) -> None:
        self._inside = np.flatnonzero(is_class)
        outside = np.flatnonzero(~is_class)
        self._outside = outside[np.argsort(scores[outside], kind="stable")]
        ordered = scores[self._outside]
        self._below = np.searchsorted(ordered, scores[self._inside], side="left")
        self._up_to = np.searchsorted(ordered, scores[self._inside], side="right")

    def __call__(self, weights: Weights) -> Array:
        """(resamples, samples) → (resamples,); NaN where a resample has one of the two kinds only."""
        inside = np.take(weights, self._inside, axis=1)
        outside = np.zeros((len(weights), len(self._outside) + 1), dtype=np.int64)
        np.cumsum(np.take(weights, self._outside, axis=1), axis=1, out=outside[:, 1:])
        higher = (np.take(outside, self._below, axis=1) + np.take(outside, self._up_to, axis=1)) / 2
        return divide((inside * higher).sum(axis=1), inside.sum(axis=1) * outside[:, -1], otherwise=np.nan)


def are_probabilities(scores: Array) -> bool:
    """Whether rows are probabilities: between 0 and 1, adding up to 1, within a float16's precision."""
    # float16 misses a sum of 1 by about 1e-3; NaN fails every comparison
    return bool((scores >= -1e-6).all() and (scores <= 1 + 1e-6).all() and np.abs(scores.sum(axis=1) - 1).max() < 1e-2)


def measure(found: Classified) -> tuple[dict[str, Metric], dict[str, dict[str, Metric]]]:
    """All metrics with 95 % intervals: those of all samples, and name → class → metric.

    Of two classes, the positive one's precision, recall and F1 are also those of all samples. Where scores are no
    numbers nothing is measured: the classes of those samples would be made up.
    """
    broken = int((~found.answered).sum())
    if broken:
        return _unmeasured(found, f"the scores of {broken} of {len(found.true)} samples are NaN or infinite")
    rng = np.random.default_rng(SEED)
    counts, n = found.counts, len(found.true)
    resampled = resample_confusion(counts, rng)
    resampled_metrics = of_confusion(resampled)
    metrics = {
        name: _metric(float(value), resampled_metrics[name], n, best=1.0)
        for name, value in of_confusion(counts).items()
    }
    metrics["accuracy"] = _rate(int(np.trace(counts)), n, "")
    metrics |= _of_scores(found, rng)
    classes = _of_classes(found, counts, resampled)
    if found.positive is not None:
        metrics |= {name: classes[name][found.labels[found.positive]] for name in _OF_CLASS}
    metrics["accuracy_best_constant"] = Metric(value=float(counts.sum(axis=1).max() / n), n=n)
    return metrics, classes


def _unmeasured(found: Classified, reason: str) -> tuple[dict[str, Metric], dict[str, dict[str, Metric]]]:
    none = Metric(reason=reason, n=len(found.true))
    names = [*of_confusion(found.counts), *_OF_SCORES, *(_OF_CLASS if found.positive is not None else ())]
    metrics = {name: none.model_copy(update={"higher_is_better": name not in _LOWER}) for name in names}
    metrics["accuracy_best_constant"] = none
    better = none.model_copy(update={"higher_is_better": True})
    return metrics, {name: dict.fromkeys(found.labels, better) for name in _OF_CLASS}


def _of_classes(found: Classified, counts: Counts, resampled: Counts) -> dict[str, dict[str, Metric]]:
    f1, resampled_f1 = per_class(counts)["f1"], per_class(resampled)["f1"]
    result: dict[str, dict[str, Metric]] = {"precision": {}, "recall": {}, "f1": {}}
    for index, label in enumerate(found.labels):
        right, support, predicted = (
            int(x) for x in (counts[index, index], counts[index].sum(), counts[:, index].sum())
        )
        result["precision"][label] = _rate(right, predicted, "never predicted")
        result["recall"][label] = _rate(right, support, "no sample of this class")
        if support:
            result["f1"][label] = _metric(float(f1[index]), resampled_f1[:, index], support, best=1.0)
        else:
            result["f1"][label] = Metric(reason="no sample of this class", n=0, higher_is_better=True)
    return result


def _of_scores(found: Classified, rng: np.random.Generator) -> dict[str, Metric]:
    """The metrics that need scores: each is a function of weights, so one pass over resampled weights serves all."""
    n = len(found.true)
    functions: dict[str, OfWeights] = {}
    missing: dict[str, str] = {}
    if are_probabilities(found.probabilities):
        losses = log_losses(found.true, found.probabilities)
        squares = brier_scores(found.true, found.probabilities)
        functions |= {
            "log_loss": lambda weights: weights @ losses / n,
            "brier": lambda weights: weights @ squares / n,
        }
    else:
        missing = dict.fromkeys(("log_loss", "brier"), "the scores are not probabilities that add up to 1")
    if len(np.unique(found.true)) > 1:
        functions["roc_auc"] = _roc_auc_macro(found)
    else:
        missing["roc_auc"] = "only one class in the labels"
    resampled = _resampled(functions, resample_weights(found.true, rng)) if functions else {}
    result = {name: Metric(reason=why, n=n, higher_is_better=name not in _LOWER) for name, why in missing.items()}
    for name, function in functions.items():
        lower = name in _LOWER
        value = float(function(np.ones((1, n), dtype=np.int32))[0])
        result[name] = _metric(value, resampled[name], n, higher_is_better=not lower, best=None if lower else 1.0)
    return result


def _resampled(functions: Mapping[str, OfWeights], portions: Iterable[Weights]) -> dict[str, Array]:
    parts: dict[str, list[Array]] = {name: [] for name in functions}
    for weights in portions:
        for name, function in functions.items():
            parts[name].append(function(weights))
    return {name: np.concatenate(values) for name, values in parts.items()}


def _roc_auc_macro(found: Classified) -> OfWeights:
    """One class against all others, the mean over the classes that there are; of two that of the positive."""
    classes = list(np.unique(found.true)) if found.positive is None else [found.positive]
    areas = [AreaUnderCurve(found.true == c, found.probabilities[:, c]) for c in classes]

    def mean(weights: Weights) -> Array:
        return np.asarray(np.mean([area(weights) for area in areas], axis=0))

    return mean


def _rate(right: int, n: int, none: str) -> Metric:
    """A plain rate; `none` says why there is none when n is 0."""
    if not n:
        return Metric(reason=none, n=0, higher_is_better=True)
    low, high = wilson(right, n)
    return Metric(value=right / n, low=low, high=high, n=n, higher_is_better=True)


def _metric(
    value: float, resampled: Array, n: int, *, higher_is_better: bool = True, best: float | None = None
) -> Metric:
    if not np.isfinite(value):
        return Metric(reason="only one class in the labels", n=n, higher_is_better=higher_is_better)
    low, high = bootstrap_interval(value, resampled, n, best) or (None, None)
    return Metric(value=value, low=low, high=high, n=n, higher_is_better=higher_is_better)


def _mean(values: Array, where: NDArray[np.bool_]) -> Array:
    return divide((values * where).sum(axis=-1), where.sum(axis=-1))


def divide(a: NDArray[np.generic], b: NDArray[np.generic], otherwise: float = 0.0) -> Array:
    """a / b, and `otherwise` where b is 0."""
    top, bottom = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    shape = np.broadcast_shapes(top.shape, bottom.shape)
    result: Array = np.divide(top, bottom, out=np.full(shape, otherwise), where=bottom != 0)
    return result
