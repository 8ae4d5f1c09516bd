"""An evaluation is complete: start the explanation of the samples that it chose."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from assay.errors import JobFailed
from assay.evaluation import EvaluationReport
from assay_aws.attempts import attempt_to_start, find_attempts, has_parts
from assay_aws.jobs import start_job
from assay_aws.run_store import RunStore
from assay_aws.serving import serve_archive
from assay_aws.settings import ExplanationSettings
from assay_aws.stages import start_stage
from assay_aws.step_queue import active_run_of, each_event, send_step_due
from start_explanation.analysis_config import analysis_config, as_json
from start_explanation.budget import within_budget
from start_explanation.explanation_job import check_clarify_can, explanation_job

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context(clear_state=True)
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
    if run is None or state is None or state.progress == "ended":
        logger.info("nothing to start", progress=None if state is None else state.progress)
        return
    attempt = attempt_to_start(store, "explanation", run, state, settings)
    if attempt is None:
        logger.info("started before")
        return
    evaluation = find_attempts(store, "evaluation", state, settings.prefix).last
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
    explain = report.explain

    def start() -> str:
        check_clarify_can(run, report, settings)
        former = find_attempts(store, "explanation", state, settings.prefix).jobs if attempt.number > 1 else ()
        limited, time_budget = within_budget(run, attempt.instance_type, evaluation, former, settings)
        # the evaluation's, where it asked an endpoint; the first attempt's for all, as one configuration is for all
        serving = state.serving_model or store.job_name(settings.prefix, "explanation")
        config = analysis_config(run, explain, serving, settings, time_budget)
        store.write(run.folder.analysis_config, as_json(config), "application/json")
        if settings.explainer_engine == "clarify" and "model_name" in config["predictor"]:
            serve_archive(store, serving, settings.serving_image_uri, settings.job_role_arn)
        job = explanation_job(run, explain, attempt, limited, resumes=attempt.number > 1 and has_parts(store))
        start_job(job)
        return job["ProcessingJobName"]

    start_stage(store, state, "explanation", attempt, start, settings)
