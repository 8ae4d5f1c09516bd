"""Metrics of regressors, with intervals by the bootstrap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import Metric
from evaluator.intervals import percentiles, resample_weights

Array = NDArray[np.float64]

SEED = 0
"""Of the resampling: the same data and predictions give the same intervals."""


def of_weights(true: Array, predicted: Array, weights: Array) -> dict[str, Array]:
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
    bad = int((~np.isfinite(predicted)).sum())
    if bad:
        reason = f"{bad} of {n} predictions are not finite"
        return {
            name: Metric(reason=reason, n=n, higher_is_better=name == "r2") for name in ("mae", "mse", "rmse", "r2")
        }
    portions = resample_weights(np.zeros(n, np.int64), np.random.default_rng(SEED))
    parts = [of_weights(true, predicted, weights) for weights in portions]
    metrics = {}
    for name, value in of_weights(true, predicted, np.ones((1, n))).items():
        if not np.isfinite(value[0]):
            metrics[name] = Metric(reason="all labels are equal", n=n, higher_is_better=name == "r2")
            continue
        interval = percentiles(np.concatenate([part[name] for part in parts]))
        low, high = interval if interval is not None else (None, None)
        metrics[name] = Metric(value=float(value[0]), low=low, high=high, n=n, higher_is_better=name == "r2")
    metrics["mae_best_constant"] = Metric(value=float(np.abs(true - np.median(true)).mean()), n=n)
    return metrics
