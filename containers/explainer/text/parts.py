"""Rows with texts that are explained already, on disk: memory stays flat, and a job that was killed goes on.

As in `explainer.parts`, but a row has as many numbers as its texts have units, so a part is lines of JSON.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from explainer.parts import SAVE_BYTES, SAVE_SECONDS
from explainer.shapley import Explanation

__all__ = ["SAVE_SECONDS", "RowNumbers", "TextParts", "numbers_of"]


@dataclass(frozen=True)
class RowNumbers:
    """What was found of one row, in numbers that JSON gives back to the last bit."""

    place: int
    """Of the row in the data."""
    values: list[list[float]]
    """(players, labels)"""
    errors: list[list[float]] | None
    """Their standard errors; None where they are not known."""
    base: list[float]
    prediction: list[float]
    exact: bool
    calls: int


def numbers_of(place: int, found: Explanation, calls: int) -> RowNumbers:
    errors = found.standard_errors
    return RowNumbers(
        place=place,
        values=found.values.tolist(),
        errors=None if errors is None else errors.tolist(),
        base=found.base.tolist(),
        prediction=found.prediction.tolist(),
        exact=found.exact,
        calls=calls,
    )


class TextParts:
    """The rows explained, in the order of their explanation. In memory is only where each stands."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Rows that the folder holds already are there."""
        self._folder, self._clock, self._saved = folder, clock, clock()
        self._places: list[tuple[Path, int]] = []
        self._lines: list[bytes] = []
        self._held = 0
        while self._find(self._file(len(self._places))):
            pass

    def __len__(self) -> int:
        return len(self._places) + len(self._lines)

    def _file(self, start: int) -> Path:
        return self._folder / f"{start:09}.jsonl"

    def _find(self, file: Path) -> bool:
        """Take up the lines of a file; False where it is not there, or not whole."""
        found: list[tuple[Path, int]] = []
        start = 0
        try:
            with file.open("rb") as stream:
                for line in stream:
                    RowNumbers(**json.loads(line))
                    found.append((file, start))
                    start += len(line)
        except (OSError, ValueError, TypeError):
            return False
        self._places += found
        return bool(found)

    def add(self, row: RowNumbers) -> None:
        """Take the next row; now and then they are saved."""
        self._lines.append(json.dumps(asdict(row), allow_nan=False).encode() + b"\n")
        self._held += len(self._lines[-1])
        if self._held >= SAVE_BYTES or self._clock() - self._saved >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Save what is not yet."""
        if self._lines:
            file = self._file(len(self._places))
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_name(f".{file.name}.part")
            part.write_bytes(b"".join(self._lines))
            part.replace(file)
            start = 0
            for line in self._lines:
                self._places.append((file, start))
                start += len(line)
            self._lines, self._held = [], 0
        self._saved = self._clock()

    def at(self, number: int) -> RowNumbers:
        """One of the saved rows, by its number in the order of explanation."""
        file, start = self._places[number]
        with file.open("rb") as stream:
            stream.seek(start)
            return RowNumbers(**json.loads(stream.readline()))

    def forget(self) -> None:
        """Delete the files: all is written that is made of them."""
        self._places = []
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):  # not there, or another job's parts are in it
            self._folder.parent.rmdir()
