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
from explainer.rows import aggregate
from explainer.shapley import logit
from explainer.table import Table
from explainer.text.game import Array, Ask, Player, RowGame, grouped
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
    types: Mapping[str, str]
    """Of the features, Clarify's names."""
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
    advance: Callable[[int], None],
) -> TextsExplained:
    """Explain every row.

    Args:
        table: the rows.
        types: Clarify's type of each feature.
        baseline: (baseline rows,) for each feature.
        ask: columns → (rows, labels).
        labels: a name for each output.
        shap: budget, seed, units, aggregation.
        segmenter: finds the units of texts.
        representative: (rows,), which of them count for global values.
        advance: told the number of rows done.

    Raises:
        ValueError: the scores cannot be explained.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    assert shap.text_config is not None
    calls = 0

    def counted(columns: Columns) -> Array:
        nonlocal calls
        calls += len(columns[table.features[0]])
        return _finite(ask(columns))

    link = logit if shap.use_logit else None
    scores = counted({name: baseline[name] for name in table.features}).mean(axis=0)
    texts = [name for name in table.features if types[name] == "free_text"]
    rows: list[TextRow] = []
    long = 0
    # with threads a row's least squares take five times as long on a busy machine, and differ in their last bits
    with threadpool_limits(1, user_api="blas"):
        for place in range(len(table)):
            row = {name: table.columns[name][place] for name in table.features}
            found = {name: segmenter.split(row[name]) for name in texts}
            spans = {name: grouped(units) for name, units in found.items()}
            long += sum(len(spans[name]) < len(found[name]) for name in texts)
            game = RowGame(row, spans, baseline, counted)
            explanation, values = game.explain(shap.num_samples, shap.seed, link)
            rows.append(
                TextRow(
                    table.joinsource[place] if table.joinsource else f"row {place}",
                    game.players,
                    {name: row[name] for name in texts},
                    values,
                    explanation.prediction,
                    explanation.base,
                    explanation.exact,
                )
            )
            advance(place + 1)
    if long:
        logger.warning("%d texts have so many units that neighbours are explained together", long)
    return TextsExplained(
        features=table.features,
        types=types,
        labels=labels,
        rows=rows,
        representative=representative,
        expected=scores if link is None else link(scores),
        agg_method=shap.agg_method,
        max_top_tokens=shap.text_config.max_top_tokens,
        segmenter=segmenter,
        granularity=shap.text_config.granularity,
        grouped=long,
        model_calls=calls,
        baseline_rows=len(baseline[table.features[0]]),
    )


def _finite(scores: Array) -> Array:
    if not np.isfinite(scores).all():
        raise ValueError(f"the model's scores hold {scores[~np.isfinite(scores)][0]}")
    return scores


def write_local_texts(path: Path, explained: TextsExplained, joinsource: str | None) -> None:
    """`out.jsonl`: a line for each row of the data, whole or not at all; its identifier beside `explanations`."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="\n") as stream:
        for row in explained.rows:
            line: dict[str, Any] = {"explanations": [_of_feature(row, name, explained) for name in explained.features]}
            if joinsource is not None:
                line[joinsource] = row.id
            stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
    part.replace(path)


def _of_feature(row: TextRow, name: str, explained: TextsExplained) -> dict[str, Any]:
    attributions: list[dict[str, Any]] = []
    for player, values in zip(row.players, row.values.tolist(), strict=True):
        if player.feature != name:
            continue
        attributions.append({"attribution": values})
        if player.span is not None:
            attributions[-1]["description"] = {"partial_text": row.text_of(player), "start_idx": player.span[0]}
    return {"feature_name": name, "data_type": explained.types[name], "attributions": attributions}
