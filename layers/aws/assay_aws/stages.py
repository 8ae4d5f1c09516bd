"""Starting a stage, and what the run remembers of it: its job runs, it waits for capacity, or it cannot be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from aws_lambda_powertools import Logger

from assay.errors import AssayError, NoCapacity
from assay.names import Stage
from assay.run import Job, RunState, Waiting
from assay_aws.attempts import Attempt
from assay_aws.run_store import RunStore
from assay_aws.settings import Settings
from assay_aws.step_queue import send_step_due
from assay_aws.waiting import wake_oldest

logger = Logger(child=True)


def start_stage(
    store: RunStore,
    state: RunState,
    stage: Stage,
    attempt: Attempt,
    start: Callable[[], str | None],
    settings: Settings,
) -> None:
    """Start a stage's job and remember how that went.

    Args:
        store: the run's folder.
        state: as it was before.
        stage: what is started.
        attempt: which, and what it runs on: runs that wait for the same instance type wait for each other.
        start: starts the job, once however often it is called, and returns its name; None when that takes longer.
        settings: of the function.
    """
    try:
        name = start()
    except NoCapacity as error:
        waiting = Waiting(
            since=datetime.now(UTC),
            stage=stage,
            attempt=attempt.number,
            instance_type=attempt.instance_type,
            reason=str(error),
        )
        store.change(lambda state: state.waits(waiting))
        logger.info("waits for capacity", stage=stage, reason=str(error))
        return
    except AssayError as error:
        store.fail(stage, type(error)(f"{attempt.in_words}{error}"))
        send_step_due(settings.publish_summary_queue_url, store.folder.run)
        logger.error("cannot be started", stage=stage, reason=str(error))
        return
    if name is None:
        return
    job = Job(name=name, stage=stage, attempt=attempt.number, started_at=datetime.now(UTC))
    store.change(lambda state: state.started(job))
    logger.info("job started", job=name, after=attempt.after)
    if state.waiting is not None:
        wake_oldest(settings)
