"""How sure a plain rate is: the interval that a report carries, and that a gate is judged on."""

from __future__ import annotations

import math

Z95 = 1.959963984540054


def wilson(successes: float, n: float) -> tuple[float, float]:
    """95 % interval of a rate: it neither collapses at 0 and 1 nor leaves them.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    rate = successes / n
    centre = (rate + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(rate * (1 - rate) / n + Z95**2 / (4 * n**2))
    # rounding may leave a bound 1e-17 on the wrong side of the rate
    return min(max(0.0, centre - half), rate), max(min(1.0, centre + half), rate)
