"""Rows of a CSV file, scored in a stream."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData, BadModel
from assay.policy import Data
from evaluator.scored import Sample, Scored, Unreadable
from job.progress import Progress
from model.load import Model
from model.rows import CsvFile, open_csv

BATCH = 8192
"""Rows a call of the model."""


@dataclass(frozen=True)
class Table:
    """A CSV file and what its columns mean."""

    file: CsvFile
    features: tuple[int, ...]
    label: int
    id: int | None

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(self.file.header[index] for index in self.features)

    @property
    def label_name(self) -> str:
        return self.file.header[self.label]


def open_table(folder: Path, data: Data) -> Table:
    """The one CSV file of the data; raises BadData when there is none or a column is missing."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if len(files) != 1:
        raise BadData(f"expected one CSV file, found {len(files)}" + "".join(f", {file.name}" for file in files[:5]))
    file = open_csv(files[0], data.headers)
    label = file.column("label" if data.label is None else data.label, "data.label")
    left_out = {label, *(file.column(name, "data.exclude") for name in data.exclude)}
    row_id = None if data.id is None else file.column(data.id, "data.id")
    features = tuple(index for index in range(len(file.header)) if index not in left_out and index != row_id)
    if not features:
        raise BadData(f"{files[0].name}: no feature is left among {', '.join(file.header)}")
    return Table(file, features, label, row_id)


def labels_of(table: Table) -> list[str]:
    """The different labels, sorted: one pass over the file."""
    return sorted({row.cells[table.label] for row in table.file.rows()})


def check_fits(table: Table, model: Model) -> None:
    """Raises BadModel when the model takes another number of features than the data has."""
    shape = model.inputs[0].shape
    expected = shape[1] if len(shape) == 2 else None
    if len(shape) != 2 or expected not in (None, len(table.features)):
        takes = f"{expected} features" if len(shape) == 2 else f"inputs of shape {shape[1:]}"
        raise BadModel(
            f"the model expects {takes}, the data has {len(table.features)}: {', '.join(table.feature_names)}"
        )


def score_rows(table: Table, model: Model, unreadable: Unreadable, progress: Progress) -> Scored:
    """Ask the model about every row that can be read."""
    size = table.file.path.stat().st_size
    samples: list[Sample] = []
    scores: list[NDArray[np.float64]] = []
    inputs: list[list[float]] = []
    read = 0
    for number, row in enumerate(table.file.rows()):
        read += sum(map(len, row.cells)) + len(row.cells)
        try:
            inputs.append([_number(row.cells[i], table.file.header[i]) for i in table.features])
        except BadData as error:
            unreadable.add(f"{table.file.path.name}, line {row.line}: {error}")
            continue
        samples.append(_sample(table, number, row.cells))
        if len(inputs) == BATCH:
            scores.append(model.predict(np.array(inputs)))
            inputs.clear()
            progress.report("evaluating", min(read, size), size, "bytes")
    if inputs:
        scores.append(model.predict(np.array(inputs)))
    progress.report("evaluating", size, size, "bytes")
    unreadable.check()
    if not samples:
        raise BadData(f"{table.file.path.name}: no rows after the header")
    return Scored(samples, np.concatenate(scores))


def _sample(table: Table, number: int, cells: Sequence[str]) -> Sample:
    return Sample(
        id=str(number) if table.id is None else cells[table.id],
        row=number,
        label=cells[table.label],
        fingerprint=hashlib.sha256("\0".join(cells).encode()).hexdigest(),
        columns=dict(zip(table.file.header, cells, strict=True)),
    )


def _number(cell: str, column: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        raise BadData(f"column {column!r}: {cell!r} is not a number") from None
    if not math.isfinite(number):
        raise BadData(f"column {column!r}: {cell!r} is not a finite number")
    return number
