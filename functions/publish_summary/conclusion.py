"""From evidence to summary: pure functions, so that the same evidence always gives the same bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from assay.evaluation import Comparison, Difference, EvaluationReport, ExplainSample, Finding, Metric, Slice
from assay.names import Stage
from assay.policy import Policy
from assay.run import Champion
from assay.summary import Change, Flips, JobTime, Mistake, OfChampion, Summary
from assay.verdict import Judgement, judge
from assay_aws.jobs import DescribedJob
from publish_summary.costs import NO_PRICES, Prices, costs
from publish_summary.evidence import Evidence, Explained
from publish_summary.headline import headline
from publish_summary.importance import global_importance
from publish_summary.mending import commands_that_mend

MOST_CHANGES = 50
MOST_FLIPS = 20
MOST_SLICES = 200
TELLING = ("accuracy", "recall", "precision", "roc_auc", "f1_macro", "mae", "rmse", "r2")
"""Metrics that say most of a slice, the first ones that it has."""
MOST_TELLING = 4
MOST_MISTAKES = 100
MOST_REASONS = 5
"""Features that are named for one mistake."""


def conclude(evidence: Evidence, prices: Prices = NO_PRICES) -> Summary:
    """How the run ended."""
    run, report = evidence.run, evidence.report
    judgement = Judgement(verdict="error")
    if evidence.failure is None and report is not None and run.policy is not None:
        judgement = judge(run.policy.gates, report, evidence.champion)
    jobs = tuple(job_time(stage, job) for stage, job in evidence.jobs)
    summary = Summary(
        run=run.id,
        model=run.model,
        task=None if run.policy is None else run.policy.task,
        upload=run.upload,
        uploaded_at=None if run.archive is None else run.archive.uploaded_at,
        verdict=judgement.verdict,
        headline="",
        failure=evidence.failure,
        to_mend=commands_that_mend(evidence.failure, run.model, run.upload),
        gates=judgement.gates,
        champion=None if run.champion is None else run.champion.run,
        jobs=jobs,
        costs=costs(jobs, evidence.champion_jobs, evidence.region, prices),
    )
    if report is not None:
        summary = summary.model_copy(
            update={
                "metrics": report.metrics,
                **comparison(evidence, report),
                "bias": report.bias,
                "slices": () if run.policy is None else tuple(slices(report, run.policy)),
                "findings": (*report.findings, *findings(evidence)),
                "rows": report.data.rows,
                "mistakes": tuple(mistakes(evidence))[:MOST_MISTAKES],
                **explanation(evidence, report),
            }
        )
    return summary.model_copy(update={"headline": headline(summary)})


def explanation(evidence: Evidence, report: EvaluationReport) -> dict[str, object]:
    """The summary's fields on the explanation."""
    if report.explain is None:
        return {"explanation": "not asked"}
    if evidence.explanation_failure is not None:
        return {"explanation": "failed", "explanation_failure": evidence.explanation_failure.message}
    explained = evidence.explained
    analysis, values = (None, None) if explained is None else (explained.analysis, explained.values)
    return {
        "explanation": "done",
        "max_additivity_gap": None if analysis is None or analysis.assay is None else analysis.assay.max_additivity_gap,
        "importance": ()
        if explained is None or values is None
        else global_importance(values, explained.samples.samples),
    }


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


def slices(report: EvaluationReport, policy: Policy) -> Iterator[Slice]:
    """The slices with the metrics that say most, and those that gates on slices ask about."""
    for one in report.slices[:MOST_SLICES]:
        metrics = {name: one.metrics[name] for name in telling(one.metrics, asked_of_slices(policy))}
        yield one.model_copy(update={"metrics": metrics, "per_class": {}})


def asked_of_slices(policy: Policy) -> list[str]:
    return [gate.metric for gate in policy.gates if gate.slice is not None]


def telling(metrics: Collection[str], asked: Collection[str]) -> list[str]:
    """Those of the metrics that say most of a slice, and those that are asked about."""
    most = [name for name in TELLING if name in metrics][:MOST_TELLING]
    return list(dict.fromkeys([*most, *(name for name in asked if name in metrics)]))


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


def mistakes(evidence: Evidence) -> Iterator[Mistake]:
    """The chosen samples that were predicted wrongly; in a regression all chosen ones."""
    report, explained, champion = evidence.report, evidence.explained, evidence.champion_explained
    if report is None or explained is None:
        return
    theirs = {} if champion is None else {sample.fingerprint: sample for sample in champion.samples.samples}
    for sample in explained.samples.samples:
        if "chosen" not in sample.sample or sample.true is None or sample.predicted is None:
            continue
        if report.task != "tabular_regression" and sample.true == sample.predicted:
            continue
        same = None if sample.fingerprint is None else theirs.get(sample.fingerprint)
        yield Mistake(
            id=sample.id,
            true=sample.true,
            predicted=sample.predicted,
            score=sample.score,
            reason=sample.reason,
            heat_maps=explained.heat_maps(sample),
            attributions=first(explained.attributions(sample)),
            texts=explained.texts(sample),
            champion=None if champion is None or same is None else of_champion(champion, same),
        )


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


def job_time(stage: Stage, job: DescribedJob) -> JobTime:
    return JobTime(
        name=job.name,
        stage=stage,
        status=job.status,
        instance_type=job.instance_type,
        started_at=job.started_at,
        ended_at=job.ended_at,
        exit_message=job.exit_message,
    )


def challenger(summary: Summary, evidence: Evidence, now: datetime) -> Champion | None:
    """Who becomes the champion unless it judged something newer; None unless the run passed."""
    run, archive, report = evidence.run, evidence.run.archive, evidence.report
    if summary.verdict != "pass" or archive is None or report is None:
        return None
    return Champion(
        model=run.model,
        run=run.id,
        archive_sha256=report.model.archive_sha256,
        uploaded_at=archive.uploaded_at,
        key=run.upload.key,
        version=archive.version,
        crowned_at=now,
    )
