"""Whether a score of 0.9 is right nine times out of ten: the reliability curve and its error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import Metric, ReliabilityBin
from assay.rates import wilson
from evaluator.intervals import divide, effective_sizes

Array = NDArray[np.float64]
Places = NDArray[np.int64]

BINS = 15
"""As Guo et al. 2017 and most since."""


def bins_of(scores: Array, weights: Array) -> Places:
    """The bin of each sample, (samples,): BINS of equal mass, equal scores together.

    Bins of equal mass rather than of equal width: those hold 90 % of a good model's samples in one bin and a handful
    in others (Nixon et al. 2019, "Measuring Calibration in Deep Learning"; Kumar et al. 2019, "Verified Uncertainty
    Calibration").
    """
    _, levels = np.unique(scores, return_inverse=True)
    mass = np.bincount(levels, weights)
    middle = np.cumsum(mass) - mass / 2
    of_level = np.minimum(middle / mass.sum() * BINS, BINS - 1).astype(np.int64)
    result: Places = of_level[levels]
    return result


def calibration_error(gaps: Array, total: Array) -> Array:
    """The expected calibration error (Guo et al. 2017): Σ over the bins of |Σ w (right − score)|, over Σ w.

    It is not debiased: a correction that depends on how many samples there are would give the same rows twice another
    value, and no peer has it. Its interval allows for the bias instead: `largest_excess`.

    Args:
        gaps: (BINS, …) Σ w (right − score) of each bin.
        total: (…) Σ w.
    """
    return divide(np.abs(gaps).sum(axis=0), total)


def largest_excess(bins: Places, scores: Array, weights: Array) -> float:
    """By how much chance raises the calibration error at most, on average over samples of this size.

    The mean of a normal variable's absolute value is above that of its mean by √(2/π) standard errors when that is 0,
    and by less otherwise: so chance adds most to a calibrated model's error. Its samples are right with the
    probability that their scores say, and Σ w (right − score) of a bin has the variance Σ w² score (1 − score).

    Args:
        bins, scores, weights: (samples,)
    """
    variances = np.bincount(bins, weights**2 * np.maximum(scores * (1 - scores), 0))
    return float(np.sqrt(2 / np.pi) * np.sqrt(variances).sum() / weights.sum())


def reliability(scores: Array, right: NDArray[np.bool_], weights: Array | None = None) -> tuple[ReliabilityBin, ...]:
    """The reliability curve: at most BINS bins of equal mass, from the least sure to the surest.

    Args:
        scores: (samples,) of the predicted class.
        right: (samples,) whether it is the true one.
        weights: (samples,)
    """
    weights = np.ones(len(scores)) if weights is None else weights
    counted = np.flatnonzero(weights > 0)
    if not counted.size:
        return ()
    scores, right, weights = scores[counted], right[counted], weights[counted]
    bins = bins_of(scores, weights)
    rates, effective = effective_sizes(right.astype(np.float64), weights, bins, BINS)
    means = divide(np.bincount(bins, weights * scores, minlength=BINS), np.bincount(bins, weights, minlength=BINS))
    curve = []
    for number in np.unique(bins):
        inside = bins == number
        rate = float(rates[number])
        low, high = wilson(rate * effective[number], effective[number])
        n = int(inside.sum())
        curve.append(
            ReliabilityBin(
                low=float(scores[inside].min()),
                high=float(scores[inside].max()),
                n=n,
                score=float(means[number]),
                rate=Metric(value=rate, low=low, high=high, n=n),
            )
        )
    return tuple(curve)
