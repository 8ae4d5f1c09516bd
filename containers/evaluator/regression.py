"""Metrics of regressors, weighted where the rows are, with intervals by the bootstrap."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import Metric
from evaluator.intervals import RESAMPLES, ROWS, Estimate, Resamples, divide
from evaluator.sums import Sums

Array = NDArray[np.float64]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the residuals, predicted − true: `residual_q05` …"""
_EQUAL_LABELS = "all labels are equal"
_ZEROS = "all labels are 0, of which an error is no percentage"


def measure(true: Array, predicted: Array, weights: Array | None = None, most: int = ROWS) -> dict[str, Metric]:
    """All metrics with 95 % intervals; of a model that answers NaN or infinity there are none."""
    return {name: found.metric() for name, found in estimate(true, predicted, weights, most).items()}


def estimate(true: Array, predicted: Array, weights: Array | None = None, most: int = ROWS) -> dict[str, Estimate]:
    """All metrics, each with its resamples: of two models on the same rows, resample i has the same rows.

    mae = mean |e|; mse = mean e²; rmse = √mse; r2 = 1 − Σe² / Σ(y − ȳ)², none where all y are equal;
    median_absolute_error; mape = mean |e / y| over the rows whose y is not 0 (n says how many they are): it is as
    large as labels near 0 make it, and punishes answers that are too high more than those too low; max_error, which
    no bootstrap knows an interval of; quantiles of the residuals. mae_best_constant and rmse_best_constant are what
    always answering the median and the mean would reach.

    Args:
        true, predicted: (samples,), in the unit of the label.
        weights: (samples,), how much each counts; None: all the same.
        most: of more rows, the spread is measured on so many (`Resamples`).
    """
    n = len(true)
    reason = _problem(true, predicted, weights)
    if reason:
        return {name: Estimate(np.nan, n, np.empty(0), _better(name), reason) for name in _NAMES}
    weights = np.ones(n) if weights is None else weights
    counted = weights > 0
    if not counted.all():
        true, predicted, weights = true[counted], predicted[counted], weights[counted]
    centre = float(np.average(true, weights=weights))
    value = _Rows(true, predicted, weights, centre)(None)
    resamples = Resamples(np.zeros(len(true), dtype=np.int64), most)
    at = resamples.rows
    rows = _Rows(true[at], predicted[at], weights[at], centre)
    portions = [rows(times) for times in resamples] if resamples.vary else []
    middle = value if resamples.whole else rows(resamples.stands_for[:, None])
    found = {}
    for name, (of_all,) in value.items():
        varied = np.concatenate([portion[name] for portion in portions]) if portions else np.full(RESAMPLES, np.nan)
        found[name] = Estimate(
            float(of_all),
            len(true),
            of_all + (varied - middle[name]),
            _better(name),
            _EQUAL_LABELS,
            least=0.0 if _better(name) is False else -math.inf,
            most=1.0 if name == "r2" else math.inf,
        )
    nonzero = int((true != 0).sum())
    found["mape"] = replace(found["mape"], n=nonzero, reason=_ZEROS)
    errors = np.abs(predicted - true)
    median = quantile(true, weights, 0.5)
    for name, number in (
        ("max_error", float(errors.max())),
        ("mae_best_constant", float(np.average(np.abs(true - median), weights=weights))),
        ("rmse_best_constant", float(np.sqrt(np.average((true - centre) ** 2, weights=weights)))),
    ):
        found[name] = Estimate(number, len(true), np.empty(0), _better(name))
    return found


def _problem(true: Array, predicted: Array, weights: Array | None) -> str:
    """Why nothing can be measured, if so."""
    n = len(true)
    if not n:
        return "no samples"
    for what, values in (("predictions", predicted), ("labels", true)):
        bad = int((~np.isfinite(values)).sum())
        if bad:
            return f"{bad} of {n} {what} are NaN or infinite"
    if weights is not None:
        if not (np.isfinite(weights) & (weights >= 0)).all():
            return "a weight is negative, NaN or infinite"
        if not weights.any():
            return "all weights are 0"
    return ""


class _Rows:
    """The rows' contributions to every metric: functions of how often each row counts.

    centre: of the labels, about which their squares are taken: far from it digits would be lost.
    """

    def __init__(self, true: Array, predicted: Array, weights: Array, centre: float) -> None:
        residuals, centred = predicted - true, true - centre
        nonzero = true != 0
        relative = np.abs(residuals) / np.where(nonzero, np.abs(true), 1)
        everything = np.zeros(len(true), dtype=np.int64)
        terms = {
            "total": weights,
            "absolute": weights * np.abs(residuals),
            "squares": weights * residuals**2,
            "centred": weights * centred,
            "centred squares": weights * centred**2,
            "nonzero": weights * nonzero,
            "relative": weights * relative * nonzero,
        }
        self._sums = {name: Sums(everything, 1, values) for name, values in terms.items()}
        # rounding leaves about 1e-16 of the squares where there is no spread at all
        self._least = 1e-12 * float(np.average(true**2, weights=weights))
        self._residuals = _Ordered(residuals, weights)
        self._errors = _Ordered(np.abs(residuals), weights)

    def __call__(self, times: Array | None) -> dict[str, Array]:
        """times: (rows, weightings), None: each once. Name → (weightings,)."""
        sums = {name: of_rows(times)[0] for name, of_rows in self._sums.items()}
        total = sums["total"]
        mse = sums["squares"] / total
        spread = sums["centred squares"] / total - (sums["centred"] / total) ** 2
        result = {
            "mae": sums["absolute"] / total,
            "mse": mse,
            "rmse": np.sqrt(mse),
            "r2": 1 - divide(mse, np.where(spread > self._least, spread, 0), otherwise=np.nan),
            "mape": divide(sums["relative"], sums["nonzero"], otherwise=np.nan),
        }
        (result["median_absolute_error"],) = self._errors.quantiles((0.5,), times)
        for q, values in zip(QUANTILES, self._residuals.quantiles(QUANTILES, times), strict=True):
            result[_residual(q)] = values
        return result


class _Ordered:
    """Values in their order, and where half of the weight lies below."""

    def __init__(self, values: Array, weights: Array) -> None:
        self._order = np.argsort(values)
        self._values, self._weights = values[self._order], weights[self._order]

    def quantiles(self, asked: tuple[float, ...], times: Array | None) -> list[Array]:
        """(weightings,) each: NumPy's `averaged_inverted_cdf`, as scikit-learn's weighted percentile is.

        Of two middle values it is the mean, and rows that stand twice change nothing.
        """
        if times is None:
            running = np.cumsum(self._weights)[None]
        else:
            running = np.cumsum((times[self._order] * self._weights[:, None]).T, axis=1)
        total, last = running[:, -1], len(self._values) - 1
        result = []
        for q in asked:
            low, high = np.empty(len(running), np.int64), np.empty(len(running), np.int64)
            for number, (row, at) in enumerate(zip(running, q * total, strict=True)):
                slack = 1e-12 * total[number]  # a sum of weights that is q of all but for rounding
                low[number] = np.searchsorted(row, at - slack)
                high[number] = np.searchsorted(row, at + slack, side="right")
            result.append((self._values[np.minimum(low, last)] + self._values[np.minimum(high, last)]) / 2)
        return result


def quantile(values: Array, weights: Array, q: float) -> float:
    """The weighted quantile of values, (samples,)."""
    return float(_Ordered(values, weights).quantiles((q,), None)[0][0])


def _residual(q: float) -> str:
    return f"residual_q{100 * q:02.0f}"


_NAMES = (
    *("mae", "mse", "rmse", "r2", "mape", "median_absolute_error", *map(_residual, QUANTILES)),
    *("max_error", "mae_best_constant", "rmse_best_constant"),
)


def _better(name: str) -> bool | None:
    """Whether higher is better; None: neither."""
    if name == "r2":
        return True
    return None if name.startswith("residual_") or name.endswith("_best_constant") else False
