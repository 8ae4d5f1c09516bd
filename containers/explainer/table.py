"""The rows of a job: files of every kind that Clarify takes, and what their columns mean, as Clarify reads them."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData, BadPolicy
from assay.policy import ColumnType, Data
from explainer.analysis_config import KINDS, AnalysisConfig
from model.table_files import Kind, TableFile, open_file
from model.tables import Table as TypedTable

MISSING = ("", "NaN", "nan")
"""Cells without a value: pandas, which Clarify reads with, takes these for one, and json.dumps writes them so."""
NO_FEATURES = "Data must contain features."
HEADERS_DO_NOT_MATCH = "Headers in config do not match with the number of columns in the dataset."
NOT_A_NUMBER = "Could not convert string to float."


@dataclass(frozen=True)
class Meaning:
    """Which columns are features, and what the others are."""

    features: tuple[str, ...]
    label: str | None
    label_name: str | None
    """The label's header; None when the configuration names none."""
    predicted_label: str | None
    joinsource: str | None


@dataclass(frozen=True)
class Table:
    """The data of a job."""

    meaning: Meaning
    types: Mapping[str, ColumnType]
    columns: Mapping[str, NDArray[Any]]
    """All columns, (rows,) each: numeric ones float64, NaN for no value; the others object arrays of str."""

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def features(self) -> tuple[str, ...]:
        return self.meaning.features

    @property
    def joinsource(self) -> tuple[str, ...] | None:
        """A row's own identifier, in the order of the rows."""
        name = self.meaning.joinsource
        return None if name is None else tuple(self.columns[name].tolist())


def read_table(folder: Path, config: AnalysisConfig, said: Data | None = None) -> Table:
    """All files of a folder, in the order of their names, as one table.

    Args:
        folder: of the files.
        config: what their columns mean.
        said: what the run's policy says of the columns' types and of unknown values.

    Raises:
        BadData: files that do not fit each other, the headers, or their columns' types.
        BadPolicy: the configuration names a column that there is not.
    """
    files = data_files(folder)
    if not files:
        raise BadData(f"{NO_FEATURES} Found no file in {folder}; expected {KINDS[config.dataset_type]} files")
    opened = open_files(files, KINDS[config.dataset_type], config)
    header = opened[0].header
    meaning = find_meaning(header, config)
    by_policy = {} if said is None else said.columns | dict.fromkeys(said.text, "text")
    declared: dict[str, ColumnType] = {name: kind for name, kind in by_policy.items() if name in header}
    declared |= config.column_types
    if meaning.joinsource is not None:
        declared.setdefault(meaning.joinsource, "categorical")  # 007 stays 007
    for name in declared:
        if name not in header:
            raise BadPolicy(f"Feature names not found. column_types: {name!r} is not among {', '.join(header)}")
    data = Data(
        source="the dataset",
        columns=declared,
        exclude=tuple(name for name in header if name not in meaning.features),
        missing=(*MISSING, *(() if said is None else said.missing)),
    )
    typed = TypedTable(opened, data, labelled=False)
    columns = read_columns(typed)
    if not columns or not len(columns[header[0]]):
        raise BadData(f"{NO_FEATURES} Found no rows in {', '.join(file.path.name for file in opened[:5])}")
    return Table(meaning, typed.types, columns)


def read_columns(table: TypedTable) -> dict[str, NDArray[Any]]:
    """All of it; raises BadData, in Clarify's own words first, for the first row that cannot be read."""
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in table.header}
    for batch in table.batches():
        if batch.problems:
            raise BadData(in_clarifys_words(batch.problems))
        for name, values in batch.columns.items():
            parts[name].append(values)
    return {name: np.concatenate(values) for name, values in parts.items() if values}


def in_clarifys_words(problems: Sequence[str]) -> str:
    """What is wrong with rows: Clarify's own sentence, which people search for, then the first of them."""
    more = f", and {_count(len(problems) - 1, 'row')} more" if len(problems) > 1 else ""
    if "expected a finite number" not in problems[0]:
        return f"{_counted_words(problems[0])}{more}"
    hint = "a column that the model does not see belongs into excluded_columns, number codes into column_types"
    return f"{NOT_A_NUMBER} {problems[0]}{more}; {hint}"


def _counted_words(problem: str) -> str:
    """Before what is wrong with a number of cells, values or columns stands Clarify's own sentence."""
    counted = re.search(r"\b\d+ (cells?|values?|columns?)\b.*, expected \d+|expected \d+ cells", problem)
    return f"{HEADERS_DO_NOT_MATCH} {problem}" if counted else problem


def data_files(folder: Path) -> list[Path]:
    """The files of an input, in the order of their paths; not those that other programs leave beside them."""
    if folder.is_file():  # an input that is one object
        return [folder]
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name[0] not in "._" and path.stat().st_size
    ]


def open_files(files: Sequence[Path], kind: Kind, config: AnalysisConfig) -> list[TableFile]:
    """The files with their headers read.

    Raises:
        BadData: they are of different columns, or not of this kind.
    """
    data = Data(
        source="the dataset",
        headers=_headers(files[0], kind, config),
        label=config.label if isinstance(config.label, str) else None,
        features=config.features,
    )
    also = [config.predicted_column, config.joinsource_name_or_index, config.group_variable]
    also += [facet.name_or_index for facet in config.facet]
    try:
        opened = [open_file(file, data, kind, [name for name in also if isinstance(name, str)]) for file in files]
    except (BadData, BadPolicy) as error:
        said = str(error).replace("data.headers", "headers").replace("data.features", "features")
        other = f"; dataset_type is {config.dataset_type}" if ": not JSON" in said or ": not Parquet" in said else ""
        raise type(error)(_counted_words(said) + other) from error
    for file in opened[1:]:
        if file.header != opened[0].header:
            raise BadData(
                f"{HEADERS_DO_NOT_MATCH} {file.path.name} has {', '.join(file.header)}; expected the columns of "
                f"{opened[0].path.name}: {', '.join(opened[0].header)}"
            )
    return opened


def _headers(file: Path, kind: Kind, config: AnalysisConfig) -> tuple[str, ...] | None:
    """The columns' names where the file does not give them.

    In CSV without headers in the configuration a first row without any number is a header, else columns are numbered.
    In JSON the configuration's headers are the features', then the label's and the predicted label's.
    """
    if kind == "CSV":
        return tuple(config.headers) if config.headers else _numbered(file)
    if config.headers is None or kind == "Parquet":
        return tuple(config.headers) if config.headers else None
    return tuple(config.headers[: len(config.headers) - _trailing(config)])


def _trailing(config: AnalysisConfig) -> int:
    """How many of the headers of JSON are no feature's."""
    return (config.label is not None) + (config.predicted_column is not None)


def _numbered(file: Path) -> tuple[str, ...] | None:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            first = next(csv.reader(stream), [])
    except (UnicodeDecodeError, csv.Error):
        return None  # said with its line by who reads the rows
    if all(cell.strip() and not _is_number(cell) for cell in first):
        return None
    return tuple(f"column_{index}" for index in range(len(first)))


def column_name(header: tuple[str, ...], key: str, name_or_index: str | int) -> str:
    """A column by its name or its 0-based place; raises BadPolicy, in Clarify's own words, with those there are."""
    if isinstance(name_or_index, str):
        if name_or_index in header:
            return name_or_index
        if key == "label":
            raise BadPolicy(f"Headers must contain label. Found no {name_or_index!r} among {', '.join(header)}")
        raise BadPolicy(f"Feature names not found. {key}: {name_or_index!r} is not among {', '.join(header)}")
    if not 0 <= name_or_index < len(header):
        raise BadPolicy(
            f"Feature names not found. {key}: index {name_or_index}, expected 0 to {len(header) - 1} "
            f"for {_count(len(header), 'column')}"
        )
    return header[name_or_index]


def find_meaning(header: tuple[str, ...], config: AnalysisConfig) -> Meaning:
    """Features are the columns that are nothing else: not the label, a prediction, an identifier, or excluded."""

    def name_of(key: str, name_or_index: str | int) -> str:
        return column_name(header, key, name_or_index)

    def optional(key: str, name_or_index: str | int | None) -> str | None:
        return None if name_or_index is None else name_of(key, name_or_index)

    label = optional("label", config.label)
    joinsource = optional("joinsource_name_or_index", config.joinsource_name_or_index)
    predicted = optional("predicted_label", config.predicted_column)
    others = {label, joinsource, predicted}
    others |= {name_of("excluded_columns", column) for column in config.excluded_columns}
    features = tuple(name for name in header if name not in others)
    if not features:
        raise BadPolicy(f"{NO_FEATURES} All columns are label, prediction, identifier or excluded: {', '.join(header)}")
    return Meaning(features, label, _label_name(label, config), predicted, joinsource)


def _label_name(label: str | None, config: AnalysisConfig) -> str | None:
    if label is None:
        return None
    if config.dataset_type not in ("application/jsonlines", "application/json"):
        return label if config.headers or isinstance(config.label, str) else None
    if config.headers:
        return config.headers[len(config.headers) - _trailing(config)]
    return label if label.isidentifier() else None  # [*].label says where it stands, and is no name


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
