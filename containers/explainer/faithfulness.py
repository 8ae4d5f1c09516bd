"""Whether the segments that an explanation marks are those that count: deletion and insertion.

Petsiuk, Das and Saenko 2018, "RISE: Randomized Input Sampling for Explanation of Black-box Models", § 4.2: take the
segments away, what speaks most for the score first, and it should fall soon; show them on the baseline in the same
order, and it should rise soon. The area under each curve is one number; what an order by chance leads to stands beside
it, and costs nothing: the coalitions that were asked about anyhow are random ones of each size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.explanation import Faithfulness
from explainer.masking import Masks, PictureGame
from explainer.shapley import Explanation

STEPS = 10
"""Curves are looked at after each tenth of the segments: at most 18 more pictures for each explained score."""
SHARES = np.arange(STEPS + 1) / STEPS

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """Of one score, (STEPS + 1,) each."""

    deletion: Array
    """By the share of the segments that is taken away."""
    insertion: Array
    """By the share that is shown."""
    random: Array
    """By the share that is shown, in an order by chance."""


def curves(game: PictureGame, explanation: Explanation, outputs: Sequence[int]) -> list[Curves]:
    """The curves of some of an explanation's outputs, all asked about at once."""
    n = game.players
    sizes = np.unique(np.rint(SHARES * n).astype(np.int64))
    inner = sizes[(sizes > 0) & (sizes < n)]
    masks = [orders(explanation.values[:, output], inner) for output in outputs]
    scores = game.value(np.concatenate(masks)) if len(inner) else np.empty((0, len(explanation.base)))
    at = np.concatenate([[0], inner, [n]]) / n
    chance = np.array(sorted(game.by_size))
    found = []
    for output, own in zip(outputs, np.split(scores, len(outputs)), strict=True):
        shown, hidden = explanation.prediction[output], explanation.base[output]
        rising, falling = own[: len(inner), output], own[len(inner) :, output]
        by_chance = [game.by_size[size][output] for size in chance]
        found.append(
            Curves(
                deletion=np.interp(SHARES, at, [shown, *falling, hidden]),
                insertion=np.interp(SHARES, at, [hidden, *rising, shown]),
                random=np.interp(SHARES, chance / n, by_chance),
            )
        )
    return found


def orders(attributions: Array, sizes: NDArray[np.int64]) -> Masks:
    """Who is there when the first so many are shown, and then when they are taken away: (2 · sizes, players)."""
    rank = np.empty(len(attributions), dtype=np.int64)
    rank[np.argsort(-attributions, kind="stable")] = np.arange(len(attributions))
    first: Masks = rank[None, :] < sizes[:, None]
    return np.concatenate([first, ~first])


def area(curve: Array) -> float:
    """Under a curve over 0 to 1, by trapezoids."""
    return float((curve[1:] + curve[:-1]).mean() / 2)


class Mean:
    """The curves of a job: the mean of all, of which none is kept."""

    def __init__(self) -> None:
        self._count = 0
        self._sums = np.zeros((3, STEPS + 1))

    def add(self, found: Sequence[Curves]) -> None:
        for one in found:
            self._count += 1
            self._sums += [one.deletion, one.insertion, one.random]

    def result(self) -> Faithfulness | None:
        if not self._count:
            return None
        deletion, insertion, random = self._sums / self._count
        return Faithfulness(
            explained=self._count,
            shares=tuple(SHARES.tolist()),
            deletion=tuple(deletion.tolist()),
            insertion=tuple(insertion.tolist()),
            random=tuple(random.tolist()),
            deletion_area=area(deletion),
            insertion_area=area(insertion),
            random_area=area(random),
        )
