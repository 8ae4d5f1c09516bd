"""What an archive and its data say of the policy that fits them."""

from __future__ import annotations

from typing import Any

from assay.base import Record
from assay.evaluation import ModelFacts
from assay.policy import Task


class Asked(Record):
    """`question.json`: where the data lies, by absolute paths."""

    data: str
    annotations: str | None = None


class Guess(Record):
    """`guess.json`"""

    task: Task
    data: dict[str, Any]
    """The policy's part: `source` and `annotations` by absolute paths."""
    preprocessing: dict[str, Any] = {}
    model: dict[str, Any] = {}
    evaluate: dict[str, Any] = {}
    notes: dict[str, str] = {}
    """A key such as `data.label_base` → what it rests on."""
    unsure: dict[str, str] = {}
    """A key that is no more than a guess, or is left out → what a person has to say there."""
    supports: dict[str, int] = {}
    """A class's name for people → how many samples it has."""
    samples: int
    facts: ModelFacts | None = None
