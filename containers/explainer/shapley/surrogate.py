"""A model of the game's odd interactions whose Shapley values are known, to take out of the game what it foresees.

A coalition is a point x of {-1, 1}ⁿ, and the surrogate a ridge regression on products of an odd number of its
coordinates, three and more, written as a kernel: Π (1 + cᵢ xᵢ yᵢ) is the sum over all sets T of players of
(Π cᵢ over T) · (Π xᵢ over T) · (Π yᵢ over T). Its odd part keeps the odd T. Products of one are left to the regression
that corrects the surrogate: they are not penalised here.

How strongly a player interacts, cᵢ, is learned as in a recursive feature machine (Radhakrishnan et al. 2024,
"Mechanism for feature learning"): fit, see how far each player moves the fit, fit again with cᵢ accordingly. Their
common scale and the ridge are those of the smallest generalised cross-validation error (Golub, Heath and Wahba 1979).
That surrogate and regression together stay close to the truth when the surrogate is bad is Witter et al. 2025,
"Regression-adjusted Monte Carlo estimators for Shapley values and probabilistic values".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

Array = NDArray[np.float64]

SCALES = (0.03, 0.12, 0.35)
"""Mean of the cᵢ."""
STRONGEST = 0.95
"""The largest cᵢ; at 1 the kernel is singular."""
RIDGES = 10.0 ** np.arange(-8, 2.5, 0.5)
"""In units of the kernel's mean eigenvalue."""
ROUNDS = 4
"""Of fitting; the first with all cᵢ equal."""
CAUTION = 0.7
"""The power of a player's sensitivity that its cᵢ is in proportion to; 1 believes the last fit too much."""
LEARNING = 400
"""Pairs, at most, that the cᵢ are learned from. Of 500 to 625 all took twice the time, of 1,000 they take more; the
errors were 0.39 of the reference's with all and 0.44 with these."""
LEAST = 0.02
"""Part of the mean that a player's sensitivity counts as at least: none is ruled out by one fit."""


@dataclass(frozen=True)
class Fit:
    """What the surrogate says of one game."""

    values: Array
    """(n, outputs): its Shapley values."""
    odd: Array
    """(pairs, outputs): its odd differences."""
    total: Array
    """(outputs,): its v(everybody) - v(nobody)."""
    surprise: Array
    """(pairs, outputs): how far each odd difference is from what the fit without it, and with all others, says."""


@dataclass(frozen=True)
class Surrogate:
    """Fits games of which the same pairs are known."""

    masks: NDArray[np.bool_]
    """(pairs, n): one coalition of each pair."""

    @cached_property
    def _points(self) -> Array:
        """(pairs + 1, n): ±1 for in or out, and everybody."""
        everybody = np.ones((1, self.masks.shape[1]))
        return np.concatenate([np.where(self.masks, 1.0, -1.0), everybody])

    @cached_property
    def _nonlinear(self) -> Array:
        """(pairs + 1, pairs + 1 - n): an orthonormal basis of what no linear game gives."""
        basis: Array = np.linalg.qr(self._points, mode="complete")[0][:, self.masks.shape[1] :]
        return basis

    def fit(self, odd: Array, total: Array) -> Fit | None:
        """The surrogate of a game with the odd differences (pairs, outputs); None where the game is linear on them."""
        known = np.concatenate([odd, total[None] / 2])
        unexplained = self._nonlinear.T @ known
        size = np.linalg.norm(unexplained, axis=0)
        curved = size > 1e-9 * np.linalg.norm(known, axis=0)
        if not curved.any():
            return None
        scale = np.where(curved, size, 1.0)
        targets = np.where(curved, unexplained / scale, 0.0)
        step = -(-len(self.masks) // LEARNING)
        if step == 1:
            best = self._learn(targets, curved)
        else:
            some = Surrogate(self.masks[::step])
            known_there = np.concatenate([odd[::step], total[None] / 2]) / scale
            learned = some._learn(some._nonlinear.T @ known_there, curved)
            best = self._ridge(learned.strength, targets, curved)
        predicted = self._predict(best) * scale
        return Fit(self._values(best) * scale, predicted[:-1], 2 * predicted[-1], best.surprise[:-1] * scale)

    def _learn(self, targets: Array, curved: NDArray[np.bool_]) -> _Ridge:
        """The best fit of those that are made while learning how strongly each player interacts."""
        relative = np.ones(self.masks.shape[1])
        fits: list[_Ridge] = []
        for _ in range(ROUNDS):
            latest = [self._ridge(np.minimum(c * relative, STRONGEST), targets, curved) for c in SCALES]
            fits.append(min(latest, key=lambda fit: fit.error))
            moved = self._sensitivity(fits[-1]) ** CAUTION
            relative = np.maximum(moved / moved.mean(), LEAST)
        return min(fits, key=lambda fit: fit.error)

    def _ridge(self, strength: Array, targets: Array, curved: NDArray[np.bool_]) -> _Ridge:
        """The ridge regression on a kernel, with the ridge that suits each output best."""
        same, opposite = self._kernels(strength)
        kernel = self._nonlinear.T @ ((same - opposite) / 2) @ self._nonlinear
        size = np.trace(kernel) / len(kernel)
        kernel /= size
        eigenvalues, vectors = np.linalg.eigh(kernel)
        eigenvalues = np.maximum(eigenvalues, 0)
        turned = vectors.T @ targets
        kept = RIDGES[:, None] / (eigenvalues + RIDGES[:, None])  # the part of each component that stays unexplained
        errors = len(kernel) * (kept**2 @ turned**2) / kept.sum(axis=1, keepdims=True) ** 2
        chosen = errors.argmin(axis=0)
        inverse = 1 / (eigenvalues[:, None] + RIDGES[chosen])
        directions = self._nonlinear @ vectors
        weights = directions @ (inverse * turned)
        # Of a ridge regression, weight / diagonal of the inverse is the residual that leaving a point out would give.
        surprise = weights / (directions**2 @ inverse)
        error = float(np.log(errors.min(axis=0)[curved]).sum())
        return _Ridge(strength, weights / size, surprise, error)

    def _kernels(self, strength: Array) -> tuple[Array, Array]:
        """Π (1 + cᵢ xᵢ yᵢ) between all points, and between each point and the complements: exponentials of sums."""
        exponent = (self._points * np.arctanh(strength)) @ self._points.T
        size = np.log1p(-(strength**2)).sum() / 2
        return np.exp(size + exponent), np.exp(size - exponent)

    def _predict(self, ridge: _Ridge) -> Array:
        same, opposite = self._kernels(ridge.strength)
        predicted: Array = (same - opposite) @ ridge.weights / 2
        return predicted

    def _sensitivity(self, ridge: _Ridge) -> Array:
        """(n,): mean square of the surrogate's change when a player joins or leaves, over points and outputs."""
        c = ridge.strength
        same, opposite = self._kernels(c)
        result = np.zeros(len(c))
        for weights in ridge.weights.T:
            # x and y agree in a player: its factor falls from 1 + c to 1 - c; they do not: it rises.
            change = 2 * c / (1 - c**2) * self._points * ((same + opposite) @ (weights[:, None] * self._points))
            change -= 2 * c**2 / (1 - c**2) * ((same - opposite) @ weights)[:, None]
            result += np.square(change).mean(axis=0)
        return result

    def _values(self, ridge: _Ridge) -> Array:
        """Shapley values (n, outputs): player i's is the integral over t of cᵢ yᵢ Π (1 + cₖ yₖ t), k ≠ i, from -1 to 1.

        That is what i adds when each other player is there with probability (1 + t) / 2, averaged over t (Owen 1972,
        "Multilinear extensions of games"). A polynomial of degree n - 1, for which Gauss and Legendre's rule is exact.
        """
        slopes = ridge.strength * self._points
        result = np.zeros((len(ridge.strength), ridge.weights.shape[1]))
        for t, weight in zip(*leggauss((len(result) + 1) // 2), strict=True):
            factors = 1 + t * slopes
            result += weight * (slopes * factors.prod(axis=1, keepdims=True) / factors).T @ ridge.weights
        return result


@dataclass(frozen=True)
class _Ridge:
    strength: Array
    """(n,): the cᵢ."""
    weights: Array
    """(pairs + 1, outputs): of the kernel at each point."""
    surprise: Array
    """(pairs + 1, outputs)"""
    error: float
    """Sum over outputs of the logarithm of the generalised cross-validation error."""
