"""KernelSHAP of rows with texts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explainer.analysis_config import Shap
from explainer.coding import Columns
from explainer.rows import Place, aggregate, explained_features
from explainer.shapley import logit
from explainer.stability import halves, split_half
from explainer.table import Table
from explainer.text.game import Array, Ask, RowGame, grouped
from explainer.text.parts import TextParts, numbers_of
from explainer.text.rows import TextRows
from explainer.text.totals import TopUnits
from explainer.text.units import Segmenter

logger = logging.getLogger(__name__)

DATA_TYPES = {"numeric": "numerical", "categorical": "categorical", "text": "free_text"}
"""Ours → Clarify's."""


@dataclass(frozen=True)
class Totals:
    """What holds for all rows together."""

    importance: Array
    """(features that are no texts, labels): global values of the representative rows."""
    top: Mapping[str, Sequence[Mapping[str, float]]]
    """Text → for each label its units that matter most over all their occurrences in these rows, the largest first."""
    rank_correlations: dict[str, float]
    """Label → how alike two halves of these rows rank the features; nothing where rows or features are too few."""
    representative: int
    """How many rows those are."""
    exact: bool
    max_gap: float
    half_width: float | None
    """How far the widest 95 % interval reaches to either side; None where some cannot be told."""
    calls: int


@dataclass(frozen=True)
class TextsExplained:
    """What was found of all rows."""

    rows: TextRows
    types: Mapping[str, str]
    """Clarify's names."""
    labels: tuple[str, ...]
    expected: Array
    """(labels,): mean score over the baseline."""
    totals: Totals
    agg_method: str
    granularity: str
    baseline_rows: int
    grouped: int
    """Texts of more units than are explained one by one."""
    surrogate: bool

    @property
    def model_calls(self) -> int:
        """Synthetic rows the model was asked about."""
        return self.baseline_rows + self.totals.calls

    @property
    def exact(self) -> bool:
        return self.totals.exact

    @property
    def max_gap(self) -> float:
        return self.totals.max_gap

    def to_clarify(self) -> dict[str, Any]:
        """As it stands in `analysis.json` under `kernel_shap`."""
        rows, totals = self.rows, self.totals
        return {
            name: {
                "global_shap_values": dict(zip(rows.others, totals.importance[:, label].tolist(), strict=True)),
                "expected_value": float(self.expected[label]),
                "global_top_shap_text": {feature: dict(totals.top[feature][label]) for feature in rows.texts},
            }
            for label, name in enumerate(self.labels)
        }


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
    surrogate: bool,
    place: Place,
) -> TextsExplained:
    """Explain every row that is not known already, or as many as there is time for.

    With a time budget rows come in an order of chance, so that those explained stand for all.

    Args:
        table: the rows.
        types: Clarify's type of each feature.
        baseline: (baseline rows,) for each feature.
        ask: columns → (rows, labels).
        labels: a name for each output.
        shap: budgets, seed, units, aggregation.
        segmenter: finds the units of texts.
        representative: (rows,), which of them count for global values.
        surrogate: as of `explainer.shapley.explain_game`.
        place: files, progress, time.

    Raises:
        BadPolicy: `features_to_explain` names a feature that there is not.
        ValueError: the scores cannot be explained.
    """
    from threadpoolctl import threadpool_limits

    assert shap.text_config is not None
    calls, total = 0, len(table)

    def counted(columns: Columns) -> Array:
        nonlocal calls
        calls += len(columns[table.features[0]])
        return _finite(ask(columns))

    link = logit if shap.use_logit else None
    expected = counted({name: baseline[name] for name in table.features}).mean(axis=0)
    features = tuple(table.features[feature] for feature in explained_features(table, shap))
    texts = tuple(name for name in features if types[name] == "free_text")
    order = np.arange(total)
    if shap.time_budget is not None:
        order = np.random.default_rng(shap.seed).permutation(total)
    parts = TextParts(place.parts, place.clock)
    if len(parts):
        logger.info("going on after %d rows that were explained before", len(parts))
    began = place.clock()
    # with threads a row's least squares take five times as long on a busy machine, and differ in their last bits
    with threadpool_limits(1, user_api="blas"):
        for number in order[len(parts) :].tolist():
            row = {name: table.columns[name][number] for name in table.features}
            spans = {name: grouped(segmenter.split(row[name])) for name in texts}
            before = calls
            explanation = RowGame(row, spans, features, baseline, counted).explain(
                shap.num_samples, shap.seed, link, tolerance=shap.tolerance, surrogate=surrogate
            )
            parts.add(numbers_of(number, explanation, calls - before))
            place.advance(len(parts))
            if shap.time_budget is not None and place.clock() - began >= shap.time_budget:
                break
    parts.save()
    numbers = np.full(total, -1, dtype=np.intp)
    numbers[order[: len(parts)]] = np.arange(len(parts))
    long = sum(
        len(grouped(found)) < len(found) for name in texts for found in map(segmenter.split, table.columns[name])
    )
    if long:
        logger.warning("%d texts have so many units that neighbours are explained together", long)
    rows = TextRows(table, features, texts, segmenter, parts, numbers)
    return TextsExplained(
        rows=rows,
        types=types,
        labels=labels,
        expected=expected if link is None else link(expected),
        totals=totals_of(rows, labels, representative, shap),
        agg_method=shap.agg_method,
        granularity=shap.text_config.granularity,
        baseline_rows=len(baseline[table.features[0]]),
        grouped=long,
        surrogate=surrogate,
    )


def totals_of(rows: TextRows, labels: Sequence[str], representative: NDArray[np.bool_], shap: Shap) -> Totals:
    """One look at every row that was explained."""
    assert shap.text_config is not None
    counts = rows.known & representative
    if not counts.any():
        counts = rows.known
    units = {name: TopUnits(shap.agg_method) for name in rows.texts}
    values = np.empty((int(counts.sum()), len(rows.features), len(labels)))
    exact, gap, width, calls, taken = True, 0.0, 0.0, 0, 0
    for place, row in enumerate(rows.in_order()):
        if row is None:
            continue
        exact, gap, calls = exact and row.exact, max(gap, row.gap), calls + row.calls
        width = float(np.maximum(width, row.half_width))  # NaN stays
        if counts[place]:
            values[taken] = row.of_features(rows.features)
            taken += 1
            for name, found in units.items():
                found.add(row.units(name))
    others = [place for place, name in enumerate(rows.features) if name not in rows.texts]
    return Totals(
        importance=aggregate(values[:, others], shap.agg_method),
        top={name: found.first(shap.text_config.max_top_tokens, len(labels)) for name, found in units.items()},
        rank_correlations=_ranks(values, labels, shap),
        representative=taken,
        exact=exact,
        max_gap=gap,
        half_width=None if np.isnan(width) else width,
        calls=calls,
    )


def _ranks(values: Array, labels: Sequence[str], shap: Shap) -> dict[str, float]:
    """How sure the ranking of the features is, a text as a whole being one; values (rows, features, labels)."""
    if len(values) < 4:
        return {}
    splits = halves(len(values), shap.seed)
    first, second = (
        # a negative median weighs as much as a positive one
        np.array([np.abs(aggregate(values[half], shap.agg_method)) for half in side])
        for side in (splits, ~splits)
    )
    found = {name: split_half(first[:, :, label], second[:, :, label]) for label, name in enumerate(labels)}
    return {name: one for name, one in found.items() if one is not None}


def _finite(scores: Array) -> Array:
    if not np.isfinite(scores).all():
        raise ValueError(f"the model's scores hold {scores[~np.isfinite(scores)][0]}")
    return scores
