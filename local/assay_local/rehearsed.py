"""What a rehearsal tells of a policy, its data and its model."""

from __future__ import annotations

from assay.base import Record
from assay.evaluation import EvaluationReport, ModelFacts


class Rehearsed(Record):
    """`rehearsal.json`"""

    rows: int | None = None
    """All that the data holds; None: it was not looked at."""
    labels: dict[str, int] = {}
    """Classification: a label as it stands in the data → how many rows have it."""
    supports: dict[str, int] = {}
    """A class's name for people → how many rows are of it, in the order of the model's outputs."""
    slices: dict[str, dict[str, int]] = {}
    """A declared slice → class → how many rows; of a regression the one class ""."""
    model: ModelFacts | None = None
    report: EvaluationReport | None = None
    """On the samples that were tried; None: there was no model."""
    begin_seconds: float = 0.0
    """What the evaluation takes beside its samples: starting, loading, the first answer, measuring."""
    sample_seconds: float | None = None
    """What each sample takes; None: there were too few to tell."""
    coalitions: int | None = None
    """Of each explained sample; None: nothing is explained."""
    baseline_rows: int = 1
    """What a sample of each coalition is asked of."""
