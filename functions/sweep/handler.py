"""Two minutes have passed: send each run that has not ended the event that should have come, and end what is stuck."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from assay.errors import JobFailed
from assay.run import RunState
from assay_aws.attempts import find_attempts
from assay_aws.jobs import stop_job
from assay_aws.run_store import RunStore, find_active, list_active
from assay_aws.serving import delete_endpoint, left_behind
from assay_aws.settings import SweepSettings
from assay_aws.step_queue import send_step_due
from assay_aws.waiting import oldest_waiting, wake
from sweep.next_step import NextStep, current_stage, next_step

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    settings = SweepSettings.from_environment()
    now = datetime.now(UTC)
    waiting: list[RunState] = []
    failed: list[str] = []
    swept = 0
    for run in list_active(settings.bucket_name):
        try:
            waiting += sweep(run, settings, now)
        except Exception:  # one broken run must not keep the others from being swept
            logger.exception("cannot be swept", run=run)
            failed.append(run)
        swept += 1
    metrics.add_metric("RunsActive", MetricUnit.Count, swept)
    metrics.add_metric("RunsWaiting", MetricUnit.Count, len(waiting))
    for state in oldest_waiting(waiting):
        wake(state, settings)
    if settings.shadow_endpoints:
        delete_left_behind(settings)
    if failed:
        raise RuntimeError(f"{len(failed)} of {swept} runs could not be swept: {', '.join(failed[:20])}")
    return {"swept": swept, "waiting": len(waiting)}


def sweep(run: str, settings: SweepSettings, now: datetime) -> list[RunState]:
    """Do what is due for one run; returns its state when it waits for capacity."""
    active = find_active(settings.bucket_name, run)
    if active is None:
        return []
    store = RunStore(settings.bucket_name, active.folder)
    opened, state = store.run(), store.state()
    stage = None if state is None else current_stage(state)
    job = None if stage is None else find_attempts(store, stage, state, settings.prefix).last
    step = next_step(opened, state, job, now)
    logger.info("swept", run=run, step=step)
    if step == "wait" and state is not None:
        return [state]
    if step == "stop the job" and job is not None:
        stop_job(job.name)
    elif step == "give the job up" and stage is not None:
        name = store.job_name(settings.prefix, stage, state)
        store.fail(stage, JobFailed(f"job {name} was started, but SageMaker does not know it any more"))
        send_step_due(settings.publish_summary_queue_url, run)
    elif queue := queue_of(step, settings):
        send_step_due(queue, run)
    return []


def delete_left_behind(settings: SweepSettings) -> None:
    """Delete the shadow endpoints that no job uses any more: they cost money by the second."""
    for found in left_behind(settings):
        delete_endpoint(found)
        logger.warning("an endpoint was left behind", endpoint=found.endpoint)


def queue_of(step: NextStep, settings: SweepSettings) -> str | None:
    return {
        "start_evaluation": settings.start_evaluation_queue_url,
        "start_explanation": settings.start_explanation_queue_url,
        "publish_summary": settings.publish_summary_queue_url,
    }.get(step)
