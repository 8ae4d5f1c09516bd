"""What a report says, as data: a page, a notebook and a document show the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import floor, log10
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from explainer.text.highlight import Passage

T = TypeVar("T")


@dataclass(frozen=True)
class Bar:
    """A value as a bar from a common zero; what it speaks for is told by its colour."""

    name: str
    value: float
    half_width: float = 0.0
    """How far the 95 % interval reaches to either side; 0: there is none, or nothing to doubt."""


@dataclass(frozen=True)
class Bars:
    """Values that compare, the largest first."""

    bars: Sequence[Bar]
    signed: bool
    caption: str = ""

    @property
    def longest(self) -> float:
        """What has the whole length; above 0."""
        return max((abs(bar.value) + bar.half_width for bar in self.bars), default=0.0) or 1.0

    @cached_property
    def written(self) -> Sequence[str]:
        """Their numbers, with as many decimals each."""
        decimals = self._decimals
        return [self._written(bar, decimals) for bar in self.bars]

    @property
    def _decimals(self) -> int | None:
        """For three digits of the largest, and one of the smallest half width; None where that were too many."""
        if not 1e-4 <= self.longest < 1e6:
            return None
        least = min((bar.half_width for bar in self.bars if bar.half_width), default=self.longest)
        return min(max(2 - floor(log10(self.longest)), -floor(log10(least)), 0), 6)

    def _written(self, bar: Bar, decimals: int | None) -> str:
        form = ".3g" if decimals is None else f".{decimals}f"
        number = f"{bar.value:{'+' if self.signed else ''}{form}}"
        return f"{number} ± {bar.half_width:{'.1g' if decimals is None else form}}" if bar.half_width else number


@dataclass(frozen=True)
class Measure:
    """A metric: its value with a 95 % interval where there is one, or why there is none."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    @property
    def written(self) -> str:
        return self.reason if self.value is None else signed(self.value)

    @property
    def interval(self) -> str:
        return "" if self.low is None or self.high is None else f"{signed(self.low)} to {signed(self.high)}"


@dataclass(frozen=True)
class Measures:
    """A table of metrics."""

    rows: Sequence[Measure]


@dataclass(frozen=True)
class Text:
    """A text with what each part of it did."""

    passages: Sequence[Passage]
    caption: str = ""


@dataclass(frozen=True)
class Curve:
    """A value over another; all in parts of the drawing, from 0 (left, low) to 1."""

    description: str
    """For who cannot see it."""
    x: Sequence[float]
    mean: Sequence[float]
    first: str
    """What x is at the left end, and at the right."""
    last: str
    own: Sequence[Sequence[float]] = ()
    """Of single rows."""
    by_chance: Sequence[float] = ()
    """What to compare with."""
    shares: Sequence[float] = ()
    """How much of the data is at each x, of the most frequent."""


@dataclass(frozen=True)
class Picture:
    """A JPEG file of the results."""

    file: Path
    description: str
    """For who cannot see it."""


Block = Bars | Measures | Text | Curve | Picture


@dataclass(frozen=True)
class Card:
    """What belongs together: one label, row, feature, facet or picture."""

    title: str
    subtitle: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Sign:
    """A colour as it is used below: a patch of it, or a text that is marked with it."""

    raises: bool
    text: str = ""


@dataclass(frozen=True)
class Reading:
    """Python that reads one of the files beside the report, for who goes on from it."""

    file: str
    code: str


@dataclass(frozen=True)
class Section:
    """Cards of one kind."""

    title: str
    intro: Sequence[str | Sign]
    cards: Sequence[Card]
    wide: bool = False
    """Cards need room."""
    readings: Sequence[Reading] = ()


@dataclass(frozen=True)
class Report:
    """All of it, in the order in which it is read."""

    title: str
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]
    """What went wrong, and what must be known."""
    sections: Sequence[Section]
    left_out: str = ""
    """`3 more labels and 1 more row`, or nothing."""

    def blocks(self, kind: type[T]) -> Iterator[T]:
        """All blocks of a kind."""
        for section in self.sections:
            for card in section.cards:
                yield from (block for block in card.blocks if isinstance(block, kind))


def largest(
    names: Sequence[str],
    values: Sequence[float] | NDArray[np.float64],
    most: int,
    half_widths: NDArray[np.float64] | None = None,
) -> tuple[Bar, ...]:
    """The largest values, by size; NaN for a half width that is not known."""
    values = np.asarray(values, dtype=np.float64)
    reach = np.zeros(len(values)) if half_widths is None else np.nan_to_num(half_widths)
    reach = np.where(reach > 1e-9 * (np.abs(values) + reach).max(initial=0.0), reach, 0.0)  # rounding is no doubt
    order = np.argsort(-np.abs(values), kind="stable")[:most]
    return tuple(Bar(names[place], float(values[place]), float(reach[place])) for place in order.tolist())


def scaled(values: Sequence[float] | NDArray[np.float64], low: float, high: float) -> list[float]:
    """Between 0 at `low` and 1 at `high`."""
    result: list[float] = ((np.asarray(values, dtype=np.float64) - low) / ((high - low) or 1.0)).tolist()
    return result


def left_out(*counts: tuple[int, str]) -> str:
    """`3 more labels and 1 more row`, or nothing."""
    return " and ".join(f"{count:,} more {noun}{'' if count == 1 else 's'}" for count, noun in counts if count > 0)


def short(value: float) -> str:
    return f"{value:.3g}"


def signed(value: float) -> str:
    return f"{value:+.3g}"
