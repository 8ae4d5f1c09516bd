"""Attempts at a stage: which jobs of it there are, and whether another one may cure what ended the last."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Literal, NamedTuple

from assay.failure import OUT_OF_MEMORY
from assay.names import JobName, Stage
from assay.run import Run, RunState
from assay_aws import objects
from assay_aws.jobs import DescribedJob, describe_job, known_instance_types
from assay_aws.run_store import RunStore
from assay_aws.settings import Settings

MOST_ATTEMPTS = 3

Cause = Literal["internal error", "no capacity", "out of memory", "time limit", "other"]
"""Of a job's end, as far as another attempt may cure it; `other` is never tried again."""


class Attempt(NamedTuple):
    """A job to be started."""

    number: int
    instance_type: str
    after: str = ""
    """What ended the last one; empty for the first."""

    @property
    def in_words(self) -> str:
        """What a sentence on this attempt begins with; empty for the first."""
        return f"attempt {self.number} on {self.instance_type}, after {self.after!r}: " if self.after else ""


class Attempts(NamedTuple):
    """A stage's jobs that SageMaker knows, the oldest first."""

    jobs: tuple[DescribedJob, ...] = ()
    last: DescribedJob | None = None
    """None: not started yet, or SageMaker does not know it any more."""
    number: int = 1
    """Of the last."""


def find_attempts(store: RunStore, stage: Stage, state: RunState | None, prefix: str) -> Attempts:
    """Those that the state names, and those beyond it: whoever starts one may die before it writes that down."""

    def described(number: int) -> DescribedJob | None:
        return describe_job(str(JobName(prefix, store.folder.run, number, stage)))

    started = None if state is None else state.job(stage)
    found = [described(number) for number in range(1, 2 if started is None else started.attempt + 1)]
    while len(found) < MOST_ATTEMPTS and found[-1] is not None and cause_of(found[-1]) not in (None, "other"):
        following = described(len(found) + 1)
        if following is None:
            break
        found.append(following)
    return Attempts(tuple(job for job in found if job is not None), found[-1], len(found))


def attempt_to_start(store: RunStore, stage: Stage, run: Run, state: RunState, settings: Settings) -> Attempt | None:
    """The attempt that a step starts now; None: there is nothing to start."""
    if state.job(stage) is None:
        return Attempt(1, instance_types(run, stage, settings)[0])
    return due_attempt(find_attempts(store, stage, state, settings.prefix), store, stage, run, settings)


def due_attempt(attempts: Attempts, store: RunStore, stage: Stage, run: Run, settings: Settings) -> Attempt | None:
    """The next attempt; None: the last one runs, has come to its end for good, or is not there."""
    last = attempts.last
    if last is None:
        return None
    kept = stage == "explanation" and cause_of(last) == "time limit" and has_parts(store)
    types = instance_types(run, stage, settings)
    return next_attempt(attempts, types, lambda one: next_larger(one, known_instance_types()), kept=kept)


def next_attempt(
    attempts: Attempts, types: Sequence[str], larger: Callable[[str], str | None], *, kept: bool
) -> Attempt | None:
    """What may cure the end of the last job; None: nothing may, or it has not ended.

    Each cause but a lack of capacity is met once: what happens again is no accident.

    Args:
        attempts: one at least.
        types: instance types in their order of preference.
        larger: instance type → the next larger one of its family; None: there is none.
        kept: whether the last job left behind what the next can go on from.
    """
    jobs, number = attempts.jobs, attempts.number + 1
    causes = [cause_of(job) for job in jobs]
    last, cause = jobs[-1], causes[-1]
    if cause in (None, "other") or number > MOST_ATTEMPTS:
        return None
    if cause == "no capacity":
        tried = [job.instance_type for job in jobs]
        # where memory was short on one type it would be on another of its size
        wanted = [larger(one) for one in types] if "out of memory" in causes else list(types)
        return next((Attempt(number, one, ended_by(last)) for one in wanted if one and one not in tried), None)
    if causes.count(cause) > 1 or (cause == "time limit" and not kept):
        return None
    instance_type = larger(last.instance_type) if cause == "out of memory" else last.instance_type
    return None if instance_type is None else Attempt(number, instance_type, ended_by(last))


def cause_of(job: DescribedJob) -> Cause | None:
    """What ended a job, by SageMaker's own words; None: it runs, or has completed."""
    if job.status == "Stopped":
        return "time limit" if job.reached_its_limit else "other"  # a person, or a program, wants it to end
    if job.status != "Failed":
        return None
    reason = " ".join((job.failure_reason or "").split())
    if reason.startswith("InternalServerError"):
        return "internal error"
    if reason.startswith("CapacityError"):
        return "no capacity"
    if reason.startswith("ClientError: Please use an instance type with more memory"):
        return "out of memory"
    if job.exit_message is not None:
        return "out of memory" if job.exit_message.startswith(OUT_OF_MEMORY) else "other"
    # SIGKILL without a word: the kernel ends so what takes more memory than there is
    return "out of memory" if reason.endswith("exit code: 137") else "other"


def ended_by(job: DescribedJob) -> str:
    """Why a job has no result, in SageMaker's or the container's words, on one line."""
    if job.status == "Stopped":
        return f"its time limit of {timedelta(seconds=job.time_limit_seconds)}"
    return " ".join((job.exit_message or job.failure_reason or "no reason given").split())


def instance_types(run: Run, stage: Stage, settings: Settings) -> tuple[str, ...]:
    """What a stage's job runs on, in order of preference: the policy's, else the deployer's."""
    if stage == "evaluation":
        asked, default = run.policy and run.policy.evaluate.instance_type, settings.evaluation_instance_types
    else:
        asked, default = run.policy and run.policy.explain.instance_type, settings.explanation_instance_types
    return (asked,) if isinstance(asked, str) else asked or default


_SIZE = re.compile(r"(?P<family>ml\.[a-z0-9-]+)\.(?P<times>\d*)(?P<size>medium|large|xlarge)")
_CORES = {"medium": 1, "large": 2, "xlarge": 4}


def next_larger(instance_type: str, known: Sequence[str]) -> str | None:
    """The next larger of the same family; None: there is none, or its size is not known.

    >>> next_larger("ml.m5.4xlarge", ["ml.m5.24xlarge", "ml.m5.12xlarge", "ml.c5.9xlarge"])
    'ml.m5.12xlarge'
    """
    own = _SIZE.fullmatch(instance_type)
    if own is None:
        return None
    family = [found for found in map(_SIZE.fullmatch, known) if found is not None and found["family"] == own["family"]]
    return min((found for found in family if _cores(found) > _cores(own)), key=_cores, default=[None])[0]


def _cores(size: re.Match[str]) -> int:
    return _CORES[size["size"]] * int(size["times"] or 1)


def has_parts(store: RunStore) -> bool:
    """Whether an explanation left behind what the next attempt can go on from."""
    return next(iter(objects.keys_below(store.bucket, store.folder.explanation_parts)), None) is not None
