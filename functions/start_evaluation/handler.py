"""A model archive landed in S3, or a run was asked for: open its run, freeze the archive, start the evaluation."""

from __future__ import annotations

import time
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from assay_aws.archive import freeze
from assay_aws.attempts import attempt_to_start
from assay_aws.jobs import start_job
from assay_aws.serving import serve_archive
from assay_aws.settings import EvaluationSettings
from assay_aws.stages import start_stage
from assay_aws.step_queue import each_event, send_step_due
from start_evaluation.endpoint import makes_endpoint
from start_evaluation.evaluation_job import champion_files, evaluation_job, manifests
from start_evaluation.opening import open_run
from start_evaluation.upload import upload_of

COPYING = 30  # seconds of an invocation's 60 after which a large archive is left to the next one

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return each_event(event, context, start_evaluation)


def start_evaluation(event: dict[str, Any]) -> None:
    settings = EvaluationSettings.from_environment()
    until = time.monotonic() + COPYING
    upload = upload_of(event, settings)
    if upload is None:
        return
    store, run, state = open_run(upload, settings)
    logger.append_keys(run=run.id, model=run.model)
    if state.progress == "ended":
        logger.info("the run has ended")
        return
    if run.rejected is not None or "evaluation" in state.failures:
        send_step_due(settings.publish_summary_queue_url, run.id)
        return
    attempt = attempt_to_start(store, "evaluation", run, state, settings)
    if attempt is None:
        logger.info("started before")
        return

    def start() -> str | None:
        if not freeze(store, run, until):
            send_step_due(settings.start_evaluation_queue_url, run.id)  # the next invocation goes on
            return None
        champion = champion_files(run, settings.bucket_name)
        for key, manifest in manifests(run, champion, settings).items():
            store.write(key, manifest, "application/json")
        job = evaluation_job(run, champion, attempt, settings)
        name = job["ProcessingJobName"]
        if makes_endpoint(run.policy):
            serve_archive(store, name, settings.serving_image_uri, settings.job_role_arn)
        start_job(job)
        return name

    start_stage(store, state, "evaluation", attempt, start, settings)
