"""Rows of a table, scored in a stream: memory holds their labels, scores and fingerprints, never their features."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assay.errors import BadData
from assay.policy import ModelOptions, Policy
from evaluator.checks import PROBE
from evaluator.scored import Coder, Room, Samples, Scored, Unreadable
from job.progress import Progress
from model.endpoint import IN_FLIGHT, MAX_RECORDS, Endpoint
from model.features import Features
from model.load import Model
from model.table_files import data_files
from model.tables import Batch, Survey, Table, open_table
from model.transform import output_transform

BATCH = 8192
"""Rows a call of the model."""


def rows_of(folder: Path, policy: Policy) -> Table:
    """The table in a folder; raises BadData or BadPolicy for what its header shows to be wrong."""
    return open_table(data_files(folder), policy.data, numeric_label=policy.task == "tabular_regression")


def look_through(table: Table, max_unreadable: int) -> Survey:
    """One pass over the data before the model is loaded, which takes seconds: finds what no model can mend.

    Raises:
        BadData: there are no rows, two rows of one id, or more rows than allowed that are none of the table.
    """
    unreadable = Unreadable(max_unreadable)
    unreadable.add(*table.survey.problems)
    unreadable.check()
    return table.survey


@dataclass(frozen=True)
class Asked:
    """A model that is asked about rows of a table."""

    used: tuple[str, ...]
    """The columns that it sees."""
    unused: tuple[str, ...]
    scores: Callable[[Batch], NDArray[np.float64]]
    """(n, outputs), transformed as the policy says."""
    labels_only: bool = False
    """1 is the class that was answered, 0 are the others: the model has no scores."""
    batch: int = BATCH
    """Rows a call: fewer where they take seconds, so that it is told how far the job is."""


def ask_about(table: Table, model: Model | Endpoint, options: ModelOptions) -> Asked:
    """How the model is asked.

    Raises:
        BadModel: it takes other columns than the data has.
        BadPolicy: `model.inputs` names a column or input that there is not.
    """
    transform = output_transform(options.output_transform)
    if isinstance(model, Endpoint):

        def ask_endpoint(batch: Batch) -> NDArray[np.float64]:
            return transform(model.predict({name: _for_endpoint(batch, name) for name in table.features}))

        return Asked(table.features, (), ask_endpoint, model.labels_only, IN_FLIGHT * MAX_RECORDS)
    features = Features(model.inputs, table.features, table.types, options.inputs)

    def ask(batch: Batch) -> NDArray[np.float64]:
        return transform(model.predict(features.arrange(batch.columns)))

    return Asked(features.used, features.unused, ask)


def _for_endpoint(batch: Batch, name: str) -> NDArray[Any]:
    """A column in which None stands for text that is missing."""
    values = batch.columns[name]
    if values.dtype == object:
        values = values.copy()
        values[batch.missing[name]] = None
    return values


def score_rows(
    table: Table,
    asked: Asked,
    keep: Collection[str],
    unreadable: Unreadable,
    progress: Progress,
    only: Collection[int] | None = None,
    unknown: Mapping[str, str] = MappingProxyType({}),
) -> Scored:
    """Ask the model about every row that can be read.

    Args:
        table: the data.
        asked: the model.
        keep: the columns that samples are chosen, or cut into slices, by.
        unreadable: takes the others.
        progress: is told.
        only: the places of the rows to ask about; by default all.
        unknown: labels whose rows are left out, each with a sentence.

    Raises:
        BadData: more rows than allowed cannot be read, or all of them.
    """
    rows = table.survey.rows
    gathered = _Gathered(table, rows if only is None else len(only), keep)
    columns = {*asked.used, *keep, *filter(None, (table.label, table.id, table.weight))}
    for batch in table.batches(asked.batch, columns, only):
        unreadable.add(*batch.problems)
        known = _known(batch, batch.columns[table.label], unknown, unreadable) if unknown else batch
        if len(known.rows):
            gathered.add(known, asked.scores(known))
            progress.report("evaluating", int(known.rows[-1]) + 1, rows, "rows")
    progress.report("evaluating", rows, rows, "rows")
    unreadable.check()
    if gathered.scores is None and only is None:
        raise BadData(f"no row can be read: {unreadable.named[0]}")
    samples = gathered.samples()
    weights = samples.weights
    if weights is not None and only is None and not weights.any():
        raise BadData(f"data.weight: {table.weight} is 0 in all rows")
    return Scored(samples, np.empty((0, 1)) if gathered.scores is None else gathered.scores, asked.labels_only)


def _known(batch: Batch, labels: NDArray[Any], unknown: Mapping[str, str], unreadable: Unreadable) -> Batch:
    """Without the rows whose label nobody knows; raises BadData as soon as there are too many."""
    left_out = np.array([label in unknown for label in labels.tolist()], dtype=bool)
    rows, texts = batch.rows[left_out].tolist(), labels[left_out].tolist()
    unreadable.add(*(f"row {row}: {unknown[text]}" for row, text in zip(rows, texts, strict=True)))
    unreadable.check()
    return batch.at(np.flatnonzero(~left_out))


def columns_at(table: Table, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """The columns of some rows, read again: numbers and categories, those too that the model does not see.

    Args:
        table: the data.
        rows: their places in it, ascending.
    """
    apart = {table.label, table.id, table.weight}
    names = [name for name in table.header if name not in apart and table.types[name] != "text"]
    columns = {
        name: np.full(len(rows), np.nan) if table.types[name] == "numeric" else np.full(len(rows), "", dtype=object)
        for name in names
    }
    for batch in table.batches(BATCH, names, rows):
        places = np.searchsorted(rows, batch.rows)
        for name in names:
            columns[name][places] = batch.columns[name]
    return columns


class Probe(NamedTuple):
    """The first rows that could be read, (PROBE or fewer, outputs) each: asked together, once more, and one by one."""

    together: NDArray[np.float64]
    again: NDArray[np.float64]
    alone: NDArray[np.float64]
    ask_one: Callable[[], object]
    """Asks about the first of them."""


def probe(table: Table, asked: Asked, only: Collection[int] | None = None) -> Probe:
    """Ask about some rows in several ways."""
    columns = {*asked.used, *filter(None, (table.label,))}
    batch = next(batch for batch in table.batches(PROBE, columns, only) if len(batch.rows))
    singles = [batch.at(np.array([place])) for place in range(len(batch.rows))]
    alone = np.concatenate([asked.scores(single) for single in singles])
    return Probe(asked.scores(batch), asked.scores(batch), alone, lambda: asked.scores(singles[0]))


class _Gathered:
    """Samples and scores as they come, into columns of a size that is known beforehand."""

    def __init__(self, table: Table, size: int, keep: Collection[str]) -> None:
        self._table = table
        self._size = size
        self._rows = Room(size, np.int64)
        self._fingerprints = Room((size, 32), np.uint8)
        self._columns = {name: _room(table, name, size) for name in {*keep, table.label}}
        self._weights = None if table.weight is None else Room(size)
        self._ids: list[pa.Array] = []
        self._scores: Room | None = None

    def add(self, batch: Batch, scores: NDArray[np.float64]) -> None:
        self._rows.add(batch.rows)
        self._fingerprints.add(batch.fingerprints())
        for name, column in self._columns.items():
            column.add(batch.columns[name])
        if self._table.id is not None:
            self._ids.append(pa.array(batch.columns[self._table.id], pa.string()))
        if self._weights is not None:
            self._weights.add(batch.columns[self._table.weight or ""])
        if self._scores is None:
            self._scores = Room((self._size, scores.shape[1]))
        self._scores.add(scores)

    def samples(self) -> Samples:
        columns = {name: column.column() for name, column in self._columns.items()}
        return Samples(
            rows=self._rows.column(),
            label=columns[self._table.label],
            fingerprints=self._fingerprints.column(),
            ids=None if self._table.id is None else pa.concat_arrays([pa.array([], pa.string()), *self._ids]),
            weights=None if self._weights is None else self._weights.column(),
            columns=columns,
        )

    @property
    def scores(self) -> NDArray[np.float64] | None:
        return None if self._scores is None else self._scores.column()


def _room(table: Table, name: str, size: int) -> Room | Coder:
    return Room(size) if table.types[name] == "numeric" else Coder(size)
