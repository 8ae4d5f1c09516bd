"""Attributions of rows: Clarify's `out.csv`, and the global importance over the representative sample.

Computed here and not taken from `analysis.json`: Clarify averages over all rows that it was given, the chosen ones too,
which were chosen for being mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from assay.evaluation import Explainable, ExplainSample
from assay.summary import Importance

MOST_FEATURES = 100
"""Of each output that a summary lists, and as many outputs."""


@dataclass(frozen=True)
class LocalValues:
    """`out.csv`: one attribution for each row, output and feature."""

    features: tuple[str, ...]
    labels: tuple[str, ...]
    by_id: dict[str, tuple[float, ...]]
    """A row's id → its values; features vary first: F1_L1, F2_L1, F1_L2, F2_L2."""

    @classmethod
    def read(cls, rows: Iterator[list[str]], explain: Explainable) -> LocalValues:
        """Raises ValueError when the columns are not those of the samples, or hold no numbers."""
        features = tuple(header for header in explain.headers[:-1] if header != explain.label)
        labels = explain.label_headers
        header = next(rows, [])
        columns = len(features) * len(labels) + 1
        if len(header) != columns:
            raise ValueError(
                f"{len(header)} columns, expected {columns}: {len(features)} features of {len(labels)} outputs, "
                "and the row's id"
            )
        return cls(features, labels, {row[-1]: tuple(map(float, row[:-1])) for row in rows if row})

    def of(self, row: str, label: str | None) -> dict[str, float]:
        """One row's attributions to one output, the largest first; to the only one when there is but one."""
        values = self.by_id.get(row)
        index = self.labels.index(label) if label in self.labels else 0 if len(self.labels) == 1 else None
        if values is None or index is None:
            return {}
        start = index * len(self.features)
        named = zip(self.features, values[start : start + len(self.features)], strict=True)
        return dict(sorted(named, key=lambda pair: -abs(pair[1])))


def global_importance(values: LocalValues, samples: Iterable[ExplainSample]) -> tuple[Importance, ...]:
    """The mean of |attribution| over the representative rows, for each output, the largest first."""
    rows = [
        values.by_id[sample.id] for sample in samples if "representative" in sample.sample and sample.id in values.by_id
    ]
    if not rows:
        return ()
    width = len(values.features)
    return tuple(
        Importance(label=label, features=_mean_abs(rows, values.features, index * width))
        for index, label in enumerate(values.labels[:MOST_FEATURES])
    )


def _mean_abs(rows: Sequence[Sequence[float]], features: Sequence[str], start: int) -> dict[str, float]:
    means = {
        feature: sum(abs(row[start + offset]) for row in rows) / len(rows) for offset, feature in enumerate(features)
    }
    largest = sorted(means, key=lambda feature: (-means[feature], feature))[:MOST_FEATURES]
    return {feature: means[feature] for feature in largest}
