"""Attributions for a game, and for rows of features: which inputs the model is asked about, and in what portions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explainer.shapley.coalitions import Masks
from explainer.shapley.plan import Array, Plan, default_samples, make_plan

Predict = Callable[[NDArray[Any]], NDArray[Any]]
"""(inputs, …) → (inputs, outputs)"""
Link = Callable[[Array], Array]

NORMAL_95 = 1.959964
"""Standard deviations on either side of a normal distribution's mean that hold 95 % of it."""
BATCH = 4096
"""Synthetic rows in one call of the model: enough to hide a call's overhead, few enough to stay in the cache."""
BATCH_BYTES = 64 * 2**20
"""The most that they may take, however wide they are."""


@dataclass(frozen=True)
class Explanation:
    """What moved one prediction away from the baseline's."""

    values: Array
    """(players, outputs): Shapley values."""
    prediction: Array
    """(outputs,): f(x), after the link."""
    base: Array
    """(outputs,): f(baseline), after the link."""
    exact: bool
    """The values are not an estimate: all coalitions were asked about."""
    coalitions: int
    """How many coalitions the model was asked about, nobody and everybody not counted."""
    standard_errors: Array | None
    """(players, outputs): of the values, over other draws of coalitions. Zero where the values are exact; None where
    the budget is too small to tell, below CHAINS_BELOW coalitions a player."""

    @property
    def interval(self) -> tuple[Array, Array] | None:
        """Lower and upper ends, (players, outputs) each, between which 95 % of the exact values lie."""
        if self.standard_errors is None:
            return None
        reach = NORMAL_95 * self.standard_errors
        return self.values - reach, self.values + reach

    @property
    def gap(self) -> Array:
        """(outputs,): f(x) - f(baseline) - the sum of the values. Zero but for rounding."""
        gap: Array = self.prediction - self.base - self.values.sum(axis=0)
        return gap


def logit(scores: Array) -> Array:
    """Log-odds. Scores are kept 1e-7 away from 0 and 1, the resolution of a float32 score near 1.

    Raises:
        ValueError: a score is not between 0 and 1.
    """
    if scores.size and (scores.min() < 0 or scores.max() > 1):
        outside = scores[(scores < 0) | (scores > 1)][0]
        raise ValueError(f"log-odds need scores between 0 and 1, found {outside:g}")
    clipped = np.clip(scores, 1e-7, 1 - 1e-7)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def explain_game(
    value: Callable[[Masks], NDArray[Any]],
    players: int,
    *,
    num_samples: int | None = None,
    seed: int = 0,
    surrogate: bool = False,
) -> Explanation:
    """Shapley values of any game.

    Args:
        value: (coalitions, players) boolean → (coalitions, outputs). Called once.
        players: how many.
        num_samples: how many coalitions to ask about; Clarify's default when None.
        seed: same seed, same values.
        surrogate: as of `explain_rows`.
    """
    plan = make_plan(players, default_samples(players) if num_samples is None else num_samples, seed)
    ends = np.array([[False] * players, [True] * players]).reshape(2, players)
    scores = _scores(value(np.concatenate([ends, plan.coalitions])), 2 + 2 * len(plan.masks))
    base, prediction, odd = scores[0], scores[1], plan.odd(scores[2:])
    values, errors = plan.attribute(odd, prediction - base, surrogate=surrogate)
    return Explanation(values, prediction, base, plan.exact, 2 * len(plan.masks), errors)


def explain_rows(
    predict: Predict,
    rows: NDArray[Any],
    baseline: NDArray[Any],
    *,
    num_samples: int | None = None,
    seed: int = 0,
    link: Link | None = None,
    batch: int | None = None,
    surrogate: bool = False,
) -> Iterator[Explanation]:
    """Shapley values of each row's features, in the order of the rows, one at a time so that memory stays flat.

    Synthetic rows of several rows share a call of the model; a call has fewer than 2 · batch of them, and one
    baseline's.

    Args:
        predict: (inputs, features) → (inputs, outputs).
        rows: (rows, features), what to explain.
        baseline: (baseline rows, features), what an absent feature is replaced by; scores are averaged over it.
        num_samples: coalitions a row; Clarify's default when None.
        seed: same seed, same values.
        link: applied to the averaged scores, such as `logit`; the values then add up in its units.
        batch: synthetic rows a call; None: BATCH, or fewer where they are wide.
        surrogate: make the errors smaller, by about a third to two thirds, for some time on each row: 22 ms with 300
            coalitions, 0.3 s with 1,500. For models that are slower than that. Speed is not measured here to choose
            by: the values would differ from one run to the next.

    Raises:
        ValueError: shapes do not fit, or a score is not finite.
    """
    if rows.ndim != 2 or baseline.ndim != 2 or rows.shape[1] != baseline.shape[1] or not len(baseline):
        raise ValueError(f"rows {rows.shape} and baseline {baseline.shape}: need (rows, features) with equal features")
    dtype = np.result_type(rows, baseline)
    rows, baseline = rows.astype(dtype, copy=False), baseline.astype(dtype, copy=False)
    budget = default_samples(rows.shape[1]) if num_samples is None else num_samples
    linked = link or (lambda scores: scores)
    base = linked(_scores(predict(baseline), len(baseline)).mean(axis=0))
    batch = batch or max(1, min(BATCH, BATCH_BYTES // baseline[0].nbytes))
    per_piece = -(-batch // len(baseline))
    plans: dict[int, Plan] = {}

    def plan_of(row: NDArray[Any]) -> tuple[NDArray[np.intp], Plan]:
        """The features that differ from the baseline, and the plan for so many players."""
        players = np.flatnonzero((row != baseline).any(axis=0))
        if len(players) not in plans:
            plans[len(players)] = make_plan(len(players), budget, seed)
        return players, plans[len(players)]

    def pieces() -> Iterator[_Piece]:
        """For each row: its coalitions in pieces of about a call's size, then itself."""
        for row in rows:
            players, plan = plan_of(row)
            present = np.zeros((2 * len(plan.masks), len(row)), dtype=np.bool_)
            present[:, players] = plan.coalitions
            for start in range(0, len(present), per_piece):
                yield _Piece(row, baseline, present[start : start + per_piece])
            yield _Piece(row, baseline[:1], np.ones((1, len(row)), dtype=np.bool_))

    scores = _in_batches(predict, pieces(), batch)
    for row in rows:
        players, plan = plan_of(row)
        asked = 2 * len(plan.masks)
        means = [
            next(scores).reshape(-1, len(baseline), len(base)).mean(axis=1) for _ in range(0, asked, per_piece)
        ] or [np.zeros((0, len(base)))]
        prediction = linked(next(scores)[0])
        odd = plan.odd(linked(np.concatenate(means)))
        values, errors = plan.attribute(odd, prediction - base, surrogate=surrogate)
        yield Explanation(
            _of_all(players, len(row), values),
            prediction,
            base,
            plan.exact,
            coalitions=asked,
            standard_errors=None if errors is None else _of_all(players, len(row), errors),
        )


def _of_all(players: NDArray[np.intp], features: int, found: Array) -> Array:
    """(players, outputs) → (features, outputs): zero for the features that equal the baseline."""
    result = np.zeros((features, found.shape[1]))
    result[players] = found
    return result


@dataclass(frozen=True)
class _Piece:
    """Synthetic rows that are still to be made."""

    row: NDArray[Any]
    baseline: NDArray[Any]
    present: Masks
    """(coalitions, features): where they have the row's values."""

    def __len__(self) -> int:
        return len(self.present) * len(self.baseline)

    def write(self, out: NDArray[Any]) -> None:
        """Make them in `out`, (coalitions · baseline rows, features): for each coalition all of the baseline."""
        out = out.reshape(len(self.present), *self.baseline.shape)
        present = self.present[:, None]
        if out.dtype.kind not in "fiub" or out.dtype.itemsize > 8:
            out[...] = np.where(present, self.row, self.baseline)
            return
        # The same on bits: making the rows is the larger part of explaining a fast model, and this takes a third of it.
        integer = f"i{out.dtype.itemsize}"
        baseline, bits = self.baseline.view(integer), out.view(integer)
        np.bitwise_and(-present.astype(integer), self.row.view(integer) ^ baseline, out=bits)
        bits ^= baseline


def _in_batches(predict: Predict, pieces: Iterable[_Piece], batch: int) -> Iterator[Array]:
    """The scores of each piece, in order; consecutive pieces share a call until it holds `batch` inputs."""
    held: list[_Piece] = []
    inputs = 0
    for piece in pieces:
        held.append(piece)
        inputs += len(piece)
        if inputs >= batch:
            yield from _scores_of_each(predict, held)
            held, inputs = [], 0
    if held:
        yield from _scores_of_each(predict, held)


def _scores_of_each(predict: Predict, pieces: list[_Piece]) -> list[Array]:
    ends = np.cumsum([len(piece) for piece in pieces])
    inputs = np.empty((ends[-1], len(pieces[0].row)), dtype=pieces[0].row.dtype)
    for piece, part in zip(pieces, np.split(inputs, ends[:-1]), strict=True):
        piece.write(part)
    return np.split(_scores(predict(inputs), len(inputs)), ends[:-1])


def _scores(scores: NDArray[Any], expected: int) -> Array:
    result = np.asarray(scores, dtype=np.float64)
    if result.ndim != 2 or len(result) != expected:
        raise ValueError(f"the model's scores have shape {result.shape}, expected ({expected}, outputs)")
    if not np.isfinite(result).all():
        raise ValueError(f"the model's scores hold {result[~np.isfinite(result)][0]}, which cannot be explained")
    return result
