"""Global values of texts, taken up row by row: what each unit does over all its occurrences."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from explainer.rows import aggregate

Array = NDArray[np.float64]


class Total(Protocol):
    """The aggregate of attributions (labels,)."""

    def add(self, values: Array) -> None: ...

    def result(self) -> Array: ...


class _Mean:
    """Of their sizes: a sum and a count, however many there are."""

    __slots__ = ("_count", "_size", "_sum")

    def __init__(self, size: Callable[[Array], Array]) -> None:
        self._size, self._sum, self._count = size, np.zeros(()), 0

    def add(self, values: Array) -> None:
        self._sum = self._sum + self._size(values)
        self._count += 1

    def result(self) -> Array:
        return np.asarray(self._sum / self._count)


class _Median:
    """Of the values themselves, all of which it needs."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: list[Array] = []

    def add(self, values: Array) -> None:
        self._values.append(values)

    def result(self) -> Array:
        return aggregate(np.array(self._values), "median")


def total_of(agg_method: str) -> Total:
    """As `explainer.rows.aggregate` has it, of one at a time."""
    if agg_method == "median":
        return _Median()
    return _Mean(np.abs if agg_method == "mean_abs" else np.square)


class TopUnits:
    """The units of one text that matter most for each label."""

    def __init__(self, agg_method: str) -> None:
        self._agg_method = agg_method
        self._units: dict[str, Total] = {}

    def add(self, units: Iterable[tuple[str, Array]]) -> None:
        """Take up one row's units, as they stand in the text, with their attributions (labels,)."""
        for text, values in units:
            found = self._units.get(text)
            if found is None:
                found = self._units[text] = total_of(self._agg_method)
            found.add(values)

    def first(self, most: int, labels: int) -> list[dict[str, float]]:
        """For each label the units of most weight, the largest first; those alike by their text."""
        results = {text: total.result() for text, total in self._units.items()}
        return [
            {text: float(results[text][label]) for text in _largest(results, label)[:most]} for label in range(labels)
        ]


def _largest(results: dict[str, Array], label: int) -> list[str]:
    return sorted(results, key=lambda text: (-abs(results[text][label]), text))
