"""How well scores put the right class first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluator.intervals import divide
from evaluator.sums import Sums

Array = NDArray[np.float64]


class OneVsRest:
    """The areas under the ROC and the precision-recall curve of one class, for many weightings of the rows at once.

    ROC AUC is the chance that a sample of the class scores higher than one of the rest, ties counting half. PR AUC is
    the average precision: the mean over the class's samples of the precision at their score (no interpolation, which
    is too kind: Davis & Goadrich 2006).

    Only the distinct scores of the class's own samples matter: of the rest, how many lie between two of them and how
    many are tied with each. So each weighting is one pass of additions.

    Args:
        inside: (rows,) whether a row is of the class.
        scores: (rows,)
        weights: (rows,)
    """

    def __init__(self, inside: NDArray[np.bool_], scores: Array, weights: Array) -> None:
        order = np.argsort(scores)
        ordered = scores[order]
        level = np.zeros(len(scores), dtype=np.int64)
        np.cumsum(ordered[1:] != ordered[:-1], out=level[1:])
        own = np.bincount(level, inside[order]) > 0  # levels of score that the class's own samples have
        up_to = np.cumsum(own)
        self._levels = int(up_to[-1])
        # the rest: 2j below the class's level j, 2j + 1 tied with it; its own samples behind them
        rest, mine = 2 * up_to - own, 2 * self._levels + up_to
        groups = np.empty(len(scores), dtype=np.int64)
        groups[order] = np.where(inside[order], mine[level], rest[level])
        self._sums = Sums(groups, 3 * self._levels + 1, weights)

    def __call__(self, times: Array | None) -> tuple[Array, Array]:
        """times: (rows, weightings) or None: once. ROC AUC and PR AUC, (weightings,); NaN without class or rest."""
        sums = _turned(self._sums(times))  # running sums along memory: four times as fast
        split = 2 * self._levels + 1
        rest, inside = np.cumsum(sums[:, :split], axis=1), sums[:, split:]
        lower, tied = rest[:, :-1:2], sums[:, 1:split:2]
        all_inside, all_rest = inside.sum(axis=1), rest[:, -1]
        # each sample of the class beats the lower ones of the rest
        roc = divide((inside * (lower + tied / 2)).sum(axis=1), all_inside * all_rest, otherwise=np.nan)
        found = np.cumsum(inside[:, ::-1], axis=1)[:, ::-1]  # of the class, with this score or a higher one
        precision = divide(found, found + (all_rest[:, None] - lower))
        pr = divide((inside * precision).sum(axis=1), np.where(all_rest > 0, all_inside, 0), otherwise=np.nan)
        return roc, pr


def _turned(values: Array) -> Array:
    """The transpose, written anew in blocks that caches hold."""
    result = np.empty(values.shape[::-1])
    for start in range(0, len(values), 512):
        result[:, start : start + 512] = values[start : start + 512].T
    return result


def top_k_hits(true: NDArray[np.int64], scores: Array, k: int) -> Array:
    """Whether the true class is among the k highest scores, (rows,); of a tie, the chance that it is."""
    own = scores[np.arange(len(true)), true][:, None]
    higher, tied = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    hits: Array = np.clip((k - higher) / tied, 0.0, 1.0)
    return hits
