"""Attributions of rows: Clarify's `out.csv` or, of texts, `out.jsonl`; global importance of the representative rows.

Computed here and not taken from `analysis.json`: Clarify averages over all rows that it was given, the chosen ones too,
which were chosen for being mistakes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from assay.evaluation import Explainable, ExplainSample
from assay.explanation import LocalAttribution, LocalExplanation
from assay.summary import Importance, Passage

MOST_FEATURES = 100
"""Of each output that a summary lists, and as many outputs."""


MOST_PASSAGES = 300
"""Of one text: a page shows its beginning."""


@dataclass(frozen=True)
class LocalValues:
    """One attribution for each row, output and feature."""

    features: tuple[str, ...]
    labels: tuple[str, ...]
    by_id: dict[str, tuple[float, ...]]
    """A row's id → its values; features vary first: F1_L1, F2_L1, F1_L2, F2_L2."""
    parts: Mapping[str, Mapping[str, Sequence[LocalAttribution]]] = field(default_factory=dict)
    """A row's id → feature that is a text → its parts."""

    @classmethod
    def read(cls, rows: Iterator[list[str]], explain: Explainable) -> LocalValues:
        """`out.csv`; raises ValueError when the columns are not those of the samples, or hold no numbers."""
        features = features_of(explain)
        labels = explain.label_headers
        header = next(rows, [])
        columns = len(features) * len(labels) + 1
        if len(header) != columns:
            raise ValueError(
                f"{len(header)} columns, expected {columns}: {len(features)} features of {len(labels)} outputs, "
                "and the row's id"
            )
        return cls(features, labels, {row[-1]: tuple(map(float, row[:-1])) for row in rows if row})

    @classmethod
    def read_texts(cls, lines: Iterable[str], explain: Explainable, ids: Sequence[str]) -> LocalValues:
        """`out.jsonl`; a text's value is the sum of its parts'.

        Args:
            lines: of the file.
            explain: which features and labels there are.
            ids: of the rows, in the order of the data, for lines that do not hold their own.

        Raises:
            ValueError: the lines are not those of the samples.
        """
        features, labels = features_of(explain), explain.label_headers
        by_id: dict[str, tuple[float, ...]] = {}
        parts: dict[str, dict[str, Sequence[LocalAttribution]]] = {}
        for place, line in enumerate(lines):
            content = json.loads(line)
            found = {one.feature_name: one for one in LocalExplanation.model_validate(content).explanations}
            if set(found) != set(features) or place >= len(ids):
                raise ValueError(f"line {place + 1}: explains {', '.join(found)}, expected {', '.join(features)}")
            row = str(content.get(explain.headers[-1], ids[place]))
            attributions = {name: found[name].attributions for name in features}
            if any(len(one.attribution) != len(labels) for of in attributions.values() for one in of):
                raise ValueError(f"line {place + 1}: expected {len(labels)} values of each attribution")
            by_id[row] = tuple(
                sum(one.attribution[label] for one in attributions[name])
                for label in range(len(labels))
                for name in features
            )
            parts[row] = {name: attributions[name] for name in explain.texts}
        return cls(features, labels, by_id, parts)

    def of(self, row: str, label: str | None) -> dict[str, float]:
        """One row's attributions to one output, the largest first; to the only one when there is but one."""
        values, index = self.by_id.get(row), self._index(label)
        if values is None or index is None:
            return {}
        start = index * len(self.features)
        named = zip(self.features, values[start : start + len(self.features)], strict=True)
        return dict(sorted(named, key=lambda pair: -abs(pair[1])))

    def passages(self, row: str, label: str | None) -> dict[str, tuple[Passage, ...]]:
        """The beginning of one row's texts, with what their parts did to one output."""
        index = self._index(label)
        if index is None:
            return {}
        return {name: _passages(parts[:MOST_PASSAGES], index) for name, parts in self.parts.get(row, {}).items()}

    def _index(self, label: str | None) -> int | None:
        return self.labels.index(label) if label in self.labels else 0 if len(self.labels) == 1 else None


def features_of(explain: Explainable) -> tuple[str, ...]:
    return tuple(header for header in explain.headers[:-1] if header != explain.label)


def _passages(parts: Sequence[LocalAttribution], label: int) -> tuple[Passage, ...]:
    passages = []
    end = 0
    for part in parts:
        if part.description is not None:
            start, text = part.description.start_idx, part.description.partial_text
            passages.append(Passage(text=text, value=part.attribution[label], apart=start > end))
            end = start + len(text)
    return tuple(passages)


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
