"""From the values of coalitions to Shapley values: the least-squares problem, solved once for all rows and outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from explainer.shapley.coalitions import (
    Masks,
    all_pairs,
    chain_pairs,
    draw_pairs,
    in_steps,
    pair_sizes,
    pairs_of_size,
    weights_of,
)
from explainer.shapley.surrogate import Surrogate

Array = NDArray[np.float64]

CHAINS_BELOW = 3
"""Coalitions a player below which chains are asked about. From 1.9 to 3 a player their errors are 0.3 to 0.9 of those
of drawn coalitions, at 4 a player 1.15. They leave too little over for standard errors."""

FIRST_STEP = 8
"""Coalitions a player after which standard errors are first looked at to stop: of fewer they are too rough."""


@dataclass(frozen=True)
class Plan:
    """The coalitions to ask about, and the matrix that turns their values into Shapley values.

    With v the game, Δ = v(everybody) - v(nobody), and for each pair its odd difference
    o(S) = (v(S) - v(complement of S)) / 2, the values are `operator @ o + share · Δ`: Shapley values depend on nothing
    else of the game. Their variances are `spread @ r²`, r being what the fit leaves of o.
    """

    masks: Masks
    """(pairs, n): one coalition of each pair."""
    operator: Array
    """(n, pairs)"""
    share: Array
    """(n,)"""
    spread: Array | None
    """(n, pairs); None where the values are exact, or the pairs too few to tell how far they are off."""
    exact: bool
    """All coalitions are asked about: the values are not an estimate."""

    @cached_property
    def coalitions(self) -> Masks:
        """What to ask, (2 · pairs, n): the coalitions, then their complements in the same order."""
        return np.concatenate([self.masks, ~self.masks])

    def odd(self, values: Array) -> Array:
        """The odd differences (pairs, outputs) of the game's values (2 · pairs, outputs) of `coalitions`."""
        pairs = len(self.masks)
        odd: Array = (values[:pairs] - values[pairs:]) / 2
        return odd

    @cached_property
    def _surrogate(self) -> Surrogate:
        return Surrogate(self.masks)

    def attribute(self, odd: Array, total: Array, *, surrogate: bool = False) -> tuple[Array, Array | None]:
        """Shapley values and their standard errors, (n, outputs) each; None where the pairs are too few to tell.

        The errors are a sandwich, stratified by size. A pair drawn from its size moves the values by its column of the
        operator times its residual, so the squares of these add up to the variance (White 1980, "A heteroskedasticity-
        consistent covariance matrix estimator"), with two corrections: each is divided by (1 - leverage)², as the fit
        has bent towards the pair (HC3 of MacKinnon and White 1985), and multiplied by the part of its size that was
        not drawn, zero where a size is whole (Cochran 1977, "Sampling techniques", § 2.6).

        Args:
            odd: (pairs, outputs), the game's odd differences.
            total: (outputs,), v(everybody) - v(nobody): what the values add up to.
            surrogate: explain what a surrogate foresees of the game by itself, and only the rest by regression.
        """
        if surrogate and self.spread is not None:
            fit = self._surrogate.fit(odd, total)
            if fit is not None:
                values = fit.values + self._solve(odd - fit.odd, total - fit.total)
                # A surprise leaves its pair out already. And that a size is whole does not rid it of error, as it does
                # in the regression: with the last two corrections intervals held 0.91 of the values at 50 a player.
                return _adding_up(values, total), np.sqrt(self.operator**2 @ fit.surprise**2)
        values = self._solve(odd, total)
        if self.exact:
            return _adding_up(values, total), np.zeros_like(values)
        if self.spread is None:
            return _adding_up(values, total), None
        residuals = odd - (self.masks - 0.5) @ values
        return _adding_up(values, total), np.sqrt(self.spread @ residuals**2)

    def _solve(self, odd: Array, total: Array) -> Array:
        """The regression's values (n, outputs)."""
        values: Array = self.operator @ odd + np.outer(self.share, total)
        return values


def _adding_up(values: Array, total: Array) -> Array:
    """The values with what rounding lost, about 1e-16 of them, shared out."""
    result: Array = values + (total - values.sum(axis=0)) / max(len(values), 1)
    return result


def default_samples(features: int) -> int:
    """Clarify's default: min(2F + 2048, 2^F - 2) coalitions for F features."""
    return 2 * features + 2048 if features > 12 else min(2 * features + 2048, 2**features - 2)


def make_plan(n: int, num_samples: int, seed: int = 0) -> Plan:
    """Which coalitions of n players to ask about with a budget of num_samples, nobody and everybody not counted.

    The budget is spent in pairs; one pair at least, all of them when it covers 2ⁿ - 2. Same arguments, same plan.
    """
    if n < 2:  # nobody, or one player whose value is all there is
        return Plan(np.zeros((0, n), np.bool_), np.zeros((n, 0)), np.ones(n), None, exact=True)
    if n <= 62 and num_samples >= 2**n - 2:
        masks = all_pairs(n)
        return Plan(masks, _exact_operator(masks), np.full(n, 1 / n), None, exact=True)
    pairs, rng = max(num_samples // 2, 1), np.random.default_rng(seed)
    if num_samples < CHAINS_BELOW * n:
        masks = chain_pairs(n, pairs, rng)
        operator, share = _least_squares(masks, np.ones(pairs))
        return Plan(masks, operator, share, None, exact=False)
    return _estimating(draw_pairs(n, pairs, rng))


def make_plans(n: int, num_samples: int, seed: int = 0) -> tuple[Plan, ...]:
    """Plans for whoever may stop before num_samples: the last asks about all, each begins with the one before it.

    The first has FIRST_STEP coalitions a player, each next one twice as many.
    """
    whole = make_plan(n, num_samples, seed)
    if n < 2 or (whole.spread is None and not whole.exact):
        return (whole,)
    masks = whole.masks
    if whole.exact:
        masks = masks[np.random.default_rng(seed).permutation(len(masks))]
    masks, ends = in_steps(masks, FIRST_STEP * n // 2)
    last = Plan(masks, _exact_operator(masks), whole.share, None, exact=True) if whole.exact else _estimating(masks)
    return (*(_estimating(masks[:end]) for end in ends[:-1]), last)


def _estimating(masks: Masks) -> Plan:
    """The plan of coalitions drawn, at least 3 a player."""
    operator, share = _least_squares(masks, weights_of(masks))
    # A leverage of 1 belongs to a pair that the fit cannot miss; where sizes are drawn from, none has it.
    free = np.maximum(1 - np.einsum("pn,np->p", masks - 0.5, operator), 1e-3)
    return Plan(masks, operator, share, operator**2 * (_missing(masks) / free**2), exact=False)


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


def _missing(masks: Masks) -> Array:
    """(pairs,): the part of the pairs of its size that were not drawn."""
    n = masks.shape[1]
    sizes = pair_sizes(masks)
    drawn = np.bincount(sizes, minlength=n // 2 + 1)
    missing = np.array([0.0] + [1 - drawn[size] / pairs_of_size(n, size) for size in range(1, n // 2 + 1)])
    result: Array = missing[sizes]
    return result
