"""A run's last job has ended, or it never got that far: judge it, write its summary and announce it, once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit, single_metric
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from assay.outcome import RunFinished
from assay.summary import Summary
from assay_aws.champions import crown
from assay_aws.claims import do_once
from assay_aws.event_bus import put
from assay_aws.jobs import delete_model
from assay_aws.last_runs import remember_last
from assay_aws.prices import known_prices
from assay_aws.run_store import RunStore, close_active
from assay_aws.settings import SummarySettings
from assay_aws.step_queue import active_run_of, each_event, queue_of, send_step_due
from assay_aws.topic import publish
from assay_aws.waiting import wake_oldest
from publish_summary.conclusion import challenger, conclude, last_run
from publish_summary.evidence import AttemptDue, Evidence, gather
from publish_summary.junit import junit
from publish_summary.notice import notice
from publish_summary.outcome import outcome
from publish_summary.page import markdown, page
from publish_summary.registration import is_due, register

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return each_event(event, context, publish_summary)


def publish_summary(event: dict[str, Any]) -> None:
    settings = SummarySettings.from_environment()
    active = active_run_of(event, settings)
    if active is None:
        return
    bucket, folder = settings.bucket_name, active.folder
    store = RunStore(bucket, folder)
    logger.append_keys(run=folder.run, model=folder.model)
    evidence = gather(store, settings)
    if evidence is None:
        logger.info("the run has not come to its end")
        return
    if isinstance(evidence, AttemptDue):
        logger.info("tried again", stage=evidence.stage, **evidence.attempt._asdict())
        send_step_due(queue_of(evidence.stage, settings), folder.run)
        return
    summary = conclude(evidence, known_prices())
    store.write(folder.summary_json, summary.to_json(), "application/json")
    store.write(folder.summary_md, markdown(summary, bucket), "text/markdown; charset=utf-8")
    store.write(folder.junit_xml, junit(summary), "application/xml")
    store.write(folder.summary_html, page(summary, evidence.report, store), "text/html; charset=utf-8")
    first = evidence.state.progress != "ended"
    state = store.change(lambda state: state.ended())
    candidate = challenger(summary, evidence, datetime.now(UTC))
    if candidate is not None:
        crown(bucket, candidate)
    ended = last_run(summary)
    if ended is not None:
        remember_last(bucket, ended)
    if state.serving_model is not None:
        # each attempt that asked an endpoint made one by its own name
        for model in {state.serving_model, *(job.name for _, job in evidence.jobs)}:
            delete_model(model)
    if not (register_once(store, evidence, summary, settings) and announce(store, summary, settings.topic_arn)):
        return  # another invocation is at it; if it dies, the sweep comes back here
    if first:
        logger.info("run ended", verdict=summary.verdict, headline=summary.headline)
        count_ended(evidence, summary)
    close_active(bucket, folder.run)
    wake_oldest(settings)


def register_once(store: RunStore, evidence: Evidence, summary: Summary, settings: SummarySettings) -> bool:
    """Put the model into its group of the Model Registry; False while another invocation is at it.

    How that went is kept in the state and told in the notice, not in the summary, which was written before: the same
    evidence always gives the same summary.
    """
    if not is_due(evidence, summary):
        return True

    def register_and_keep() -> None:
        found = register(store, evidence, summary, settings.serving_image_uri)
        store.change(lambda state: state.model_copy(update={"registration": found}))
        logger.info("registered", package=found.package, reason=found.failure and found.failure.message)
        if found.failure is not None:
            metrics.add_metric("BadSettings", MetricUnit.Count, 1)

    return do_once(store, "registration", register_and_keep)


def announce(store: RunStore, summary: Summary, topic_arn: str) -> bool:
    """Tell programs, then people, each once; False while another invocation is at one of them.

    The event goes first: a topic that somebody deleted must not hold up a pipeline.
    """
    state = store.state()
    found = outcome(summary, store.bucket, None if state is None else state.registration)
    told = notice(summary, found, store.bucket)
    return do_once(store, "event", lambda: put(RunFinished(detail=found))) and do_once(
        store, "notice", lambda: publish(topic_arn, told.subject, told.message, told.attributes)
    )


def count_ended(evidence: Evidence, summary: Summary) -> None:
    # A metric of its own: a dimension would hold for all of this invocation's metrics, and hide them from the alarms.
    with single_metric(name="RunsEnded", unit=MetricUnit.Count, value=1) as ended:
        ended.add_dimension("verdict", summary.verdict)
    failures = (evidence.failure, evidence.explanation_failure)
    if any(failure is not None and failure.error == "BadSettings" for failure in failures):
        metrics.add_metric("BadSettings", MetricUnit.Count, 1)
