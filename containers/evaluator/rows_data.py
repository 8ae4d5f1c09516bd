"""Rows of a CSV file, scored in a stream."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData, BadModel
from assay.policy import Data
from evaluator.scored import Sample, Scored, Unreadable
from job.progress import Progress
from model.load import Model
from model.rows import CsvFile, Row, open_csv

BATCH = 8192
"""Rows a call of the model."""


@dataclass(frozen=True)
class Table:
    """A CSV file and what its columns mean."""

    file: CsvFile
    features: tuple[int, ...]
    label: int
    id: int | None
    numbers: bool
    """Whether the labels are numbers, as a regression's are."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(self.file.header[index] for index in self.features)

    @property
    def label_name(self) -> str:
        return self.file.header[self.label]

    def check_label(self, row: Row) -> None:
        """Raises BadData, with line and column, when a row has too many or few cells, or its label is no number."""
        if row.problem:
            raise BadData(row.problem)
        if self.numbers:
            self.number(row, self.label)

    def inputs(self, row: Row) -> list[float]:
        """A row's features; raises BadData, with line and column, for the first cell that holds no number."""
        try:
            numbers = [float(row.cells[place]) for place in self.features]
        except ValueError:
            numbers = [math.nan]
        if math.isfinite(sum(numbers)):  # the rule, and the fast way
            return numbers
        return [self.number(row, place) for place in self.features]

    def number(self, row: Row, place: int) -> float:
        """The number in a cell; raises BadData, with line and column, when it holds none."""
        cell = row.cells[place]
        try:
            number = float(cell)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            column = self.file.header[place]
            raise BadData(f"{self.file.path.name}, line {row.line}: {column} is {cell!r:.80}, expected a finite number")
        return number


@dataclass(frozen=True)
class Overview:
    """What a table holds as a whole."""

    rows: int
    labels: tuple[str, ...]
    """The different ones, sorted; of a regression none."""


def open_table(folder: Path, data: Data, *, numbers: bool) -> Table:
    """The one CSV file of the data; raises BadData when there is none or a column is missing."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if len(files) != 1:
        names = ", ".join(file.name for file in files[:5])
        raise BadData(f"{data.source}: expected one CSV file, found {len(files)}" + (f": {names}" if names else ""))
    file = open_csv(files[0], data.headers)
    label = file.column("label" if data.label is None else data.label, "data.label")
    left_out = {label, *(file.column(name, "data.exclude") for name in data.exclude)}
    row_id = None if data.id is None else file.column(data.id, "data.id")
    features = tuple(index for index in range(len(file.header)) if index not in left_out and index != row_id)
    if not features:
        raise BadData(f"{files[0].name}: no feature is left among {', '.join(file.header)}")
    return Table(file, features, label, row_id, numbers)


def look_through(table: Table, max_unreadable: int) -> Overview:
    """One pass over the file before the model is loaded, which takes seconds: finds what no model can mend.

    Raises:
        BadData: the file has no rows, two rows of one id, or more rows than allowed that are none of its table.
    """
    unreadable = Unreadable(max_unreadable)
    labels: set[str] = set()
    ids: set[str] = set()
    rows = 0
    for row in table.file.every_row():
        rows += 1
        try:
            table.check_label(row)
        except BadData as error:
            unreadable.add(str(error))
            continue
        if not table.numbers:
            labels.add(row.cells[table.label])
        if table.id is not None:
            if row.cells[table.id] in ids:
                raise BadData(f"{table.file.path.name}, line {row.line}: id {row.cells[table.id]!r} stands twice")
            ids.add(row.cells[table.id])
    unreadable.check()
    if not rows:
        raise BadData(f"{table.file.path.name}: no rows after the header")
    return Overview(rows, tuple(sorted(labels)))


def cells_of(table: Table, rows: Collection[int]) -> dict[int, tuple[str, ...]]:
    """Some rows again, as they stand in the file: memory holds no others."""
    return {number: row.cells for number, row in enumerate(table.file.every_row()) if number in rows}


def check_fits(table: Table, model: Model) -> None:
    """Raises BadModel when the model takes another number of features than the data has."""
    shape = model.inputs[0].shape
    expected = shape[1] if len(shape) == 2 else None
    if len(shape) != 2 or expected not in (None, len(table.features)):
        takes = f"{expected} features" if len(shape) == 2 else f"inputs of shape {shape[1:]}"
        raise BadModel(
            f"the model expects {takes}, the data has {len(table.features)}: {', '.join(table.feature_names)}"
        )


def score_rows(
    table: Table, rows: int, keep: Collection[str], model: Model, unreadable: Unreadable, progress: Progress
) -> Scored:
    """Ask the model about every row that can be read.

    Args:
        table: the data.
        rows: how many it has.
        keep: the columns that samples are chosen by.
        model: whom to ask.
        unreadable: takes the others.
        progress: is told.
    """
    kept = {name: table.file.header.index(name) for name in keep}
    samples: list[Sample] = []
    scores: list[NDArray[np.float64]] = []
    inputs: list[list[float]] = []
    for number, row in enumerate(table.file.every_row()):
        try:
            table.check_label(row)
            inputs.append(table.inputs(row))
        except BadData as error:
            unreadable.add(str(error))
            continue
        samples.append(
            Sample(
                id=str(number) if table.id is None else row.cells[table.id],
                row=number,
                label=row.cells[table.label],
                fingerprint=hashlib.sha256("\0".join(row.cells).encode()).hexdigest(),
                columns={name: row.cells[place] for name, place in kept.items()},
            )
        )
        if len(inputs) == BATCH:
            scores.append(model.predict(np.array(inputs)))
            inputs.clear()
            progress.report("evaluating", number + 1, rows, "rows")
    if inputs:
        scores.append(model.predict(np.array(inputs)))
    progress.report("evaluating", rows, rows, "rows")
    unreadable.check()
    if not samples:
        raise BadData(f"no row can be read: {unreadable.named[0]}")
    return Scored(samples, np.concatenate(scores))
