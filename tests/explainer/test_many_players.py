"""Games of so many players that their coalitions are no 64-bit number: texts have hundreds of tokens."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from explainer.shapley import explain_game


@pytest.mark.parametrize("players", [66, 68, 200])
def test_a_game_of_many_players_has_intervals(players: int) -> None:
    weights = np.linspace(0, 1, players)

    def bent(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.tanh(masks @ weights / players)[:, None]

    found = explain_game(bent, players, num_samples=1500)
    assert found.standard_errors is not None
    assert found.standard_errors.dtype == found.values.dtype == np.float64
    assert (found.standard_errors >= 0).all()
    assert found.gap == pytest.approx(0, abs=1e-12)
