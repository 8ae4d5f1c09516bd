"""How sure a number is: Wilson's interval for plain rates, a stratified bootstrap for everything else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from assay.rates import wilson

RESAMPLES = 500
_CHUNK = 4_000_000
"""Weights held at a time: 16 MB."""

Array = NDArray[np.float64]
Weights = NDArray[np.int32]


def bootstrap_interval(value: float, resampled: Array, n: int, best: float | None = None) -> tuple[float, float] | None:
    """95 % percentile interval of a bootstrap, which always holds the value itself.

    Args:
        value: of the whole sample of n.
        resampled: (resamples,); NaN where a resample has no value.
        n: how many samples there are.
        best: the most that the metric can be. When no resample misses it, none had a mistake in it, and the bootstrap
            knows nothing of how likely one is; then the interval reaches as low as Wilson's of n right out of n.

    Returns:
        low and high; None when no resample has a value.
    """
    finite = resampled[np.isfinite(resampled)]
    if not finite.size:
        return None
    low, high = (float(bound) for bound in np.quantile(finite, [0.025, 0.975]))
    if best is not None and finite.min() > best - 1e-9:
        low = best * wilson(n, n)[0]
    return min(low, value), max(high, value)


def resample_confusion(counts: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Confusion matrices of resampled data, each true class keeping its size: (K, K) → (resamples, K, K)."""
    drawn = np.zeros((RESAMPLES, *counts.shape), dtype=np.int64)
    for true, row in enumerate(counts):
        n = int(row.sum())
        if n:
            drawn[:, true] = rng.multinomial(n, row / n, size=RESAMPLES)
    return drawn


def resample_weights(strata: NDArray[np.int64], rng: np.random.Generator) -> Iterator[Weights]:
    """How often each sample is drawn, in portions of resamples: (samples,) → (some resamples, samples) each.

    strata: a number for each sample; each stratum keeps its size.
    """
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    portion = max(1, _CHUNK // len(strata))
    for start in range(0, RESAMPLES, portion):
        size = min(portion, RESAMPLES - start)
        weights = np.empty((size, len(strata)), dtype=np.int32)
        for places in members:
            n = len(places)
            # one count for all resamples: each counts in numbers of its own
            drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
            weights[:, places] = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        yield weights
