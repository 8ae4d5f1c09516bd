"""Tables of CSV, JSON Lines or Parquet as typed columns, in a stream: memory stays flat however long they are."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from assay.errors import BadData, BadPolicy
from assay.policy import ColumnType, Data
from model.table_files import Portion, TableFile, open_file

TEXT_LENGTH = 50
"""Characters: values that are longer on average are text and no categories."""

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_SEPARATOR, _NO_VALUE = "\0", "\1"


@dataclass(frozen=True)
class Batch:
    """Rows that could be read, and what is wrong with those that could not."""

    rows: NDArray[np.int64]
    """(n,): their places in the data, from 0; those that could not be read count too."""
    columns: Mapping[str, NDArray[Any]]
    """(n,) each: numeric ones float64, NaN where there is no value; the others object arrays of str, "" for none."""
    missing: Mapping[str, NDArray[np.bool_]]
    """(n,) each: where there is no value."""
    problems: Sequence[str]
    """A sentence for each row that could not be read: `adult.csv, line 17: age is 'x', expected a finite number`."""
    contents: pa.StringArray
    """(n,): all that a row holds but label, id and weight, as one text."""

    def at(self, places: NDArray[np.int64]) -> Batch:
        """Some of its rows; the sentences stay."""
        return Batch(
            self.rows[places],
            {name: values[places] for name, values in self.columns.items()},
            {name: missing[places] for name, missing in self.missing.items()},
            self.problems,
            self.contents.take(pa.array(places)),
        )

    def fingerprints(self) -> NDArray[np.uint8]:
        """(n, 32): SHA-256 of each row's content, by which two runs know the rows that they share."""
        offsets = np.frombuffer(self.contents.buffers()[1], np.int32)[self.contents.offset :][: len(self.contents) + 1]
        content = memoryview(self.contents.buffers()[2] or b"")
        digests = [hashlib.sha256(content[start:end]).digest() for start, end in pairwise(offsets.tolist())]
        return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)


class Survey(NamedTuple):
    """What a table holds as a whole: what one pass over it shows."""

    rows: int
    """All of them, those that cannot be read too."""
    types: Mapping[str, ColumnType]
    labels: tuple[str, ...]
    """The different ones, sorted; none where they are numbers."""
    problems: Sequence[str]
    """A sentence for each row that is none of the table or has no label."""


class Table:
    """Files of one kind and the same columns, as one table.

    What a column is, numbers, categories or text, the policy says (`data.columns`, `data.text`), else the file
    (Parquet), else its values, all of them: it is numeric when at least half of those that are neither empty nor
    missing are numbers, text when they are longer than 50 characters on average, else categorical. So one bad cell in a
    column of numbers makes its row unreadable, and the column remains what it is.

    Attributes:
        header: all columns, in the files' order.
        features: what the model may see of them.
        id, weight: what the policy calls so.
    """

    def __init__(
        self, files: Sequence[TableFile], data: Data, *, numeric_label: bool = False, labelled: bool = True
    ) -> None:
        """Find the columns.

        Args:
            files: with their headers read.
            data: the policy's.
            numeric_label: the labels are numbers, as a regression's are.
            labelled: there is a label, and no row goes without.

        Raises:
            BadData: a column is missing that the policy names.
            BadPolicy: types are given to columns that there are not.
        """
        self._files = tuple(files)
        self._name = files[0].path.name
        self.header = files[0].header
        self._label = self._column("label" if data.label is None else data.label, "data.label") if labelled else None
        self.id = None if data.id is None else self._column(data.id, "data.id")
        self.weight = None if data.weight is None else self._column(data.weight, "data.weight")
        others = {self._label, self.id, self.weight, *(self._column(name, "data.exclude") for name in data.exclude)}
        self.features = tuple(name for name in self.header if name not in others)
        if not self.features:
            raise BadData(f"{self._name}: no feature is left among {', '.join(self.header)}")
        self._needed = {self._label, self.weight, *self.features}
        self._said_apart = {self._label, self.weight, self.id}
        self._said = self._said_types(data, numeric_label)
        self._unknown = _Unknown(data.missing)

    @property
    def label(self) -> str:
        """What the policy calls so; only of a table that is labelled."""
        assert self._label is not None
        return self._label

    def _column(self, name: str | int, meaning: str) -> str:
        if isinstance(name, str) and name in self.header:
            return name
        if isinstance(name, int) and 0 <= name < len(self.header):
            return self.header[name]
        found = f"there are {len(self.header)}, from 0" if isinstance(name, int) else f"found {', '.join(self.header)}"
        raise BadData(f"{self._name}: no column {name!r} for {meaning}; {found}")

    def _said_types(self, data: Data, numeric_label: bool) -> dict[str, ColumnType]:
        """The types that are known before the values are."""
        for name in (*data.columns, *data.text):
            if name not in self.header:
                where = "data.columns" if name in data.columns else "data.text"
                raise BadPolicy(f"{where}: no column {name!r} in the data; found {', '.join(self.header)}")
        types: dict[str, ColumnType] = {
            name: "numeric" for name, kind in self._files[0].types.items() if kind == "numeric"
        }
        types |= data.columns | dict.fromkeys(data.text, "text")
        if self._label is not None:
            types[self._label] = "numeric" if numeric_label else "categorical"
        if self.id is not None:
            types[self.id] = "categorical"
        if self.weight is not None:
            types[self.weight] = "numeric"
        return types

    @property
    def types(self) -> Mapping[str, ColumnType]:
        """Of all columns; asked for the first time, it reads the whole table where the values must tell."""
        return self.survey.types

    @cached_property
    def survey(self) -> Survey:
        """One pass over the table.

        Raises:
            BadData: there are no rows, a file cannot be read, or two rows have the same id.
        """
        open_types = {name: _Values(self._files[0].types.get(name)) for name in self.header if name not in self._said}
        labels: set[str] = set()
        ids: list[pa.Array] = []
        problems: list[str] = []
        rows = 0
        for file, _, portion in self._portions():
            rows += len(portion.rows) + len(portion.problems)
            found = self._look_at_labels(file, portion, labels)
            problems += [text for _, text in sorted([*portion.problems, *found])]
            if self.id is not None:
                ids.append(_as_text(portion.columns[self.id]))
            for name, values in open_types.items():
                values.add(portion.columns[name], self._unknown)
        if not rows:
            raise BadData(f"{self._name}: no rows after the header")
        self._check_ids(ids)
        types = self._said | {name: values.type for name, values in open_types.items()}
        return Survey(rows, {name: types[name] for name in self.header}, tuple(sorted(labels)), problems)

    def _look_at_labels(self, file: TableFile, portion: Portion, labels: set[str]) -> list[tuple[int, str]]:
        """Adds the different ones to `labels`; the places of rows without one, and a sentence for each."""
        if self._label is None:
            return []
        found = self._read(portion, self._label, self._said[self._label])
        if self._said[self._label] != "numeric":
            labels.update(found.values[~found.missing].tolist())
        bad = np.flatnonzero(found.bad | found.missing).tolist()
        return [(int(portion.rows[place]), self._sentence(file, portion, place, self._label)) for place in bad]

    def _check_ids(self, ids: Sequence[pa.Array]) -> None:
        together = pa.chunked_array(ids, pa.string())
        if pc.count_distinct(together, mode="all").as_py() == len(together):
            return
        assert self.id is not None
        seen: set[str] = set()
        for file, _, portion in self._portions():
            for row, value in zip(portion.rows.tolist(), _as_text(portion.columns[self.id]).to_pylist(), strict=True):
                if value in seen:
                    raise BadData(f"{file.where(row)}: id {value!r} stands twice")
                seen.add(value)

    def batches(
        self,
        size: int = 8192,
        columns: Collection[str] | None = None,
        only: Collection[int] | NDArray[np.int64] | None = None,
    ) -> Iterator[Batch]:
        """Rows in order, at most `size` at a time.

        Args:
            size: rows.
            columns: those that are wanted, by default all. A cell that holds no number makes its row unreadable in a
                feature, label or weight; anywhere else it counts as missing.
            only: the places of the rows that are wanted, by default all.

        Raises:
            BadData: a file cannot be read.
        """
        wanted = [name for name in self.header if columns is None or name in columns]
        for file, first, portion in self._portions() if only is None else self._some(only):
            problems = portion.problems
            for start in range(0, max(len(portion.rows), 1), size):
                part = Portion(
                    portion.rows[start : start + size],
                    {name: column.slice(start, size) for name, column in portion.columns.items()},
                    problems,
                )
                problems = ()  # told with the first part
                yield self._batch(file, first, part, wanted)

    def _batch(self, file: TableFile, first: int, portion: Portion, wanted: Sequence[str]) -> Batch:
        read = {name: self._read(portion, name, self.types[name]) for name in wanted}
        faults = {name: read[name].bad for name in read if name in self._needed}
        faults |= {name: read[name].bad | read[name].missing for name in read if name in (self._label, self.weight)}
        bad = np.any(list(faults.values()), axis=0) if faults else np.zeros(len(portion.rows), dtype=np.bool_)
        sentences = dict(portion.problems)
        for place in np.flatnonzero(bad).tolist():
            column = next(name for name, fault in faults.items() if fault[place])
            sentences[int(portion.rows[place])] = self._sentence(file, portion, place, column)
        batch = Batch(
            rows=first + portion.rows,
            columns={name: cells.values for name, cells in read.items()},
            missing={name: cells.missing for name, cells in read.items()},
            problems=[sentences[row] for row in sorted(sentences)],
            contents=_contents(portion, [name for name in self.header if name not in self._said_apart]),
        )
        return batch.at(np.flatnonzero(~bad)) if bad.any() else batch

    def cells(self, rows: Collection[int]) -> dict[int, dict[str, str]]:
        """Some rows as they stand in the files: place → column → text, "" where there is no value."""
        found: dict[int, dict[str, str]] = {}
        for _, first, portion in self._some(rows):
            columns = {name: self._as_cells(column) for name, column in portion.columns.items()}
            for place, row in enumerate(portion.rows.tolist()):
                found[first + row] = {name: cells[place] for name, cells in columns.items()}
        return found

    def _as_cells(self, column: pa.Array) -> list[str]:
        column = _plain(column)
        texts: list[str] = pc.if_else(
            pa.array(self._unknown.mask(column)), "", _as_text(column).fill_null("")
        ).to_pylist()
        return texts

    def _read(self, portion: Portion, name: str, type: ColumnType) -> _Cells:
        column = portion.columns[name]
        cells = _numbers(column, self._unknown) if type == "numeric" else _texts(column, self._unknown)
        if name == self.weight:
            return cells._replace(bad=cells.bad | (cells.values < 0))
        return cells

    def _sentence(self, file: TableFile, portion: Portion, place: int, column: str) -> str:
        cell = _as_text(portion.columns[column])[place].as_py()
        where = file.where(int(portion.rows[place]))
        if self._said.get(column) == "categorical":
            return f"{where}: {column} has no value"
        expected = "a finite number" + (" from 0" if column == self.weight else "")
        return f"{where}: {column} is {cell!r:.80}, expected {expected}"

    def _some(self, rows: Collection[int] | NDArray[np.int64]) -> Iterator[tuple[TableFile, int, Portion]]:
        """As `_portions`, with these rows alone."""
        wanted = np.sort(np.fromiter(rows, np.int64, len(rows)))
        for file, first, portion in self._portions():
            places = _places_of(portion.rows, wanted - first)
            some = pa.array(places)
            problems = [problem for problem in portion.problems if _holds(wanted, first + problem[0])]
            columns = {name: column.take(some) for name, column in portion.columns.items()}
            yield file, first, Portion(portion.rows[places], columns, problems)
            if not len(wanted) or (len(portion.rows) and first + portion.rows[-1] >= wanted[-1]):
                break

    def _portions(self) -> Iterator[tuple[TableFile, int, Portion]]:
        """Portions with their file, and the place of that file's first row in the data."""
        first = 0
        for file in self._files:
            rows = 0
            for portion in file.portions():
                yield file, first, portion
                rows += len(portion.rows) + len(portion.problems)
            first += rows


def open_table(files: Sequence[Path], data: Data, *, numeric_label: bool = False) -> Table:
    """Read the header of some files; `numeric_label` says that the labels are numbers, as a regression's are.

    Raises:
        BadData: there are none, they are of different kinds or columns, or a column is missing that the policy names.
        BadPolicy: types are given to columns that there are not.
    """
    if not files:
        raise BadData(f"{data.source}: found no file")
    opened = [open_file(path, data) for path in files]
    for file in opened[1:]:
        if file.path.suffix.lower() != opened[0].path.suffix.lower():
            raise BadData(
                f"{data.source}: expected files of one kind, found {opened[0].path.name} and {file.path.name}"
            )
        if file.header != opened[0].header:
            raise BadData(
                f"{file.path.name}: its columns are {', '.join(file.header)}; expected those of "
                f"{opened[0].path.name}: {', '.join(opened[0].header)}"
            )
    return Table(opened, data, numeric_label=numeric_label)


class _Cells(NamedTuple):
    """A column of some rows."""

    values: NDArray[Any]
    missing: NDArray[np.bool_]
    bad: NDArray[np.bool_]
    """Where there is a value, and it is no number."""


class _Unknown:
    """The values that mean that there is none."""

    def __init__(self, values: Sequence[str]) -> None:
        self._texts = pa.array(values, pa.string())
        self._numbers = [number for value in values if not math.isnan(number := _number(value))]
        self._nan = any(value.casefold() == "nan" for value in values)

    def mask(self, column: pa.Array) -> NDArray[np.bool_]:
        """(n,): where there is no value."""
        missing = np.asarray(column.is_null())
        if pa.types.is_string(column.type) and len(self._texts):
            missing = missing | np.asarray(pc.is_in(column, value_set=self._texts))
        elif self._numbers or self._nan:
            values = _as_numbers(column)
            missing = missing | np.isin(values, self._numbers) | (np.isnan(values) & self._nan)
        return missing


class _Values:
    """What the values of a column say about its type."""

    def __init__(self, by_file: ColumnType | None) -> None:
        self._may_be_numeric = by_file is None
        self._present = self._numbers = self._characters = 0

    def add(self, column: pa.Array, unknown: _Unknown) -> None:
        counted = pc.value_counts(_as_text(column))  # what is different is looked at once
        texts, counts = counted.field("values"), counted.field("counts").to_numpy()
        counts = np.where(unknown.mask(texts) | np.asarray(pc.equal(texts, "").fill_null(True)), 0, counts)
        self._present += int(counts.sum())
        self._characters += int(counts @ pc.utf8_length(texts).fill_null(0).to_numpy())
        if self._may_be_numeric:
            self._numbers += int(counts[np.isfinite(_as_numbers(texts))].sum())

    @property
    def type(self) -> ColumnType:
        if self._may_be_numeric and 2 * self._numbers >= self._present:
            return "numeric"
        return "text" if self._characters > TEXT_LENGTH * self._present else "categorical"


def _numbers(column: pa.Array, unknown: _Unknown) -> _Cells:
    column = _plain(column)
    missing = unknown.mask(column)
    if missing.any():
        column = pc.if_else(pa.array(missing), None, column)
    values = _as_numbers(column)
    return _Cells(values, missing, ~(np.isfinite(values) | missing))


def _texts(column: pa.Array, unknown: _Unknown) -> _Cells:
    column = _as_text(column)
    missing = unknown.mask(column)
    encoded = column.dictionary_encode()  # one Python string for each different one
    different = np.array([*encoded.dictionary.to_pylist(), ""], dtype=object)
    values = different[np.asarray(encoded.indices.fill_null(len(different) - 1))]
    values[missing] = ""
    return _Cells(values, missing, np.zeros(len(values), dtype=np.bool_))


def _as_numbers(column: pa.Array) -> NDArray[np.float64]:
    """(n,): NaN where there is no number."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    if not pa.types.is_string(column.type):
        # integers above 2⁵³ are rounded, as any model would
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    try:
        numbers = column.cast(pa.float64())
    except pa.ArrowInvalid:
        trimmed = pc.utf8_trim_whitespace(column)
        numbers = pc.if_else(pc.match_substring_regex(trimmed, _NUMBER), trimmed, None).cast(pa.float64())
    return np.asarray(numbers.to_numpy(zero_copy_only=False))


def _places_of(rows: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where some of `rows` stand in it; both ascend."""
    if not len(rows):
        return rows
    start, end = np.searchsorted(wanted, [rows[0], rows[-1] + 1])
    places = np.searchsorted(rows, wanted[start:end])
    return np.asarray(places[rows[places] == wanted[start:end]])


def _holds(sorted_rows: NDArray[np.int64], row: int) -> bool:
    place = int(np.searchsorted(sorted_rows, row))
    return place < len(sorted_rows) and bool(sorted_rows[place] == row)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _plain(column: pa.Array) -> pa.Array:
    """Strings of one type, dictionaries decoded."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    text = pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type)
    return column.cast(pa.string()) if text else column


def _as_text(column: pa.Array) -> pa.StringArray:
    """Whole numbers without a point: 7, not 7.0."""
    return _plain(column).cast(pa.string())


def _contents(portion: Portion, header: Sequence[str]) -> pa.StringArray:
    columns = [_as_text(portion.columns[name]) for name in header]
    return pc.binary_join_element_wise(*columns, _SEPARATOR, null_handling="replace", null_replacement=_NO_VALUE)
