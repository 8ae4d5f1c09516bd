"""One upload and what comes of it on the embedded AWS, step by step, as a person follows it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.events import Upload
from assay.layout import RunFolder
from assay.names import JobName, Stage, model_name, run_id
from assay.summary import Summary
from assay_local.problem import Problem
from assay_local.steps import State, Step

if TYPE_CHECKING:
    from assay_local.cloud import Cloud, Job, Notice

POLL_SECONDS = 0.2
RETRIES = 2
"""How often a message of a failed invocation comes again at once; in the cloud it is hidden for minutes."""
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Ended:
    """How a run ended, and what its subscribers were told."""

    folder: RunFolder
    summary: Summary
    notice: Notice
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Again:
    """Of an archive that is run once more."""

    request: str
    """What tells the run from the upload's own."""
    uploaded_at: datetime
    """When it first came: a run more makes no newer model of it."""


class UploadStory:
    """Puts an archive into the bucket; from there on nothing but events drives it, and this only looks on."""

    def __init__(self, cloud: Cloud, archive: Path, key: str, again: Again | None = None) -> None:
        self._cloud = cloud
        self._bucket = cloud.outputs["BucketName"]
        self._archive = archive
        self._key = key
        self._began = time.time()
        self._uploaded: float | None = None
        self._told: float | None = None
        self._again = again
        self._upload = Upload(bucket=self._bucket, key=key, request="" if again is None else again.request)

    @property
    def folder(self) -> RunFolder:
        upload = self._upload
        return RunFolder(model_name(upload.key), run_id(upload.bucket, upload.key, upload.version, upload.request))

    def tell(self, timeout: float) -> Ended:
        """Upload, and wait for the notice.

        Raises:
            Problem: nothing moves any more and there is no notice, or the time is over.
        """
        s3 = self._cloud.client("s3")
        self._began = time.time()
        if self._again is None:
            s3.upload_file(str(self._archive), self._bucket, self._key)
            version = s3.head_object(Bucket=self._bucket, Key=self._key)["VersionId"]
        else:
            version = self._cloud.put_again(self._archive, self._upload, self._again.uploaded_at)
        self._upload = self._upload.model_copy(update={"version": version})
        self._uploaded = time.time()
        notice = self._wait(timeout)
        # The last function still has its books to close: the run leaves the index of active ones after the notice.
        self._cloud.drain(timeout=60)
        summary = s3.get_object(Bucket=self._bucket, Key=self.folder.summary_json)["Body"].read()
        return Ended(self.folder, Summary.model_validate_json(summary), notice, tuple(self._jobs().values()))

    def steps(self) -> list[Step]:
        """The story so far."""
        now = time.time()
        uploaded = f"{self._key}, {size(self._archive.stat().st_size)}"
        if self._uploaded is None:
            return [Step("upload", "running", now - self._began, detail=uploaded)]
        return [
            Step("upload", "done", self._uploaded - self._began, detail=uploaded),
            *steps_of(
                self._upload,
                self._uploaded,
                self._cloud.events,
                self._jobs(),
                self._told is not None,
                self._told or now,
            ),
        ]

    def _wait(self, timeout: float) -> Notice:
        run, deadline = self.folder.run, time.monotonic() + timeout
        retries = RETRIES
        while True:
            moving = self._cloud.waiting()
            for notice in self._cloud.notices():
                if notice.attributes.get("run") == run:
                    self._told = time.time()
                    return notice
            if moving is None and not retries:
                raise Problem(f"run {run} came to a halt without a notice: {self._last_error()}")
            if moving is None:
                retries -= 1
                self._cloud.retry()
            if time.monotonic() > deadline:
                raise Problem(f"run {run} did not end within {timeout:.0f} s: {moving or 'nothing'} still at work")
            time.sleep(POLL_SECONDS)

    def _last_error(self) -> str:
        for invocation in reversed(self._cloud.invocations):
            if invocation.error is not None:
                return f"{invocation.function}: {invocation.error.get('errorMessage', invocation.error)}"
        return "no function was invoked" if not self._cloud.invocations else "no function failed"

    def _jobs(self) -> dict[Stage, Job]:
        """The run's jobs, the last attempt of each stage."""
        jobs: dict[Stage, Job] = {}
        for job in self._cloud.jobs():
            name = JobName.parse(job.name, job.name.partition("-")[0])
            if name is not None and name.run == self.folder.run:
                jobs[name.stage] = job
        return jobs


def steps_of(
    upload: Upload, uploaded: float, events: Sequence[Event], jobs: Mapping[Stage, Job], told: bool, over: float
) -> list[Step]:
    """What the bus, the jobs and the notice show of a run.

    Args:
        uploaded: when the archive was there, in epoch seconds.
        told: whether the notice has come.
        over: when it came, or now.
    """
    steps: list[Step] = []
    evaluation, explanation = jobs.get("evaluation"), jobs.get("explanation")
    began = next((event["detail-type"] for event in events if begins(event, upload)), None)
    if began is not None:
        steps.append(job_step("evaluation", f"{began} → start_evaluation", evaluation, uploaded, told, over))
    if "Completed" in ends(evaluation, events) and (explanation is not None or not told):
        cause = "evaluation job Completed → start_explanation"
        steps.append(job_step("explanation", cause, explanation, ended(evaluation, uploaded), told, over))
    cause = summary_cause(ends(evaluation, events), ends(explanation, events))
    if cause or told:
        began = ended(explanation or evaluation, uploaded)
        detail = "written, and subscribers told" if told else "starting"
        steps.append(Step("summary", "done" if told else "running", over - began, cause, detail))
    return steps


def job_step(stage: Stage, cause: str, job: Job | None, began: float, told: bool, over: float) -> Step:
    if job is None:  # not started yet, or there is nothing to start
        return Step(stage, "failed" if told else "running", over - began, cause, "not reached" if told else "starting")
    detail, share = progress(job.progress)
    state: State = "running" if job.ended is None else "done" if job.status == "Completed" else "failed"
    if state == "failed":
        detail = job.exit_message or job.failure_reason or job.status
    return Step(stage, state, ended(job, over) - began, cause, detail, share)


def summary_cause(evaluation: Sequence[str], explanation: Sequence[str]) -> str:
    """Which job's end brings the summary; empty where no job's does."""
    if explanation:
        return f"explanation job {explanation[0]} → publish_summary"
    if evaluation and evaluation[0] != "Completed":
        return f"evaluation job {evaluation[0]} → publish_summary"
    return ""


def begins(event: Event, upload: Upload) -> bool:
    """Whether it is the event that the upload's run begins with."""
    if event["detail-type"] not in ("Object Created", "Assay Run Requested"):
        return False
    return Upload.of_event(dict(event)) == upload


def ends(job: Job | None, events: Sequence[Event]) -> list[str]:
    """How a job ended, as often as the bus was told."""
    if job is None:
        return []
    changes = (event["detail"] for event in events if event["source"] == "aws.sagemaker")
    states = [change["ProcessingJobStatus"] for change in changes if change["ProcessingJobName"] == job.name]
    return [state for state in states if state in ("Completed", "Failed", "Stopped")]


def ended(job: Job | None, otherwise: float) -> float:
    return otherwise if job is None or job.ended is None else job.ended.timestamp()


def progress(told: Mapping[str, Any] | None) -> tuple[str, float | None]:
    """A job's progress in words, and as a share of the whole."""
    if not told:
        return "starting", None
    done, total = told.get("done") or 0, told.get("total") or 0
    if not total:
        return str(told.get("stage", "")), None
    return f"{done:,} of {total:,} {told.get('unit', '')}".rstrip(), min(done / total, 1.0)


def size(number: float) -> str:
    """Bytes for people: `1.2 MB`."""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit != "MB" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
