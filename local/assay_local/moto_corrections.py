"""Where moto differs from AWS in what this application relies on, put right while the embedded AWS runs.

Each correction names what AWS does. They hold for this process, so there is one embedded AWS a process.
"""

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.responses import ActionResult
from moto.events.models import EventsBackend, Rule
from moto.s3 import notifications
from moto.s3.models import S3Backend
from moto.s3.responses import S3Response
from moto.sagemaker.exceptions import AWSValidationException
from moto.sagemaker.models import FakeEndpoint, FakeEndpointConfig, SageMakerModelBackend
from moto.sagemaker.responses import SageMakerResponse
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse
from moto.sqs.models import Queue, SQSBackend

from assay_local.access_log import AccessLog, endpoint_of
from assay_local.endpoints import EndpointService
from assay_local.event_bus import Event, EventBus, aws_event
from assay_local.sagemaker_service import SageMakerService


@contextmanager
def corrected_moto(
    bus: EventBus, sagemaker: SageMakerService, endpoint_service: EndpointService, access_log: AccessLog
) -> Iterator[None]:
    with ExitStack() as stack:
        for owner, name, replacement in [
            *access_recorded(access_log),
            *s3_events(bus),
            *put_events(bus),
            *atomic_queues(),
            *atomic_conditional_writes(),
            *processing_jobs(sagemaker),
            *unique_models(),
            *packages_registered_once(),
            *endpoints(endpoint_service),
        ]:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, replacement)
        yield


Replacement = tuple[Any, str, Any]


def access_recorded(log: AccessLog) -> list[Replacement]:
    """moto asks for authorization once for each API call, when the action and its resource are known."""
    authorize = ActionAuthenticatorMixin._authenticate_and_authorize_action

    def record(self: Any, iam_request_cls: type, resource: str = "*") -> None:
        log.record(self, resource)
        authorize(self, iam_request_cls, resource)

    return [(ActionAuthenticatorMixin, "_authenticate_and_authorize_action", record)]


# S3


def s3_events(bus: EventBus) -> list[Replacement]:
    """AWS: a fresh id and sequencer each time, `etag`, and one event for a multipart upload."""
    put_object = S3Backend.put_object

    def put_object_once(self: S3Backend, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("multipart") is not None:  # complete_multipart_upload sends the event itself
            kwargs["disable_notification"] = True
        return put_object(self, *args, **kwargs)

    def send(account_id: str, bucket: Any, event_name: str, key: Any) -> None:
        if notifications._detail_type(event_name) == "Object Created":
            bus.put(object_created(account_id, bucket, str(event_name.rsplit(":", maxsplit=1)[-1]), key))

    return [(S3Backend, "put_object", put_object_once), (notifications, "_send_event_bridge_message", send)]


REASONS = {"Put": "PutObject", "Post": "POST Object", "Copy": "CopyObject"}


def object_created(account: str, bucket: Any, cause: str, key: Any) -> Event:
    entry = {
        "key": key.name,
        "size": key.size,
        "etag": key.etag.strip('"'),
        "sequencer": sequencer(),
    }
    if bucket.is_versioned:
        entry["version-id"] = key.version_id
    detail = {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": entry,
        "request-id": secrets.token_hex(8).upper(),
        "requester": account,
        "source-ip-address": "127.0.0.1",
        "reason": REASONS.get(cause, cause),
    }
    return aws_event(
        "aws.s3", "Object Created", detail, account=account, region=bucket.region_name, resources=[bucket.arn]
    )


def sequencer() -> str:
    """Hexadecimal, and greater for the later event."""
    return f"{int(datetime.now(UTC).timestamp() * 1e6):016X}"


def atomic_conditional_writes() -> list[Replacement]:
    """AWS: of two If-Match writes one wins. moto compares and writes in two steps."""
    lock = threading.RLock()
    return [(S3Response, "put_object", one_at_a_time(S3Response.put_object, lambda _: lock))]


# EventBridge


def put_events(bus: EventBus) -> list[Replacement]:
    """AWS: every field of the event arrives (moto drops the account), by rules that are enabled only."""
    accept = EventsBackend.put_events

    def put(self: EventsBackend, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        entries = accept(self, events)  # validates; its own delivery is off
        for event, entry in zip(events, entries, strict=True):
            if "EventId" not in entry:
                continue
            message = aws_event(
                event["Source"],
                event["DetailType"],
                json.loads(event["Detail"]),
                account=self.account_id,
                region=self.region_name,
                resources=event.get("Resources", []),
            )
            message["id"] = entry["EventId"]
            bus.put(message, self._normalize_event_bus_arn(event.get("EventBusName")) or "default")
        return entries

    def deliver_nothing(self: Rule, original_event: Any, transform_input: bool = True) -> None:
        """The bus delivers."""

    return [(EventsBackend, "put_events", put), (Rule, "send_to_targets", deliver_nothing)]


# SQS


def atomic_queues() -> list[Replacement]:
    """AWS: no message is lost or handed out twice by a race. moto rewrites a queue's list without its lock.

    The lock is the queue's own condition: a long poll that waits inside lets go of it.
    """
    receive = SQSBackend.receive_message

    def receive_message(self: SQSBackend, queue_name: str, *args: Any, **kwargs: Any) -> Any:
        with self.get_queue(queue_name)._messages_lock:
            return receive(self, queue_name, *args, **kwargs)

    return [
        (SQSBackend, "receive_message", receive_message),
        (Queue, "delete_message", one_at_a_time(Queue.delete_message, lambda self: self._messages_lock)),
    ]


# SageMaker


def processing_jobs(service: SageMakerService) -> list[Replacement]:
    """AWS: a job runs. moto's are Completed at once, and their names are taken again."""

    def handled_by(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[SageMakerResponse], ActionResult]:
        return lambda self: ActionResult(answer(json.loads(self.body or "{}")))

    return [
        (SageMakerResponse, "create_processing_job", handled_by(service.create_processing_job)),
        (SageMakerResponse, "describe_processing_job", handled_by(service.describe_processing_job)),
        (SageMakerResponse, "stop_processing_job", handled_by(service.stop_processing_job)),
        (SageMakerResponse, "list_processing_jobs", handled_by(service.list_processing_jobs)),
    ]


def unique_models() -> list[Replacement]:
    """AWS: a model's name is taken once. moto replaces the model."""
    create = SageMakerModelBackend.create_model

    def create_model(self: SageMakerModelBackend, model_name: str, *args: Any, **kwargs: Any) -> Any:
        if model_name in self._models:
            arn = self._models[model_name].arn
            raise AWSValidationException(f'Cannot create already existing model "{arn}".')
        return create(self, model_name, *args, **kwargs)

    return [(SageMakerModelBackend, "create_model", create_model)]


def packages_registered_once() -> list[Replacement]:
    """AWS: a client token makes one model package, however often it comes. moto makes another version each time."""
    create = SageMakerModelBackend.create_model_package

    def create_model_package(self: SageMakerModelBackend, **request: Any) -> str:
        token = request["client_token"]
        known = [one.arn for one in self.model_packages.values() if token and one.client_token == token]
        return known[0] if known else create(self, **request)

    return [(SageMakerModelBackend, "create_model_package", create_model_package)]


def endpoints(service: EndpointService) -> list[Replacement]:
    """AWS: an endpoint serves its model, after a while, and answers. moto's are in service at once and answer nothing.

    moto also knows some instance types only.
    """
    create, delete = SageMakerModelBackend.create_endpoint, SageMakerModelBackend.delete_endpoint

    def create_endpoint(self: SageMakerModelBackend, endpoint_name: str, *args: Any, **kwargs: Any) -> FakeEndpoint:
        if endpoint_name in self.endpoints or service.is_known(endpoint_name):
            arn = FakeEndpoint.arn_formatter(endpoint_name, self.account_id, self.region_name)
            raise AWSValidationException(f'Cannot create already existing endpoint "{arn}".')
        made = create(self, endpoint_name, *args, **kwargs)
        made.endpoint_status = "Creating"
        variant = self.endpoint_configs[made.endpoint_config_name].production_variants[0]

        def told(status: str, reason: str | None) -> None:
            made.endpoint_status, made.failure_reason = status, reason  # type: ignore[assignment]

        service.serve(endpoint_name, self._models[variant["ModelName"]].primary_container["ModelDataUrl"], told)
        return made

    def delete_endpoint(self: SageMakerModelBackend, endpoint_name: str) -> None:
        delete(self, endpoint_name)
        service.delete(endpoint_name)

    def invoke_endpoint(self: SageMakerRuntimeResponse) -> Any:
        content_type, accept = self.headers.get("Content-Type", ""), self.headers.get("Accept", "*/*")
        status, headers, body = service.invoke(endpoint_of(self.path), bytes(self.raw_body), content_type, accept)
        return status, {**headers, "status": str(status)}, body  # where moto reads it

    return [
        (SageMakerModelBackend, "create_endpoint", create_endpoint),
        (SageMakerModelBackend, "delete_endpoint", delete_endpoint),
        (SageMakerRuntimeResponse, "invoke_endpoint", invoke_endpoint),
        (SageMakerRuntimeResponse, "use_raw_body", True),  # a request may be a picture
        (FakeEndpointConfig, "validate_instance_type", lambda _self, _instance_type: None),
    ]


def one_at_a_time(method: Callable[..., Any], lock_of: Callable[[Any], Any]) -> Callable[..., Any]:
    def locked(self: Any, *args: Any, **kwargs: Any) -> Any:
        with lock_of(self):
            return method(self, *args, **kwargs)

    return locked
