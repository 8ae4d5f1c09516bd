"""An evaluation is complete: start the explanation of the samples that it chose."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from assay.errors import AssayError, JobFailed, NoCapacity
from assay.evaluation import EvaluationReport
from assay.run import Job, Waiting
from assay_aws.jobs import create_model, describe_job, start_job
from assay_aws.run_store import RunStore
from assay_aws.settings import ExplanationSettings
from assay_aws.step_queue import active_run_of, each_event, send_step_due
from assay_aws.waiting import wake_oldest
from start_explanation.analysis_config import analysis_config, as_json
from start_explanation.explanation_job import explanation_job, instance_type

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return each_event(event, context, start_explanation)


def start_explanation(event: dict[str, Any]) -> None:
    settings = ExplanationSettings.from_environment()
    active = active_run_of(event, settings)
    if active is None:
        return
    store = RunStore(settings.bucket_name, active.folder)
    run, state = store.run(), store.state()
    logger.append_keys(run=active.folder.run, model=active.folder.model)
    if run is None or state is None or state.progress == "ended" or state.job("explanation") is not None:
        logger.info("nothing to start", progress=None if state is None else state.progress)
        return
    evaluation = describe_job(store.job_name(settings.prefix, "evaluation", state))
    if evaluation is None or not evaluation.is_over:
        logger.info("the evaluation has not ended")
        return
    if evaluation.status != "Completed" or state.failures:
        send_step_due(settings.publish_summary_queue_url, run.id)
        return
    try:
        report = store.result(run.folder.report, EvaluationReport)
    except JobFailed as error:
        store.fail("evaluation", error)
        send_step_due(settings.publish_summary_queue_url, run.id)
        return
    if report.explain is None:
        send_step_due(settings.publish_summary_queue_url, run.id)
        return
    name = store.job_name(settings.prefix, "explanation")
    try:
        config = analysis_config(run, report.explain, name, settings)
        store.write(run.folder.analysis_config, as_json(config), "application/json")
        if settings.explainer_engine == "clarify":
            # Remembered before it is made, so that it is deleted whatever happens in between.
            store.change(lambda state: state.model_copy(update={"serving_model": name}))
            create_model(name, settings.serving_image_uri, store.uri(run.folder.archive), settings.job_role_arn)
        start_job(explanation_job(run, report.explain, name, settings))
    except NoCapacity as error:
        waiting = Waiting(
            since=datetime.now(UTC),
            stage="explanation",
            instance_type=instance_type(run, settings),
            reason=str(error),
        )
        store.change(lambda state: state.waits(waiting))
        logger.info("waits for capacity", reason=str(error))
    except AssayError as error:
        store.fail("explanation", error)
        send_step_due(settings.publish_summary_queue_url, run.id)
        logger.error("cannot be explained", reason=str(error))
    else:
        started = Job(name=name, stage="explanation", attempt=1, started_at=datetime.now(UTC))
        store.change(lambda state: state.started(started))
        logger.info("job started", job=name)
        if state.waiting is not None:
            wake_oldest(settings)
