"""A run's folder in S3, which is its whole truth, and the index of the runs that have not ended."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from assay.errors import AssayError, JobFailed
from assay.failure import Failure
from assay.layout import ACTIVE_PREFIX, RunFolder, active_key
from assay.names import JobName, Stage
from assay.run import ActiveRun, Run, RunState
from assay_aws import objects
from assay_aws.objects import AnyRecord

AnyModel = TypeVar("AnyModel", bound=BaseModel)


@dataclass(frozen=True)
class RunStore:
    """The folder of one run. Changes of its state are compare-and-set, so that none is ever lost."""

    bucket: str
    folder: RunFolder

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def read(self, key: str) -> bytes | None:
        stored = objects.read(self.bucket, key)
        return None if stored is None else stored.content

    def read_record(self, key: str, kind: type[AnyRecord]) -> AnyRecord | None:
        return objects.read_record(self.bucket, key, kind)

    def write(self, key: str, content: str | bytes, content_type: str) -> None:
        objects.write(self.bucket, key, content, content_type)

    def run(self) -> Run | None:
        return self.read_record(self.folder.run_json, Run)

    def state(self) -> RunState | None:
        return self.read_record(self.folder.state_json, RunState)

    def create(self, run: Run) -> Run:
        """Create `run.json`; whoever came first decides what it says."""
        return objects.create_record(self.bucket, self.folder.run_json, run)

    def create_state(self) -> RunState:
        return objects.create_record(self.bucket, self.folder.state_json, RunState(run=self.folder.run))

    def change(self, change: Callable[[RunState], RunState]) -> RunState:
        """Change the state; `change` is pure, and asked again when another writer came first.

        Raises:
            LookupError: there is no state to change.
        """
        while True:
            stored = objects.read(self.bucket, self.folder.state_json)
            if stored is None:
                raise LookupError(f"{self.uri(self.folder.state_json)} does not exist")
            before = RunState.model_validate_json(stored.content)
            after = change(before)
            if after == before:
                return before
            # Fresh for each write: a state that returns to what it was is not taken for unchanged.
            write_id = uuid.uuid4().hex
            after = after.model_copy(update={"revision": before.revision + 1, "write_id": write_id})
            if objects.replace_record(self.bucket, self.folder.state_json, after, stored.etag):
                return after
            # A conflict with our own first try, whose answer was lost and which the client repeated, is success.
            found = self.state()
            if found is not None and found.write_id == write_id:
                return found

    def fail(self, stage: Stage, error: AssayError) -> RunState:
        """Remember why a stage has no result; the first reason stays."""
        failure = failure_of(error)

        def failed(state: RunState) -> RunState:
            if stage in state.failures:
                return state
            return state.model_copy(update={"failures": {**state.failures, stage: failure}, "waiting": None})

        return self.change(failed)

    def result(self, key: str, kind: type[AnyModel]) -> AnyModel:
        """A file that a completed job has to have written.

        Raises:
            JobFailed: it is missing or broken.
        """
        content = self.read(key)
        if content is None:
            raise JobFailed(f"the job completed, but {self.uri(key)} is missing")
        try:
            return kind.model_validate_json(content)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise JobFailed(f"the job completed, but {self.uri(key)} is broken: {where}: {problem['msg']}") from error

    def job_name(self, prefix: str, stage: Stage, state: RunState | None = None) -> str:
        """The name of the stage's job: of the last attempt, or of the first one that is to come."""
        job = None if state is None else state.job(stage)
        return str(JobName(prefix, self.folder.run, 1 if job is None else job.attempt, stage))


def failure_of(error: AssayError) -> Failure:
    return Failure(error=type(error).__name__, message=str(error))


def open_active(bucket: str, active: ActiveRun) -> ActiveRun:
    return objects.create_record(bucket, active_key(active.folder.run), active)


def find_active(bucket: str, run: str) -> ActiveRun | None:
    """The run, if it has not ended."""
    return objects.read_record(bucket, active_key(run), ActiveRun)


def list_active(bucket: str) -> Iterator[str]:
    """The ids of the runs that have not ended."""
    for key in objects.keys_below(bucket, ACTIVE_PREFIX):
        yield key.removeprefix(ACTIVE_PREFIX)


def close_active(bucket: str, run: str) -> None:
    objects.delete(bucket, active_key(run))
