"""KernelSHAP of rows: attributions of each feature to each label, and Clarify's files of them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explainer.analysis_config import Shap
from explainer.coding import Coding, Columns
from explainer.shapley import Predict, explain_rows, logit
from explainer.table import Table
from model.payloads import plain

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RowsExplained:
    """What was found of all rows."""

    features: tuple[str, ...]
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    """A row's joinsource, or `row 0`, `row 1`, …"""
    expected: Array
    """(labels,): mean score over the baseline."""
    predictions: Array
    """(rows, labels)"""
    values: Array
    """(rows, features, labels)"""
    importance: Array
    """(features, labels): the values of the representative rows, aggregated as the configuration asks."""
    agg_method: str
    representative: int
    """How many rows those are."""
    exact: bool
    """No value is an estimate."""
    model_calls: int
    """Synthetic rows the model was asked about."""
    baseline_rows: int

    @property
    def max_gap(self) -> float:
        """The largest |f(x) - f(baseline) - sum of attributions|."""
        return float(np.abs(self.predictions - self.expected - self.values.sum(axis=1)).max())


def explain_table(
    table: Table,
    coding: Coding,
    baseline: Array,
    predict: Predict,
    labels: tuple[str, ...],
    shap: Shap,
    *,
    representative: NDArray[np.bool_],
    advance: Callable[[int], None],
) -> RowsExplained:
    """Explain every row.

    Args:
        table: the rows.
        coding: of its features.
        baseline: (baseline rows, features), coded.
        predict: (rows, features), coded → (rows, labels).
        labels: a name for each output.
        shap: budget, seed, units, aggregation.
        representative: (rows,), which of them count for the global values.
        advance: told the number of rows done.
    """
    coded = coding.encode(table.columns)
    rows, features = coded.shape
    values = np.empty((rows, features, len(labels)))
    predictions = np.empty((rows, len(labels)))
    expected = np.zeros(len(labels))
    exact, calls = True, len(baseline)
    explanations = explain_rows(
        predict,
        coded,
        baseline,
        num_samples=shap.num_samples,
        seed=shap.seed,
        link=logit if shap.use_logit else None,
    )
    for row, explanation in enumerate(explanations):
        values[row], predictions[row], expected = explanation.values, explanation.prediction, explanation.base
        exact &= explanation.exact
        calls += 1 + explanation.coalitions * len(baseline)
        advance(row + 1)
    return RowsExplained(
        features=table.features,
        labels=labels,
        ids=table.joinsource or tuple(f"row {row}" for row in range(rows)),
        expected=expected,
        predictions=predictions,
        values=values,
        importance=aggregate(values[representative], shap.agg_method),
        agg_method=shap.agg_method,
        representative=int(representative.sum()),
        exact=exact,
        model_calls=calls,
        baseline_rows=len(baseline),
    )


def aggregate(values: Array, method: str) -> Array:
    """Attributions of all rows → one number for each feature and label, (rows, features, labels) → (features, labels).

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
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(features)
        writer.writerows(zip(*(plain(baseline[name]) for name in features), strict=True))


def write_local_values(path: Path, explained: RowsExplained, joinsource: str | None, ids: Sequence[str] | None) -> None:
    """`out.csv`: a row for each row of the data, columns `<feature>_<label>` with features varying first."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        header = [f"{feature}_{label}" for label in explained.labels for feature in explained.features]
        writer.writerow(header if joinsource is None else [*header, joinsource])
        for row, values in enumerate(explained.values):
            cells: list[float | str] = values.T.ravel().tolist()
            writer.writerow(cells if ids is None else [*cells, ids[row]])
