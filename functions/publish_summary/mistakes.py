"""The mistakes that were explained, each with what the champion said of the same sample."""

from __future__ import annotations

from collections.abc import Iterator

from assay.evaluation import EvaluationReport, ExplainSample
from assay.summary import Mistake, OfChampion
from publish_summary.evidence import Evidence, Explained

MOST_REASONS = 5
"""Features that are named for one mistake."""


def mistakes(evidence: Evidence) -> Iterator[Mistake]:
    """The explained samples that the champion has right and this model has not, then the chosen ones that it has wrong.

    In a regression all chosen ones.
    """
    report, explained, champion = evidence.report, evidence.explained, evidence.champion_explained
    if report is None or explained is None:
        return
    theirs = {} if champion is None else {sample.fingerprint: sample for sample in champion.samples.samples}
    named = broken_samples(report)
    found = []
    for sample in explained.samples.samples:
        if sample.true is None or sample.predicted is None:
            continue
        same = None if sample.fingerprint is None else theirs.get(sample.fingerprint)
        wrong = sample.true != sample.predicted
        known = (sample.champion, None if same is None else same.predicted)
        broken = wrong and (sample.id in named or sample.true in known)
        if broken or ("chosen" in sample.sample and (wrong or report.task == "tabular_regression")):
            found.append((sample, same, broken))
    for sample, same, broken in sorted(found, key=lambda one: not one[2]):
        yield Mistake(
            id=sample.id,
            true=sample.true or "",
            predicted=sample.predicted or "",
            score=sample.score,
            reason=reason_of(sample, broken),
            heat_maps=explained.heat_maps(sample),
            attributions=first(explained.attributions(sample)),
            texts=explained.texts(sample),
            broken=broken,
            champion=None if champion is None or same is None else of_champion(champion, same),
        )


def reason_of(sample: ExplainSample, broken: bool) -> str:
    """Why it is among the mistakes, the champion's answer in it where that was right."""
    reason = sample.reason if "chosen" in sample.sample else f"mistake: {sample.true} taken for {sample.predicted}"
    # an evaluator of old knew of no champion when it chose, and who is drawn by chance is drawn for no reason
    return f"{reason}; the champion said {sample.true}" if broken and not reason.startswith("broken: ") else reason


def broken_samples(report: EvaluationReport) -> frozenset[str]:
    """The ids of those that the champion has right and this model has not, as far as the report names them."""
    flips = () if report.comparison is None else report.comparison.flips
    return frozenset(flip.id for flip in flips if flip.predicted != flip.true)


def of_champion(explained: Explained, sample: ExplainSample) -> OfChampion | None:
    if sample.predicted is None:
        return None
    return OfChampion(
        predicted=sample.predicted,
        score=sample.score,
        heat_maps=explained.heat_maps(sample),
        attributions=first(explained.attributions(sample)),
    )


def first(attributions: dict[str, float]) -> dict[str, float]:
    return dict(list(attributions.items())[:MOST_REASONS])
