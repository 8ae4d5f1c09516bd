"""What is due for a run that has not ended, from what is stored and what SageMaker says of its job."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from assay.names import Stage
from assay.run import Run, RunState
from assay_aws.jobs import DescribedJob

NextStep = Literal[
    "start_evaluation",
    "start_explanation",
    "publish_summary",
    "wait",
    "let the job run",
    "stop the job",
    "give the job up",
]

PAST_LIMIT = timedelta(hours=1)
"""How long after its own time limit, which SageMaker enforces, a job that still runs is stopped."""


def current_stage(state: RunState) -> Stage | None:
    """The stage whose job was started last; None before the first."""
    return state.jobs[-1].stage if state.jobs else None


def next_step(run: Run | None, state: RunState | None, job: DescribedJob | None, now: datetime) -> NextStep:
    """The step whose event should have come, or what else is due.

    Args:
        run: None when its opening was interrupted; as the state.
        state: as it is stored.
        job: the current stage's; None when SageMaker has none of its name, or none was started.
        now: the time.
    """
    if run is None or state is None:
        return "start_evaluation"
    if state.progress == "ended" or state.failures or run.rejected is not None:
        return "publish_summary"
    if state.waiting is not None:
        return "wait"
    stage = current_stage(state)
    if stage is None:
        return "start_evaluation"
    if job is None:
        return "give the job up"
    if not job.is_over:
        limit = (job.started_at or job.created_at) + timedelta(seconds=job.time_limit_seconds) + PAST_LIMIT
        return "stop the job" if job.status == "InProgress" and now > limit else "let the job run"
    if stage == "evaluation" and job.status == "Completed":
        return "start_explanation"
    return "publish_summary"
