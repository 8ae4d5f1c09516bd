"""How sure the global ranking of features is: would other rows have given the same one?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SPLITS = 10
"""Splits in halves over which the correlation is averaged: one alone is a matter of luck."""


def halves(rows: int, seed: int) -> NDArray[np.bool_]:
    """(SPLITS, rows): which rows are in the first half of each split; same arguments, same splits."""
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(rows) < rows // 2 for _ in range(SPLITS)])


def split_half(first: Array, second: Array) -> float | None:
    """How alike two halves of the rows rank the features, 1 for the same: the mean of Spearman's correlations.

    It speaks of half the rows; all of them together rank more surely.

    Args:
        first: (splits, features), each feature's global value in one half of the rows.
        second: likewise, in the other.

    Returns:
        None where there is no ranking: fewer than three features, or all alike.
    """
    if first.shape[1] < 3:
        return None
    found = [spearman(a, b) for a, b in zip(first, second, strict=True)]
    known = [one for one in found if one is not None]
    return float(np.mean(known)) if known else None


def spearman(a: Array, b: Array) -> float | None:
    """The correlation of the ranks, equal values sharing theirs (Spearman 1904); None where all are equal."""
    x, y = _ranks(a), _ranks(b)
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size else None


def _ranks(values: Array) -> Array:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Array = ((ends - counts + ends - 1) / 2)[places]
    return ranks
