"""The geometry of the page's small drawings: what Python has to work out, so that the templates only place it.

A drawing is SVG with attributes only: the page's security policy refuses `style` attributes, of which it knows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from assay.summary import PartialDependence
from assay.verdict import GateOutcome

WIDTH, HEIGHT = 320, 150
"""Of a curve's drawing, in its own units."""
LEFT, RIGHT, TOP, BOTTOM = 4, 316, 8, 112
"""Of the curve within it; what is below are the rows' shares."""
SHARES = 22
"""How high the tallest of the rows' shares is."""
MOST_LINES = 6
"""As many colours are told apart."""
MOST_CATEGORIES = 12


@dataclass(frozen=True)
class Range:
    """A gate as a line from 0 to 100: where its value, interval, bounds and the champion lie.

    Of a limit to how much worse than the champion it may be, `value` is the difference, and the champion lies at none.
    """

    value: float
    low: float | None
    high: float | None
    bounds: tuple[float, ...]
    champion: float | None


def range_of(gate: GateOutcome) -> Range | None:
    """None where there is nothing to compare on one scale: no value, no limit of its own, no champion."""
    if gate.difference is not None:
        apart = gate.difference
        return _range(apart.value, apart.low, apart.high, [apart.bound], champion=0.0)
    asked = gate.gate
    limits = [limit for limit in (asked.min, asked.max) if limit is not None]
    if asked.max_abs is not None:
        limits += [-asked.max_abs, asked.max_abs]
    if gate.value is None or not limits:
        return None
    return _range(gate.value, gate.low, gate.high, limits, gate.champion)


def _range(
    value: float, low: float | None, high: float | None, bounds: Sequence[float], champion: float | None
) -> Range:
    on_scale = Scale([value, low, high, champion, *bounds])
    return Range(
        value=on_scale.at(value),
        low=None if low is None else on_scale.at(low),
        high=None if high is None else on_scale.at(high),
        bounds=tuple(map(on_scale.at, bounds)),
        champion=None if champion is None else on_scale.at(champion),
    )


class Scale:
    """From values to 4…96 of a drawing's 100; whatever their size, without overflow."""

    def __init__(self, values: Iterable[float | None]) -> None:
        known = [value for value in values if value is not None]
        self._unit = max((abs(value) for value in known), default=0.0) or 1.0
        self._low = min((value / self._unit for value in known), default=0.0)
        self._span = max((value / self._unit for value in known), default=0.0) - self._low

    def at(self, value: float) -> float:
        return 50.0 if self._span <= 0 else 4 + 92 * (value / self._unit - self._low) / self._span


class Curve(NamedTuple):
    """Of a feature that is a number, in the units of WIDTH and HEIGHT."""

    paths: tuple[str, ...]
    """`M0 1L2 3…`, one for each label."""
    columns: tuple[tuple[float, float, float], ...]
    """The rows' shares: left edge, width, height."""
    first: float
    last: float
    """The feature's values at both ends."""


class Category(NamedTuple):
    """Of a feature that is not a number: one of its values."""

    name: str
    share: float | None
    """Of the rows."""
    scores: tuple[float, ...]
    """One for each label."""


@dataclass(frozen=True)
class DependenceChart:
    """One feature's partial dependence: a curve, or categories."""

    feature: str
    error: str | None
    labels: tuple[str, ...] = ()
    labels_left_out: int = 0
    lowest: float = 0.0
    highest: float = 0.0
    """Of the scores that are drawn."""
    curve: Curve | None = None
    categories: tuple[Category, ...] = ()
    categories_left_out: int = 0


def dependence_chart(found: PartialDependence) -> DependenceChart:
    """What is drawn: the labels whose score the feature moves most, the values that most rows have."""
    points = len(found.values)
    usable = [curve for curve in found.curves if points and len(curve.scores) == points]
    if found.error or not usable:
        return DependenceChart(found.feature, error=found.error or "there are no values")
    shown = sorted(usable, key=lambda curve: -moved(curve.scores))[:MOST_LINES]
    scores = [curve.scores for curve in shown]
    shares = found.shares if len(found.shares) == points else ()
    numbers = [value for value in found.values if isinstance(value, float)]
    is_number = len(numbers) == points
    categories = () if is_number else most_frequent(found.values, shares, scores)
    return DependenceChart(
        feature=found.feature,
        error=None,
        labels=tuple(curve.label for curve in shown),
        labels_left_out=len(usable) - len(shown),
        lowest=min(map(min, scores)),
        highest=max(map(max, scores)),
        curve=drawn(numbers, shares, scores) if is_number else None,
        categories=categories,
        categories_left_out=0 if is_number else points - len(categories),
    )


def drawn(values: Sequence[float], shares: Sequence[float], scores: Sequence[Sequence[float]]) -> Curve:
    across, along = Scale(values), Scale(score for of_label in scores for score in of_label)
    xs = [x(across.at(value)) for value in values]
    paths = tuple(path(xs, [y(along.at(score)) for score in of_label]) for of_label in scores)
    return Curve(paths, columns(xs, shares), values[0], values[-1])


def most_frequent(
    values: Sequence[float | str], shares: Sequence[float], scores: Sequence[Sequence[float]]
) -> tuple[Category, ...]:
    """In their own order."""
    order = sorted(range(len(values)), key=lambda place: -shares[place]) if shares else range(len(values))
    return tuple(
        Category(str(values[place]), shares[place] if shares else None, tuple(of_label[place] for of_label in scores))
        for place in sorted(order[:MOST_CATEGORIES])
    )


def moved(scores: Sequence[float]) -> float:
    return max(scores) - min(scores)


def x(percent: float) -> float:
    return LEFT + (RIGHT - LEFT) * (percent - 4) / 92


def y(percent: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * (percent - 4) / 92


def path(xs: Sequence[float], ys: Sequence[float]) -> str:
    """A line through the points; a single point is a line across, for there is no other value."""
    if len(xs) == 1:
        return f"M{LEFT} {ys[0]:.1f}H{RIGHT}"
    return "M" + "L".join(f"{one:.1f} {other:.1f}" for one, other in zip(xs, ys, strict=True))


def columns(xs: Sequence[float], shares: Sequence[float]) -> tuple[tuple[float, float, float], ...]:
    """A column for each value, as wide as the values' distances allow."""
    if not xs or not shares:
        return ()
    tallest = max(shares) or 1.0
    narrowest = min((right - left for left, right in pairwise(xs)), default=8.0)
    width = min(max(narrowest * 0.8, 1.5), 12.0)
    return tuple((at - width / 2, width, SHARES * share / tallest) for at, share in zip(xs, shares, strict=True))
