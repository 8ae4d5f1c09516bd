"""KernelSHAP of rows with texts, and Clarify's files of it."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.explanation import RowExplanation
from explainer.analysis_config import Shap
from explainer.coding import Columns
from explainer.rows import Place, aggregate, explained_features
from explainer.shapley import NORMAL_95, logit
from explainer.table import Table
from explainer.text.game import Array, Ask, Player, RowGame, grouped
from explainer.text.parts import RowNumbers, TextParts, numbers_of
from explainer.text.units import Segmenter, Span

logger = logging.getLogger(__name__)

DATA_TYPES = {"numeric": "numerical", "categorical": "categorical", "text": "free_text"}
"""Ours → Clarify's."""


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

    @property
    def gap(self) -> float:
        """The largest |prediction - base - sum of attributions| of all labels."""
        return float(np.abs(self.prediction - self.base - self.values.sum(axis=0)).max())

    def text_of(self, player: Player) -> str:
        assert player.span is not None
        return self.texts[player.feature][slice(*player.span)]

    def parts(self, feature: str) -> Iterator[tuple[Span, Array]]:
        """The units of a text that stand in it, with their values (labels,)."""
        for player, values in zip(self.players, self.values, strict=True):
            if player.feature == feature and player.span is not None:
                yield player.span, values


@dataclass(frozen=True)
class TextsExplained:
    """What was found of all rows."""

    features: tuple[str, ...]
    """Those that were explained."""
    types: Mapping[str, str]
    """Clarify's names."""
    labels: tuple[str, ...]
    rows: Sequence[TextRow]
    representative: NDArray[np.bool_]
    """(rows,): which of them count for global values."""
    expected: Array
    """(labels,): mean score over the baseline."""
    agg_method: str
    max_top_tokens: int
    segmenter: Segmenter
    granularity: str
    grouped: int
    """Texts of more units than are explained one by one."""
    model_calls: int
    """Synthetic rows the model was asked about."""
    baseline_rows: int
    parts: TextParts
    """All of it on disk."""

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(name for name in self.features if self.types[name] == "free_text")

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(name for name in self.features if self.types[name] != "free_text")

    @property
    def exact(self) -> bool:
        return all(row.exact for row in self.rows)

    @property
    def max_gap(self) -> float:
        return max(row.gap for row in self.rows)

    @property
    def half_width(self) -> float | None:
        """How far the widest 95 % interval reaches to either side; None where some cannot be told."""
        errors = [row.errors for row in self.rows]
        known = [float(one.max(initial=0.0)) for one in errors if one is not None]
        return NORMAL_95 * max(known) if len(known) == len(errors) else None

    @cached_property
    def importance(self) -> Array:
        """(features that are no texts, labels): global values."""
        values = [
            [row.values[place] for place, player in enumerate(row.players) if player.span is None]
            for row in self._counted
        ]
        return aggregate(np.array(values).reshape(len(values), len(self.others), len(self.labels)), self.agg_method)

    def top(self, feature: str, label: int) -> dict[str, float]:
        """The units of a text that matter most for a label, over all their occurrences; the largest first."""
        found = self._by_unit[feature]
        order = sorted(found, key=lambda text: (-abs(found[text][label]), text))
        return {text: float(found[text][label]) for text in order[: self.max_top_tokens]}

    @cached_property
    def _by_unit(self) -> dict[str, dict[str, Array]]:
        """Feature → unit's text → (labels,): the aggregate over its occurrences."""
        occurrences: dict[str, dict[str, list[Array]]] = {name: defaultdict(list) for name in self.texts}
        for row in self._counted:
            for player, values in zip(row.players, row.values, strict=True):
                if player.span is not None:
                    occurrences[player.feature][row.text_of(player)].append(values)
        return {
            name: {text: aggregate(np.array(values), self.agg_method) for text, values in found.items()}
            for name, found in occurrences.items()
        }

    @property
    def _counted(self) -> list[TextRow]:
        return [row for row, counts in zip(self.rows, self.representative, strict=True) if counts]

    def to_clarify(self) -> dict[str, Any]:
        """As it stands in `analysis.json` under `kernel_shap`."""
        return {
            name: {
                "global_shap_values": dict(zip(self.others, self.importance[:, label].tolist(), strict=True)),
                "expected_value": float(self.expected[label]),
                "global_top_shap_text": {feature: self.top(feature, label) for feature in self.texts},
            }
            for label, name in enumerate(self.labels)
        }

    def to_assay(self) -> tuple[RowExplanation, ...]:
        """What Clarify does not give of each row."""
        return tuple(
            RowExplanation(id=row.id, base=tuple(row.base.tolist()), additivity_gap=row.gap) for row in self.rows
        )


def explain_texts(
    table: Table,
    types: Mapping[str, str],
    baseline: Columns,
    ask: Ask,
    labels: tuple[str, ...],
    shap: Shap,
    segmenter: Segmenter,
    *,
    representative: NDArray[np.bool_],
    place: Place,
) -> TextsExplained:
    """Explain every row that is not known already.

    Args:
        table: the rows.
        types: Clarify's type of each feature.
        baseline: (baseline rows,) for each feature.
        ask: columns → (rows, labels).
        labels: a name for each output.
        shap: budget, seed, units, aggregation.
        segmenter: finds the units of texts.
        representative: (rows,), which of them count for global values.
        place: files, progress, time.

    Raises:
        BadPolicy: `features_to_explain` names a feature that there is not.
        ValueError: the scores cannot be explained.
    """
    from threadpoolctl import threadpool_limits

    assert shap.text_config is not None
    calls = 0

    def counted(columns: Columns) -> Array:
        nonlocal calls
        calls += len(columns[table.features[0]])
        return _finite(ask(columns))

    link = logit if shap.use_logit else None
    expected = counted({name: baseline[name] for name in table.features}).mean(axis=0)
    explained = [table.features[feature] for feature in explained_features(table, shap)]
    texts = [name for name in explained if types[name] == "free_text"]
    parts = TextParts(place.parts, place.clock)
    if parts.rows:
        logger.info("going on after %d rows that were explained before", len(parts.rows))
    rows: list[TextRow] = []
    long = 0
    # with threads a row's least squares take five times as long on a busy machine, and differ in their last bits
    with threadpool_limits(1, user_api="blas"):
        for number in range(len(table)):
            row = {name: table.columns[name][number] for name in table.features}
            found = {name: segmenter.split(row[name]) for name in texts}
            spans = {name: grouped(units) for name, units in found.items()}
            long += sum(len(spans[name]) < len(found[name]) for name in texts)
            game = RowGame(row, spans, explained, baseline, counted)
            if number == len(parts.rows):
                before = calls
                explanation = game.explain(shap.num_samples, shap.seed, link)
                parts.add(numbers_of(explanation, calls - before))
                place.advance(number + 1)
            name = table.joinsource[number] if table.joinsource else f"row {number}"
            rows.append(_row(name, game, parts.rows[number]))
    parts.save()
    if long:
        logger.warning("%d texts have so many units that neighbours are explained together", long)
    return TextsExplained(
        features=tuple(explained),
        types=types,
        labels=labels,
        rows=rows,
        representative=representative,
        expected=expected if link is None else link(expected),
        agg_method=shap.agg_method,
        max_top_tokens=shap.text_config.max_top_tokens,
        segmenter=segmenter,
        granularity=shap.text_config.granularity,
        grouped=long,
        model_calls=len(baseline[table.features[0]]) + sum(row.calls for row in parts.rows),
        baseline_rows=len(baseline[table.features[0]]),
        parts=parts,
    )


def _row(name: str, game: RowGame, found: RowNumbers) -> TextRow:
    shape = len(game.players), len(found.base)
    return TextRow(
        id=name,
        players=game.players,
        texts={feature: game.row[feature] for feature in game.spans},
        values=np.array(found.values).reshape(shape),
        prediction=np.array(found.prediction),
        base=np.array(found.base),
        errors=None if found.errors is None else np.array(found.errors).reshape(shape),
        exact=found.exact,
    )


def _finite(scores: Array) -> Array:
    if not np.isfinite(scores).all():
        raise ValueError(f"the model's scores hold {scores[~np.isfinite(scores)][0]}")
    return scores


def write_local_texts(shap: Path, assay: Path, explained: TextsExplained, joinsource: str | None) -> None:
    """`out.jsonl`: a line for each row of the data, its identifier beside `explanations`.

    Beside Clarify's files `standard_errors.jsonl`, the same with the attributions' standard errors, null where they are
    not known. Each file is whole or not there.
    """
    _write_lines(shap / "out.jsonl", explained, joinsource, lambda row: row.values.tolist())
    _write_lines(assay / "standard_errors.jsonl", explained, joinsource, _errors)


def _errors(row: TextRow) -> list[Any]:
    unknown = [[None] * len(row.base)] * len(row.players)
    return unknown if row.errors is None else row.errors.tolist()


def _write_lines(
    path: Path, explained: TextsExplained, joinsource: str | None, numbers: Callable[[TextRow], list[Any]]
) -> None:
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="\n") as stream:
        for row in explained.rows:
            found = numbers(row)
            line: dict[str, Any] = {
                "explanations": [_of_feature(row, found, name, explained) for name in explained.features]
            }
            if joinsource is not None:
                line[joinsource] = row.id
            stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
    part.replace(path)


def _of_feature(row: TextRow, numbers: list[Any], name: str, explained: TextsExplained) -> dict[str, Any]:
    attributions: list[dict[str, Any]] = []
    for player, values in zip(row.players, numbers, strict=True):
        if player.feature != name:
            continue
        attributions.append({"attribution": values})
        if player.span is not None:
            attributions[-1]["description"] = {"partial_text": row.text_of(player), "start_idx": player.span[0]}
    return {"feature_name": name, "data_type": explained.types[name], "attributions": attributions}
