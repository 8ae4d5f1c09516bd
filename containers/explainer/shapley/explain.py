"""Attributions for a game, and for rows of features: which inputs the model is asked about, and in what portions."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explainer.shapley.coalitions import Masks
from explainer.shapley.plan import NORMAL_95, Array, Plan, default_samples, make_plan, make_plans, tells_apart

Predict = Callable[[NDArray[Any]], NDArray[Any]]
"""(inputs, …) → (inputs, outputs)"""
Link = Callable[[Array], Array]

DRAWS = 16
"""Plans that rows are dealt to where a plan is too small to tell all features apart: what it takes together is then
another row's to tell, and a mean over rows tells all. Of a census model's 14 features over 600 rows, by 15 coalitions
each, the importance correlates with the exact one by 0.86, by one plan for all rows by 0.58
(rank correlations, means over eight seeds)."""
DEALT_UP_TO = 100
"""Features: beyond, so many plans take longer than they are worth."""
BATCH = 4096
"""Synthetic rows in one call of the model: enough to hide a call's overhead, few enough to stay in the cache."""
BATCH_BYTES = 64 * 2**20
"""The most that they may take, however wide they are."""
BLOCK = 16
"""Calls of the model that the rows explained together fill: the last of them is as a rule half empty."""
TOGETHER = 2**19
"""Odd differences of the rows that are attributed in one product: 4 MB."""
LARGE = 31 * 2**20
"""Bytes: just under the largest block that glibc's malloc learns from."""


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
    calls: int
    """How many inputs the model was asked about, the baseline that rows share not counted."""
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
    tolerance: float | None = None,
) -> Explanation:
    """Shapley values of any game.

    Args:
        value: (coalitions, players) boolean → (coalitions, outputs). Called once, with a tolerance until it is met.
        players: how many.
        num_samples: how many coalitions to ask about; Clarify's default when None.
        seed: same seed, same values.
        surrogate: as of `RowExplainer`.
        tolerance: ask no more once all 95 % intervals reach at most so far to either side.

    Raises:
        ValueError: scores are not one row for each coalition, or one is not finite.
    """
    budget = default_samples(players) if num_samples is None else num_samples
    first, *others = _steps(players, budget, seed, tolerance)
    ends = np.array([[False] * players, [True] * players]).reshape(2, players)
    scores = _scores(value(np.concatenate([ends, first.coalitions])), 2 + len(first.coalitions))
    base, prediction, odd = scores[0], scores[1], first.plan.odd(scores[2:])
    values, errors = first.plan.attribute(odd, prediction - base, learn=surrogate)
    plan = first.plan
    for step in others:
        if _small(errors, tolerance):
            break
        plan = step.plan
        odd = np.concatenate([odd, plan.odd(_scores(value(step.coalitions), len(step.coalitions)))])
        values, errors = plan.attribute(odd, prediction - base, learn=surrogate)
    return Explanation(values, prediction, base, plan.exact, 2 * len(odd), 2 + 2 * len(odd), errors)


def explain_rows(predict: Predict, rows: NDArray[Any], baseline: NDArray[Any], **options: Any) -> Iterator[Explanation]:
    """Shapley values of each row's features, in the order of the rows, a block at a time so that memory stays flat.

    Args:
        predict: (inputs, features) → (inputs, outputs).
        rows: (rows, features), what to explain.
        baseline: (baseline rows, features), what an absent feature is replaced by; scores are averaged over it.
        options: as of `RowExplainer`.

    Raises:
        ValueError: shapes do not fit, or a score is not finite.
    """
    explainer = RowExplainer(predict, baseline, **options)
    for start in range(0, len(rows), explainer.block):
        yield from explainer.explain(rows[start : start + explainer.block])


class RowExplainer:
    """Explains rows of features beside one baseline."""

    def __init__(
        self,
        predict: Predict,
        baseline: NDArray[Any],
        *,
        num_samples: int | None = None,
        seed: int = 0,
        link: Link | None = None,
        batch: int | None = None,
        surrogate: bool = False,
        features: Sequence[int] | None = None,
        tolerance: float | None = None,
    ) -> None:
        """Say what is the same for all rows.

        Args:
            predict: (inputs, features) → (inputs, outputs). Synthetic rows of several rows share a call; it has fewer
                than 2 · batch of them, and one baseline's.
            baseline: (baseline rows, features), what an absent feature is replaced by; scores are averaged over it.
            num_samples: coalitions a row; Clarify's default when None.
            seed: same seed, same values.
            link: applied to the averaged scores, such as `logit`; the values then add up in its units.
            batch: synthetic rows a call; None: BATCH, or fewer where they are wide.
            surrogate: learn for each row which features interact: errors a third to two thirds smaller, for some time
                on each row: 4 ms with 130 coalitions, 20 ms with 300, 0.2 s with 2,000. For models that are slower
                than that. Speed is not measured here to choose by: the values would differ from one run to the next.
            features: the places of those that are explained; the others keep the row's own values. None: all.
            tolerance: ask no more about a row once all its 95 % intervals reach at most so far to either side.

        Raises:
            ValueError: the baseline is not rows of features.
        """
        if baseline.ndim != 2 or not len(baseline):
            raise ValueError(f"baseline {baseline.shape}: need (rows, features), one row at least")
        self._predict, self._baseline = predict, baseline
        width = baseline.shape[1]
        self._explained = np.isin(np.arange(width), np.arange(width) if features is None else features)
        self._all_explained, self._some_missing = bool(self._explained.all()), bool(_missing(baseline).any())
        explained = int(self._explained.sum())
        self._budget = default_samples(explained) if num_samples is None else num_samples
        self._seed, self._surrogate, self._tolerance = seed, surrogate, tolerance
        self._link: Link = link or (lambda scores: scores)
        self._batch = batch or max(1, min(BATCH, BATCH_BYTES // max(baseline[0].nbytes, 1)))
        # of a single feature no coalition is asked about
        self._calls_a_row = max(1, min(self._budget, 2 ** min(explained, 62)) * len(baseline))
        self._steps: dict[tuple[int, int], tuple[_Step, ...]] = {}
        # Once a block this large has come and gone, unused, glibc keeps what is freed. Before, it gives the memory of
        # each call back to the system, and page faults of the next one took more time than a fast model itself.
        np.empty(LARGE, dtype=np.uint8)

    @cached_property
    def block(self) -> int:
        """Rows that are best explained together: they fill BLOCK calls of the model, and their values little memory."""
        bytes_a_row = 8 * self._baseline.shape[1] * self.base.size
        return int(max(1, min(BLOCK * self._batch // self._calls_a_row, BATCH_BYTES // 4 // bytes_a_row)))

    @cached_property
    def base(self) -> Array:
        """(outputs,): f(baseline), after the link."""
        return self._link(_scores(self._predict(self._baseline), len(self._baseline)).mean(axis=0))

    def explain(self, rows: NDArray[Any]) -> list[Explanation]:
        """Shapley values of each row's features; best of `block` rows at a time, which fill some calls of the model.

        Args:
            rows: (rows, features).

        Raises:
            ValueError: shapes do not fit, or a score is not finite.
        """
        if rows.ndim != 2 or rows.shape[1] != self._baseline.shape[1]:
            raise ValueError(
                f"rows {rows.shape} and baseline {self._baseline.shape}: need (rows, features) with equal features"
            )
        games = [self._game(row) for row in rows.astype(np.result_type(rows, self._baseline), copy=False)]
        asked = games
        while asked:
            questions = [game.questions(self._batch) for game in asked]
            scores = _in_batches(self._predict, (piece for pieces in questions for piece in pieces), self._batch)
            for game, pieces in zip(asked, questions, strict=True):
                game.answer([_means(piece, next(scores)) for piece in pieces], self._link)
            self._attribute(asked)
            asked = [game for game in asked if not game.is_done(self._tolerance)]
        return [game.explanation for game in games]

    def _attribute(self, games: Sequence[_RowGame]) -> None:
        """Explain the games by all that is known now, those that were asked about the same coalitions together."""
        alike: dict[int, list[_RowGame]] = {}
        for game in games:
            alike.setdefault(id(game.plan), []).append(game)
        for group in alike.values():
            if self._surrogate:
                for game in group:
                    game.conclude(*game.plan.attribute(game.odd, game.total, learn=True))
                continue
            outputs = len(self.base)
            step = max(1, TOGETHER // max(group[0].odd.size, 1))
            for part in (group[start : start + step] for start in range(0, len(group), step)):
                odd = np.concatenate([game.odd for game in part], axis=1)
                total = np.concatenate([game.total for game in part])
                values, errors = part[0].plan.attribute(odd, total)
                for place, game in enumerate(part):
                    own = slice(place * outputs, (place + 1) * outputs)
                    game.conclude(values[:, own], None if errors is None else errors[:, own])

    def _game(self, row: NDArray[Any]) -> _RowGame:
        baseline, base = self._baseline.astype(row.dtype, copy=False), None
        if self._all_explained:
            base = self.base
        else:
            baseline = np.where(self._explained, baseline, row)
        differs = row != baseline
        if (
            self._some_missing or not self._all_explained
        ):  # in both is no difference either, although NaN does not equal itself
            differs &= ~(_missing(row) & _missing(baseline))
        players = np.flatnonzero(differs.any(axis=0))
        seed = self._seed_of(row, len(players))
        steps = self._steps.get((len(players), seed))
        if steps is None:
            steps = self._steps[len(players), seed] = _steps(len(players), self._budget, seed, self._tolerance)
        return _RowGame(row, baseline, base, differs[:, players], players, steps)

    def _seed_of(self, row: NDArray[Any], players: int) -> int:
        """One for all rows, unless their plan takes features together: then by the row's values, wherever it stands."""
        if tells_apart(players, self._budget) or players > DEALT_UP_TO:
            return self._seed
        return self._seed + (zlib.crc32(repr(row.tolist()).encode()) % DRAWS << 32)


class _Step:
    """A plan, and the coalitions of it that the plan before did not ask about."""

    def __init__(self, plan: Plan, before: Plan | None) -> None:
        self.plan = plan
        new = plan.masks if before is None else plan.masks[len(before.masks) :]
        self.coalitions = np.concatenate([new, ~new])
        self._last: tuple[tuple[bytes, int, np.dtype[Any]], NDArray[Any]] | None = None

    def present(self, players: NDArray[np.intp], row: NDArray[Any]) -> NDArray[Any]:
        """(coalitions, features): where they have the row's values, as `_mask` gives it; the last one is kept."""
        key = players.tobytes(), len(row), row.dtype
        if self._last is None or self._last[0] != key:
            masks = self.coalitions
            if len(players) < len(row):
                masks = np.zeros((len(self.coalitions), len(row)), dtype=np.bool_)
                masks[:, players] = self.coalitions
            self._last = key, _mask(masks, row.dtype)
        return self._last[1]


def _steps(players: int, num_samples: int, seed: int, tolerance: float | None) -> tuple[_Step, ...]:
    """What is asked at once, or with a tolerance one after another."""
    arguments = players, num_samples, seed
    plans = (make_plan(*arguments),) if tolerance is None else make_plans(*arguments)
    return tuple(map(_Step, plans, (None, *plans)))


def _small(errors: Array | None, tolerance: float | None) -> bool:
    """All 95 % intervals reach at most as far as the tolerance to either side."""
    return tolerance is not None and errors is not None and NORMAL_95 * errors.max(initial=0.0) <= tolerance


class _RowGame:
    """One row's, while the model is asked about it."""

    def __init__(
        self,
        row: NDArray[Any],
        baseline: NDArray[Any],
        base: Array | None,
        differs: NDArray[np.bool_],
        players: NDArray[np.intp],
        steps: Sequence[_Step],
    ) -> None:
        """`base`: f(baseline), None where it is this row's alone; `differs`: (baseline rows, players) from the row."""
        self._row, self._baseline, self._base = row, baseline, base
        self._differs, self._players, self._steps = differs, players, steps
        self._steps_done = 0
        self._calls = 0
        self._odd: list[Array] = []
        self._prediction: Array | None = None
        self._repeats: NDArray[np.intp] | None = None

    def questions(self, batch: int) -> list[_Piece]:
        """The next step's coalitions, in pieces of about a call's size; before the first, the row and its baseline."""
        step = self._steps[self._steps_done]
        present = step.present(self._players, self._row)
        pieces = [] if self._steps_done else self._ends()
        different = _different(step.coalitions, self._differs)
        if different is None:
            per_piece = -(-batch // len(self._baseline))
            for start in range(0, len(present), per_piece):
                pieces.append(_Piece(self._row, self._baseline, present[start : start + per_piece], None))
            self._repeats = None
        else:
            first, self._repeats = different
            for start in range(0, len(first), batch):
                which, beside = np.divmod(first[start : start + batch], len(self._baseline))
                pieces.append(_Piece(self._row, self._baseline, present[which], beside))
        self._calls += sum(map(len, pieces))
        return pieces

    def _ends(self) -> list[_Piece]:
        everybody = np.ones((1, len(self._row)), dtype=np.bool_)
        ends = [_Piece(self._row, self._baseline[:1], _mask(everybody, self._row.dtype), None)]
        if self._base is None:
            ends.append(_Piece(self._row, self._baseline, _mask(~everybody, self._row.dtype), None))
        return ends

    def answer(self, means: list[Array], link: Link) -> None:
        """Take the scores of the pieces."""
        if self._prediction is None:
            self._prediction = link(means.pop(0)[0])
        if self._base is None:
            self._base = link(means.pop(0)[0])
        found = np.concatenate(means) if means else np.zeros((0, len(self._base)))
        if self._repeats is not None:
            found = np.concatenate(
                [found[part].mean(axis=1) for part in _portions(self._repeats.reshape(-1, len(self._baseline)))]
            )
        values = link(found)
        pairs = len(values) // 2
        self._odd.append((values[:pairs] - values[pairs:]) / 2)
        self._steps_done += 1

    @property
    def plan(self) -> Plan:
        """The one of all coalitions that were asked about so far."""
        return self._steps[self._steps_done - 1].plan

    @property
    def odd(self) -> Array:
        """(pairs, outputs): its odd differences that are known."""
        return self._odd[0] if len(self._odd) == 1 else np.concatenate(self._odd)

    @property
    def total(self) -> Array:
        """(outputs,): what the values add up to."""
        assert self._prediction is not None and self._base is not None, "answered"
        return self._prediction - self._base

    def conclude(self, values: Array, errors: Array | None) -> None:
        """Take the players' values and standard errors, (players, outputs) each."""
        assert self._prediction is not None and self._base is not None, "answered"
        self.explanation = Explanation(
            _of_all(self._players, len(self._row), values),
            self._prediction,
            self._base,
            self.plan.exact,
            coalitions=2 * len(self.plan.masks),
            calls=self._calls,
            standard_errors=None if errors is None else _of_all(self._players, len(self._row), errors),
        )

    def is_done(self, tolerance: float | None) -> bool:
        """All is asked, or the intervals are small enough."""
        return _small(self.explanation.standard_errors, tolerance) or self._steps_done == len(self._steps)


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, dtype=np.bool_)


def _different(coalitions: Masks, differs: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
    """Which synthetic rows to ask about when many are the same: of categories, most rows share some with a baseline's.

    Args:
        coalitions: (coalitions, players).
        differs: (baseline rows, players), where the row differs from each.

    Returns:
        The places of the first of each kind, and for every synthetic row its place among these; both count the
        coalitions' synthetic rows one after another, (coalitions · baseline rows,). None where all are different.
    """
    baselines, players = differs.shape
    shift = (len(coalitions) * baselines).bit_length()
    if differs.all() or players + baselines.bit_length() + shift > 62:
        return None
    bits = 1 << np.arange(players)
    codes = (coalitions @ bits)[:, None] & (differs @ bits) | np.arange(baselines) << players
    # numpy.unique takes three times as long: it sorts places by their codes, here numbers that hold both are sorted
    ordered = np.sort((codes.ravel() << shift) | np.arange(codes.size))
    places = ordered & ((1 << shift) - 1)
    is_first = np.diff(ordered >> shift, prepend=-1) != 0
    repeats = np.empty(codes.size, dtype=np.intp)
    repeats[places] = np.cumsum(is_first) - 1
    first = places[is_first]
    return first, repeats


def _portions(places: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """(coalitions, baseline rows) cut so that the scores of a portion take little memory."""
    return np.array_split(places, -(-places.size // BATCH)) if places.size else [places]


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
    """(baseline rows, features)"""
    present: NDArray[Any]
    """(coalitions, features): where they have the row's values, as `_mask` gives it."""
    beside: NDArray[np.intp] | None
    """(coalitions,): the one baseline row that each is asked about with; None: all of them."""

    def __len__(self) -> int:
        return len(self.present) * (len(self.baseline) if self.beside is None else 1)

    def write(self, out: NDArray[Any]) -> None:
        """Make them in `out`, (synthetic rows, features): for each coalition those of the baseline."""
        present, baseline = self.present[:, None], self.baseline
        if self.beside is not None:
            present, baseline = self.present, self.baseline[self.beside]
        out = out.reshape(len(present), *baseline.shape[self.beside is not None :])
        if present.dtype == np.bool_:
            out[...] = np.where(present, self.row, baseline)
            return
        # The same on bits: making the rows is the larger part of explaining a fast model, and this takes a third of it.
        baseline, bits = baseline.view(present.dtype), out.view(present.dtype)
        np.bitwise_and(present, self.row.view(present.dtype) ^ baseline, out=bits)
        bits ^= baseline


def _mask(masks: Masks, kind: np.dtype[Any]) -> NDArray[Any]:
    """For values of plain numbers all bits or none, as integers of their width; of any others the masks themselves."""
    if kind.kind not in "fiub" or kind.itemsize > 8:
        return masks
    bits: NDArray[Any] = -masks.astype(f"i{kind.itemsize}")
    return bits


def _means(piece: _Piece, scores: Array) -> Array:
    """The scores of a piece's rows, averaged over the baseline where it was asked about with all of it."""
    if piece.beside is not None or len(piece.baseline) == 1:
        return scores
    means: Array = scores.reshape(len(piece.present), len(piece.baseline), -1).mean(axis=1)
    return means


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
