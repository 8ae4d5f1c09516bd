"""The rows to explain: CSV files and what their columns mean, read as Clarify reads them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData, BadPolicy
from explainer.analysis_config import AnalysisConfig

NO_FEATURES = "Data must contain features."
HEADERS_DO_NOT_MATCH = "Headers in config do not match with the number of columns in the dataset."
NOT_A_NUMBER = "Could not convert string to float."


@dataclass(frozen=True)
class Line:
    """A row as it stands in its file, and where: for errors that a person can follow."""

    cells: list[str]
    where: str


@dataclass(frozen=True)
class Columns:
    """Which columns are features, and what the label is called."""

    headers: tuple[str, ...]
    features: tuple[int, ...]
    label: str | None
    """The label's header; None when the configuration names none."""
    joinsource: int | None

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(self.headers[index] for index in self.features)


@dataclass(frozen=True)
class Table:
    """The data of a job."""

    columns: Columns
    features: NDArray[np.float64]
    """(rows, features)"""
    joinsource: tuple[str, ...] | None
    """A row's own identifier, in the order of the rows."""


def read_table(folder: Path, config: AnalysisConfig) -> Table:
    """All CSV files of a folder, in the order of their names, as one table.

    Raises:
        BadData: files that do not fit each other, the headers, or numbers.
        BadPolicy: the configuration names a column that there is not.
    """
    files = data_files(folder)
    if not files:
        raise BadData(f"{NO_FEATURES} Found no file in {folder}; expected CSV files")
    lines: list[Line] = []
    headers = None if config.headers is None else tuple(config.headers)
    for file in files:
        found, lines_of_file = split_header(read_lines(file), headers)
        headers = headers or found
        lines += lines_of_file
    if not lines:
        raise BadData(f"{NO_FEATURES} Found no rows in {', '.join(file.name for file in files[:5])}")
    width = len(lines[0].cells)
    headers = headers or tuple(f"column_{index}" for index in range(width))
    for line in lines:
        if len(line.cells) != len(headers):
            raise BadData(
                f"{HEADERS_DO_NOT_MATCH} {line.where} has {_count(len(line.cells), 'column')}, "
                f"there are {_count(len(headers), 'header')}: {', '.join(headers)}"
            )
    columns = find_columns(headers, config)
    join = columns.joinsource
    return Table(
        columns,
        numbers(lines, columns.features, headers),
        None if join is None else tuple(line.cells[join] for line in lines),
    )


def data_files(folder: Path) -> list[Path]:
    """The files of an input, in the order of their paths; not those that other programs leave beside them."""
    if folder.is_file():  # an input that is one object
        return [folder]
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name[0] not in "._" and path.stat().st_size
    ]


def read_lines(file: Path) -> list[Line]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            return [Line(cells, f"{file.name}, line {reader.line_num}") for cells in reader if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{file.name}: cannot be read as CSV in UTF-8: {error}") from error


def split_header(lines: list[Line], headers: tuple[str, ...] | None) -> tuple[tuple[str, ...] | None, list[Line]]:
    """A file's header row, if it has one, and its rows.

    With headers in the configuration, a first row that repeats them; else a first row without any number.
    """
    if not lines:
        return None, []
    first = tuple(cell.strip() for cell in lines[0].cells)
    if first == headers or (headers is None and all(cell and not _is_number(cell) for cell in first)):
        return first, lines[1:]
    return None, lines


def find_columns(headers: tuple[str, ...], config: AnalysisConfig) -> Columns:
    """Features are the columns that are nothing else: not the label, a prediction, an identifier, or excluded."""

    def index_of(key: str, name_or_index: str | int) -> int:
        if isinstance(name_or_index, str):
            if name_or_index in headers:
                return headers.index(name_or_index)
            if key == "label":
                raise BadPolicy(f"Headers must contain label. Found no {name_or_index!r} among {', '.join(headers)}")
            raise BadPolicy(f"Feature names not found. {key}: {name_or_index!r} is not among {', '.join(headers)}")
        if not 0 <= name_or_index < len(headers):
            raise BadPolicy(
                f"Feature names not found. {key}: index {name_or_index}, expected 0 to {len(headers) - 1} "
                f"for {_count(len(headers), 'column')}"
            )
        return name_or_index

    def optional(key: str, name_or_index: str | int | None) -> int | None:
        return None if name_or_index is None else index_of(key, name_or_index)

    label = optional("label", config.label)
    joinsource = optional("joinsource_name_or_index", config.joinsource_name_or_index)
    others = {label, joinsource, optional("predicted_label", config.predicted_label)}
    others |= {index_of("excluded_columns", column) for column in config.excluded_columns}
    features = tuple(index for index in range(len(headers)) if index not in others)
    if not features:
        raise BadPolicy(
            f"{NO_FEATURES} All columns are label, prediction, identifier or excluded: {', '.join(headers)}"
        )
    label_name = headers[label] if label is not None and (config.headers or isinstance(config.label, str)) else None
    return Columns(headers, features, label_name, joinsource)


def numbers(lines: Sequence[Line], columns: Sequence[int], headers: Sequence[str]) -> NDArray[np.float64]:
    """The cells of some columns, (rows, columns).

    Raises:
        BadData: the first cell that is no finite number, with its column, file and line.
    """
    result = np.empty((len(lines), len(columns)))
    for place, index in enumerate(columns):
        try:
            result[:, place] = [float(line.cells[index]) for line in lines]
        except ValueError:
            _raise_first_bad(lines, index, headers)
        if not np.isfinite(result[:, place]).all():
            _raise_first_bad(lines, index, headers)
    return result


def _raise_first_bad(lines: Iterable[Line], index: int, headers: Sequence[str]) -> None:
    line = next(line for line in lines if not _is_number(line.cells[index]))
    raise BadData(
        f"{NOT_A_NUMBER} Column {headers[index]!r} holds {line.cells[index]!r:.80} ({line.where}); "
        "not yet: categorical and text columns; supported are numbers. "
        "A column the model does not see belongs into excluded_columns"
    )


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
