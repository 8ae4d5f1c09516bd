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
from explainer.shapley.surrogate import Fit, Surrogate

Array = NDArray[np.float64]

CHAINS_BELOW = 3
"""Coalitions a player below which chains are asked about. From 1.9 to 3 a player their errors are 0.3 to 0.9 of those
of drawn coalitions, at 4 a player 1.15. They leave too little over for standard errors."""

NORMAL_95 = 1.959964
"""Standard deviations on either side of a normal distribution's mean that hold 95 % of it."""
WHOLE = 0.5
"""The part of the variance that goes when a size is known whole. On synthetic games of 12 to 16 players, at 3 to 50
calls a player, intervals so held 0.90 to 0.99 of the exact values; with 0 up to 1, and with 1 as few as 0.75."""

FIRST_STEP = 8
"""Coalitions a player after which standard errors are first looked at to stop: of fewer they are too rough."""


SURPRISES = 256
"""Pairs, at most, at which it is seen how far off the fit is: enough for standard errors, and few for the time."""


@dataclass(frozen=True)
class Linear:
    """Values that are linear in a game: `operator @ o + share · Δ`."""

    operator: Array
    """(n, pairs)"""
    share: Array
    """(n,)"""

    def values(self, odd: Array, total: Array) -> Array:
        """(n, games), of odd differences (pairs, games) and totals (games,)."""
        values: Array = self.operator @ odd + np.outer(self.share, total)
        return values


@dataclass(frozen=True)
class Errors:
    """How far off the values are likely to be."""

    regression: Linear
    """The values without a surrogate."""
    spread: Array
    """(n, pairs): how much a surprise at each pair, squared, adds to the variance of each value."""
    spread_seen: Array
    """(n, some pairs): as `spread`, each of some pairs standing for others of its size too."""
    surprise: Linear
    """At these, the game's odd difference less what the fit without the pair, and with all others, says."""


@dataclass(frozen=True)
class Plan:
    """The coalitions to ask about, and the matrices that turn their values into Shapley values.

    With v the game, Δ = v(everybody) - v(nobody), and for each pair its odd difference
    o(S) = (v(S) - v(complement of S)) / 2: Shapley values depend on nothing else of the game.
    """

    masks: Masks
    """(pairs, n): one coalition of each pair."""
    linear: Linear
    errors: Errors | None
    """None where the values are exact, or the pairs too few to tell how far they are off."""
    exact: bool
    """All coalitions are asked about: the values are not an estimate."""

    @property
    def coalitions(self) -> Masks:
        """What to ask, (2 · pairs, n): the coalitions, then their complements in the same order."""
        return np.concatenate([self.masks, ~self.masks])

    def odd(self, values: Array) -> Array:
        """The odd differences (pairs, outputs) of the game's values (2 · pairs, outputs), complements last.

        Of `coalitions`, or of some that are asked about in their order.
        """
        pairs = len(values) // 2
        odd: Array = (values[:pairs] - values[pairs:]) / 2
        return odd

    def attribute(self, odd: Array, total: Array, *, learn: bool = False) -> tuple[Array, Array | None]:
        """Shapley values and their standard errors, (n, games) each; None where the pairs are too few to tell.

        A pair drawn moves the values by its column of the regression's operator times what the surrogate misses there,
        so the squares of these add up to the variance (White 1980, "A heteroskedasticity-consistent covariance matrix
        estimator"). What is missed is what a fit without the pair would (HC3 of MacKinnon and White 1985), and less of
        it counts where more of a size is known (Cochran 1977, "Sampling techniques", § 2.6); `_spread`.

        Args:
            odd: (pairs, games), the games' odd differences; a model's outputs are games.
            total: (games,), v(everybody) - v(nobody): what the values add up to.
            learn: let the surrogate learn from these games, all of one model and row: closer, and slower by far.
        """
        fit = self._surrogate.learned(odd, total) if learn and self.errors is not None else None
        if fit is not None and self.errors is not None:
            regression = self.errors.regression
            values = fit.values + regression.values(odd - fit.odd, total - fit.total)
            return _adding_up(values, total), np.sqrt(self.errors.spread @ fit.surprise**2)
        values = _adding_up(self.linear.values(odd, total), total)
        if self.exact:
            return values, np.zeros_like(values)
        if self.errors is None:
            return values, None
        return values, np.sqrt(self.errors.spread_seen @ self.errors.surprise.values(odd, total) ** 2)

    @cached_property
    def _surrogate(self) -> Surrogate:
        return Surrogate(self.masks)


def _adding_up(values: Array, total: Array) -> Array:
    """The values with what rounding lost, about 1e-16 of them, shared out."""
    result: Array = values + (total - values.sum(axis=0)) / max(len(values), 1)
    return result


def default_samples(features: int) -> int:
    """Clarify's default: min(2F + 2048, 2^F - 2) coalitions for F features."""
    return 2 * features + 2048 if features > 12 else min(2 * features + 2048, 2**features - 2)


def tells_apart(n: int, num_samples: int) -> bool:
    """Whether no two of n players share what they bring together: an order of them is asked about whole."""
    return num_samples // 2 >= n - 1


def too_few(n: int, num_samples: int) -> str | None:
    """What so many coalitions of n players do not suffice for; None where they do."""
    if n < 2 or num_samples >= min(CHAINS_BELOW * n, 2 ** min(n, 62) - 2):
        return None
    sure = f"how sure values are ({CHAINS_BELOW * n} do)"
    if tells_apart(n, num_samples):
        return f"too few to tell {sure}"
    return f"too few to tell features apart in each row ({2 * (n - 1)} do), or {sure}"


def make_plan(n: int, num_samples: int, seed: int = 0) -> Plan:
    """Which coalitions of n players to ask about with a budget of num_samples, nobody and everybody not counted.

    The budget is spent in pairs; one pair at least, all of them when it covers 2ⁿ - 2. Same arguments, same plan.
    """
    if n < 2:  # nobody, or one player whose value is all there is
        return Plan(np.zeros((0, n), np.bool_), Linear(np.zeros((n, 0)), np.ones(n)), None, exact=True)
    if n <= 62 and num_samples >= 2**n - 2:
        masks = all_pairs(n)
        return Plan(masks, _exact(masks), None, exact=True)
    pairs, rng = max(num_samples // 2, 1), np.random.default_rng(seed)
    if num_samples < CHAINS_BELOW * n:
        masks = chain_pairs(n, pairs, rng)
        return Plan(masks, _least_squares(masks, np.ones(pairs)), None, exact=False)
    return _estimating(draw_pairs(n, pairs, rng))


def make_plans(n: int, num_samples: int, seed: int = 0) -> tuple[Plan, ...]:
    """Plans for whoever may stop before num_samples: the last asks about all, each begins with the one before it.

    The first has FIRST_STEP coalitions a player, each next one twice as many.
    """
    whole = make_plan(n, num_samples, seed)
    if n < 2 or (whole.errors is None and not whole.exact):
        return (whole,)
    masks = whole.masks
    if whole.exact:
        masks = masks[np.random.default_rng(seed).permutation(len(masks))]
    masks, ends = in_steps(masks, FIRST_STEP * n // 2)
    last = Plan(masks, _exact(masks), None, exact=True) if whole.exact else _estimating(masks)
    return (*(_estimating(masks[:end]) for end in ends[:-1]), last)


def _estimating(masks: Masks) -> Plan:
    """The plan of coalitions drawn, at least 3 a player."""
    regression = _least_squares(masks, weights_of(masks))
    fit = Surrogate(masks).shared()
    # The surrogate's values and, by regression, what it misses: both are linear in the game.
    beyond = fit.values - regression.values(fit.odd, fit.total)
    operator = regression.operator.copy()
    operator[:, fit.fitted] += beyond[:, :-1]
    linear = Linear(operator, regression.share + beyond[:, -1] / 2)
    return Plan(masks, linear, _errors(masks, fit, regression), exact=False)


def _errors(masks: Masks, fit: Fit, regression: Linear) -> Errors:
    step = -(-len(fit.fitted) // SURPRISES)
    seen = fit.fitted[::step]
    surprise = np.zeros((len(seen), len(masks)))
    surprise[:, fit.fitted] = fit.surprise[::step, :-1]
    spread, sizes = _spread(masks, regression, len(fit.fitted)), pair_sizes(masks)
    of_size = sizes == np.unique(sizes)[:, None]
    all_of_size, seen_of_size = spread @ of_size.T, spread[:, seen] @ of_size[:, seen].T
    share = np.divide(all_of_size, seen_of_size, out=np.ones_like(all_of_size), where=seen_of_size > 0)
    spread_seen = spread[:, seen] * (share @ of_size[:, seen])
    return Errors(regression, spread, spread_seen, Linear(surprise, fit.surprise[::step, -1] / 2))


def _spread(masks: Masks, regression: Linear, fitted: int) -> Array:
    """(n, pairs): what a squared surprise at each pair adds to the variance of each value.

    A regression's values would have no error from a size that is whole. A surrogate's have, as it bends between sizes,
    but less: WHOLE is what is taken off. And where few pairs are left over to judge by, the ends of the interval are
    Student's, by the beginning of the expansion in Abramowitz and Stegun 1964, 26.7.5.
    """
    pairs, n = masks.shape
    sizes = pair_sizes(masks)
    asked = np.bincount(sizes, minlength=n // 2 + 1).tolist()
    # whole numbers, divided in Python: from some 66 players on there are more pairs than 64 bits count
    known = np.array([0.0, *(asked[size] / pairs_of_size(n, size) for size in range(1, n // 2 + 1))])
    of_all = pairs / (2 ** (n - 1) - 1)
    freedom = fitted + 1 - n
    z = NORMAL_95
    student = 1 + (z**2 + 1) / (4 * freedom) + (5 * z**4 + 16 * z**2 + 3) / (96 * freedom**2)
    spread: Array = regression.operator**2 * ((1 - WHOLE * known[sizes]) * (1 - of_all) * student**2)
    return spread


def _exact(masks: Masks) -> Linear:
    """The definition (Shapley 1953), a pair at a time.

    v(S) counts 1 / (n C(n-1, s-1)) for a player in S, of size s, and -1 / (n C(n-1, s)) for one outside; the
    complement counts the same with the other sign, so the pair counts twice its odd difference.
    """
    n = masks.shape[1]
    inside = np.array([math.nan] + [2 / (n * math.comb(n - 1, s - 1)) for s in range(1, n)])
    outside = np.array([math.nan] + [-2 / (n * math.comb(n - 1, s)) for s in range(1, n)])
    sizes = masks.sum(axis=1)
    return Linear(np.where(masks.T, inside[sizes], outside[sizes]), np.full(n, 1 / n))


def _least_squares(masks: Masks, weights: Array) -> Linear:
    """What solves: minimise Σ w (o(S) - x·φ)², where Σφ = Δ and x is ±1/2 for in or out.

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
    return Linear(operator, (1 - operator @ x.sum(axis=1)) / n)
