"""All metrics of one facet, each with its interval or with the reason why it has no value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bias.metrics import (
    FLIP_TEST,
    POST_TRAINING,
    PRE_TRAINING,
    Counts,
    Metric,
    Undefined,
    count,
    flip_test,
    resample,
)

RESAMPLES = 1000
SEED = 0
"""Of the resampling: the same data gives the same intervals."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """What bias is looked for in, (rows,) each."""

    label: NDArray[np.bool_]
    """Whether the true label is positive."""
    predicted: NDArray[np.bool_] | None = None
    group: NDArray[Any] | None = None
    """The group variable's values."""
    features: Array | None = None
    """(rows, features): the columns that are numbers; None where one is text, which the flip test cannot measure."""
    _groups: dict[str, NDArray[np.intp]] = field(default_factory=dict, repr=False)

    @property
    def groups(self) -> NDArray[np.intp] | None:
        """The groups, numbered."""
        if self.group is None or not len(self.group):
            return None
        if "numbers" not in self._groups:  # sorting a million texts once is enough
            self._groups["numbers"] = np.unique(self.group.astype(str), return_inverse=True)[1]
        return self._groups["numbers"]


@dataclass(frozen=True)
class Measured:
    """A metric of one facet."""

    name: str
    description: str
    value: float | None = None
    """May be infinite."""
    low: float | None = None
    high: float | None = None
    """95 % interval; None where the resamples have no value."""
    error: str | None = None

    def to_clarify(self) -> dict[str, Any]:
        """As it stands in `analysis.json`."""
        named: dict[str, Any] = {"name": self.name, "description": self.description}
        if self.value is None:
            return named | {"value": None, "error": self.error}
        return named | {"value": self.value if np.isfinite(self.value) else _infinity(self.value)}


def before_training(rows: Rows, facet: NDArray[np.bool_], names: Sequence[str] = tuple(PRE_TRAINING)) -> list[Measured]:
    """The metrics of the labels alone, in the order of their names."""
    return _measure([PRE_TRAINING[name] for name in sorted(names)], count(facet, rows.label, None, rows.groups), rows)


def after_training(rows: Rows, facet: NDArray[np.bool_], names: Sequence[str]) -> list[Measured]:
    """The metrics that need predictions, `FT` among them, in the order of their names."""
    assert rows.predicted is not None
    counts = count(facet, rows.label, rows.predicted, rows.groups)
    found = _measure([POST_TRAINING[name] for name in names if name != FLIP_TEST[0]], counts, rows)
    if FLIP_TEST[0] in names:
        found.append(_flip_test(rows, facet))
    return sorted(found, key=lambda measured: measured.name)


def _measure(metrics: Sequence[Metric], counts: Counts, rows: Rows) -> list[Measured]:
    resampled = resample(counts, RESAMPLES, np.random.default_rng(SEED))
    result = []
    for metric in metrics:
        try:
            _check(metric, counts, rows)
        except Undefined as error:
            result.append(Measured(metric.name, metric.description, error=str(error)))
        else:
            low, high = _interval(metric.of(resampled))
            result.append(Measured(metric.name, metric.description, float(metric.of(counts)), low, high))
    return result


def _check(metric: Metric, counts: Counts, rows: Rows) -> None:
    """Raises Undefined when the data has no such metric."""
    if metric.name in {"CDDL", "CDDPL"} and rows.groups is None:
        raise Undefined("Group variable is empty or not provided")
    if metric.compares:
        _check_both(counts)
    if metric.check is not None:
        metric.check(counts)


def _check_both(counts: Counts) -> None:
    others, facet = (int(counts[side].sum()) for side in (0, 1))
    if not facet:
        raise Undefined("Facet set is empty")
    if not others:
        raise Undefined("Negated facet set is empty")


def _flip_test(rows: Rows, facet: NDArray[np.bool_]) -> Measured:
    assert rows.predicted is not None
    try:
        _check_both(count(facet, rows.label))
    except Undefined as error:
        return Measured(*FLIP_TEST, error=str(error))
    if rows.features is None:
        return Measured(*FLIP_TEST, error="FlipTest does not support non-numeric columns")
    flips = flip_test(rows.features, facet, rows.predicted)
    n = len(flips)
    shares = np.bincount(flips + 1, minlength=3) / n
    drawn = np.random.default_rng(SEED).multinomial(n, shares, size=RESAMPLES)
    low, high = _interval((drawn[:, 2] - drawn[:, 0]) / n)
    return Measured(*FLIP_TEST, float(flips.mean()), low, high)


def _interval(resampled: Array) -> tuple[float, float] | tuple[None, None]:
    """95 % percentile interval; none where resamples have no finite value."""
    if not np.isfinite(resampled).all():
        return None, None
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def _infinity(value: float) -> str:
    return "Infinity" if value > 0 else "-Infinity"
