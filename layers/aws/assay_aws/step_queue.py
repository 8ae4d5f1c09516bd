"""The queues that feed the steps: reading their messages, and sending the ones that steps send each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from assay.events import ForeignEvent, JobChanged, StepDue
from assay.names import JobName, Stage
from assay.run import ActiveRun
from assay_aws.clients import sqs
from assay_aws.run_store import find_active
from assay_aws.settings import Settings

logger = Logger(child=True)

Event = dict[str, Any]


def each_event(messages: Event, context: LambdaContext, step: Callable[[Event], None]) -> PartialItemFailureResponse:
    """Hand the event in each message to a step. A message whose step raises stays in the queue.

    What a step refuses as foreign is said once and counted, for an alarm: it would be no better the next time.
    """

    metrics = Metrics()

    def one(record: SQSRecord) -> None:
        metrics.add_metric("EventsSeen", MetricUnit.Count, 1)
        try:
            step(_event_in(record))
        except ForeignEvent as refused:
            logger.error("event refused", reason=str(refused), body=record.body[:2000])
            metrics.add_metric("EventsRefused", MetricUnit.Count, 1)

    return process_partial_response(messages, one, BatchProcessor(EventType.SQS), context)


def _event_in(record: SQSRecord) -> Event:
    try:
        event = json.loads(record.body)
    except json.JSONDecodeError as error:
        raise ForeignEvent(f"not JSON: {error}") from error
    if not isinstance(event, dict):
        raise ForeignEvent(f"expected a JSON object, found a {type(event).__name__}")
    return event


def send_step_due(queue_url: str, run: str) -> None:
    """Tell a step that it is next."""
    sqs().send_message(QueueUrl=queue_url, MessageBody=StepDue.of(run).model_dump_json(by_alias=True))


def queue_of(stage: Stage, settings: Settings) -> str:
    """Of the step that starts a stage's jobs."""
    return settings.start_evaluation_queue_url if stage == "evaluation" else settings.start_explanation_queue_url


def active_run_of(event: Event, settings: Settings) -> ActiveRun | None:
    """The run that a job's event or an `Assay Step Due` speaks of; None when it has ended, or was never ours."""
    if event.get("detail-type") == "Assay Step Due":
        run = StepDue.parse(event).detail.run
    else:
        detail = JobChanged.parse(event).detail
        job = JobName.parse(detail.name, settings.prefix)
        if job is None:
            logger.info("another's job", job=detail.name)
            return None
        run = job.run
    active = find_active(settings.bucket_name, run)
    if active is None:
        logger.info("no such active run", run=run)
    return active
