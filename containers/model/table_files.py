"""Files of rows: CSV, JSON Lines and Parquet, read in portions: memory stays flat however long they are; and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import jmespath
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from assay.errors import BadData, BadPolicy
from assay.policy import ColumnType, Data
from model.rows import delimiter_of, open_csv

T = TypeVar("T")

CSV_BLOCK = 4 * 1024 * 1024
"""Bytes read at a time: the longest row there may be. Arrow reads up to 32 blocks ahead."""
PORTION = 65_536
"""Rows read at a time from Parquet."""
LINES = 8192
"""Lines read at a time from JSON Lines."""
SHOWING = 100
"""Records of JSON Lines that show which columns there are."""

Kind = Literal["CSV", "JSON Lines", "JSON", "Parquet"]
SUFFIXES: dict[str, Kind] = {
    ".csv": "CSV",
    ".tsv": "CSV",
    ".jsonl": "JSON Lines",
    ".ndjson": "JSON Lines",
    ".json": "JSON",
    ".parquet": "Parquet",
}


class Portion(NamedTuple):
    """Some rows of a file, as they stand there."""

    rows: NDArray[np.int64]
    """Their places in the file, from 0: those that are no rows of the table count too."""
    columns: Mapping[str, pa.Array]
    """Of text in CSV and JSON Lines, of the file's own types in Parquet; null: there is no value."""
    problems: Sequence[tuple[int, str]]
    """The place of each row that is none of the table, and what is wrong with it."""


class TableFile(Protocol):
    """A file whose header has been read."""

    path: Path
    header: tuple[str, ...]
    types: Mapping[str, ColumnType]
    """What the file itself says of its columns' types: Parquet does, text does not."""

    def portions(self) -> Iterator[Portion]:
        """All rows, in order; raises BadData, with the file and where possible the line, when it cannot be read."""
        ...

    def where(self, row: int) -> str:
        """For people: `adult.csv, line 17`."""
        ...


def data_files(folder: Path) -> list[Path]:
    """The files of an input, in the order of their paths; not those that other programs leave beside them."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name[0] not in "._"]


def open_file(path: Path, data: Data, kind: Kind | None = None, also: Sequence[str] = ()) -> TableFile:
    """Read a file's header.

    Args:
        path: the file.
        data: how it is read.
        kind: what it is, by default what its name says.
        also: JMESPath of further columns of JSON, beside label, id and weight.

    Raises:
        BadData: it is of no kind that can be read, empty, or broken there.
        BadPolicy: an expression is no JMESPath.
    """
    kind = kind or SUFFIXES.get(path.suffix.lower())
    if kind == "CSV":
        return _Csv(path, data)
    if kind == "JSON Lines":
        return _JsonLines(path, data, also)
    if kind == "JSON":
        return _Json(path, data, also)
    if kind == "Parquet":
        return _Parquet(path, data.headers)
    raise BadData(
        f"{path.name}: expected CSV, JSON Lines, JSON or Parquet: a name that ends with {', '.join(SUFFIXES)}"
    )


class _Csv:
    """Parsed by Arrow; Python's reader knows the lines, and is asked for them only when there is one to name."""

    types: Mapping[str, ColumnType] = {}

    def __init__(self, path: Path, data: Data) -> None:
        self.path = path
        self._file = open_csv(path, data.headers)
        self.header = self._file.header
        self._finder = _Finder(lambda: self._file.every_row(strict=False))

    def portions(self) -> Iterator[Portion]:
        ragged: list[int] = []

        def skip(row: Any) -> str:
            ragged.append(row.number - 1 - self._file.skip)
            return "skip"

        first, last = 0, None
        try:
            for batch in self._batches(skip):
                rows, crossed = _places(first, len(batch), ragged)
                first, last = first + len(rows) + crossed, batch
                problems = [(place, self._problem(place)) for place in ragged[:crossed]]
                del ragged[:crossed]
                yield Portion(rows, dict(zip(self.header, batch.columns, strict=True)), problems)
        except pa.ArrowInvalid as error:
            self._file.check()  # says the line, where it finds the same
            if "straddling" in str(error):
                raise BadData(f"{self.path.name}: a row has more than {CSV_BLOCK:,} bytes") from error
            raise BadData(f"{self.path.name}: not CSV: {error}") from error
        if ragged:
            none = {name: pa.array([], pa.string()) for name in self.header}
            yield Portion(np.empty(0, np.int64), none, [(place, self._problem(place)) for place in ragged])
        if last is not None and any("\n" in (column[-1].as_py() or "") for column in last.columns):
            self._file.check()  # Arrow lets a quote that is never closed swallow the rest of the file

    def _batches(self, skip: Any) -> Iterator[pa.RecordBatch]:
        if not self._file.has_rows:  # of a header alone Arrow says that it is too long
            return
        yield from pa_csv.open_csv(
            self.path,
            # threads lose the rows' numbers
            pa_csv.ReadOptions(
                column_names=self.header,
                skip_rows_after_names=self._file.skip,
                block_size=CSV_BLOCK,
                use_threads=False,
            ),
            pa_csv.ParseOptions(delimiter=delimiter_of(self.path), newlines_in_values=True, invalid_row_handler=skip),
            pa_csv.ConvertOptions(column_types=dict.fromkeys(self.header, pa.string()), strings_can_be_null=False),
        )

    def where(self, row: int) -> str:
        return f"{self.path.name}, line {self._finder.find(row).line}"

    def _problem(self, row: int) -> str:
        return self._finder.find(row).problem or f"{self.where(row)}: expected {len(self.header)} cells"


def _places(first: int, rows: int, others: Sequence[int]) -> tuple[NDArray[np.int64], int]:
    """The places of the next rows when these other places, sorted, are none of them; how many of those they cross."""
    end, crossed = first + rows, 0
    while crossed < len(others) and others[crossed] < end:
        crossed, end = crossed + 1, end + 1
    places = np.arange(first, end)
    return np.delete(places, np.array(others[:crossed], dtype=np.int64) - first), crossed


class _Finder(Generic[T]):
    """Rows by their place; asked for in order, all of them cost one pass."""

    def __init__(self, read: Callable[[], Iterator[T]]) -> None:
        self._read = read
        self._rows: Iterator[T] = iter(())
        self._found: list[T] = []
        self._place = -1

    def find(self, place: int) -> T:
        if self._place < 0 or place < self._place:
            self._rows, self._place = self._read(), -1
        while self._place < place:
            self._found, self._place = [next(self._rows)], self._place + 1
        return self._found[0]


class _JsonLines:
    """A record a line, an object or an array; its values become text as JSON writes it."""

    types: Mapping[str, ColumnType] = {}

    def __init__(self, path: Path, data: Data, also: Sequence[str]) -> None:
        self.path = path
        self._features = None if data.features is None else _Expression(data.features)
        if self._features is not None and self._features.compiled is None:
            raise BadPolicy(f"data.features: {data.features!r} is no JMESPath expression")
        self._headers = data.headers
        named = [name for name in (data.label or "label", data.id, data.weight, *also) if isinstance(name, str)]
        self._named = {name: _Expression(name) for name in named}
        self._finder = _Finder(self._lines)
        self.header = self._find_header()

    def _find_header(self) -> tuple[str, ...]:
        """The columns of the first records that can be read: a record may leave out what it has no value for."""
        columns: dict[str, None] = {}
        problem = ""
        for number, line in islice(self._lines(), SHOWING):
            try:
                columns |= dict.fromkeys(self._columns_of(_parse(line)))
            except ValueError as error:
                problem = problem or f"{self._line(number)}: {error}"
        if not columns:
            raise BadData(problem or f"{self.path.name}: no rows: the file is empty")
        return tuple(columns)

    def _columns_of(self, record: Any) -> list[str]:
        """What a record has: its features, its other single values, then what is found by an expression."""
        return [name for name, value in self._values(record).items() if _is_single(value)]

    def portions(self) -> Iterator[Portion]:
        lines = enumerate(self._lines())
        while some := list(islice(lines, LINES)):
            rows: list[int] = []
            records: list[list[str | None]] = []
            problems: list[tuple[int, str]] = []
            for row, (number, line) in some:
                try:
                    records.append(self._cells(_parse(line)))
                    rows.append(row)
                except ValueError as error:
                    problems.append((row, f"{self._line(number)}: {error}"))
            columns = zip(*records, strict=True) if records else [()] * len(self.header)
            arrays = [pa.array(column, pa.string()) for column in columns]
            yield Portion(np.array(rows, dtype=np.int64), dict(zip(self.header, arrays, strict=True)), problems)

    def _cells(self, record: Any) -> list[str | None]:
        """A record's values in the order of the header; ValueError says what is wrong with it."""
        values = self._values(record)
        cells = [values.get(name) for name in self.header]
        return [cell if type(cell) is str else _cell(cell, name) for cell, name in zip(cells, self.header, strict=True)]

    def _values(self, record: Any) -> dict[str, Any]:
        """A record's values by their column, those too that an expression finds in it."""
        values = self._named_values(record)
        if isinstance(record, dict) and not self._named.keys() <= values.keys():
            for name in self._named.keys() - values.keys():
                if (found := self._named[name].search(record)) is not None:
                    values = {**values, name: found}
        return values

    def _named_values(self, record: Any) -> dict[str, Any]:
        """A record's values by their column; its features come first, and count more than a key of the same name."""
        if isinstance(record, list):
            return _with_names(record, self._headers)
        if not isinstance(record, dict):
            raise ValueError(f"expected an object or an array, found {_shown(record)}")
        if self._features is None:
            return record
        features: Any = self._features.search(record)
        if features is None:
            raise ValueError(f"data.features {self._features.text!r} finds nothing in it")
        features = _with_names(features, self._headers)
        return {**features, **{name: value for name, value in record.items() if name not in features}}

    def where(self, row: int) -> str:
        return self._line(self._finder.find(row)[0])

    def _line(self, number: int) -> str:
        return f"{self.path.name}, line {number}"

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines that are not blank, each with its number from 1."""
        with self.path.open("rb") as file:
            yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())


class _Json:
    """One document, read whole: its records are a list, at `features` or at its top; other columns are lists beside."""

    types: Mapping[str, ColumnType] = {}

    def __init__(self, path: Path, data: Data, also: Sequence[str]) -> None:
        self.path = path
        try:
            document = _parse(path.read_bytes())
        except ValueError as error:
            raise BadData(f"{path.name}: {error}") from error
        found = document if data.features is None else self._search(document, data.features, "data.features")
        if not isinstance(found, list) or not found:
            where = "at its top" if data.features is None else f"at data.features {data.features!r}"
            raise BadData(f"{path.name}: expected a list of records {where}, found {_shown(found)}")
        named = {}
        for name in dict.fromkeys((data.label, data.id, data.weight, *also)):
            if isinstance(name, str) and data.features is not None:
                named[name] = self._search(document, name, name)
                if not isinstance(named[name], list) or len(named[name]) != len(found):
                    raise BadData(
                        f"{path.name}: expected a list of {len(found)} values at {name!r}, found {_shown(named[name])}"
                    )
        self._problems: list[tuple[int, str]] = []
        self._rows: list[int] = []
        records: list[dict[str, str | None]] = []
        for row, features in enumerate(found):
            try:
                record = _with_names(features, data.headers)
                record |= {name: values[row] for name, values in named.items()}
                records.append({name: _cell(value, name) for name, value in record.items()})
                self._rows.append(row)
            except ValueError as error:
                self._problems.append((row, f"{self.where(row)}: {error}"))
        if not records:
            raise BadData(self._problems[0][1])
        self.header = tuple(dict.fromkeys(name for record in records[:SHOWING] for name in record))
        self._columns = {name: pa.array([record.get(name) for record in records], pa.string()) for name in self.header}

    def _search(self, document: Any, path: str, key: str) -> Any:
        expression = _Expression(path)
        if expression.compiled is None:
            raise BadPolicy(f"{key}: {path!r} is no JMESPath expression")
        return expression.compiled.search(document)

    def portions(self) -> Iterator[Portion]:
        yield Portion(np.array(self._rows, dtype=np.int64), self._columns, self._problems)

    def where(self, row: int) -> str:
        return f"{self.path.name}, record {row + 1}"


def _with_names(values: Any, headers: Sequence[str] | None) -> dict[str, Any]:
    """A record's values by their names; ValueError when it has none, or others than there are names."""
    if isinstance(values, dict):
        return values
    values = values if isinstance(values, list) else [values]
    if headers is None:
        raise ValueError(f"its {len(values)} values have no names: say data.headers")
    if len(values) != len(headers):
        raise ValueError(f"{len(values)} values, expected {len(headers)} ({', '.join(headers)})")
    return dict(zip(headers, values, strict=True))


class _Expression:
    """A key of a record, or else a JMESPath expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self.compiled = jmespath.compile(text)
        except jmespath.exceptions.JMESPathError:
            self.compiled = None  # `star-rating` is a key and no expression

    def search(self, record: dict[str, Any]) -> Any:
        if self.text in record:
            return record[self.text]
        return None if self.compiled is None else self.compiled.search(record)


def _parse(line: bytes) -> Any:
    """The record in a line; raises ValueError."""
    try:
        record = json.loads(line)
        if b"\\ud" in line or b"\\uD" in line:
            json.dumps(record, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: {error}") from error
    except UnicodeEncodeError as error:
        half = error.object[error.start].encode("ascii", "backslashreplace").decode()
        raise ValueError(f"{half} is half of a surrogate pair, and no character") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise ValueError("not JSON that can be read: too deep") from error
    return record


def _is_single(value: Any) -> bool:
    return not isinstance(value, (dict, list))


def _cell(value: Any, name: str) -> str | None:
    """A value as text, as it stands in JSON; raises ValueError when it is no single one."""
    if isinstance(value, (int, float)):
        return repr(value) if value is not True and value is not False else str(value).lower()
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f"{name} is {_shown(value)}, expected a single value")


def _shown(value: Any) -> str:
    return f"{json.dumps(value):.80}"


class _Parquet:
    """The file's own types stay; what is no number becomes text when it is asked for."""

    def __init__(self, path: Path, headers: Sequence[str] | None = None) -> None:
        """Other names than the file's are those of its columns in their order."""
        self.path = path
        try:
            schema = pq.read_schema(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise BadData(f"{path.name}: not Parquet: {error}") from error
        kinds = {field.name: _kind(field.type) for field in schema}
        self._own = tuple(name for name, kind in kinds.items() if kind is not None)
        self.header = self._own if headers is None or set(headers) == set(self._own) else tuple(headers)
        if len(self.header) != len(self._own):
            raise BadData(
                f"{path.name}: {len(self._own)} columns ({', '.join(self._own)}), expected {len(self.header)} "
                f"({', '.join(self.header)})"
            )
        types = [kind for kind in kinds.values() if kind is not None]
        self.types: Mapping[str, ColumnType] = dict(zip(self.header, types, strict=True))

    def portions(self) -> Iterator[Portion]:
        first = 0
        try:
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(PORTION, columns=list(self._own)):
                    rows = np.arange(first, first + len(batch))
                    first += len(batch)
                    columns = [batch.column(name) for name in self._own]
                    yield Portion(rows, dict(zip(self.header, columns, strict=True)), ())
        except (pa.ArrowInvalid, OSError) as error:
            raise BadData(f"{self.path.name}: cannot be read after row {first}: {error}") from error

    def where(self, row: int) -> str:
        return f"{self.path.name}, row {row + 1}"


def _kind(type: pa.DataType) -> ColumnType | None:
    """What a column of this type holds; None for lists and the like, which are no column of a table."""
    if pa.types.is_dictionary(type):
        return _kind(type.value_type)
    if (
        pa.types.is_boolean(type)
        or pa.types.is_integer(type)
        or pa.types.is_floating(type)
        or pa.types.is_decimal(type)
    ):
        return "numeric"
    return None if pa.types.is_nested(type) or pa.types.is_binary(type) else "categorical"
