"""What differs from the champion: on the same samples where the evaluation compared them, else between two reports."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from assay.evaluation import Comparison, Difference, EvaluationReport, Finding, Metric
from assay.summary import Change, Flips
from publish_summary.evidence import Evidence
from publish_summary.slices import asked_of_slices, telling

MOST_CHANGES = 50
MOST_FLIPS = 20


def comparison(evidence: Evidence, report: EvaluationReport) -> dict[str, object]:
    """The summary's fields on the champion."""
    compared = report.comparison
    if compared is None or compared.refused is not None:
        same = compared is not None and compared.archive_sha256 == report.model.archive_sha256
        known = None if same else evidence.champion
        return {
            "changes": () if known is None else changes_of_reports(report, known),
            "not_compared": None if compared is None else compared.refused,
        }
    asked = () if evidence.run.policy is None else asked_of_slices(evidence.run.policy)
    flips = None
    if compared.mended is not None and compared.broken is not None and compared.mcnemar_p is not None:
        flips = Flips(
            samples=compared.rows,
            mended=compared.mended,
            broken=compared.broken,
            mcnemar_p=compared.mcnemar_p,
            first=compared.flips[:MOST_FLIPS],
        )
    return {"changes": tuple(sorted(_changes(compared, asked), key=_by_weight)[:MOST_CHANGES]), "flips": flips}


def _changes(compared: Comparison, asked: Collection[str]) -> Iterator[Change]:
    """What differs on the same samples; of slices in the metrics that say most, and those that are asked about."""
    scopes: list[tuple[str | None, str | None, str, Difference]] = [
        # micro-averages all are the accuracy, and of two classes the positive one's numbers are those of all
        *((None, None, name, one) for name, one in compared.metrics.items() if not name.endswith("_micro")),
        *(
            (of, None, name, one)
            for name, classes in compared.per_class.items()
            for of, one in classes.items()
            if one != compared.metrics.get(name)
        ),
        *(
            (None, part, name, metrics[name])
            for part, metrics in compared.slices.items()
            for name in telling(metrics, asked)
        ),
    ]
    for of, part, name, one in scopes:
        if one.ours is None or one.champion is None or not one.value or one.higher_is_better is None:
            continue
        yield Change(
            metric=name,
            of=of,
            slice=part,
            value=one.ours,
            champion=one.champion,
            better=(one.value > 0) == one.higher_is_better,
            low=one.low,
            high=one.high,
        )


def changes_of_reports(report: EvaluationReport, champion: EvaluationReport) -> tuple[Change, ...]:
    """What differs between two reports, each on its own samples."""
    found = [
        *_compared(report.metrics, champion.metrics, None),
        *(
            change
            for name in report.per_class
            for of in report.per_class[name]
            for change in _compared(
                {name: report.per_class[name][of]}, _of_class(champion.per_class.get(name, {}), name, of), of
            )
        ),
    ]
    return tuple(sorted(found, key=_by_weight)[:MOST_CHANGES])


def _of_class(metrics: dict[str, Metric], name: str, of: str) -> dict[str, Metric]:
    return {name: metrics[of]} if of in metrics else {}


def _compared(ours: dict[str, Metric], theirs: dict[str, Metric], of: str | None) -> Iterator[Change]:
    for name, metric in ours.items():
        other = theirs.get(name, Metric(reason="not measured"))
        if metric.value is None or other.value is None or metric.value == other.value:
            continue
        if metric.higher_is_better is None:
            continue
        better = (metric.value > other.value) == metric.higher_is_better
        yield Change(metric=name, of=of, value=metric.value, champion=other.value, better=better)


def _by_weight(change: Change) -> tuple[bool, bool, float, str, str, str]:
    """What chance does not explain comes first, and slices last; else by size in proportion: metrics have units."""
    size = abs(change.value - change.champion) / max(abs(change.value), abs(change.champion))
    return (change.by_chance, change.slice is not None, -size, change.metric, change.of or "", change.slice or "")


def findings(evidence: Evidence) -> Iterator[Finding]:
    """What a person should know about the comparison."""
    run, report, champion = evidence.run, evidence.report, evidence.champion
    if report is not None and report.comparison is not None:
        return  # the evaluation says it
    if run.champion is not None and champion is None:
        yield Finding(
            severity="warning",
            title="The champion's report is missing",
            text=f"{run.champion.folder.report} does not exist any more: nothing was compared with it.",
        )
    if report is not None and champion is not None and report.data.sha256 != champion.data.sha256:
        yield Finding(
            severity="warning",
            title="The champion was evaluated on other data",
            text=f"It saw {champion.data.rows} samples, this model {report.data.rows}: differences may be the data's.",
        )
