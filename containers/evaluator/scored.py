"""What came of asking the model about every sample: the rows of predictions.parquet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData


class Sample(NamedTuple):
    """One row or picture of the data."""

    id: str
    """The picture's file name, the id column's value, or the row's number."""
    row: int
    """Its place in the data, from 0."""
    label: str
    """As it stands in the data."""
    fingerprint: str
    """SHA-256 of its content: two runs know by it which samples they share."""
    columns: dict[str, str]
    """Its other columns, by header."""


@dataclass(frozen=True)
class Scored:
    """Samples and the model's answers, in the same order."""

    samples: Sequence[Sample]
    scores: NDArray[np.float64]
    """(samples, outputs)"""

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def fingerprint(self) -> str:
        """Of the data as a whole: SHA-256 over ids, labels and contents."""
        digest = hashlib.sha256()
        for sample in self.samples:
            digest.update(f"{sample.id}\0{sample.label}\0{sample.fingerprint}\n".encode())
        return digest.hexdigest()


class Unreadable:
    """Samples that cannot be read: counted, the first 20 named, too many of them end the job."""

    NAMED = 20

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.count = 0
        self.named: list[str] = []

    def add(self, problem: str) -> None:
        self.count += 1
        if len(self.named) < self.NAMED:
            self.named.append(problem)

    def check(self) -> None:
        """Raises BadData with the list when there are more than the policy allows."""
        if self.count > self._limit:
            more = f"; and {self.count - len(self.named)} more" if self.count > len(self.named) else ""
            raise BadData(
                f"{self.count} unreadable, at most {self._limit} allowed (evaluate.max_unreadable): "
                + "; ".join(self.named)
                + more
            )
