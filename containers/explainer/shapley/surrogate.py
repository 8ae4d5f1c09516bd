"""A model of the game's odd interactions whose Shapley values are known, to take out of the game what it foresees.

A coalition is a point x of {-1, 1}ⁿ, and the surrogate a ridge regression on products of an odd number of its
coordinates, three and more, written as a kernel: Π (1 + cᵢ xᵢ yᵢ) is the sum over all sets T of players of
(Π cᵢ over T) · (Π xᵢ over T) · (Π yᵢ over T). Its odd part keeps the odd T. Products of one are not penalised: the
linear part of a game is for the regression, and a game that is linear leaves the surrogate nothing.

With strengths cᵢ and ridge that are the same for all games, what the surrogate says is linear in the game: `shared`
gives it as matrices, which serve all rows and outputs. Or the cᵢ are learned for each game, as in a recursive feature
machine (Radhakrishnan et al. 2024, "Mechanism for feature learning"): fit, see how far each player moves the fit, fit
again with cᵢ accordingly; their common scale is that of the smallest generalised cross-validation error (Golub, Heath
and Wahba 1979). That surrogate and regression together stay close to the truth when the surrogate is bad is Witter et
al. 2025, "Regression-adjusted Monte Carlo estimators for Shapley values and probabilistic values".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

from explainer.shapley.coalitions import pair_sizes

Array = NDArray[np.float64]

SHARED = 1.5
"""Sum of the cᵢ where they are not learned. On synthetic games of 12 to 120 players 0.6 to 2.5 did as well."""
SHARED_NODES = 12
"""Of quadrature: with strengths that add up to 1.5 the integrand is as smooth as exp(1.5 t)."""
RIDGE = 0.01
"""In units of the kernel's mean eigenvalue. From 1e-4 to 0.1 it hardly matters."""
SCALES = (0.03, 0.12, 0.35)
"""Mean of the cᵢ, while they are learned."""
STRONGEST = 0.95
"""The largest cᵢ; at 1 the kernel is singular."""
CAUTION = 0.7
"""The power of a player's sensitivity that its cᵢ is in proportion to; 1 believes the last fit too much."""
LEAST = 0.02
"""Part of the mean that a player's sensitivity counts as at least: none is ruled out by one fit."""
LEARNING = 400
"""Pairs, at most, that the cᵢ are learned from. Of 500 to 625 all took twice the time, of 1,000 they take more; the
errors were 0.39 of the reference's with all and 0.44 with these."""
LEARNING_ROUNDS = (1.0, 2.5, 4.0)
"""Pairs a player above which there is one round of learning, two, three."""
FITTED = 512
"""Pairs, at most, that the shared surrogate is fitted to, unless the players are many."""


@dataclass(frozen=True)
class Fit:
    """What the surrogate says of some games; `shared` says it of those that are 1 at one point and 0 at the others."""

    values: Array
    """(n, games): its Shapley values."""
    odd: Array
    """(pairs, games): its odd differences."""
    total: Array
    """(games,): its v(everybody) - v(nobody)."""
    surprise: Array
    """(fitted pairs, games): how far each odd difference is from what the fit without it, and with all others, says."""
    fitted: NDArray[np.intp]
    """The places of the pairs that it was fitted to."""


@dataclass(frozen=True)
class Surrogate:
    """Fits games of which the same pairs are known."""

    masks: NDArray[np.bool_]
    """(pairs, n): one coalition of each pair."""

    def shared(self) -> Fit:
        """The fit with equal strengths, as matrices: a game's are these times its odd differences at the fitted pairs.

        The last column belongs to half of its v(everybody) - v(nobody).
        """
        n = self.masks.shape[1]
        fitted = self._evenly(max(FITTED, 2 * n))
        ridge = _Ridge(_points(self.masks[fitted]), np.full(n, min(SHARED / n, STRONGEST)))
        return self._fit(ridge, ridge.inverse, fitted, nodes=SHARED_NODES)

    def learned(self, odd: Array, total: Array) -> Fit | None:
        """The fit of a game with the odd differences (pairs, outputs); None where the game is linear on them."""
        points = _points(self.masks)
        known = np.concatenate([odd, total[None] / 2])
        unexplained = known - points @ (self._inverse_points @ known)
        size = np.sqrt(np.square(unexplained).sum(axis=0))
        curved = size > 1e-9 * np.linalg.norm(known, axis=0)
        if not curved.any():
            return None
        scale = np.where(curved, size, 1.0)
        targets = np.where(curved, unexplained / scale, 0.0)
        some = np.append(self._evenly(LEARNING), -1)
        ridge = _learn(points[some], targets[some][:, curved])
        whole = _Ridge(points, ridge.strength)
        fit = self._fit(whole, whole.inverse @ targets, np.arange(len(self.masks)), nodes=len(points))
        return Fit(fit.values * scale, fit.odd * scale, fit.total * scale, fit.surprise * scale, fit.fitted)

    @cached_property
    def _inverse_points(self) -> Array:
        return np.asarray(np.linalg.pinv(_points(self.masks)))

    def _evenly(self, most: int) -> NDArray[np.intp]:
        """The places of at most so many pairs, of each size its part; the same ones in whatever order sizes are."""
        by_size = np.argsort(pair_sizes(self.masks), kind="stable")
        return by_size[:: -(-len(by_size) // most)]

    def _fit(self, ridge: _Ridge, weights: Array, fitted: NDArray[np.intp], nodes: int) -> Fit:
        """What the kernel's weights at the ridge's points, (points, games), say about all pairs."""
        same, opposite = _kernels(_points(self.masks), ridge.points, ridge.strength)
        predicted = (same - opposite) @ weights / 2
        surprise = weights / np.diag(ridge.inverse)[:, None]
        values = shapley_of_kernel(ridge.points, ridge.strength, nodes) @ weights
        return Fit(values, predicted[:-1], 2 * predicted[-1], surprise[:-1], fitted)


@dataclass(frozen=True)
class _Ridge:
    """The ridge regression on one kernel."""

    points: Array
    """(points, n): ±1 for in or out, the last one everybody."""
    strength: Array
    """(n,): the cᵢ."""

    @cached_property
    def kernels(self) -> tuple[Array, Array]:
        return _kernels(self.points, self.points, self.strength)

    @cached_property
    def inverse(self) -> Array:
        """(points, points): times a game's odd part at the points, (v(x) - v(-x)) / 2, the kernel's weight at each.

        With the kernel K, ridge λ and points X the weights w minimise |o - X b - K w|² + λ w'K w, b being free (Wahba
        1990, "Spline models for observational data", § 1.3). Linear games have the weights 0.
        """
        same, opposite = self.kernels
        kernel = (same - opposite) / 2
        points, n = self.points, self.points.shape[1]
        linear = np.linalg.pinv(points.T @ points, hermitian=True)
        # the kernel's mean eigenvalue on what no linear game gives
        size = (np.trace(kernel) - np.sum((points @ linear) * (kernel @ points))) / max(len(points) - n, 1)
        kernel.flat[:: len(kernel) + 1] += RIDGE * size
        inverse = np.linalg.inv(kernel)
        towards = inverse @ points
        result: Array = inverse - towards @ np.linalg.pinv(points.T @ towards, hermitian=True) @ towards.T
        return result

    def error(self, targets: Array) -> float:
        """Sum over the outputs of targets (points, outputs) of the logarithm of the cross-validation error."""
        size: Array = np.square(self.inverse @ targets).sum(axis=0)
        return float(np.log(size / np.trace(self.inverse) ** 2).sum())

    def sensitivity(self, targets: Array) -> Array:
        """(n,): mean square of the fit's change when a player joins or leaves, over points and outputs."""
        c, points = self.strength, self.points
        same, opposite = self.kernels
        result = np.zeros(len(c))
        for weights in (self.inverse @ targets).T:
            # x and y agree in a player: its factor falls from 1 + c to 1 - c; they do not: it rises.
            change = 2 * c / (1 - c**2) * points * ((same + opposite) @ (weights[:, None] * points))
            change -= 2 * c**2 / (1 - c**2) * ((same - opposite) @ weights)[:, None]
            result += np.square(change).mean(axis=0)
        return result


def _learn(points: Array, targets: Array) -> _Ridge:
    """The best of the fits that are made while learning how strongly each player interacts.

    From few pairs little is learned: more rounds would make the fit surer of itself than it is right.

    Args:
        points: (points, n).
        targets: (points, outputs), the game's odd part there without what is linear in it.
    """
    n = points.shape[1]
    rounds = sum(len(points) > part * n for part in LEARNING_ROUNDS)
    latest = best = _Ridge(points, np.full(n, min(SHARED / n, STRONGEST)))
    for _ in range(rounds):
        moved = latest.sensitivity(targets) ** CAUTION
        relative = np.maximum(moved / moved.mean(), LEAST)
        ridges = [_Ridge(points, np.minimum(scale * relative, STRONGEST)) for scale in SCALES]
        latest = min(ridges, key=lambda ridge: ridge.error(targets))
        best = min(best, latest, key=lambda ridge: ridge.error(targets))
    return best


def _points(masks: NDArray[np.bool_]) -> Array:
    """(pairs + 1, n): ±1 for in or out, and everybody."""
    return np.concatenate([np.where(masks, 1.0, -1.0), np.ones((1, masks.shape[1]))])


def _kernels(one: Array, other: Array, strength: Array) -> tuple[Array, Array]:
    """Π (1 + cᵢ xᵢ yᵢ) between points, and between each and the other ones' complements: exponentials of sums."""
    exponent = (one * np.arctanh(strength)) @ other.T
    size = np.log1p(-(strength**2)).sum() / 2
    return np.exp(size + exponent), np.exp(size - exponent)


def shapley_of_kernel(points: Array, strength: Array, nodes: int) -> Array:
    """(n, points): Shapley values of the games Π (1 + cᵢ xᵢ yᵢ) of x, for each y of the points (points, n).

    Player i's is the integral over t of cᵢ yᵢ Π (1 + cₖ yₖ t), k ≠ i, from -1 to 1: what i adds when each other player
    is there with probability (1 + t) / 2, averaged over t (Owen 1972, "Multilinear extensions of games"). Gauss and
    Legendre's rule is exact for this polynomial of degree n - 1 with half as many nodes.
    """
    slopes = strength * points
    result = np.zeros(points.shape)
    for t, weight in zip(*leggauss(min(nodes, (len(strength) + 1) // 2)), strict=True):
        factors = 1 + t * slopes
        result += weight * slopes * factors.prod(axis=1, keepdims=True) / factors
    return result.T
