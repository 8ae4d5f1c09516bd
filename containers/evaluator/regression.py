"""Metrics of regressors, with intervals by the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import Finding, Metric
from evaluator.intervals import Weights, bootstrap_interval, resample_weights

Array = NDArray[np.float64]

SEED = 0
"""Of the resampling: the same data and predictions give the same intervals."""


def of_weights(true: Array, predicted: Array, weights: Weights) -> dict[str, Array]:
    """Errors of resampled data.

    mae = mean |e|; mse = mean e²; rmse = √mse; r2 = 1 - Σe² / Σ(y - ȳ)²: NaN where all y are equal.

    Args:
        true, predicted: (samples,), in the unit of the label.
        weights: (resamples, samples): how often each sample counts.
    """
    error = predicted - true
    centred = true - true.mean()
    n = weights.sum(axis=1)
    squares = weights @ error**2
    spread = weights @ centred**2 - (weights @ centred) ** 2 / n
    # rounding leaves about 1e-16 of the squares where there is no spread at all
    varies = spread > 1e-12 * (weights @ true**2)
    return {
        "mae": weights @ np.abs(error) / n,
        "mse": squares / n,
        "rmse": np.sqrt(squares / n),
        "r2": np.where(varies, 1 - squares / np.where(varies, spread, 1), np.nan),
    }


def measure(true: Array, predicted: Array) -> dict[str, Metric]:
    """All metrics with 95 % intervals; of a model that answers NaN or infinity there are none."""
    n = len(true)
    once = np.ones((1, n), dtype=np.int32)
    metrics = {"mae_best_constant": Metric(value=float(np.abs(true - np.median(true)).mean()), n=n)}
    bad = int((~np.isfinite(predicted)).sum())
    if bad:
        none = Metric(reason=f"{bad} of {n} predictions are NaN or infinite", n=n)
        names = of_weights(true, true, once)
        return metrics | {name: none.model_copy(update={"higher_is_better": name == "r2"}) for name in names}
    portions = resample_weights(np.zeros(n, np.int64), np.random.default_rng(SEED))
    parts = [of_weights(true, predicted, weights) for weights in portions]
    for name, (value,) in of_weights(true, predicted, once).items():
        higher_is_better = name == "r2"
        if not np.isfinite(value):
            metrics[name] = Metric(reason="all labels are equal", n=n, higher_is_better=higher_is_better)
            continue
        interval = bootstrap_interval(float(value), np.concatenate([part[name] for part in parts]), n)
        low, high = interval or (None, None)
        metrics[name] = Metric(value=float(value), low=low, high=high, n=n, higher_is_better=higher_is_better)
    return metrics


def findings(predicted: Array, metrics: Mapping[str, Metric]) -> list[Finding]:
    """What a person should know of the predictions, (samples,), that no gate asks about."""
    found = []
    bad = int((~np.isfinite(predicted)).sum())
    if bad:
        text = f"The model's answers to {bad} of {len(predicted)} samples are NaN or infinite."
        found.append(Finding(severity="serious", title="Predictions that are no numbers", text=text))
    elif len(predicted) > 1 and np.ptp(predicted) == 0:
        text = f"The model answers {predicted[0]:.4g} to all {len(predicted)} samples."
        found.append(Finding(severity="serious", title="Constant predictions", text=text))
    constant, mae = metrics["mae_best_constant"].value, metrics["mae"].value
    if constant is not None and mae is not None and mae > constant:
        text = f"The mean absolute error is {mae:.4g}; always answering the median would reach {constant:.4g}."
        found.append(Finding(severity="serious", title="Worse than the best constant answer", text=text))
    return found
