"""What came of asking the model about every sample, in columns: five million rows fit into half a gigabyte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData

if TYPE_CHECKING:
    import pyarrow as pa  # a fifth of a second: where it is used, it is imported there

_AT_ONCE = 65_536
"""Samples turned into text at a time."""


class Sample(NamedTuple):
    """One row or picture of the data."""

    id: str
    """The picture's file name, the id column's value, or the row's number."""
    row: int
    """Its place in the data, from 0."""
    label: str
    """As it stands in the data; a number in as few digits as tell it from others."""
    fingerprint: str
    """SHA-256 of its content: two runs know by it which samples they share."""
    columns: dict[str, str]
    """Its other columns, by header: those that are kept."""


class Coded(NamedTuple):
    """A column of text: each value's number among the different ones."""

    codes: NDArray[np.int32]
    categories: NDArray[Any]
    """(different values,): str"""

    def values(self) -> NDArray[Any]:
        return np.asarray(self.categories[self.codes])


Column = Coded | NDArray[np.float64]


@dataclass(frozen=True)
class Samples(Sequence[Sample]):
    """Samples in columns; one of them is a `Sample`."""

    rows: NDArray[np.int64]
    """(n,): their places in the data, from 0."""
    label: Column
    """Numbers of a regression, else text."""
    fingerprints: NDArray[np.uint8]
    """(n, 32)"""
    ids: pa.Array | None = None
    """None: they are called by their places."""
    weights: NDArray[np.float64] | None = None
    """(n,): how much each counts; None: all the same."""
    columns: Mapping[str, Column] | None = None
    """Those that samples are chosen, or cut into slices, by."""

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Samples:
        """From single ones."""
        import pyarrow as pa

        names = list(samples[0].columns) if samples else []
        return cls(
            rows=np.array([sample.row for sample in samples], dtype=np.int64),
            label=_coded([sample.label for sample in samples]),
            fingerprints=np.array(
                [list(bytes.fromhex(sample.fingerprint)) for sample in samples], dtype=np.uint8
            ).reshape(len(samples), -1 if samples else 32),
            ids=pa.array([sample.id for sample in samples], pa.string()),
            columns={name: _coded([sample.columns[name] for sample in samples]) for name in names},
        )

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Sample: ...
    @overload
    def __getitem__(self, place: slice) -> list[Sample]: ...
    def __getitem__(self, place: int | slice) -> Sample | list[Sample]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        row = int(self.rows[place])  # IndexError ends an iteration
        return Sample(
            id=str(row) if self.ids is None else self.ids[int(place) % len(self)].as_py(),
            row=row,
            label=_text(self.label, place),
            fingerprint=self.fingerprints[place].tobytes().hex(),
            columns={name: _text(column, place) for name, column in (self.columns or {}).items()},
        )

    @property
    def labels(self) -> NDArray[Any]:
        """(n,): float64 of a regression, else str."""
        return self.label.values() if isinstance(self.label, Coded) else self.label

    def numbered(self, classes: Mapping[str, int]) -> NDArray[np.int64]:
        """(n,): the class of each label."""
        assert isinstance(self.label, Coded)
        return np.array([classes[name] for name in self.label.categories], dtype=np.int64)[self.label.codes]

    def column(self, name: str) -> NDArray[Any]:
        """(n,) values of a kept column: float64 with NaN for what is missing, or str with "" for it; KeyError: none."""
        column = (self.columns or {})[name]
        return column.values() if isinstance(column, Coded) else column

    def equal(self, name: str, value: str) -> NDArray[np.bool_]:
        """(n,): whether a kept column has this value, written as in the data."""
        column = (self.columns or {})[name]
        if isinstance(column, Coded):
            return np.asarray((column.categories == value)[column.codes])
        try:
            return np.asarray(column == float(value))
        except ValueError:
            return np.zeros(len(self), dtype=np.bool_)


def _text(column: Column, place: int) -> str:
    return str(column.categories[column.codes[place]]) if isinstance(column, Coded) else f"{column[place]:.15g}"


def _coded(values: Sequence[str]) -> Coded:
    coder = Coder(len(values))
    coder.add(values)
    return coder.column()


class Room:
    """An array of a size that is known beforehand, filled from its front: nothing is held twice."""

    def __init__(self, shape: int | tuple[int, int], dtype: type[np.generic] = np.float64) -> None:
        self._array: NDArray[Any] = np.empty(shape, dtype=dtype)
        self._filled = 0

    def add(self, values: NDArray[Any] | Sequence[int]) -> None:
        self._array[self._filled : self._filled + len(values)] = values
        self._filled += len(values)

    def column(self) -> NDArray[Any]:
        return self._array[: self._filled]


class Coder:
    """Text as numbers, as it comes: at most `size` values."""

    def __init__(self, size: int) -> None:
        self._codes = Room(size, np.int32)
        self._numbers: dict[str, int] = {}

    def add(self, values: Iterable[str]) -> None:
        numbers = self._numbers
        self._codes.add([numbers.setdefault(value, len(numbers)) for value in values])

    def column(self) -> Coded:
        categories = np.empty(len(self._numbers), dtype=object)
        categories[:] = list(self._numbers)
        return Coded(self._codes.column(), categories)


@dataclass(frozen=True)
class Scored:
    """Samples and the model's answers, in the same order."""

    samples: Samples
    scores: NDArray[np.float64]
    """(samples, outputs)"""
    labels_only: bool = False
    """The model answers a class and no scores: it has 1, the others 0."""

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def fingerprint(self) -> str:
        """Of the data as a whole: SHA-256 over ids, labels and contents."""
        samples = self.samples
        digest = hashlib.sha256(np.ascontiguousarray(samples.fingerprints).data)
        digest.update(np.ascontiguousarray(samples.rows).data)
        for start in range(0, len(samples), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            ids = [] if samples.ids is None else samples.ids[part].to_pylist()
            digest.update("\0".join([*map(str, samples.labels[part].tolist()), *ids, ""]).encode())
        return digest.hexdigest()


class Unreadable:
    """Samples that cannot be read: counted, the first 20 named, too many of them end the job."""

    NAMED = 20

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.count = 0
        self.named: list[str] = []

    def add(self, *problems: str) -> None:
        self.count += len(problems)
        self.named += problems[: self.NAMED - len(self.named)]

    def check(self) -> None:
        """Raises BadData with the list when there are more than the policy allows."""
        if self.count > self._limit:
            more = f"; and {self.count - len(self.named)} more" if self.count > len(self.named) else ""
            raise BadData(
                f"{self.count} unreadable, at most {self._limit} allowed (evaluate.max_unreadable): "
                + "; ".join(self.named)
                + more
            )
