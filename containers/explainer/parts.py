"""What is known of rows so far, on disk: memory stays flat, and a job that was killed goes on where it was.

A part holds some rows in the order in which they were explained, a line of numbers each. Its file appears when it is
whole and is never changed, in a folder that is named by what the numbers depend on: configuration, data, baseline and
model. So whoever finds the folder of its own name has nothing to compare.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explainer.shapley import NORMAL_95, Explanation

Array = NDArray[np.float64]

SAVE_SECONDS = 30.0
"""Work that a killed job loses at most, but for the rows that are explained together."""
SAVE_BYTES = 16 * 2**20
"""What is held in memory at most before it is saved."""


@dataclass(frozen=True)
class Line:
    """Where the numbers of one row stand in its line."""

    features: int
    labels: int

    PLACE, CALLS, EXACT = 0, 1, 2

    @property
    def base(self) -> slice:
        return slice(3, 3 + self.labels)

    @property
    def prediction(self) -> slice:
        return slice(self.base.stop, self.base.stop + self.labels)

    @property
    def values(self) -> slice:
        """Features vary first, as in `out.csv`."""
        return slice(self.prediction.stop, self.prediction.stop + self.features * self.labels)

    @property
    def errors(self) -> slice:
        """NaN where there are none."""
        return slice(self.values.stop, self.values.stop + self.features * self.labels)

    @property
    def width(self) -> int:
        return 3 + 2 * self.labels * (1 + self.features)

    def gaps(self, lines: Array) -> Array:
        """(rows,): the largest |f(x) - f(baseline) - sum of attributions| of a row's labels."""
        sums = lines[:, self.values].reshape(len(lines), self.labels, self.features).sum(axis=2)
        gaps: Array = np.abs(lines[:, self.prediction] - lines[:, self.base] - sums).max(axis=1)
        return gaps

    def half_widths(self, lines: Array) -> Array:
        """(rows,): how far the widest 95 % interval of a row reaches to either side; NaN where that is not known."""
        widths: Array = NORMAL_95 * lines[:, self.errors].max(axis=1)
        return widths

    def write(self, place: int, explanation: Explanation, features: Sequence[int]) -> Array:
        """The row at a place of the data; only the features at some places were explained."""
        line = np.empty(self.width)
        line[: self.base.start] = place, explanation.calls, explanation.exact
        line[self.base], line[self.prediction] = explanation.base, explanation.prediction
        line[self.values] = explanation.values[features].T.ravel()
        errors = explanation.standard_errors
        line[self.errors] = np.nan if errors is None else errors[features].T.ravel()
        return line


class Parts:
    """The rows explained, in the order of their explanation."""

    def __init__(self, folder: Path, line: Line, clock: Callable[[], float] = time.monotonic) -> None:
        """Parts that the folder holds already are there."""
        self.line = line
        self._folder, self._clock = folder, clock
        self._lines: list[Array] = []
        self._saved = clock()
        self._parts: list[Array] = []
        while (found := self._read(self._file(self._on_disk))) is not None:
            self._parts.append(found)

    def __len__(self) -> int:
        return self._on_disk + len(self._lines)

    @property
    def _on_disk(self) -> int:
        return sum(map(len, self._parts))

    def _file(self, start: int) -> Path:
        return self._folder / f"{start:09}.npy"

    def _read(self, file: Path) -> Array | None:
        try:
            found: Array = np.load(file, mmap_mode="r")
        except (OSError, ValueError):  # not there, or not whole
            return None
        return found if found.ndim == 2 and len(found) and found.shape[1] == self.line.width else None

    def add(self, lines: Sequence[Array]) -> None:
        """Take more rows; now and then they are saved."""
        self._lines.extend(lines)
        large = len(self._lines) * self.line.width * 8 >= SAVE_BYTES
        if large or self._clock() - self._saved >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Save what is not yet."""
        if self._lines:
            file = self._file(self._on_disk)
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_name(f".{file.name}.part")
            with part.open("wb") as stream:
                np.save(stream, np.array(self._lines))
            part.replace(file)
            saved = self._read(file)
            assert saved is not None
            self._parts.append(saved)
            self._lines = []
        self._saved = self._clock()

    def at(self, numbers: NDArray[np.intp]) -> Array:
        """Some of the saved rows' lines, (rows, width), by their numbers in the order of explanation."""
        found = np.empty((len(numbers), self.line.width))
        ends = np.cumsum([0, *map(len, self._parts)])
        for part, (start, end) in zip(self._parts, pairwise(ends.tolist()), strict=True):
            here = (numbers >= start) & (numbers < end)
            if here.any():
                found[here] = part[numbers[here] - start]
        return found

    def portions(self, size: int = 4096) -> Iterator[Array]:
        """All saved rows' lines, (at most size, width) at a time."""
        for part in self._parts:
            for start in range(0, len(part), size):
                yield np.asarray(part[start : start + size])

    def columns(self, places: slice) -> Array:
        """Some numbers of all saved rows, (rows, numbers)."""
        return np.concatenate([part[:, places] for part in self._parts])

    def forget(self) -> None:
        """Delete the files: all is written that is made of them."""
        self._parts = []
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):  # not there, or another job's parts are in it
            self._folder.parent.rmdir()


@dataclass(frozen=True)
class Explained:
    """All rows of the data that were explained, by their places."""

    parts: Parts
    numbers: NDArray[np.intp]
    """(rows of the data,): when each was explained; -1: it was not."""

    @property
    def line(self) -> Line:
        return self.parts.line

    def row(self, place: int) -> Array | None:
        """One row's line; None where it was left out."""
        number = self.numbers[place]
        return None if number < 0 else self.parts.at(self.numbers[place : place + 1])[0]

    def in_order(self, size: int = 4096) -> Iterator[Array | None]:
        """Every row's line in the order of the data; None for those left out."""
        for start in range(0, len(self.numbers), size):
            numbers = self.numbers[start : start + size]
            lines = iter(self.parts.at(numbers[numbers >= 0]))
            for number in numbers.tolist():
                yield None if number < 0 else next(lines)
