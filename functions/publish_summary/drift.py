"""Explanation drift: the global importance of this run and of the champion's, both over the same rows.

The intervals are from half-samples: a statistic of half the rows, drawn without replacement, differs from that of all
rows by as much as that of all differs from the truth (Politis, Romano & Wolf 1999, "Subsampling", with a share of 1/2).
Groups of rows are drawn, not rows: 200 outputs of 100 features then take seconds in plain Python.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from operator import itemgetter, mul
from statistics import NormalDist
from typing import NamedTuple

from assay.drift import Drift, DriftOf, SignChange
from assay.evaluation import ExplainSample, Finding, Metric
from publish_summary.evidence import Evidence
from publish_summary.importance import LocalValues

MIN_ROWS = 10
"""Of fewer an interval of a ranking says nothing."""
MIN_FEATURES = 3
"""A ranking of two is a coin's toss."""
TOP = 10
"""And at most half the features: of ten of eleven, nine are in common whatever happens."""
GROUPS = 16
HALVES = 32
MOST_SIGN_CHANGES = 10
MOST_NAMES = 20

ALIKE = 0.8
"""The rank correlation from which on two rankings are alike; that of a model trained again is above 0.9. Measured, as
the next: docs/decisions/explanation-drift.md."""
MOVED = 0.2
"""The share of the importance that must have gone to other features before a person is told: each training shuffles the
ranks of features that hardly matter, which lowers the correlation, but moves less than 0.1. So does noise."""
WEIGHT = 0.05
"""Of an output's importance, the mean output's: what a feature must have in both models for its sign to be told."""

Values = Sequence[float]


class Explained(NamedTuple):
    """What one model's rows were explained with."""

    values: LocalValues
    samples: Sequence[ExplainSample]


class Output(NamedTuple):
    """One model's attributions to an output."""

    groups: Sequence[Values]
    """Of each group of rows: the sum of |attribution|, one a feature."""
    means: Values
    """The mean attribution, one a feature."""
    errors: Values
    """The standard errors of the means."""

    @property
    def importance(self) -> Values:
        return _total(self.groups)


def drift_of(evidence: Evidence) -> Drift | None:
    """None where this model's rows or the champion's were not explained; pictures have no features in common."""
    ours, champions = evidence.explained, evidence.champion_explained
    if ours is None or champions is None or ours.values is None or champions.values is None:
        return None
    if ours.baseline != champions.baseline:
        return Drift(reason="the champion was explained against another baseline: the policy has changed")
    return drift(Explained(ours.values, ours.samples.samples), Explained(champions.values, champions.samples.samples))


def drift(ours: Explained, champions: Explained) -> Drift:
    """This model's importance beside the champion's, for all outputs together and for each."""
    mine, theirs = ours.values, champions.values
    pairs = list(_same_rows(ours, champions))
    features = [feature for feature in mine.features if feature in theirs.features]
    labels = _same_outputs(mine.labels, theirs.labels)
    found = Drift(
        rows=len(pairs),
        features=len(features),
        only_here=tuple(name for name in mine.features if name not in features)[:MOST_NAMES],
        only_champions=tuple(name for name in theirs.features if name not in features)[:MOST_NAMES],
        top=min(TOP, len(features) // 2),
    )
    reason = _too_little(len(pairs), len(features), len(labels))
    if reason is not None:
        return found.model_copy(update={"reason": reason})
    outputs = [
        (
            _output(mine, [row for row, _ in pairs], label, features),
            _output(theirs, [row for _, row in pairs], other, features),
        )
        for label, other in labels
    ]
    halves = _halves(len(outputs[0][0].groups))
    signs = _sign_changes(outputs, features)
    compared = [
        _compared(label, one.groups, other.groups, found, halves).model_copy(update={"sign_changes": changes})
        for (label, _), (one, other), changes in zip(labels, outputs, signs, strict=True)
    ]
    if len(compared) > 1:
        all_ours, all_theirs = (_together([pair[side].groups for pair in outputs]) for side in (0, 1))
        compared.insert(0, _compared(None, all_ours, all_theirs, found, halves))
    return found.model_copy(update={"outputs": tuple(compared)})


def findings_on_drift(found: Drift | None) -> Iterator[Finding]:
    """What a person should look at: same accuracy for other reasons.

    Of all outputs together, since one of 200 differs in each training; and of signs, each beyond chance.
    """
    if found is None or not found.outputs:
        return
    ranks, moved = found.outputs[0].rank_correlation, found.outputs[0].moved
    if ranks.high is not None and ranks.high < ALIKE and moved.low is not None and moved.low >= MOVED:
        yield Finding(
            severity="warning",
            title="It decides for other reasons than the champion",
            text=(
                f"On the {found.rows} rows that both were explained on, {moved.value:.0%} of the importance has gone "
                f"to other features: the rankings correlate by {ranks.value:.2f} ({ranks.low:.2f} to {ranks.high:.2f});"
                f" from {ALIKE:g} on they are alike."
            ),
        )
    turned = [(one.label, sign) for one in found.outputs for sign in one.sign_changes]
    if turned:
        of, sign = turned[0]
        more = f" So do {len(turned) - 1} more." if len(turned) > 1 else ""
        yield Finding(
            severity="warning",
            title="A feature speaks the other way than in the champion",
            text=(
                f"{sign.feature} moves {of} by {sign.value:+.3g} on average, in the champion by {sign.champion:+.3g}, "
                f"on the same {found.rows} rows.{more}"
            ),
        )


def _same_rows(ours: Explained, champions: Explained) -> Iterator[tuple[Values, Values]]:
    """Both models' attributions of each representative row that both were explained on, told by its content."""
    theirs = {sample.fingerprint: sample.id for sample in _representative(champions)}
    for sample in _representative(ours):
        other = theirs.pop(sample.fingerprint, None)
        if other is not None:
            yield ours.values.by_id[sample.id], champions.values.by_id[other]


def _representative(explained: Explained) -> Iterator[ExplainSample]:
    for sample in explained.samples:
        known = sample.fingerprint is not None and sample.id in explained.values.by_id
        if known and "representative" in sample.sample:
            yield sample


def _same_outputs(ours: Sequence[str], champions: Sequence[str]) -> list[tuple[str, str]]:
    """By name; the only one of each whatever it is called."""
    if len(ours) == len(champions) == 1:
        return [(ours[0], champions[0])]
    return [(label, label) for label in ours if label in champions]


def _too_little(rows: int, features: int, outputs: int) -> str | None:
    if not outputs:
        return "the champion's outputs have other names"
    if features < MIN_FEATURES:
        return f"{features} features are in both models, a ranking needs {MIN_FEATURES}"
    if rows < MIN_ROWS:
        return f"{rows} representative rows were explained in both runs, {MIN_ROWS} are needed"
    return None


def _output(values: LocalValues, rows: Sequence[Values], label: str, features: Sequence[str]) -> Output:
    start = values.labels.index(label) * len(values.features)
    places = [start + values.features.index(feature) for feature in features]
    picked = [itemgetter(*places)(row) for row in rows]
    groups = min(GROUPS, len(rows)) // 2 * 2
    n = len(rows)
    means, errors = [], []
    for column in zip(*picked, strict=True):
        mean = sum(column) / n
        means.append(mean)
        errors.append(math.sqrt(max(sum(map(mul, column, column)) / n - mean * mean, 0.0) / (n - 1)))
    return Output([_total([list(map(abs, row)) for row in picked[g::groups]]) for g in range(groups)], means, errors)


def _total(rows: Sequence[Values]) -> Values:
    return [sum(column) for column in zip(*rows, strict=True)]


def _together(outputs: Sequence[Sequence[Values]]) -> Sequence[Values]:
    """The groups' sums over all outputs."""
    return [_total(of_group) for of_group in zip(*outputs, strict=True)]


def _halves(groups: int) -> list[list[int]]:
    """Which groups are in each half-sample; the same number of groups, the same halves."""
    rng = random.Random(0)  # noqa: S311, no secret
    return [rng.sample(range(groups), groups // 2) for _ in range(HALVES)]


def _compared(
    label: str | None,
    ours: Sequence[Values],
    champions: Sequence[Values],
    found: Drift,
    halves: Sequence[Sequence[int]],
) -> DriftOf:
    statistics = (spearman, lambda a, b: top_overlap(a, b, found.top), moved)
    whole = [statistic(_total(ours), _total(champions)) for statistic in statistics]
    squares, known = [0.0] * len(whole), [0] * len(whole)
    for half in halves:
        one, other = (_total([groups[g] for g in half]) for groups in (ours, champions))
        for place, statistic in enumerate(statistics):
            value, all_rows = statistic(one, other), whole[place]
            if value is not None and all_rows is not None:
                squares[place] += (value - all_rows) ** 2
                known[place] += 1
    correlation, overlap, gone = (
        _metric(value, math.sqrt(total / count) if count else 0.0, found.rows, least, higher_is_better=better)
        for value, total, count, (least, better) in zip(
            whole, squares, known, ((-1.0, True), (0.0, True), (0.0, False)), strict=True
        )
    )
    return DriftOf(label=label, rank_correlation=correlation, top_overlap=overlap, moved=gone)


def _metric(value: float | None, error: float, rows: int, least: float, *, higher_is_better: bool) -> Metric:
    if value is None:
        return Metric(reason="all features weigh the same in one of the models", higher_is_better=higher_is_better)
    half = NormalDist().inv_cdf(0.975) * error
    return Metric(
        value=value,
        low=max(value - half, least),
        high=min(value + half, 1.0),
        n=rows,
        higher_is_better=higher_is_better,
    )


def spearman(a: Values, b: Values) -> float | None:
    """The correlation of the ranks, equal values sharing theirs (Spearman 1904); None where all are equal."""
    x, y = _ranks(a), _ranks(b)
    middle = (len(x) - 1) / 2
    x, y = [rank - middle for rank in x], [rank - middle for rank in y]
    size = math.sqrt(sum(map(mul, x, x)) * sum(map(mul, y, y)))
    return max(-1.0, min(1.0, sum(map(mul, x, y)) / size)) if size else None


def _ranks(values: Values) -> list[float]:
    """From 0; equal values have the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    first = 0
    for place in range(1, len(order) + 1):
        if place == len(order) or values[order[place]] != values[order[first]]:
            for index in order[first:place]:
                ranks[index] = (first + place - 1) / 2
            first = place
    return ranks


def top_overlap(a: Values, b: Values, top: int) -> float:
    """The share of the features of most weight that are the same."""
    return len(_largest(a, top) & _largest(b, top)) / top


def _largest(values: Values, top: int) -> set[int]:
    return set(sorted(range(len(values)), key=lambda place: (-values[place], place))[:top])


def moved(a: Values, b: Values) -> float | None:
    """Half the sum of the differences of the shares: 0 the same shares, 1 nothing in common."""
    all_a, all_b = sum(a), sum(b)
    if not all_a or not all_b:
        return None
    return sum(abs(x / all_a - y / all_b) for x, y in zip(a, b, strict=True)) / 2


def _sign_changes(
    outputs: Sequence[tuple[Output, Output]], features: Sequence[str]
) -> Iterator[tuple[SignChange, ...]]:
    """For each output: where both means are beyond chance on opposite sides of zero, of all that is looked at."""
    z = NormalDist().inv_cdf(1 - 0.05 / (2 * len(features) * len(outputs)))  # Bonferroni's correction
    ours, champions = ([pair[side].importance for pair in outputs] for side in (0, 1))
    least = [WEIGHT * sum(map(sum, all_outputs)) / len(outputs) for all_outputs in (ours, champions)]
    for (one, other), mine, theirs in zip(outputs, ours, champions, strict=True):
        turned = [
            SignChange(feature=feature, value=one.means[f], champion=other.means[f])
            for f, feature in enumerate(features)
            if one.means[f] * other.means[f] < 0
            and mine[f] >= least[0]
            and theirs[f] >= least[1]
            and abs(one.means[f]) > z * one.errors[f]
            and abs(other.means[f]) > z * other.errors[f]
        ]
        turned.sort(key=lambda sign: (-min(abs(sign.value), abs(sign.champion)), sign.feature))
        yield tuple(turned[:MOST_SIGN_CHANGES])
