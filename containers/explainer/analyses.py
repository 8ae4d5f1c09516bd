"""Several analyses in one job: one that fails says so in its place, and the others go on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from assay.errors import AssayError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Analyses:
    """What became of each.

    Attributes:
        failures: analysis → why it has no result.
    """

    def __init__(self) -> None:
        self.failures: dict[str, AssayError] = {}
        self._done = 0

    def attempt(self, name: str, do: Callable[[], T]) -> T | None:
        """The result of an analysis; None when it failed, now or before."""
        if name in self.failures:
            return None
        try:
            result = do()
        except AssayError as error:
            logger.error("%s: %s", name, error)
            self.failures[name] = error
            return None
        self._done += 1
        return result

    def fail(self, names: list[str], error: AssayError) -> None:
        """What they all need could not be had."""
        for name in names:
            logger.error("%s: %s", name, error)
            self.failures[name] = error

    def check(self) -> None:
        """Raises the first failure when nothing succeeded: then the job has failed."""
        if not self._done and self.failures:
            raise next(iter(self.failures.values()))
