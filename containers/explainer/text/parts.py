"""Rows with texts that are explained already, on disk: a job that was killed goes on where it was.

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

from explainer.parts import SAVE_SECONDS
from explainer.shapley import Explanation


@dataclass(frozen=True)
class RowNumbers:
    """What was found of one row, in numbers that JSON gives back to the last bit."""

    values: list[list[float]]
    """(players, labels)"""
    errors: list[list[float]] | None
    """Their standard errors; None where they are not known."""
    base: list[float]
    prediction: list[float]
    exact: bool
    calls: int


def numbers_of(found: Explanation, calls: int) -> RowNumbers:
    errors = found.standard_errors
    return RowNumbers(
        values=found.values.tolist(),
        errors=None if errors is None else errors.tolist(),
        base=found.base.tolist(),
        prediction=found.prediction.tolist(),
        exact=found.exact,
        calls=calls,
    )


class TextParts:
    """The rows explained, in the order of the data."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Rows that the folder holds already are there."""
        self._folder, self._clock, self._saved = folder, clock, clock()
        self.rows: list[RowNumbers] = []
        while (found := self._read(len(self.rows))) is not None:
            self.rows += found
        self._on_disk = len(self.rows)

    def _file(self, start: int) -> Path:
        return self._folder / f"{start:09}.jsonl"

    def _read(self, start: int) -> list[RowNumbers] | None:
        try:
            return [
                RowNumbers(**json.loads(line)) for line in self._file(start).read_text("utf-8").splitlines()
            ] or None
        except (OSError, ValueError, TypeError):  # not there, or not whole
            return None

    def add(self, row: RowNumbers) -> None:
        """Take the next row; now and then they are saved."""
        self.rows.append(row)
        if self._clock() - self._saved >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Save what is not yet."""
        if self._on_disk < len(self.rows):
            file = self._file(self._on_disk)
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_name(f".{file.name}.part")
            lines = (json.dumps(asdict(row), allow_nan=False) + "\n" for row in self.rows[self._on_disk :])
            part.write_text("".join(lines), encoding="utf-8")
            part.replace(file)
            self._on_disk = len(self.rows)
        self._saved = self._clock()

    def forget(self) -> None:
        """Delete the files: all is written that is made of them."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):  # not there, or another job's parts are in it
            self._folder.parent.rmdir()
