"""Games whose Shapley values are known, and the definition to hold estimates against."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

Game = Callable[[NDArray[np.bool_]], NDArray[np.float64]]


def table_game(values: NDArray[np.float64]) -> Game:
    """The game with these values, (2ⁿ, outputs), by the coalition's number: player i is bit i."""
    players = len(values).bit_length() - 1

    def value(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(values[masks @ (1 << np.arange(players))])

    return value


def random_game(players: int, outputs: int = 1, seed: int = 0) -> Game:
    return table_game(np.random.default_rng(seed).normal(size=(2**players, outputs)))


def by_definition(value: Game, players: int) -> NDArray[np.float64]:
    """Shapley's sum over coalitions without each player, written down as in his paper."""
    result: list[Any] = []
    for player in range(players):
        others = [other for other in range(players) if other != player]
        total: Any = 0
        for size in range(players):
            for members in combinations(others, size):
                masks = np.zeros((2, players), dtype=bool)
                masks[:, list(members)] = True
                masks[1, player] = True
                without, with_ = value(masks)
                total = total + (with_ - without) / (players * comb(players - 1, size))
        result.append(total)
    return np.array(result)
