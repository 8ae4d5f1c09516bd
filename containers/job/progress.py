"""How far a job is: a file for a progress bar, a line in the log for everybody else."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger(__name__)

FILE_SECONDS = 0.25
LOG_SECONDS = 10.0


class Progress:
    """Reports as often as it is told to, but writes the file at most four times a second and logs every ten."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._stage: str | None = None
        self._began = self._logged = 0.0
        self._written = -FILE_SECONDS

    def report(self, stage: str, done: int, total: int, unit: str) -> None:
        """Say that `done` of `total` units are done; `stage` is a participle: `evaluating`."""
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began, self._logged = stage, now, now
            self._written = now - FILE_SECONDS
        last = done >= total
        if last or now - self._written >= FILE_SECONDS:
            self._written = now
            self._write({"stage": stage, "done": done, "total": total, "unit": unit})
        if last or now - self._logged >= LOG_SECONDS:
            self._logged = now
            logger.info("%s", _line(stage, done, total, unit, now - self._began))

    def _write(self, content: dict[str, str | int]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_name(self._file.name + ".part")
        part.write_text(json.dumps(content), encoding="utf-8")
        part.replace(self._file)


def _line(stage: str, done: int, total: int, unit: str, seconds: float) -> str:
    line = f"{stage}: {done:,} of {total:,} {unit}"
    if done and seconds > 0:
        rate = done / seconds
        line += f", {rate:,.1f}/s"
        if done < total:
            line += f", {(total - done) / rate:,.0f} s left"
    return line
