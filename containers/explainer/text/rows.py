"""Rows with texts as they were explained: their numbers are on disk, and put together when a row is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explainer.rows import RowFacts
from explainer.shapley import NORMAL_95
from explainer.table import Table
from explainer.text.game import Array, Player, grouped, players_of
from explainer.text.parts import RowNumbers, TextParts
from explainer.text.units import Segmenter, Span


@dataclass(frozen=True)
class TextRow:
    """One row's explanation."""

    id: str
    players: Sequence[Player]
    texts: Mapping[str, str]
    """Of the features that are texts."""
    values: Array
    """(players, labels)"""
    prediction: Array
    """(labels,)"""
    base: Array
    """(labels,): the mean score with all players absent, which is not the baseline's own: a text of ten tokens then
    holds ten times its replacement."""
    errors: Array | None
    """(players, labels): standard errors of the values; None where the budget is too small to tell."""
    exact: bool
    calls: int
    """Synthetic rows the model was asked about."""

    @property
    def gap(self) -> float:
        """The largest |prediction - base - sum of attributions| of all labels."""
        return float(np.abs(self.prediction - self.base - self.values.sum(axis=0)).max())

    @property
    def half_width(self) -> float:
        """How far the widest 95 % interval reaches to either side; NaN where that is not known."""
        return np.nan if self.errors is None else NORMAL_95 * float(self.errors.max(initial=0.0))

    def text_of(self, player: Player) -> str:
        assert player.span is not None
        return self.texts[player.feature][slice(*player.span)]

    def parts(self, feature: str) -> Iterator[tuple[Span, Array]]:
        """The units of a text that stand in it, with their values (labels,)."""
        for player, values in zip(self.players, self.values, strict=True):
            if player.feature == feature and player.span is not None:
                yield player.span, values

    def units(self, feature: str) -> Iterator[tuple[str, Array]]:
        """The same, with their texts."""
        text = self.texts[feature]
        return ((text[slice(*span)], values) for span, values in self.parts(feature))

    def of_features(self, features: Sequence[str]) -> Array:
        """(features, labels): a text's value is the sum of its units'."""
        sums = np.zeros((len(features), len(self.base)))
        for player, values in zip(self.players, self.values, strict=True):
            sums[features.index(player.feature)] += values
        return sums


@dataclass(frozen=True)
class TextRows:
    """All rows of the data, by their places."""

    table: Table
    features: tuple[str, ...]
    """Those that were explained."""
    texts: tuple[str, ...]
    """Those of them that are texts."""
    segmenter: Segmenter
    parts: TextParts
    numbers: NDArray[np.intp]
    """(rows of the data,): when each was explained; -1: it was not."""

    @property
    def others(self) -> tuple[str, ...]:
        """The features that are no texts."""
        return tuple(name for name in self.features if name not in self.texts)

    @property
    def known(self) -> NDArray[np.bool_]:
        """(rows of the data,): which were explained."""
        known: NDArray[np.bool_] = self.numbers >= 0
        return known

    @property
    def left_out(self) -> list[str]:
        """The identifiers of those that the time was too short for."""
        return [self._id(place) for place in np.flatnonzero(~self.known).tolist()]

    def _id(self, place: int) -> str:
        return self.table.joinsource[place] if self.table.joinsource else f"row {place}"

    def row(self, place: int) -> TextRow | None:
        """One row; None where it was left out."""
        number = int(self.numbers[place])
        if number < 0:
            return None
        texts = {name: self.table.columns[name][place] for name in self.texts}
        spans = {name: grouped(self.segmenter.split(text)) for name, text in texts.items()}
        return _row(self._id(place), texts, players_of(self.features, spans), self.parts.at(number))

    def in_order(self) -> Iterator[TextRow | None]:
        """Every row in the order of the data; None for those left out."""
        return map(self.row, range(len(self.table)))

    def facts(self) -> Iterator[RowFacts | None]:
        """Of every row in the order of the data; None for those left out."""
        for row in self.in_order():
            if row is None:
                yield None
            else:
                yield RowFacts(row.exact, row.gap, row.half_width, row.calls, row.base, row.prediction)


def _row(name: str, texts: Mapping[str, str], players: Sequence[Player], found: RowNumbers) -> TextRow:
    shape = len(players), len(found.base)
    return TextRow(
        id=name,
        players=players,
        texts=texts,
        values=np.array(found.values).reshape(shape),
        prediction=np.array(found.prediction),
        base=np.array(found.base),
        errors=None if found.errors is None else np.array(found.errors).reshape(shape),
        exact=found.exact,
        calls=found.calls,
    )
