"""How sure a number is: Wilson's interval for plain rates, one stratified bootstrap for everything else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import Difference, Metric
from assay.rates import wilson

RESAMPLES = 1000
ROWS = 100_000
"""Of more rows, the spread is measured on so many."""
SEED = 0
"""The same rows give the same intervals, and two models on the same rows the same resamples."""
_HELD = 800_000
"""Weights held at a time: 6 MB, which caches hold; four times as many took 1.3 times as long."""

Array = NDArray[np.float64]
Places = NDArray[np.int64]


class Resamples:
    """Weights of the rows in 1,000 resamples, which lose no stratum.

    Each stratum is resampled by itself. The strata's shares vary as those of a random sample do, by a Bayesian
    bootstrap (Rubin 1981), which lets none fall to 0: with fixed shares the interval of a loss that one class has
    most of would be too narrow, and with plain resampling a class of three samples would be missing from every 20th.

    Of more than `most` rows a part is resampled: of each stratum as many, the small ones whole. A row of the part
    stands for `stands_for` = N/m rows of its stratum and is drawn w times; its weight N/m · (1 + (w − 1)√(m/N)) has
    the mean and, but for 1/m, the variance that drawing N rows gives: an exchangeably weighted bootstrap (Praestgaard
    & Wellner 1993, Annals of Probability 21) of a subset that stands for the whole (Kleiner et al. 2014, "A scalable
    bootstrap for massive data"). So the spread is that of all rows, stratum by stratum, whatever the metric.

    Args:
        strata: (samples,) a number from 0 for each.
        most: how many rows are resampled at most.
    """

    def __init__(self, strata: Places, most: int = ROWS) -> None:
        random = np.random.default_rng(SEED)
        sizes = np.bincount(strata)
        order = np.split(np.argsort(strata, kind="stable"), np.cumsum(sizes)[:-1])
        self._sizes, self._taken = [], []
        places, stands_for = [], []
        for rows, m in zip(order, _shares(sizes, most).tolist(), strict=True):
            if m:
                chosen = random.choice(rows, m, replace=False, shuffle=False) if m < len(rows) else rows
                places.append(np.sort(chosen))
                stands_for.append(np.full(m, len(rows) / m))
                self._sizes.append(len(rows))
                self._taken.append(m)
        self.rows: Places = np.concatenate(places)
        """(m,) places of the rows that are resampled, stratum by stratum."""
        self.stands_for: Array = np.concatenate(stands_for)
        """(m,)"""
        self.whole = len(self.rows) == len(strata)
        """Whether these are all rows."""
        self.vary = len(self.rows) > 1
        """Whether one resample can differ from another."""

    def __iter__(self) -> Iterator[Array]:
        """In portions: (m, some resamples) each, in the order of `rows`."""
        random = np.random.default_rng([SEED, 1])
        sizes = np.array(self._sizes, dtype=np.float64)[:, None]
        shares = random.gamma(sizes, size=(len(sizes), RESAMPLES))
        factors = shares / shares.sum(axis=0) * (sizes.sum() / sizes)
        portion = max(1, min(RESAMPLES, _HELD // len(self.rows)))
        for begin in range(0, RESAMPLES, portion):
            size = min(portion, RESAMPLES - begin)
            weights = np.empty((len(self.rows), size))
            start = 0
            for stratum, (n, m) in enumerate(zip(self._sizes, self._taken, strict=True)):
                # one count for all resamples: each counts in numbers of its own
                drawn = random.integers(0, m, (size, m)) + m * np.arange(size)[:, None]
                counts = np.bincount(drawn.ravel(), minlength=size * m).reshape(size, m).T
                factor = factors[stratum, begin : begin + size]
                block = weights[start : start + m]
                if n == m:
                    np.multiply(counts, factor, out=block)
                else:
                    np.multiply(counts - 1.0, math.sqrt(n / m), out=block)  # N/m · √(m/N)
                    block += n / m
                    block *= factor
                start += m
            yield weights


def _shares(sizes: Places, most: int) -> Places:
    """How many of each stratum: `most` in all, and of none more than of another that is not whole."""
    left, strata = most, np.sort(sizes[sizes > 0])
    for place, size in enumerate(strata.tolist()):
        level = left // (len(strata) - place)
        if size > level:
            return np.minimum(sizes, max(level, 1))
        left -= size
    return sizes


@dataclass(frozen=True)
class Estimate:
    """A number, and what it would have been on other samples of the same size."""

    value: float
    """NaN: it has none."""
    n: int
    """The samples it was measured on."""
    resampled: Array
    """(RESAMPLES,): resample i has the same rows for every metric, class and model; NaN where it has no value; empty
    where the metric has no interval."""
    higher_is_better: bool | None = None
    reason: str = "only one class in the labels"
    """Why it has no value."""
    effective: float | None = None
    """Of a number from 0 to 1: how many samples of equal weight know as much, for Wilson's interval."""
    rate: bool = False
    """A plain rate of `effective` samples."""
    excess: float = 0.0
    """By how much the value may be too high at most, on average over samples of this size."""
    least: float = -math.inf
    """That such a number can be; so with `most`."""
    most: float = math.inf

    def metric(self) -> Metric:
        """With its 95 % interval, which always holds the value itself."""
        if not math.isfinite(self.value):
            return Metric(reason=self.reason, n=self.n, higher_is_better=self.higher_is_better)
        low, high = self.interval() or (None, None)
        return Metric(value=self.value, low=low, high=high, n=self.n, higher_is_better=self.higher_is_better)

    def interval(self) -> tuple[float, float] | None:
        """95 %: Wilson's of a rate, else the percentiles of the resamples; None where there are none.

        Where no resample differs from another, the bootstrap knows nothing: no mistake among the samples does not
        mean that there is none in the world. Then a number from 0 to 1 has Wilson's interval.
        """
        if self.effective and (self.rate or not _vary(self.resampled)):
            bounds = wilson(min(max(self.value, 0.0), 1.0) * self.effective, self.effective)
        elif (found := _percentiles(self.resampled)) is not None:
            bounds = (max(found[0] - self.excess, self.least), min(found[1], self.most))
        else:
            return None
        return min(bounds[0], self.value), max(bounds[1], self.value)

    @property
    def deviation(self) -> float | None:
        """The standard deviation over the resamples."""
        finite = self.resampled[np.isfinite(self.resampled)]
        return float(np.std(finite, ddof=1)) if len(finite) > 1 else None


def difference(ours: Estimate, champion: Estimate) -> Difference:
    """Ours minus the champion's, by the paired bootstrap: both were estimated on the same rows, in the same order.

    Where no resample has a difference other than the estimated one, that of a number from 0 to 1 may be as large as n
    samples without a difference leave open (Wilson).
    """
    n, better = min(ours.n, champion.n), ours.higher_is_better
    for whose, estimate in (("", ours), ("champion: ", champion)):
        if not math.isfinite(estimate.value):
            return Difference(reason=whose + estimate.reason, n=n, higher_is_better=better)
    value = ours.value - champion.value
    bounds = None
    if ours.resampled.size and champion.resampled.size:
        resampled = ours.resampled - champion.resampled
        bounds = _percentiles(resampled)
        if ours.effective and champion.effective and not _vary(resampled):
            effective = min(ours.effective, champion.effective)
            open_ = 1 - wilson(effective, effective)[0]
            bounds = (max(value - open_, -1.0), min(value + open_, 1.0))
    return Difference(
        ours=ours.value,
        champion=champion.value,
        value=value,
        low=None if bounds is None else min(bounds[0], value),
        high=None if bounds is None else max(bounds[1], value),
        n=n,
        higher_is_better=better,
    )


def _percentiles(resampled: Array) -> tuple[float, float] | None:
    """The middle 95 %; None when no resample has a value."""
    finite = resampled[np.isfinite(resampled)]
    if not finite.size:
        return None
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def _vary(resampled: Array) -> bool:
    finite = resampled[np.isfinite(resampled)]
    return bool(finite.size and np.ptp(finite) > 1e-12)


def effective_sizes(hits: Array, weights: Array, groups: Places, size: int) -> tuple[Array, Array]:
    """The rate of hits in each group, and how many samples of equal weight know it as well.

    Kish 1965 has (Σw)²/Σw², for weights that have nothing to do with the hits; Korn & Graubard 1998 ("Confidence
    intervals for proportions with small expected number of positive counts") p(1 − p)/var(p), which knows how they
    do, but is far too sure when the only miss weighs little. The smaller one is taken: n itself for equal weights.

    Args:
        hits: (samples,) from 0 to 1; fractions where a tie is a hit by chance.
        weights: (samples,)
        groups: (samples,) a number below size.

    Returns:
        rates (size,), NaN of an empty group, and effective sizes (size,).
    """

    def per_group(values: Array) -> Array:
        return np.bincount(groups, values, minlength=size).astype(np.float64)

    total, squares = per_group(weights), per_group(weights**2)
    rates = divide(per_group(weights * hits), total, otherwise=np.nan)
    kish = divide(total**2, squares)
    spread = per_group(weights**2 * hits**2) - 2 * rates * per_group(weights**2 * hits) + rates**2 * squares
    own = divide(rates * (1 - rates) * total**2, spread, otherwise=np.inf)
    return rates, np.where(spread > 1e-12 * squares, np.minimum(kish, own), kish)


def divide(a: NDArray[np.generic], b: NDArray[np.generic], otherwise: float = 0.0) -> Array:
    """a / b, and `otherwise` where b is 0."""
    top, bottom = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    shape = np.broadcast_shapes(top.shape, bottom.shape)
    result: Array = np.divide(top, bottom, out=np.full(shape, otherwise), where=bottom != 0)
    return result
