"""Partial dependence: how the mean prediction moves with one feature, and each row's own with it (ICE).

Friedman 2001, "Greedy function approximation", § 8.2; Goldstein et al. 2015, "Peeking inside the black box".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explainer.shapley import Predict

Array = NDArray[np.float64]

BATCH = 4096
"""Synthetic rows in one call of the model: few enough for the cache, enough to hide a call's overhead."""
INDIVIDUAL = 50
"""Rows whose own curves are kept: more would be a blot in a plot."""


@dataclass(frozen=True)
class Dependence:
    """One feature's."""

    grid: Array
    """(points,): the feature's values that every row was given."""
    distribution: Array
    """(points,): the share of the rows that lie at each."""
    mean: Array
    """(points, outputs): mean predictions."""
    individual: Array
    """(some rows, points, outputs): the first rows' own predictions."""


def buckets(values: Array, resolution: int) -> tuple[Array, Array]:
    """Centres of equal intervals from the smallest value to the largest, and the share of the values in each.

    Args:
        values: (rows,), numbers; NaN counts in no interval.
        resolution: how many intervals; one where all values are equal.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(0), np.zeros(0)
    if known.min() == known.max():
        return known[:1].copy(), np.array([len(known) / len(values)])
    counts, ends = np.histogram(known, bins=resolution)
    return (ends[:-1] + ends[1:]) / 2, counts / len(values)


def categories(values: Array) -> tuple[Array, Array]:
    """Every value there is, and its share of the rows; NaN is none."""
    found, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    return found, counts / len(values)


def partial_dependence(
    predict: Predict, rows: NDArray[Any], features: Sequence[int], grids: Sequence[tuple[Array, Array]]
) -> Iterator[Dependence]:
    """The features' partial dependence, one at a time.

    Args:
        predict: (inputs, features) → (inputs, outputs).
        rows: (rows, features).
        features: the places of those that are wanted.
        grids: for each of them, the values to try and the rows' shares.

    Raises:
        ValueError: the model's scores are not one row for each input.
    """
    for feature, (grid, distribution) in zip(features, grids, strict=True):
        points = len(grid)
        step = max(1, BATCH // max(points, 1))
        total: Array | None = None
        individual: list[Array] = []
        for start in range(0, len(rows) if points else 0, step):
            part = rows[start : start + step]
            asked = np.repeat(part[None], points, axis=0)
            asked[:, :, feature] = grid[:, None]
            scores = np.asarray(predict(asked.reshape(-1, rows.shape[1])), dtype=np.float64)
            if scores.ndim != 2 or len(scores) != points * len(part):
                raise ValueError(
                    f"the model's scores have shape {scores.shape}, expected ({points * len(part)}, outputs)"
                )
            of_part = scores.reshape(points, len(part), -1)
            total = of_part.sum(axis=1) + (0 if total is None else total)
            if start < INDIVIDUAL:
                individual.append(of_part[:, : INDIVIDUAL - start].swapaxes(0, 1))
        if total is None:
            yield Dependence(grid, distribution, np.zeros((0, 0)), np.zeros((0, 0, 0)))
        else:
            yield Dependence(grid, distribution, total / len(rows), np.concatenate(individual))
