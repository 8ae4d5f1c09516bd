"""Lambda's pollers: they take messages from the mapped queues, invoke the function, and delete what it finished."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.sqs.models import sqs_backends

from assay_local.clients import client
from assay_local.credentials import Roles
from assay_local.lambda_service import FunctionError, LambdaService
from assay_local.stack import EventSource, Stack

logger = logging.getLogger(__name__)

Message = dict[str, Any]


class EventSources:
    """One thread for each concurrent execution of each mapping, as MaximumConcurrency allows."""

    def __init__(self, stack: Stack, functions: LambdaService, roles: Roles, endpoint: str) -> None:
        self._stack = stack
        self._functions = functions
        self._endpoint = endpoint
        self._clients = {source.queue: self._client(source, roles) for source in stack.event_sources}
        self._stopped = threading.Event()
        self._busy = 0
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._poll, args=(source,), name=f"poll {source.queue}", daemon=True)
            for source in stack.event_sources
            for _ in range(source.concurrency)
        ]

    def _client(self, source: EventSource, roles: Roles) -> Any:
        """Lambda polls with the function's role."""
        function = self._stack.functions[source.function]
        keys = roles.assume(function.role_arn, "lambda.amazonaws.com", function.logical_id)
        return client("sqs", self._endpoint, self._stack.region, keys)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for source in self._stack.event_sources:
            wake(self._queue(source))

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def waiting(self) -> str | None:
        """What is still to do: a batch in work, or a message that can be received; None when there is nothing."""
        with self._lock:
            if self._busy:
                return f"{self._busy} batches in work"
        for source in self._stack.event_sources:
            if self._queue(source).messages:
                return f"messages in {source.queue}"
        return None

    def _queue(self, source: EventSource) -> Any:
        return sqs_backends[self._stack.account][self._stack.region].get_queue(source.queue)

    def _poll(self, source: EventSource) -> None:
        queue = self._queue(source)
        while not self._stopped.is_set():
            # On the queue's own condition, so an idle cloud costs nothing; the second is for messages whose
            # visibility time-out ends, which wakes nobody.
            with queue._messages_lock:
                queue._messages_lock.wait_for(lambda: self._stopped.is_set() or queue.messages, timeout=1)
            if queue.messages and not self._stopped.is_set():
                with self._in_work():
                    self._take_batch(source)

    @contextmanager
    def _in_work(self) -> Iterator[None]:
        """From before the messages are received, so that nothing looks idle in between."""
        with self._lock:
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1

    def _take_batch(self, source: EventSource) -> None:
        sqs = self._clients[source.queue]
        url = f"{self._endpoint}/{self._stack.account}/{source.queue}"
        # AWS gives up to 10 messages a call; a larger batch is several.
        messages = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(source.batch_size, 10),
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if not messages:
            return
        try:
            answer = self._functions.invoke(source.function, sqs_event(messages, self._queue(source)))
        except FunctionError as error:
            logger.warning("batch failed: queue=%s error=%s", source.queue, error)
            return  # the messages come again when their visibility time-out ends
        for message in finished(messages, answer, source.partial_failures):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def wake(queue: Any) -> None:
    with queue._messages_lock:
        queue._messages_lock.notify_all()


def sqs_event(messages: list[Message], queue: Any) -> dict[str, Any]:
    """What Lambda hands to the function."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": message.get("MessageAttributes", {}),
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": queue.queue_arn,
                "awsRegion": queue.region,
            }
            for message in messages
        ]
    }


def finished(messages: list[Message], answer: Any, partial_failures: bool) -> list[Message]:
    """The messages to delete: all, or with ReportBatchItemFailures all but those that the function names.

    A malformed answer, an empty or an unknown identifier count as a failure of the whole batch, as on AWS.
    """
    if not partial_failures or answer in (None, {}):
        return messages
    failures = answer.get("batchItemFailures", []) if isinstance(answer, dict) else None
    if failures is None:
        return messages if isinstance(answer, dict) else []
    try:
        failed = {failure["itemIdentifier"] for failure in failures}
    except (TypeError, KeyError):
        return []
    if not failed <= {message["MessageId"] for message in messages}:
        return []
    return [message for message in messages if message["MessageId"] not in failed]
