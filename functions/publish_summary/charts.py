"""The geometry of the page's small drawings: what Python has to work out, so that the templates only place it.

A drawing is SVG with attributes only: the page's security policy refuses `style` attributes, of which it knows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

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
    """A gate as a line from 0 to 100: where its value, interval, bounds and the champion lie."""

    value: float
    low: float | None
    high: float | None
    bounds: tuple[float, ...]
    champion: float | None


def range_of(gate: GateOutcome) -> Range | None:
    """None where there is nothing to compare on one scale: no value, or a limit to the difference from the champion."""
    asked = gate.gate
    limits = [limit for limit in (asked.min, asked.max) if limit is not None]
    if asked.max_abs is not None:
        limits += [-asked.max_abs, asked.max_abs]
    if gate.value is None or not limits:
        return None
    on_scale = Scale([gate.value, gate.low, gate.high, gate.champion, *limits])
    return Range(
        value=on_scale.at(gate.value),
        low=None if gate.low is None else on_scale.at(gate.low),
        high=None if gate.high is None else on_scale.at(gate.high),
        bounds=tuple(map(on_scale.at, limits)),
        champion=None if gate.champion is None else on_scale.at(gate.champion),
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


@dataclass(frozen=True)
class Line:
    label: str
    path: str
    """`M0 1L2 3…`"""


@dataclass(frozen=True)
class DependenceChart:
    """One feature's partial dependence, in the units of WIDTH and HEIGHT."""

    feature: str
    error: str | None
    lines: tuple[Line, ...]
    lines_left_out: int
    columns: tuple[tuple[float, float, float], ...]
    """The rows' shares: left edge, width, height."""
    lowest: float
    highest: float
    """Of the scores that are drawn."""
    first: float | str
    last: float | str
    categories: tuple[tuple[str, float | None, tuple[float, ...]], ...]
    """Of a feature that is not a number: name, share of the rows, the score of each line's label."""
    categories_left_out: int

    @property
    def numeric(self) -> bool:
        return not self.categories


def dependence_chart(found: PartialDependence) -> DependenceChart:
    """What is drawn: the labels whose score the feature moves most."""
    values, points = found.values, len(found.values)
    usable = [curve for curve in found.curves if len(curve.scores) == points and points]
    shown = sorted(usable, key=lambda curve: -moved(curve.scores))[:MOST_LINES]
    scores = [score for curve in shown for score in curve.scores]
    numbers = [value for value in values if isinstance(value, float)]
    numeric = len(numbers) == points
    across = Scale(numbers)
    along = Scale(scores)
    shares = found.shares if len(found.shares) == points else ()
    by_share = sorted(range(points), key=lambda place: -shares[place]) if shares else list(range(points))
    kept = sorted(by_share[:MOST_CATEGORIES])
    xs = [x(across.at(value)) for value in numbers] if numeric else []
    return DependenceChart(
        feature=found.feature,
        error=found.error or (None if shown else "there are no values"),
        lines=tuple(
            Line(curve.label, path(xs, [y(along.at(score)) for score in curve.scores]) if numeric else "")
            for curve in shown
        ),
        lines_left_out=len(usable) - len(shown),
        columns=columns(xs, shares),
        lowest=min(scores, default=0.0),
        highest=max(scores, default=0.0),
        first=values[0] if values else "",
        last=values[-1] if values else "",
        categories=()
        if numeric
        else tuple(
            (
                str(values[place]),
                shares[place] if shares else None,
                tuple(curve.scores[place] for curve in shown),
            )
            for place in kept
        ),
        categories_left_out=0 if numeric else points - len(kept),
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
