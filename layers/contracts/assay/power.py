"""What n samples can decide of a gate, known before a model has been asked about any of them.

For plain rates only: the share of n samples that are right, whose interval is Wilson's (accuracy of all rows, recall of
a class's own). The intervals of other metrics depend on the scores themselves, and `max_worse` on how many answers
differ from the champion's: of those nothing can be said beforehand, and nothing is.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

from assay.evaluation import Metric
from assay.policy import Gate
from assay.rates import wilson
from assay.verdict import judged_interval

Bound = Callable[[int], float]
MOST_SAMPLES = 1_000_000_000


class Power(NamedTuple):
    """How many of n samples must be right."""

    n: int
    passes: range
    """The numbers right with which the gate passes; empty when none does."""
    undecided: range
    """Those with which it does not fail; between the two it is inconclusive."""


def power(gate: Gate, n: int) -> Power | None:
    """What n samples decide of a gate on a plain rate; None where nothing can be said: `max_worse`, or no limit at all.

    It is what `assay.verdict` decides of each number right, found by bisection.
    """
    floor, ceiling = limits(gate)
    if n < 1 or gate.max_worse is not None or (floor <= 0 and ceiling >= 1):
        return None

    def low(right: int) -> float:
        return _interval(gate, right, n)[0]

    def high(right: int) -> float:
        return _interval(gate, right, n)[1]

    def least(bound: Bound) -> int:
        """From how many right on a bound reaches the floor."""
        return bisect_left(range(n + 1), True, key=lambda right: bound(right) >= floor) if floor > 0 else 0

    def beyond(bound: Bound) -> int:
        """From how many right on a bound is above the ceiling."""
        return bisect_left(range(n + 1), True, key=lambda right: bound(right) > ceiling) if ceiling < 1 else n + 1

    return Power(n, passes=range(least(low), beyond(high)), undecided=range(least(high), beyond(low)))


def samples_needed(gate: Gate, rate: float) -> int | None:
    """The least number of samples on which a rate passes a gate; None when it does on no number of them."""
    floor, ceiling = limits(gate)
    if gate.max_worse is not None:
        return None

    def passes(n: int) -> bool:
        low, high = _interval(gate, rate * n, n)
        return low >= floor and high <= ceiling

    if not passes(MOST_SAMPLES):
        return None
    return 1 + bisect_left(range(1, MOST_SAMPLES + 1), True, key=passes)


def power_in_words(gate: Gate, n: int) -> str | None:
    """`passes from 93 of 96 right, fails up to 80; at 0.93 you need 390`; None where nothing can be said."""
    found = power(gate, n)
    if found is None:
        return None
    floor, ceiling = limits(gate)
    if not found.passes:
        best = f", with all {n:,} right" if floor > 0 and ceiling >= 1 else ""
        sentence = f"can never pass on {n:,} sample{'' if n == 1 else 's'}{best}"
    else:
        failing = [f"up to {found.undecided.start - 1:,}"] * (found.undecided.start > 0)
        failing += [f"from {found.undecided.stop:,}"] * (found.undecided.stop <= n)
        sentence = f"passes {_span(found.passes, n)} of {n:,} right, "
        sentence += f"fails {' and '.join(failing)}" if failing else "cannot fail"
    example = example_rate(gate)
    needed = None if example is None else samples_needed(gate, example)
    if needed is not None and needed > n:
        sentence += f"; at {example:g} you need {rounded_up(needed):,}"
    return sentence


def example_rate(gate: Gate) -> float | None:
    """A rate a third of the way from the limit to the best there is, in the fewest digits that tell it apart."""
    floor, ceiling = limits(gate)
    if 0 < floor < 1 <= ceiling:
        low, exact, high = floor, floor + (1 - floor) / 3, 1.0
    elif floor <= 0 < ceiling < 1:
        low, exact, high = 0.0, ceiling * 2 / 3, ceiling
    else:
        return None
    return next((rate for digits in range(2, 10) if low < (rate := round(exact, digits)) < high), None)


def rounded_up(number: int) -> int:
    """To two significant digits: what is said of a need should be enough."""
    unit: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // unit) * unit


def limits(gate: Gate) -> tuple[float, float]:
    """The least and the most that a rate may be; a rate is its own distance from zero."""
    floor = -math.inf if gate.min is None else gate.min
    return floor, min(math.inf if limit is None else limit for limit in (gate.max, gate.max_abs))


def _interval(gate: Gate, right: float, n: int) -> tuple[float, float]:
    """What the verdict is judged on when so many are right."""
    low, high = wilson(right, n)
    interval = judged_interval(gate, Metric(value=right / n, low=low, high=high, n=n))
    assert interval is not None  # there are both bounds
    return interval


def _span(right: range, n: int) -> str:
    if right.stop > n:
        return f"from {right.start:,}"
    if right.start == 0:
        return f"up to {right.stop - 1:,}"
    return f"from {right.start:,} to {right.stop - 1:,}"
