"""From the values of coalitions to Shapley values: the least-squares problem, solved once for all rows and outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from explainer.shapley.coalitions import Masks, all_pairs, draw_pairs

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """The coalitions to ask about, and the matrix that turns their values into Shapley values.

    With v the game, Δ = v(everybody) - v(nobody), and for each pair its odd difference
    o(S) = (v(S) - v(complement of S)) / 2, the values are `operator @ o + share · Δ`: Shapley values depend on nothing
    else of the game.
    """

    masks: Masks
    """(pairs, n): one coalition of each pair."""
    operator: Array
    """(n, pairs)"""
    share: Array
    """(n,)"""
    exact: bool
    """All coalitions are asked about: the values are not an estimate."""

    @cached_property
    def coalitions(self) -> Masks:
        """What to ask, (2 · pairs, n): the coalitions, then their complements in the same order."""
        return np.concatenate([self.masks, ~self.masks])

    def solve(self, values: Array, total: Array) -> Array:
        """Shapley values (n, outputs).

        Args:
            values: (2 · pairs, outputs), the game's values of `coalitions`.
            total: (outputs,), v(everybody) - v(nobody): what the result adds up to.
        """
        pairs, players = self.masks.shape
        odd = (values[:pairs] - values[pairs:]) / 2
        result: Array = self.operator @ odd + np.outer(self.share, total)
        result += (total - result.sum(axis=0)) / max(players, 1)  # what rounding lost, about 1e-16
        return result


def default_samples(features: int) -> int:
    """Clarify's default: min(2F + 2048, 2^F - 2) coalitions for F features."""
    return 2 * features + 2048 if features > 12 else min(2 * features + 2048, 2**features - 2)


def make_plan(n: int, num_samples: int, seed: int = 0) -> Plan:
    """Which coalitions of n players to ask about with a budget of num_samples, nobody and everybody not counted.

    The budget is spent in pairs; one pair at least, all of them when it covers 2ⁿ - 2. Same arguments, same plan.
    """
    if n < 2:  # nobody, or one player whose value is all there is
        return Plan(np.zeros((0, n), np.bool_), np.zeros((n, 0)), np.ones(n), exact=True)
    if n <= 62 and num_samples >= 2**n - 2:
        masks = all_pairs(n)
        return Plan(masks, _exact_operator(masks), np.full(n, 1 / n), exact=True)
    masks, weights = draw_pairs(n, max(num_samples // 2, 1), np.random.default_rng(seed))
    operator, share = _least_squares(masks, weights)
    return Plan(masks, operator, share, exact=False)


def _exact_operator(masks: Masks) -> Array:
    """The definition (Shapley 1953), a pair at a time.

    v(S) counts 1 / (n C(n-1, s-1)) for a player in S, of size s, and -1 / (n C(n-1, s)) for one outside; the
    complement counts the same with the other sign, so the pair counts twice its odd difference.
    """
    n = masks.shape[1]
    inside = np.array([math.nan] + [2 / (n * math.comb(n - 1, s - 1)) for s in range(1, n)])
    outside = np.array([math.nan] + [-2 / (n * math.comb(n - 1, s)) for s in range(1, n)])
    sizes = masks.sum(axis=1)
    operator: Array = np.where(masks.T, inside[sizes], outside[sizes])
    return operator


def _least_squares(masks: Masks, weights: Array) -> tuple[Array, Array]:
    """The operator and share that solve: minimise Σ w (o(S) - x·φ)², where Σφ = Δ and x is ±1/2 for in or out.

    Covert and Lee 2021 show that on pairs KernelSHAP's problem is this one. Write φ = Δ/n + θ with Σθ = 0: centring
    each x then changes nothing but makes the smallest solution for θ the one that sums to zero, so the pseudo-inverse
    of the centred problem eliminates the constraint. It also gives the solution nearest to equal shares where there
    are too few coalitions to tell the players apart.
    """
    n = masks.shape[1]
    x = masks - 0.5
    centred = x - x.mean(axis=1, keepdims=True)
    root = np.sqrt(weights)
    # 1e-10: the direction that centring removed has a singular value of about 1e-16 of the largest
    operator = np.linalg.pinv(root[:, None] * centred, rcond=1e-10) * root
    return operator, (1 - operator @ x.sum(axis=1)) / n
