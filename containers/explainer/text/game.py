"""The game of one row: its players are the units of its texts and its other features.

v(S) is the model's mean score over the baseline's rows when the players in S are as the row has them, and the others as
the baseline row has them: a feature has its value, a unit of a text is replaced by the baseline's text. What lies
between the units stays. So a baseline of "" drops a unit, and "<UNK>" stands in its place as often as units are absent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explainer.coding import Columns
from explainer.shapley import Explanation, explain_game
from explainer.text.units import Span

Array = NDArray[np.float64]
Ask = Callable[[Columns], Array]
"""Columns of synthetic rows → scores, (rows, outputs)."""

ROWS_AT_ONCE = 4096
"""Synthetic rows in one call of the model."""
CHARACTERS_AT_ONCE = 16_000_000
"""And what their texts may hold together: 5,000 words of six letters are 500 rows."""
MOST_UNITS = 1000
"""Units of one text that are explained one by one. Where there are more, neighbours are taken together: an estimate
needs as many coalitions as a few times its players, each as long as the text, and a least-squares problem of both."""


@dataclass(frozen=True)
class Player:
    """What can be absent: a unit of a text, or a whole feature."""

    feature: str
    span: Span | None
    """Where the unit stands in its text; None: a feature that is no text."""


def players_of(features: Sequence[str], spans: Mapping[str, Sequence[Span]]) -> list[Player]:
    """The units of texts and the other features, in the order of the features; a text without units has none."""
    return [Player(name, span) for name in features for span in spans.get(name, (None,))]


def grouped(spans: Sequence[Span], most: int = MOST_UNITS) -> list[Span]:
    """At most `most` spans: of more, equally many neighbours become one."""
    size = -(-len(spans) // most) or 1
    return [(part[0][0], part[-1][1]) for part in (spans[at : at + size] for at in range(0, len(spans), size))]


@dataclass(frozen=True)
class RowGame:
    """One row against the baseline.

    Attributes:
        row: feature → value.
        spans: the units of the features that are texts.
        explained: the features that are; the others keep the row's own values.
        baseline: feature → (baseline rows,) values.
        ask: the model.
    """

    row: Mapping[str, Any]
    spans: Mapping[str, Sequence[Span]]
    explained: Sequence[str]
    baseline: Columns
    ask: Ask

    @cached_property
    def players(self) -> list[Player]:
        return players_of(self.explained, self.spans)

    def explain(
        self,
        num_samples: int | None,
        seed: int,
        link: Callable[[Array], Array] | None,
        *,
        tolerance: float | None = None,
        surrogate: bool = False,
    ) -> Explanation:
        """Of all players: a player that equals the baseline in each of its rows cannot matter, and is in no coalition.

        Args:
            num_samples: coalitions to ask about, Clarify's default when None.
            seed: same seed, same values.
            link: of scores.
            tolerance, surrogate: as of `explain_game`.

        Raises:
            ValueError: the scores are no numbers, or not what `link` takes.
        """
        live = np.array([self._matters(player) for player in self.players], dtype=np.bool_)

        def value(present: NDArray[np.bool_]) -> Array:
            masks = np.ones((len(present), len(live)), dtype=np.bool_)
            masks[:, live] = present
            scores = self.scores(masks)
            return scores if link is None else link(scores)

        found = explain_game(
            value, int(live.sum()), num_samples=num_samples, seed=seed, tolerance=tolerance, surrogate=surrogate
        )
        values = np.zeros((len(live), len(found.base)))
        values[live] = found.values
        errors = None if found.standard_errors is None else np.zeros_like(values)
        if errors is not None:
            errors[live] = found.standard_errors
        return replace(found, values=values, standard_errors=errors)

    def _matters(self, player: Player) -> bool:
        own = self.row[player.feature] if player.span is None else self.row[player.feature][slice(*player.span)]
        return any(not _same(own, other) for other in self.baseline[player.feature].tolist())

    def scores(self, masks: NDArray[np.bool_]) -> Array:
        """Mean scores over the baseline, (coalitions, outputs), of masks (coalitions, players)."""
        baseline_rows = len(next(iter(self.baseline.values())))
        longest = sum(len(self.row[name]) for name in self.spans) + sum(
            len(spans) * max(map(len, self.baseline[name].tolist()), default=0) for name, spans in self.spans.items()
        )
        rows = max(1, min(ROWS_AT_ONCE, CHARACTERS_AT_ONCE // max(longest, 1)))
        step = max(1, rows // baseline_rows)
        return np.concatenate([self._mean_scores(masks[at : at + step]) for at in range(0, len(masks), step)])

    def _mean_scores(self, masks: NDArray[np.bool_]) -> Array:
        parts = [self._synthetic(masks, row) for row in range(len(next(iter(self.baseline.values()))))]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in self.row}
        scores = _asked_once(self.ask, columns)
        return np.asarray(scores.reshape(len(parts), len(masks), -1).mean(axis=0))

    def _synthetic(self, masks: NDArray[np.bool_], baseline_row: int) -> dict[str, NDArray[Any]]:
        """The columns of the rows that coalitions make with one row of the baseline."""
        columns: dict[str, NDArray[Any]] = {}
        at = 0
        for name, own in self.row.items():
            if name not in self.explained:
                columns[name] = np.full(len(masks), own, dtype=self.baseline[name].dtype)
                continue
            other = self.baseline[name][baseline_row]
            if name in self.spans:
                players = len(self.spans[name])
                columns[name] = _texts(own, self.spans[name], other, masks[:, at : at + players])
            else:
                players = 1
                dtype = self.baseline[name].dtype
                columns[name] = np.where(masks[:, at], np.array(own, dtype=dtype), np.array(other, dtype=dtype))
            at += players
        return columns


def _texts(text: str, spans: Sequence[Span], other: str, masks: NDArray[np.bool_]) -> NDArray[Any]:
    """A text for each mask (coalitions, units): absent units replaced, what lies between them kept."""
    if not spans:
        return np.full(len(masks), text, dtype=object)
    ends = [*(start for start, _ in spans[1:]), len(text)]
    between = [text[end:following] for (_, end), following in zip(spans, ends, strict=True)]
    present, absent = np.empty(len(spans), dtype=object), np.empty(len(spans), dtype=object)
    present[:] = [text[start:end] + after for (start, end), after in zip(spans, between, strict=True)]
    absent[:] = [other + after for after in between]
    head = text[: spans[0][0]]
    texts = np.empty(len(masks), dtype=object)
    texts[:] = [head + "".join(pieces) for pieces in np.where(masks, present, absent).tolist()]
    return texts


def _asked_once(ask: Ask, columns: Mapping[str, NDArray[Any]]) -> Array:
    """The model's scores, asked once about rows that are alike."""
    places: dict[tuple[Any, ...], int] = {}
    inverse = [places.setdefault(row, len(places)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)]
    if len(places) == len(inverse):
        return ask(columns)
    _, first = np.unique(inverse, return_index=True)
    return ask({name: values[first] for name, values in columns.items()})[inverse]


def _same(one: Any, other: Any) -> bool:
    both_unknown = isinstance(one, float) and math.isnan(one) and math.isnan(other)
    return both_unknown or bool(one == other)
