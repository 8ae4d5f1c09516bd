"""Explanation drift: whether this model decides for other reasons than the champion does, on the same rows."""

from __future__ import annotations

from assay.base import Record
from assay.evaluation import Metric
from assay.policy import RANK_CORRELATION, TOP_OVERLAP

GATES = (RANK_CORRELATION, TOP_OVERLAP)
"""What gates may name of it."""


class SignChange(Record):
    """A feature that speaks for an output in one model and against it in the other, on average, beyond chance."""

    feature: str
    value: float
    """Mean attribution over the rows."""
    champion: float


class DriftOf(Record):
    """Global importance (the mean of |attribution| over the rows) of this model beside the champion's."""

    label: str | None = None
    """The output; None: all together."""
    rank_correlation: Metric
    """Spearman's, 1 the same ranking."""
    top_overlap: Metric
    """The share of the features that matter most (`Drift.top`) that both models have there."""
    moved: Metric
    """The share of all importance that has gone to other features: half the sum of the shares' differences."""
    sign_changes: tuple[SignChange, ...] = ()
    """Those of most weight."""


class Drift(Record):
    """Over the representative rows that both models were explained on; of features that both have."""

    reason: str | None = None
    """Why nothing was measured."""
    rows: int = 0
    features: int = 0
    only_here: tuple[str, ...] = ()
    """Features that the champion does not have."""
    only_champions: tuple[str, ...] = ()
    top: int = 0
    """How many features `top_overlap` is about."""
    outputs: tuple[DriftOf, ...] = ()
    """All together first, then each, where there are several."""

    def of(self, label: str | None) -> DriftOf | None:
        """An output's; of a model that has but one output, that one's, by whatever name."""
        if len(self.outputs) == 1:
            return self.outputs[0]
        return next((one for one in self.outputs if one.label == label), None)
