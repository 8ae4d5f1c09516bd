"""A run: what it is about (`run.json`, created once), how far it is (`state.json`), and the two indexes beside it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from assay.base import Record
from assay.events import Upload
from assay.failure import Failure
from assay.layout import RunFolder
from assay.names import Stage, model_name, run_id
from assay.policy import Policy


class ActiveRun(Record):
    """`active/<run id>`: written first and deleted last, so that no run is ever out of the sweep's sight."""

    schema_version: Literal[1] = 1
    upload: Upload
    opened_at: datetime

    @property
    def folder(self) -> RunFolder:
        upload = self.upload
        return RunFolder(model_name(upload.key), run_id(upload.bucket, upload.key, upload.version, upload.request))


class Champion(Record):
    """The run that a model's next ones are compared with, and what makes its upload newer than another."""

    schema_version: Literal[1] = 1
    model: str
    run: str
    archive_sha256: str | None = None
    uploaded_at: datetime
    key: str
    version: str
    crowned_at: datetime
    """When it passed, or was promoted."""

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.model, self.run)


class LastRun(Record):
    """`latest/<model>.json`: the run of a model whose jobs ended last, well or badly.

    The next one's costs stand beside its own. A run that needed no job, as one without a policy, is none.
    """

    schema_version: Literal[1] = 1
    model: str
    run: str
    ended_at: datetime
    """When its last job did, by SageMaker's clock: however often and late a run is told of, it ended then."""

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.model, self.run)

    def is_after(self, other: LastRun | None) -> bool:
        return other is None or (self.ended_at, self.run) > (other.ended_at, other.run)


class Archive(Record):
    """The exact version of the archive that is judged."""

    version: str
    """Asked for, or the newest one when the run was opened."""
    size: int
    etag: str
    uploaded_at: datetime
    """S3's LastModified: what makes one upload newer than another."""


class Run(Record):
    """`run.json`: what was uploaded, the policy as it was read, champion and last run of that moment. Created once.

    `rejected` says why there is nothing to evaluate (no policy, one with a typo, …); then `policy` may be missing.
    """

    schema_version: Literal[1] = 1
    id: str
    model: str
    upload: Upload
    archive: Archive | None = None
    opened_at: datetime
    policy_source: str | None = None
    """The address of the policy's file."""
    policy: Policy | None = None
    champion: Champion | None = None
    previous: LastRun | None = None
    """The run of this model that had ended last."""
    rejected: Failure | None = None

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.model, self.id)

    def as_champion(self, archive_sha256: str | None, now: datetime) -> Champion | None:
        """What champions/<model>.json says of it; None: there was no archive."""
        if self.archive is None:
            return None
        return Champion(
            model=self.model,
            run=self.id,
            archive_sha256=archive_sha256,
            uploaded_at=self.archive.uploaded_at,
            key=self.upload.key,
            version=self.archive.version,
            crowned_at=now,
        )


class Waiting(Record):
    """No capacity: since when, for which step and instance type, and what AWS said."""

    since: datetime
    stage: Stage
    attempt: int = 1
    instance_type: str
    reason: str


class Job(Record):
    """A processing job that was started for this run."""

    name: str
    stage: Stage
    attempt: int
    started_at: datetime


class Claim(Record):
    """A lease on announcing one thing: claim, do, mark. Only a crash between do and mark can do it twice."""

    owner: str
    """The invocation that holds it."""
    until: datetime
    """From then on another may take it."""
    done_at: datetime | None = None
    id: str = ""
    """The same for each try, so that a receiver can tell a duplicate."""


class Registration(Record):
    """The model's version in the Model Registry, or why there is none."""

    group: str
    approval: Literal["Approved", "PendingManualApproval", "Rejected"]
    package: str | None = None
    """Its ARN."""
    failure: Failure | None = None


Progress = Literal["received", "evaluating", "explaining", "ended"]


class RunState(Record):
    """`state.json`: changed only by compare-and-set (If-Match).

    `write_id` is fresh for each write: after a 412 it tells whether it was our own, unanswered, write that won.
    """

    schema_version: Literal[1] = 1
    run: str
    revision: int = 0
    write_id: str = ""
    progress: Progress = "received"
    waiting: Waiting | None = None
    jobs: tuple[Job, ...] = ()
    failures: dict[Stage, Failure] = {}
    """What no job can report: a step that could not start one, a job that vanished, results that cannot be read."""
    freezing: str | None = None
    """The multipart upload that copies a large archive into the folder, part by part."""
    serving_model: str | None = None
    """The SageMaker Model that an endpoint serves, for Clarify or a shadow endpoint: deleted when the run ends."""
    claims: dict[str, Claim] = {}
    registration: Registration | None = None

    def job(self, stage: Stage) -> Job | None:
        """The last attempt at a stage."""
        return next((job for job in reversed(self.jobs) if job.stage == stage), None)

    def started(self, job: Job) -> RunState:
        """With a job that was started. Told late or twice it changes nothing: a run never goes back."""
        if any(known.name == job.name for known in self.jobs):
            return self
        progress = _PROGRESS_OF[job.stage]
        if _ORDER.index(progress) < _ORDER.index(self.progress):
            progress = self.progress
        return self.model_copy(update={"jobs": (*self.jobs, job), "progress": progress, "waiting": None})

    def waits(self, waiting: Waiting) -> RunState:
        """Waiting for capacity, since the first time that there was none for this attempt."""
        last = self.job(waiting.stage)
        if self.progress == "ended" or (last is not None and last.attempt >= waiting.attempt):
            return self
        if self.waiting is not None and (self.waiting.stage, self.waiting.attempt) == (waiting.stage, waiting.attempt):
            return self
        return self.model_copy(update={"waiting": waiting})

    def ended(self) -> RunState:
        return self.model_copy(update={"progress": "ended", "waiting": None})


_ORDER: tuple[Progress, ...] = ("received", "evaluating", "explaining", "ended")
_PROGRESS_OF: dict[Stage, Progress] = {"evaluation": "evaluating", "explanation": "explaining"}
