"""KernelSHAP of rows: attributions of each feature to each label, and Clarify's files of them."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explainer.analysis_config import Shap
from explainer.coding import Coding, Columns
from explainer.parts import Explained, Line, Parts
from explainer.shapley import NORMAL_95, Predict, RowExplainer, logit
from explainer.stability import halves, split_half
from explainer.table import Table, column_name
from model.payloads import plain

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]

AT_ONCE = 64 * 2**20
"""Bytes of attributions that are aggregated together."""


@dataclass(frozen=True)
class RowsExplained:
    """What was found of all rows."""

    features: tuple[str, ...]
    """Those that were explained."""
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    """A row's joinsource, or `row 0`, `row 1`, …"""
    expected: Array
    """(labels,): mean score over the baseline."""
    found: Explained
    """Each row's numbers, on disk."""
    importance: Array
    """(features, labels): the values of the representative rows, aggregated as the configuration asks."""
    rank_correlations: dict[str, float]
    """Label → how alike two halves of these rows rank the features; nothing where rows or features are too few."""
    agg_method: str
    representative: int
    """How many rows those are."""
    baseline_rows: int
    model_calls: int
    """Synthetic rows the model was asked about."""
    exact: bool
    """No value is an estimate."""
    max_gap: float
    """The largest |f(x) - f(baseline) - sum of attributions|."""
    half_width: float | None
    """How far the widest 95 % interval reaches to either side; None where some cannot be told."""
    surrogate: bool

    @property
    def left_out(self) -> list[str]:
        """The rows that the time was too short for."""
        return [self.ids[place] for place in np.flatnonzero(self.found.numbers < 0).tolist()]

    def facts(self) -> Iterator[RowFacts | None]:
        """Of every row in the order of the data; None for those left out."""
        line = self.found.line
        for one in self.found.in_order():
            if one is None:
                yield None
                continue
            gap, width = float(line.gaps(one[None])[0]), float(line.half_widths(one[None])[0])
            yield RowFacts(
                bool(one[line.EXACT]), gap, width, int(one[line.CALLS]), one[line.base], one[line.prediction]
            )


@dataclass(frozen=True)
class RowFacts:
    """How one row was explained."""

    exact: bool
    """No value is an estimate."""
    gap: float
    """The largest |f(x) - f(baseline) - sum of attributions| of its labels."""
    half_width: float
    """How far the widest 95 % interval reaches to either side; NaN where that is not known."""
    calls: int
    """Synthetic rows the model was asked about."""
    base: Array
    """(labels,): f(baseline)."""
    prediction: Array
    """(labels,)"""


@dataclass(frozen=True)
class Place:
    """Where rows are explained: what makes one job's way of it another's."""

    parts: Path
    """The folder of what is known already, and of what becomes known."""
    advance: Callable[[int], None]
    """Told the number of rows done."""
    clock: Callable[[], float] = time.monotonic


def explain_table(
    table: Table,
    coding: Coding,
    baseline: Array,
    predict: Predict,
    labels: tuple[str, ...],
    shap: Shap,
    *,
    representative: NDArray[np.bool_],
    surrogate: bool,
    place: Place,
) -> RowsExplained:
    """Explain every row, or as many as there is time for.

    With a time budget rows come in an order of chance, so that those explained stand for all.

    Args:
        table: the rows.
        coding: of its features.
        baseline: (baseline rows, features), coded.
        predict: (rows, features), coded → (rows, labels).
        labels: a name for each output.
        shap: which features, budgets, seed, units, aggregation.
        representative: (rows,), which of them count for the global values.
        surrogate: as of `RowExplainer`.
        place: files, progress, time.
    """
    from threadpoolctl import threadpool_limits

    explained = explained_features(table, shap)
    explainer = RowExplainer(
        predict,
        baseline,
        num_samples=shap.num_samples,
        seed=shap.seed,
        link=logit if shap.use_logit else None,
        surrogate=surrogate,
        features=explained,
        tolerance=shap.tolerance,
    )
    total = len(table)
    order = np.arange(total)
    if shap.time_budget is not None:
        order = np.random.default_rng(shap.seed).permutation(total)
    parts = Parts(place.parts, Line(len(explained), len(labels)), place.clock)
    if len(parts):
        logger.info("going on after %d rows that were explained before", len(parts))
    expected, began = explainer.base, place.clock()
    # with threads the products take several times as long on a busy machine, and differ in their last bits
    with threadpool_limits(1, user_api="blas"):
        # parts end where blocks do, so that a resumed job makes the same calls: a model's last digits depend on them
        for start in range(len(parts), total, explainer.block):
            block = order[start : start + explainer.block]
            coded = coding.encode({name: table.columns[name][block] for name in table.features})
            lines = [
                parts.line.write(row, explanation, explained)
                for row, explanation in zip(block.tolist(), explainer.explain(coded), strict=True)
            ]
            parts.add(lines)
            place.advance(len(parts))
            if shap.time_budget is not None and place.clock() - began >= shap.time_budget:
                break
    parts.save()
    done = order[: len(parts)]
    counted = representative[done] if representative[done].any() else np.ones(len(done), dtype=np.bool_)
    importance, ranks = _aggregated(parts, counted, labels, shap)
    line = parts.line
    numbers = np.full(total, -1, dtype=np.intp)
    numbers[done] = np.arange(len(done))
    gaps, width = _extremes(parts)
    return RowsExplained(
        features=tuple(table.features[feature] for feature in explained),
        labels=labels,
        ids=table.joinsource or tuple(f"row {row}" for row in range(total)),
        expected=expected,
        found=Explained(parts, numbers),
        importance=importance,
        rank_correlations=ranks,
        agg_method=shap.agg_method,
        representative=int(counted.sum()),
        baseline_rows=len(baseline),
        model_calls=len(baseline) + int(parts.columns(slice(line.CALLS, line.CALLS + 1)).sum()),
        exact=bool(parts.columns(slice(line.EXACT, line.EXACT + 1)).all()),
        max_gap=gaps,
        half_width=width,
        surrogate=surrogate,
    )


def explained_features(table: Table, shap: Shap) -> list[int]:
    """The places of the features to explain, in the data's order."""
    if shap.features_to_explain is None:
        return list(range(len(table.features)))
    names = {column_name(table.features, "methods.shap.features_to_explain", one) for one in shap.features_to_explain}
    return [place for place, name in enumerate(table.features) if name in names]


def _aggregated(
    parts: Parts, counted: NDArray[np.bool_], labels: Sequence[str], shap: Shap
) -> tuple[Array, dict[str, float]]:
    """The global values (features, labels), and how sure their ranking is; some columns at a time."""
    line = parts.line
    columns = line.features * line.labels
    split = halves(int(counted.sum()), shap.seed) if counted.sum() >= 4 else np.zeros((0, 0), dtype=np.bool_)
    whole, of_halves = np.empty(columns), np.empty((2, len(split), columns))
    step = max(1, AT_ONCE // (8 * len(parts)))
    for start in range(0, columns, step):
        some = slice(start, min(start + step, columns))
        values = parts.columns(slice(line.values.start + some.start, line.values.start + some.stop))[counted]
        whole[some] = aggregate(values, shap.agg_method)
        for number, first in enumerate(split):
            of_halves[0, number, some] = aggregate(values[first], shap.agg_method)
            of_halves[1, number, some] = aggregate(values[~first], shap.agg_method)
    ranks = {}
    for place, label in enumerate(labels):
        of_label = slice(place * line.features, (place + 1) * line.features)
        # a negative median weighs as much as a positive one
        found = split_half(*np.abs(of_halves[:, :, of_label]))
        if found is not None:
            ranks[label] = found
    return whole.reshape(line.labels, line.features).T, ranks


def _extremes(parts: Parts) -> tuple[float, float | None]:
    """The largest additivity gap, and the largest half width of an interval; None where some are not known."""
    gap = width = 0.0
    for lines in parts.portions():
        gap = max(gap, float(parts.line.gaps(lines).max()))
        width = float(np.maximum(width, parts.line.half_widths(lines).max()))  # NaN stays
    return gap, None if np.isnan(width) else width


def aggregate(values: Array, method: str) -> Array:
    """Attributions of all rows → one number for each column, (rows, …) → (…).

    `mean_abs` mean of absolute values, `median` median of the values themselves, `mean_sq` mean of squares:
    Clarify's three.
    """
    if method == "mean_abs":
        result = np.abs(values).mean(axis=0)
    elif method == "mean_sq":
        result = np.square(values).mean(axis=0)
    else:
        result = np.median(values, axis=0)
    return np.asarray(result, dtype=np.float64)


def write_baseline(path: Path, features: Sequence[str], baseline: Columns) -> None:
    """`baseline.csv`: a header, feature columns only."""
    with _csv(path) as write:
        write(features)
        for row in zip(*(plain(baseline[name]) for name in features), strict=True):
            write(row)


def write_local_values(shap: Path, assay: Path, explained: RowsExplained, table: Table) -> None:
    """`out.csv`, and beside Clarify's files the like of it with standard errors and the ends of the 95 % intervals.

    A row for each row of the data, columns `<feature>_<label>` with features varying first, the joinsource last. A row
    that was left out has no line where it has an identifier, and empty cells where its place is all there is of it. An
    error that is not known is empty.
    """
    header: list[Any] = [f"{feature}_{label}" for label in explained.labels for feature in explained.features]
    own, ids = table.meaning.joinsource, table.joinsource
    line = explained.found.line
    names = [shap / "out.csv", *(assay / f"{name}.csv" for name in ("standard_errors", "lower", "upper"))]
    with ExitStack() as stack:
        files = [stack.enter_context(_csv(name)) for name in names]
        for write in files:
            write(header if own is None else [*header, own])
        for place, found in enumerate(explained.found.in_order()):
            last = [] if ids is None else [ids[place]]
            if found is None:
                for write in files if ids is None else ():
                    write([""] * len(header))
                continue
            values, errors = found[line.values], found[line.errors]
            reach = NORMAL_95 * errors
            for write, cells in zip(files, (values, errors, values - reach, values + reach), strict=True):
                write([*(_cells(cells)), *last])


def write_rows(path: Path, labels: Sequence[str], facts: Iterable[RowFacts | None], table: Table) -> None:
    """`rows.csv`, a line for each row of the data: whether and how it was explained."""
    own, ids = table.meaning.joinsource, table.joinsource
    with _csv(path) as write:
        scores = [f"{what}_{label}" for what in ("base", "prediction") for label in labels]
        named = ["row", "explained", "exact", "additivity_gap", "half_width", "model_calls", *scores]
        write(named if own is None else [*named, own])
        for place, one in enumerate(facts):
            last = [] if ids is None else [ids[place]]
            if one is None:
                write([place, "false", *[""] * (len(named) - 2), *last])
                continue
            exact, widths = "true" if one.exact else "false", _cells(np.array([one.gap, one.half_width]))
            scored = [*one.base.tolist(), *one.prediction.tolist()]
            write([place, "true", exact, *widths, one.calls, *scored, *last])


def _cells(values: Array) -> list[float | str]:
    """Numbers as they go into a file; empty for NaN."""
    cells: list[float | str] = values.tolist()
    for place in np.flatnonzero(np.isnan(values)).tolist():
        cells[place] = ""
    return cells


@contextmanager
def _csv(path: Path) -> Iterator[Callable[[Iterable[Any]], object]]:
    """Writes rows into a file that is there when it is whole."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="") as stream:
        yield csv.writer(stream, lineterminator="\n").writerow
    part.replace(path)
