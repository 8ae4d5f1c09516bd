"""How sure a number is: Wilson's interval for plain rates, a stratified bootstrap for everything else."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 500
Z95 = 1.959963984540054
_CHUNK = 4_000_000
"""Weights held at a time: 32 MB."""

Array = NDArray[np.float64]


def wilson(successes: float, n: int) -> tuple[float, float]:
    """95 % interval of a rate: it neither collapses at 0 and 1 nor leaves them.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    rate = successes / n
    centre = (rate + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(rate * (1 - rate) / n + Z95**2 / (4 * n**2))
    # rounding may leave a bound 1e-17 on the wrong side of the rate
    return min(max(0.0, centre - half), rate), max(min(1.0, centre + half), rate)


def percentiles(resampled: Array) -> tuple[float, float] | None:
    """95 % interval of a bootstrap: (resamples,) → low, high; None when no resample has a value."""
    finite = resampled[np.isfinite(resampled)]
    if not finite.size:
        return None
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def resample_confusion(counts: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Confusion matrices of resampled data, each true class keeping its size: (K, K) → (resamples, K, K)."""
    drawn = np.zeros((RESAMPLES, *counts.shape), dtype=np.int64)
    for true, row in enumerate(counts):
        n = int(row.sum())
        if n:
            drawn[:, true] = rng.multinomial(n, row / n, size=RESAMPLES)
    return drawn


def resample_weights(strata: NDArray[np.int64], rng: np.random.Generator) -> Iterator[Array]:
    """How often each sample is drawn, in portions of resamples: (samples,) → (some resamples, samples) each.

    strata: a number for each sample; each stratum keeps its size.
    """
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    portion = max(1, _CHUNK // len(strata))
    for start in range(0, RESAMPLES, portion):
        weights = np.zeros((min(portion, RESAMPLES - start), len(strata)))
        for places in members:
            n = len(places)
            weights[:, places] = rng.multinomial(n, np.full(n, 1 / n), size=len(weights))
        yield weights
