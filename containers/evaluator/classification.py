"""Metrics of classifiers, weighted where the rows are; how they get their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import Metric
from evaluator.calibration import BINS, bins_of, calibration_error, largest_excess
from evaluator.intervals import RESAMPLES, ROWS, Estimate, Resamples, divide, effective_sizes
from evaluator.ranking import OneVsRest, top_k_hits
from evaluator.sums import Sums
from evaluator.tally import Tally, of_all, of_each

Array = NDArray[np.float64]
Places = NDArray[np.int64]
Counts = NDArray[np.int64]

TOP = (3, 5)
_CELLS = 20_000_000
"""Scores that are resampled at most, rows × classes: they take about a minute."""
_LOWER = frozenset({"log_loss", "brier", "ece"})
"""The metrics that are better when they are lower."""
_NOT_FROM_0_TO_1 = frozenset({"log_loss", "brier"})
_NO_SCORES = "the model answers labels, not scores"
_NO_PROBABILITIES = "the scores are not probabilities that add up to 1"


@dataclass(frozen=True)
class Classified:
    """What a classifier said."""

    true: Places
    """(samples,) class numbers"""
    predicted: Places
    """(samples,)"""
    probabilities: Array
    """(samples, K): the scores, one a class."""
    labels: tuple[str, ...]
    positive: int | None = None
    """Of two classes, the one that counts as positive."""
    weights: Array | None = None
    """(samples,) how much each counts; None: all the same."""
    labels_only: bool = False
    """The model answers a class and no scores: it has 1, the others 0."""

    @property
    def answered(self) -> NDArray[np.bool_]:
        """(samples,): whether all scores are numbers; else a predicted class means nothing."""
        return np.asarray(np.isfinite(self.probabilities).all(axis=1))

    @property
    def counts(self) -> Counts:
        """The confusion matrix (K, K): rows are true classes, columns predicted ones. It counts samples, unweighted."""
        k = len(self.labels)
        return np.bincount(self.true * k + self.predicted, minlength=k * k).reshape(k, k).astype(np.int64)

    @property
    def right(self) -> NDArray[np.bool_]:
        """(samples,)"""
        return np.asarray(self.true == self.predicted)

    @property
    def confidence(self) -> Array:
        """(samples,) the predicted class's score"""
        return self.probabilities[np.arange(len(self.true)), self.predicted]

    def part(self, places: Places | NDArray[np.bool_]) -> Classified:
        """Some of the samples: a slice, which is measured as the whole is."""
        weights = None if self.weights is None else self.weights[places]
        return replace(
            self,
            true=self.true[places],
            predicted=self.predicted[places],
            probabilities=self.probabilities[places],
            weights=weights,
        )


@dataclass(frozen=True)
class Estimates:
    """Every metric, and what each of 1,000 resamples would have made of it.

    The resamples depend on the true classes alone, row by row: of two models on the same rows, in the same order,
    resample i has the same rows, so `evaluator.intervals.difference` of two estimates is the paired bootstrap.
    """

    metrics: dict[str, Estimate]
    per_class: dict[str, dict[str, Estimate]]
    """Metric → class → estimate."""
    tally: Tally | None = None
    """(K, 1) each; None where nothing could be measured."""
    resampled: Tally | None = None
    """(K, RESAMPLES) each"""

    def measured(self) -> tuple[dict[str, Metric], dict[str, dict[str, Metric]]]:
        """With their intervals, for the report."""
        return (
            {name: estimate.metric() for name, estimate in self.metrics.items()},
            {name: {of: each.metric() for of, each in classes.items()} for name, classes in self.per_class.items()},
        )


def measure(found: Classified, most: int = ROWS) -> tuple[dict[str, Metric], dict[str, dict[str, Metric]]]:
    """All metrics with 95 % intervals: those of all samples, and name → class → metric."""
    return estimate(found, most).measured()


def estimate(found: Classified, most: int = ROWS) -> Estimates:
    """All metrics: those of all samples, and name → class.

    Of two classes, the positive one's are also those of all samples. Where scores are no numbers nothing is measured:
    the classes of those samples would be made up.

    Args:
        found: the samples, or a part of them.
        most: of more rows, the spread is measured on so many (`Resamples`): fewer are faster, for many slices.
    """
    reason = _problem(found)
    if reason:
        return _unmeasured(found, reason)
    if found.weights is not None and not (found.weights > 0).all():
        found = found.part(found.weights > 0)
    probabilities = are_probabilities(found.probabilities)
    once = _Rows(found, probabilities)
    value = once(None)
    resamples = Resamples(found.true, min(most, max(_CELLS // len(found.labels), 1)))
    rows = _Rows(found.part(resamples.rows), probabilities, None if once.bins is None else once.bins[resamples.rows])
    if resamples.vary:
        portions = [rows(times) for times in resamples]
        varied = {name: np.concatenate([portion[name] for portion in portions], axis=-1) for name in value}
    else:
        varied = {name: np.full((len(sums), RESAMPLES), np.nan) for name, sums in value.items()}
    # the part's own value: its resamples lie about that, not about the value of all rows
    middle = value if resamples.whole else rows(resamples.stands_for[:, None])
    made = _estimates(found, once.excess, value, middle, varied)
    return _without_scores(found, made) if found.labels_only else made


def _problem(found: Classified) -> str:
    """Why nothing can be measured, if so."""
    if not len(found.true):
        return "no samples"
    broken = int((~found.answered).sum())
    if broken:
        return f"the scores of {broken} of {len(found.true)} samples are NaN or infinite"
    if found.weights is not None:
        if not (np.isfinite(found.weights) & (found.weights >= 0)).all():
            return "a weight is negative, NaN or infinite"
        if not found.weights.any():
            return "all weights are 0"
    return ""


class _Rows:
    """The rows' contributions to every metric: functions of how often each row counts."""

    def __init__(self, found: Classified, probabilities: bool, bins: Places | None = None) -> None:
        self._found = found
        k, weights = len(found.labels), _weights(found)
        self._weights = weights
        self._sums = {
            "true": Sums(found.true, k, weights),
            "predicted": Sums(found.predicted, k, weights),
            "right": Sums(found.true, k, weights * found.right),
        }
        everything = np.zeros(len(weights), dtype=np.int64)
        for top in _tops(found):
            hits = top_k_hits(found.true, found.probabilities, top)
            self._sums[f"top_{top}_accuracy"] = Sums(everything, 1, weights * hits)
        self.bins: Places | None = None
        self.excess = 0.0
        if probabilities:
            losses = log_losses(found.true, found.probabilities)
            squares = brier_scores(found.true, found.probabilities)
            gaps = found.right - found.confidence
            self.bins = bins_of(found.confidence, weights) if bins is None else bins
            self.excess = largest_excess(self.bins, found.confidence, weights)
            self._sums["log_loss"] = Sums(everything, 1, weights * losses)
            self._sums["brier"] = Sums(everything, 1, weights * squares)
            self._sums["ece"] = Sums(self.bins, BINS, weights * gaps)

    def __call__(self, times: Array | None) -> dict[str, Array]:
        """times: (rows, weightings), None: each once. Name → (K, weightings) or (1, weightings)."""
        sums = {name: of_rows(times) for name, of_rows in self._sums.items()}
        total = sums["true"].sum(axis=0)
        for name in sums.keys() - {"true", "predicted", "right", "ece"}:
            sums[name] = sums[name] / total
        if "ece" in sums:
            sums["ece"] = calibration_error(sums["ece"], total)[None]
        curves = [curve(times) for curve in (self._curves() if times is None else self._kept_curves)]
        sums["roc_auc"], sums["pr_auc"] = (np.stack(areas) for areas in zip(*curves, strict=True))
        return sums

    @cached_property
    def _kept_curves(self) -> list[OneVsRest]:
        """For many weightings; of millions of rows they would take too much memory."""
        return list(self._curves())

    def _curves(self) -> Iterator[OneVsRest]:
        for number in range(len(self._found.labels)):
            yield OneVsRest(self._found.true == number, self._found.probabilities[:, number], self._weights)


def _estimates(
    found: Classified, excess: float, value: dict[str, Array], middle: dict[str, Array], varied: dict[str, Array]
) -> Estimates:
    """Name the numbers: of all rows once, of the rows that were resampled once, and of each resample."""
    n, weights = len(found.true), _weights(found)
    everything = np.zeros(n, dtype=np.int64)
    kish = float(weights.sum() ** 2 / (weights**2).sum())
    values, middles, resampled = (_of_all(found, sums) for sums in (value, middle, varied))
    metrics = {}
    for name in values:
        metrics[name] = Estimate(
            float(values[name][0]),
            n,
            values[name] + (resampled[name] - middles[name]),
            name not in _LOWER,
            effective=None if name in _NOT_FROM_0_TO_1 else kish,
            least=-1.0 if name in ("mcc", "kappa") else 0.0,
            most=math.inf if name in _NOT_FROM_0_TO_1 else 1.0,
        )
    hits = {"accuracy": found.right.astype(np.float64)}
    hits |= {f"top_{k}_accuracy": top_k_hits(found.true, found.probabilities, k) for k in _tops(found)}
    for name, of_rows in hits.items():
        effective = float(effective_sizes(of_rows, weights, everything, 1)[1][0])
        metrics[name] = replace(metrics[name], effective=effective, rate=True)
    metrics |= {f"{name}_micro": metrics["accuracy"] for name in ("precision", "recall", "f1")}
    if "ece" in metrics:
        # a resample's error is higher than that of the samples by what chance adds once more
        around = metrics["ece"].resampled
        metrics["ece"] = replace(
            metrics["ece"], resampled=around - around.mean() + metrics["ece"].value, excess=excess, effective=None
        )
    else:
        metrics |= {name: _without_value(n, _NO_PROBABILITIES, name) for name in ("log_loss", "brier", "ece")}
    per_class = _per_class(found, weights, value, middle, varied)
    if found.positive is not None:
        metrics |= {name: per_class[name][found.labels[found.positive]] for name in per_class}
    metrics |= _best_constant(found, weights)
    return Estimates(metrics, per_class, _tally(value), _tally(varied))


def _of_all(found: Classified, sums: dict[str, Array]) -> dict[str, Array]:
    """Name → (weightings,)."""
    result = of_all(_tally(sums))
    result |= {name: sums[name][0] for name in _named_rows(found) if name in sums}
    return result | {name: _mean_of_present(sums[name]) for name in ("roc_auc", "pr_auc")}


def _named_rows(found: Classified) -> list[str]:
    return [*(f"top_{k}_accuracy" for k in _tops(found)), "log_loss", "brier", "ece"]


def _mean_of_present(areas: Array) -> Array:
    """One class against all others, (K, …): the mean over the classes that there are."""
    there = np.isfinite(areas)
    return divide(np.where(there, areas, 0).sum(axis=0), there.sum(axis=0), otherwise=np.nan)


def _per_class(
    found: Classified, weights: Array, value: dict[str, Array], middle: dict[str, Array], varied: dict[str, Array]
) -> dict[str, dict[str, Estimate]]:
    k = len(found.labels)
    values, middles, resampled = (of_each(_tally(sums)) | _areas(sums) for sums in (value, middle, varied))
    samples, answers = np.bincount(found.true, minlength=k), np.bincount(found.predicted, minlength=k)
    right = found.right.astype(np.float64)
    _, known = effective_sizes(right, weights, found.true, k)
    _, stood = effective_sizes(right, weights, found.predicted, k)
    # an area says no more than the smaller side of the class and the rest lets it
    sides = np.minimum(samples, len(found.true) - samples)
    sizes = {"precision": answers, "recall": samples, "f1": samples}
    effective = {"precision": stood, "recall": known, "f1": known, "roc_auc": sides, "pr_auc": sides}
    result: dict[str, dict[str, Estimate]] = {}
    for name in values:
        result[name] = {}
        for number, label in enumerate(found.labels):
            n = int(sizes[name][number]) if name in sizes else len(found.true)
            reason = "only one class in the labels" if samples[number] else "no sample of this class"
            if name == "precision" and not n:
                reason = "never predicted"
            there = bool(n and (name == "precision" or samples[number]))
            result[name][label] = Estimate(
                float(values[name][number, 0]) if there else np.nan,
                n,
                values[name][number] + (resampled[name][number] - middles[name][number]),
                True,
                reason,
                effective=float(effective[name][number]),
                rate=name in ("precision", "recall"),
                least=0.0,
                most=1.0,
            )
    return result


def _areas(sums: dict[str, Array]) -> dict[str, Array]:
    return {name: sums[name] for name in ("roc_auc", "pr_auc")}


def _tally(sums: dict[str, Array]) -> Tally:
    return Tally(sums["right"], sums["true"], sums["predicted"])


def _best_constant(found: Classified, weights: Array) -> dict[str, Estimate]:
    """What always giving the same answer can reach: the most frequent class, or each class's share as its score."""
    shares = np.bincount(found.true, weights, minlength=len(found.labels)) / weights.sum()
    there = shares[shares > 0]
    squares = float(1 - (shares**2).sum())
    best = {
        "accuracy": float(shares.max()),
        "log_loss": float(-(there * np.log(there)).sum()),
        "brier": squares / 2 if len(shares) == 2 else squares,
    }
    return {f"{name}_best_constant": Estimate(value, len(found.true), np.empty(0)) for name, value in best.items()}


def _unmeasured(found: Classified, reason: str) -> Estimates:
    n, nothing = len(found.true), np.zeros((len(found.labels), 1))
    names = [*of_all(Tally(nothing, nothing, nothing)), *_named_rows(found), "roc_auc", "pr_auc"]
    of_class = [*of_each(Tally(nothing, nothing, nothing)), "roc_auc", "pr_auc"]
    metrics = {name: _without_value(n, reason, name) for name in names}
    if found.positive is not None:
        metrics |= {name: _without_value(n, reason, name) for name in of_class}
    for name in ("accuracy", "log_loss", "brier"):
        metrics[f"{name}_best_constant"] = replace(metrics[name], higher_is_better=None)
    return Estimates(
        metrics, {name: {label: _without_value(n, reason, name) for label in found.labels} for name in of_class}
    )


def _without_scores(found: Classified, made: Estimates) -> Estimates:
    """Without what the scores' own values decide, of a model that has none."""
    none = {"log_loss", "brier", "ece", "roc_auc", "pr_auc", *(f"top_{k}_accuracy" for k in _tops(found))}

    def known(estimates: dict[str, Estimate]) -> dict[str, Estimate]:
        return {
            name: _without_value(one.n, _NO_SCORES, name) if name in none else one for name, one in estimates.items()
        }

    per_class = {
        name: {label: _without_value(one.n, _NO_SCORES, name) if name in none else one for label, one in each.items()}
        for name, each in made.per_class.items()
    }
    return replace(made, metrics=known(made.metrics), per_class=per_class)


def _without_value(n: int, reason: str, name: str) -> Estimate:
    return Estimate(np.nan, n, np.full(RESAMPLES, np.nan), name not in _LOWER, reason)


def _weights(found: Classified) -> Array:
    return np.ones(len(found.true)) if found.weights is None else found.weights


def _tops(found: Classified) -> list[int]:
    return [k for k in TOP if k < len(found.labels)]


def log_losses(true: Places, probabilities: Array) -> Array:
    """-log of the true class's probability, of each sample; kept finite as scikit-learn does, by the precision."""
    own = probabilities[np.arange(len(true)), true] / probabilities.sum(axis=1)
    eps = np.finfo(np.float64).eps
    losses: Array = -np.log(np.clip(own, eps, 1 - eps))
    return losses


def brier_scores(true: Places, probabilities: Array) -> Array:
    """Squared distance between probabilities and truth, of each sample.

    Summed over the classes (Brier 1950), from 0 to 2; of two classes half of that, as is customary and scikit-learn's
    default.
    """
    own = probabilities[np.arange(len(true)), true]
    squares = np.einsum("ij,ij->i", probabilities, probabilities) - 2 * own + 1
    scores: Array = np.maximum(squares, 0.0)  # rounding
    return scores / 2 if probabilities.shape[1] == 2 else scores


def are_probabilities(scores: Array) -> bool:
    """Whether rows are probabilities: between 0 and 1, adding up to 1, within a float16's precision."""
    # float16 misses a sum of 1 by about 1e-3; NaN fails every comparison
    return bool((scores >= -1e-6).all() and (scores <= 1 + 1e-6).all() and np.abs(scores.sum(axis=1) - 1).max() < 1e-2)


def classify(scores: Array, threshold: float, positive: int) -> tuple[Places, Array]:
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
