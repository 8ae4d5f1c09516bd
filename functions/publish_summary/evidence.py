"""Everything a verdict rests on, read anew from the run's folder and from SageMaker."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import timedelta

from pydantic import ValidationError

from assay.errors import JobFailed
from assay.evaluation import EvaluationReport, ExplainSamples
from assay.explanation import AnalysisReport
from assay.failure import Failure
from assay.names import Stage
from assay.run import Run, RunState
from assay_aws.jobs import DescribedJob, describe_job
from assay_aws.run_store import RunStore, failure_of
from publish_summary.importance import LocalValues


@dataclass(frozen=True)
class Evidence:
    """What is known of a run that has come to its end."""

    run: Run
    state: RunState
    jobs: tuple[tuple[Stage, DescribedJob], ...] = ()
    failure: Failure | None = None
    """Why there is no evaluation."""
    report: EvaluationReport | None = None
    champion: EvaluationReport | None = None
    """The report of the run that was champion when this one was opened."""
    samples: ExplainSamples | None = None
    analysis: AnalysisReport | None = None
    values: LocalValues | None = None
    """Rows: the attributions of each explained row."""
    explanation_failure: Failure | None = None


def gather(store: RunStore, prefix: str) -> Evidence | None:
    """The run's evidence; None while something of it is still to come."""
    run, state = store.run(), store.state()
    if run is None or state is None:
        return None
    if run.rejected is not None:
        return Evidence(run, state, failure=run.rejected)
    evaluation = describe_job(store.job_name(prefix, "evaluation", state))
    jobs: tuple[tuple[Stage, DescribedJob], ...] = () if evaluation is None else (("evaluation", evaluation),)
    failure = state.failures.get("evaluation")
    if failure is None:
        if evaluation is None or not evaluation.is_over:
            return None
        failure = failure_of_job(evaluation, store.read(store.folder.evaluation + "failure.json"))
    if failure is not None:
        return Evidence(run, state, jobs, failure)
    try:
        report = store.result(run.folder.report, EvaluationReport)
        samples = None if report.explain is None else store.result(run.folder.samples, ExplainSamples)
    except JobFailed as error:
        return Evidence(run, state, jobs, failure_of(error))
    champion = None if run.champion is None else store.read_record(run.champion.folder.report, EvaluationReport)
    if report.explain is None:
        return Evidence(run, state, jobs, report=report, champion=champion)
    return _with_explanation(store, prefix, Evidence(run, state, jobs, None, report, champion, samples))


def _with_explanation(store: RunStore, prefix: str, evaluated: Evidence) -> Evidence | None:
    run, state = evaluated.run, evaluated.state
    explanation = describe_job(store.job_name(prefix, "explanation", state))
    jobs = evaluated.jobs if explanation is None else (*evaluated.jobs, ("explanation", explanation))
    failure = state.failures.get("explanation")
    analysis, values = None, None
    if failure is None:
        if explanation is None or not explanation.is_over:
            return None
        failure = failure_of_job(explanation, store.read(store.folder.explanation + "failure.json"))
    if failure is None:
        try:
            analysis = store.result(run.folder.analysis, AnalysisReport)
            values = _local_values(store, evaluated.report)
        except JobFailed as error:
            failure = failure_of(error)
    return Evidence(
        run,
        state,
        jobs,
        report=evaluated.report,
        champion=evaluated.champion,
        samples=evaluated.samples,
        analysis=analysis,
        values=values,
        explanation_failure=failure,
    )


def _local_values(store: RunStore, report: EvaluationReport | None) -> LocalValues | None:
    """Raises JobFailed where the file is missing or broken; None for images, which have none."""
    if report is None or report.explain is None or report.explain.kind != "rows":
        return None
    key = store.folder.explanation + "explanations_shap/out.csv"
    content = store.read(key)
    if content is None:
        raise JobFailed(f"the job completed, but {store.uri(key)} is missing")
    try:
        rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        return LocalValues.read(rows, report.explain)
    except (ValueError, csv.Error) as error:
        raise JobFailed(f"the job completed, but {store.uri(key)} is broken: {error}") from error


def failure_of_job(job: DescribedJob, failure_json: bytes | None) -> Failure | None:
    """Why a job that is over has no result, from the best source there is; None when it completed."""
    if job.status == "Completed":
        return None
    if job.status == "Stopped":
        return Failure(error="JobFailed", message=f"job {job.name} was stopped{_at_time_limit(job)}")
    try:
        if failure_json is not None:
            return Failure.model_validate_json(failure_json)
    except ValidationError:
        pass  # the job died while it wrote it
    said = job.exit_message or job.failure_reason or "SageMaker gives no reason, its log may"
    return Failure(error="JobFailed", message=f"job {job.name} failed: {' '.join(said.split())}")


def _at_time_limit(job: DescribedJob) -> str:
    """SageMaker does not say who stopped a job: one that ran as long as it might was stopped by its limit."""
    if job.started_at is None or job.ended_at is None:
        return ""
    limit = timedelta(seconds=job.time_limit_seconds)
    if job.ended_at - job.started_at < limit:
        return " before it was done, by a person or a program"
    return f" at its time limit of {limit}; what was finished until then is kept"
