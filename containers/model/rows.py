"""Rows of a CSV file with their lines: all that a small file needs, and what names the line of a large one."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from assay.errors import BadData

csv.field_size_limit(16 * 1024 * 1024)  # bytes; Python's own limit of 128 KiB is less than a long review


class Row(NamedTuple):
    """A row of the file."""

    line: int
    """From 1, as editors count."""
    cells: tuple[str, ...]
    problem: str = ""
    """Why it is none of this table: it has more or fewer cells than there are columns."""


@dataclass(frozen=True)
class CsvFile:
    """A CSV file with its header read."""

    path: Path
    header: tuple[str, ...]
    skip: int
    """Lines of header in the file: 1, or 0 where the header is not in it."""
    has_rows: bool
    """Whether anything follows the header."""

    def column(self, name: str | int, meaning: str) -> int:
        """The place of a column, by its header or its 0-based place; raises BadData with the columns there are."""
        if isinstance(name, int):
            if 0 <= name < len(self.header):
                return name
            raise BadData(f"{self.path.name}: no column {name} for {meaning}; there are {len(self.header)}, from 0")
        if name in self.header:
            return self.header.index(name)
        raise BadData(f"{self.path.name}: no column {name!r} for {meaning}; found {', '.join(self.header)}")

    def rows(self) -> Iterator[Row]:
        """The rows after the header; blank lines are passed over.

        Raises:
            BadData: a row has more or fewer cells than there are columns, or as `every_row`; names the line.
        """
        for row in self.every_row():
            if row.problem:
                raise BadData(row.problem)
            yield row

    def check(self) -> None:
        """Raises BadData, as `every_row` does, for what is wrong anywhere in the file."""
        for _ in self.every_row():
            pass

    def every_row(self, *, strict: bool = True) -> Iterator[Row]:
        """The rows after the header, those with a problem too, for who counts them.

        Args:
            strict: quotes that are not closed, or closed too early, are no CSV; else what follows is taken as it is.

        Raises:
            BadData: the file is no UTF-8 or no CSV; names the line.
        """
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=strict, delimiter=delimiter_of(self.path))
            try:
                for number, cells in enumerate(reader):
                    if number < self.skip or not cells:
                        continue
                    problem = ""
                    if len(cells) != len(self.header):
                        problem = (
                            f"{self.path.name}, line {reader.line_num}: {len(cells)} cells, "
                            f"expected {len(self.header)} ({', '.join(self.header)})"
                        )
                    yield Row(reader.line_num, tuple(cells), problem)
            except UnicodeDecodeError as error:
                raise BadData(f"{self.path.name}: not UTF-8 after line {reader.line_num}: {error}") from error
            except csv.Error as error:
                raise BadData(f"{self.path.name}, line {reader.line_num}: not CSV: {error}") from error


def delimiter_of(path: Path) -> str:
    """What stands between the cells: a tab where the file is named `.tsv`."""
    return "\t" if path.suffix.lower() == ".tsv" else ","


def open_csv(path: Path, headers: Sequence[str] | None = None) -> CsvFile:
    """Read a file's header, or take the given one where the file has none.

    Raises:
        BadData: the file is empty, or its header names a column twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True, delimiter=delimiter_of(path))
            first = next(reader, None)
            after = next(filter(None, csv.reader(file, delimiter=delimiter_of(path))), None)
    except UnicodeDecodeError as error:
        raise BadData(f"{path.name}: not UTF-8: {error}") from error
    except csv.Error as error:
        raise BadData(f"{path.name}, line 1: not CSV: {error}") from error
    if not first:
        raise BadData(f"{path.name}: no rows: the file is empty")
    header = tuple(headers or first)
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise BadData(f"{path.name}: the header names {', '.join(sorted(map(repr, twice)))} twice")
    skip = 1 if tuple(first) == header else 0
    return CsvFile(path, header, skip, has_rows=not skip or after is not None)
