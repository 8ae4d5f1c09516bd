"""Everything a verdict rests on, read anew from the run's folder and from SageMaker."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from pydantic import ValidationError

from assay.errors import JobFailed
from assay.evaluation import EvaluationReport, ExplainSample, ExplainSamples
from assay.explanation import AnalysisReport
from assay.failure import Failure
from assay.layout import RunFolder
from assay.names import Stage
from assay.run import Champion, LastRun, Run, RunState
from assay.summary import JobTime, Passage, Summary
from assay_aws.attempts import Attempt, due_attempt, ended_by, find_attempts
from assay_aws.jobs import DescribedJob
from assay_aws.run_store import RunStore, failure_of
from assay_aws.settings import Settings
from publish_summary.importance import LocalValues


@dataclass(frozen=True)
class Explained:
    """What an explanation job left behind."""

    folder: RunFolder
    samples: ExplainSamples
    analysis: AnalysisReport | None = None
    values: LocalValues | None = None
    """Rows: the attributions of each explained row."""
    baseline: object = None
    """As the policy has it."""

    def heat_maps(self, sample: ExplainSample) -> tuple[str, ...]:
        """The keys of a picture's heat maps; before them, of a detector, that of the picture with its boxes."""
        if self.analysis is None or self.analysis.assay is None:
            return ()
        file = (sample.file or sample.id).rpartition("/")[2]
        folder = self.folder.explanation + "explanations_shap/"
        images = [image for image in self.analysis.assay.images if image.image.rpartition("/")[2] == file]
        return tuple(
            folder + name
            for image in images
            for name in (*([] if image.objects is None else [image.objects]), *image.heat_maps.values())
        )

    def attributions(self, sample: ExplainSample) -> dict[str, float]:
        """What moved a row's predicted output, the largest first."""
        return {} if self.values is None else self.values.of(sample.id, sample.predicted)

    def texts(self, sample: ExplainSample) -> dict[str, tuple[Passage, ...]]:
        """The beginning of a row's texts, with what moved its predicted output."""
        return {} if self.values is None else self.values.passages(sample.id, sample.predicted)


@dataclass(frozen=True)
class Evidence:
    """What is known of a run that has come to its end."""

    run: Run
    state: RunState
    jobs: tuple[tuple[Stage, DescribedJob], ...] = ()
    """All attempts of each stage."""
    failure: Failure | None = None
    """Why there is no evaluation."""
    report: EvaluationReport | None = None
    champion: EvaluationReport | None = None
    """The report of the run that was champion when this one was opened."""
    explained: Explained | None = None
    """With samples alone where their explanation failed."""
    champion_explained: Explained | None = None
    explanation_failure: Failure | None = None
    champion_jobs: tuple[JobTime, ...] = ()
    """Of the run that was champion when this one was opened."""
    previous_jobs: tuple[JobTime, ...] = ()
    """Of the run that had ended last when this one was opened."""

    @property
    def region(self) -> str:
        """Where the jobs ran; empty where none did."""
        return next((job.region for _, job in self.jobs), "")


@dataclass(frozen=True)
class AttemptDue:
    """A job has failed for a cause that another attempt may cure."""

    stage: Stage
    attempt: Attempt


def gather(store: RunStore, settings: Settings) -> Evidence | AttemptDue | None:
    """The run's evidence, or what is due before there can be all of it; None while a job runs."""
    run, state = store.run(), store.state()
    if run is None or state is None:
        return None
    if run.rejected is not None:
        return Evidence(run, state, failure=run.rejected)
    attempts = find_attempts(store, "evaluation", state, settings.prefix)
    jobs: tuple[tuple[Stage, DescribedJob], ...] = tuple(("evaluation", job) for job in attempts.jobs)
    failure = state.failures.get("evaluation")
    if failure is None:
        if attempts.last is None or not attempts.last.is_over:
            return None
        attempt = due_attempt(attempts, store, "evaluation", run, settings)
        if attempt is not None:
            return AttemptDue("evaluation", attempt)
        failure = failure_of_jobs(attempts.jobs, store.read(store.folder.evaluation + "failure.json"))
    known = Evidence(
        run,
        state,
        jobs,
        failure,
        champion_jobs=_jobs_of(store, run.champion),
        previous_jobs=_jobs_of(store, run.previous),
    )
    if failure is not None:
        return known
    try:
        report = store.result(run.folder.report, EvaluationReport)
        samples = None if report.explain is None else store.result(run.folder.samples, ExplainSamples)
    except JobFailed as error:
        return replace(known, failure=failure_of(error))
    champion = None if run.champion is None else store.read_record(run.champion.folder.report, EvaluationReport)
    evaluated = replace(known, report=report, champion=champion)
    if samples is None:
        return evaluated
    return _with_explanation(store, settings, evaluated, report, Explained(run.folder, samples))


def _with_explanation(
    store: RunStore, settings: Settings, evaluated: Evidence, report: EvaluationReport, explained: Explained
) -> Evidence | AttemptDue | None:
    state = evaluated.state
    attempts = find_attempts(store, "explanation", state, settings.prefix)
    jobs = (*evaluated.jobs, *(("explanation", job) for job in attempts.jobs))
    failure = state.failures.get("explanation")
    if failure is None:
        if attempts.last is None or not attempts.last.is_over:
            return None
        attempt = due_attempt(attempts, store, "explanation", evaluated.run, settings)
        if attempt is not None:
            return AttemptDue("explanation", attempt)
        failure = failure_of_jobs(attempts.jobs, store.read(store.folder.explanation + "failure.json"))
    if failure is None:
        try:
            explained = _explained(store, report, explained.samples, evaluated.run)
        except JobFailed as error:
            failure = failure_of(error)
    return replace(
        evaluated,
        jobs=jobs,
        explained=explained,
        champion_explained=_champion_explained(store, evaluated),
        explanation_failure=failure,
    )


def _jobs_of(store: RunStore, other: Champion | LastRun | None) -> tuple[JobTime, ...]:
    """None where there is no other run, or its summary cannot be read any more."""
    try:
        summary = None if other is None else store.read_record(other.folder.summary_json, Summary)
    except ValidationError:
        return ()
    return () if summary is None else summary.jobs


def _champion_explained(store: RunStore, evaluated: Evidence) -> Explained | None:
    """None where the champion explained nothing, or that is not there any more."""
    report = evaluated.champion
    if evaluated.run.champion is None or report is None or report.explain is None:
        return None
    theirs = RunStore(store.bucket, evaluated.run.champion.folder)
    try:
        return _explained(theirs, report, theirs.result(theirs.folder.samples, ExplainSamples), theirs.run())
    except (JobFailed, ValidationError):
        return None


def _explained(store: RunStore, report: EvaluationReport, samples: ExplainSamples, run: Run | None) -> Explained:
    """Raises JobFailed where a file is missing or broken."""
    analysis = store.result(store.folder.analysis, AnalysisReport)
    baseline = None if run is None or run.policy is None else run.policy.explain.baseline
    return Explained(store.folder, samples, analysis, _local_values(store, report, samples), baseline)


def _local_values(store: RunStore, report: EvaluationReport, samples: ExplainSamples) -> LocalValues | None:
    """Raises JobFailed where the file is missing or broken; None for images, which have none."""
    if report.explain is None or report.explain.kind != "rows":
        return None
    texts = bool(report.explain.texts)
    key = store.folder.explanation + "explanations_shap/" + ("out.jsonl" if texts else "out.csv")
    content = store.read(key)
    if content is None:
        raise JobFailed(f"the job completed, but {store.uri(key)} is missing")
    try:
        text = content.decode("utf-8-sig")
        if texts:
            ids = [sample.id for sample in samples.samples]
            return LocalValues.read_texts(text.rstrip("\n").split("\n"), report.explain, ids)
        rows = csv.reader(io.StringIO(text, newline=""))
        return LocalValues.read(rows, report.explain)
    except (ValueError, csv.Error) as error:
        raise JobFailed(f"the job completed, but {store.uri(key)} is broken: {error}") from error


def failure_of_jobs(attempts: Sequence[DescribedJob], failure_json: bytes | None) -> Failure | None:
    """Why a stage whose attempts are over has no result, from the best source there is; None when the last completed.

    Args:
        attempts: one at least, the oldest first.
        failure_json: what lies in the stage's folder, which may be a former attempt's.
    """
    *former, job = attempts
    if job.status == "Completed":
        return None
    before = f" (earlier attempts: {'; '.join(map(_in_short, former))})" if former else ""
    if job.status == "Stopped":
        return Failure(error="JobFailed", message=f"job {job.name} was stopped{_at_time_limit(job)}{before}")
    written = _written(job, failure_json)
    if written is not None:
        return written.model_copy(update={"message": written.message + before})
    said = job.exit_message or job.failure_reason or "SageMaker gives no reason, its log may"
    return Failure(error="JobFailed", message=f"job {job.name} failed: {' '.join(said.split())}{before}")


def _written(job: DescribedJob, failure_json: bytes | None) -> Failure | None:
    """The job's own failure.json: its ExitMessage is how the sentence in it begins."""
    try:
        failure = None if failure_json is None else Failure.model_validate_json(failure_json)
    except ValidationError:
        return None  # the job died while it wrote it
    if failure is None or job.exit_message is None:
        return None
    begins = " ".join(failure.message.split()).startswith(" ".join(job.exit_message.split()))
    return failure if begins else None


def _in_short(job: DescribedJob) -> str:
    return f"{job.instance_type}: {ended_by(job)}"


def _at_time_limit(job: DescribedJob) -> str:
    if not job.reached_its_limit:
        return " before it was done, by a person or a program"
    return f" at its time limit of {timedelta(seconds=job.time_limit_seconds)}; what was finished until then is kept"
