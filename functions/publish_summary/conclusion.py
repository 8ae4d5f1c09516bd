"""From evidence to summary: pure functions, so that the same evidence always gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from assay.drift import Drift
from assay.evaluation import Finding
from assay.names import Stage
from assay.run import Champion, LastRun
from assay.summary import JobTime, Summary
from assay.verdict import Judgement, judge
from assay_aws.jobs import DescribedJob
from assay_aws.prices import NO_PRICES, Prices
from publish_summary.changes import comparison, findings
from publish_summary.costs import costs
from publish_summary.drift import drift_of, findings_on_drift
from publish_summary.evidence import Evidence
from publish_summary.explanation import explanation
from publish_summary.headline import headline
from publish_summary.mending import commands_that_mend
from publish_summary.mistakes import mistakes
from publish_summary.slices import slices

MOST_MISTAKES = 200


def conclude(evidence: Evidence, prices: Prices = NO_PRICES, drift: Drift | None = None) -> Summary:
    """How the run ended; `drift` is what was measured of it before, where the attributions are not at hand."""
    run, report = evidence.run, evidence.report
    drift = drift or drift_of(evidence)
    judgement = Judgement(verdict="error")
    if evidence.failure is None and report is not None and run.policy is not None:
        judgement = judge(run.policy.gates, report, evidence.champion, drift)
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
        previous=None if run.previous is None else run.previous.run,
        jobs=jobs,
        costs=costs(jobs, evidence.champion_jobs, evidence.previous_jobs, evidence.region, prices),
    )
    if report is not None:
        summary = summary.model_copy(
            update={
                "metrics": report.metrics,
                **comparison(evidence, report),
                "bias": report.bias,
                "slices": () if run.policy is None else tuple(slices(report, run.policy)),
                "findings": weightiest_first((*report.findings, *findings(evidence), *findings_on_drift(drift))),
                "rows": report.data.rows,
                "model_facts": report.model,
                "data": report.data,
                "speed": report.speed,
                "mistakes": tuple(mistakes(evidence))[:MOST_MISTAKES],
                **explanation(evidence, report),
                "drift": drift,
            }
        )
    return summary.model_copy(update={"headline": headline(summary)})


def job_time(stage: Stage, job: DescribedJob) -> JobTime:
    return JobTime(
        name=job.name,
        arn=job.arn,
        stage=stage,
        status=job.status,
        instance_type=job.instance_type,
        started_at=job.started_at,
        ended_at=job.ended_at,
        exit_message=job.exit_message,
        failure_reason=job.failure_reason,
    )


def last_run(summary: Summary) -> LastRun | None:
    """The run, as the model's next one is to know it; None where no job ran."""
    ended = [job.ended_at for job in summary.jobs if job.ended_at is not None]
    return LastRun(model=summary.model, run=summary.run, ended_at=max(ended)) if ended else None


def challenger(summary: Summary, evidence: Evidence, now: datetime) -> Champion | None:
    """Who becomes the champion unless it judged something newer; None unless the run passed."""
    if summary.verdict != "pass" or evidence.report is None:
        return None
    return evidence.run.as_champion(evidence.report.model.archive_sha256, now)


def weightiest_first(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those of the same weight stay as they are."""
    order = ("serious", "warning", "info")
    return tuple(sorted(found, key=lambda one: order.index(one.severity)))
