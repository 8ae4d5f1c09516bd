"""EventBridge on a laptop: every event goes this one way, and rules deliver it where policies allow.

Rules and their patterns are moto's; delivery is here, because moto asks no policy and reshapes what it delivers.
"""

import contextlib
import json
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.events.models import Rule, events_backends
from moto.sqs.models import sqs_backends

from assay_local.resource_policy import Policy, Request, allows
from assay_local.stack import TemplateError

logger = logging.getLogger(__name__)

Event = dict[str, Any]


@dataclass(frozen=True)
class Undelivered:
    """An event that matched a rule whose target did not take it: in AWS nobody is told either."""

    event: Event
    rule: str
    target: str
    reason: str


@dataclass
class Drop:
    """A test's order to lose events."""

    matches: Callable[[Event], bool]
    times: int
    dropped: list[Event]


def aws_event(
    source: str, detail_type: str, detail: Event, *, account: str, region: str, resources: list[str]
) -> Event:
    """An event as EventBridge hands it on."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": account,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": resources,
        "detail": detail,
    }


class EventBus:
    def __init__(self, account: str, region: str) -> None:
        self.account = account
        self.region = region
        self.queue_policies: Mapping[str, tuple[Policy, ...]] = {}
        self.events: list[Event] = []
        """Everything that was put, oldest first, what was dropped too."""
        self.undelivered: list[Undelivered] = []
        self._drops: list[Drop] = []
        self._lock = threading.Lock()

    def drop(self, matches: Callable[[Event], bool], times: int) -> list[Event]:
        """Lose the next events that match. The list fills with what was lost, so that it can come late."""
        order = Drop(matches, times, [])
        with self._lock:
            self._drops.append(order)
        return order.dropped

    def put(self, event: Event, bus: str = "default") -> None:
        with self._lock:
            self.events.append(event)
            if self._is_dropped(event):
                return
        self.deliver(event, bus)

    def deliver(self, event: Event, bus: str = "default") -> None:
        """To each target of each rule of the bus that matches."""
        rules: list[Rule] = list(events_backends[self.account][self.region].event_buses[bus].rules.values())
        for rule in rules:
            if rule.state != "ENABLED" or not rule.event_pattern.get_pattern():
                continue  # a rule without a pattern is a schedule
            if rule.event_pattern.matches_event(event):  # type: ignore[arg-type]
                for target in rule.targets:
                    self._send(event, rule, target)

    def _is_dropped(self, event: Event) -> bool:
        for order in self._drops:
            with contextlib.suppress(KeyError):  # an event of another kind, without what the test looks up
                if len(order.dropped) < order.times and order.matches(event):
                    order.dropped.append(event)
                    return True
        return False

    def _send(self, event: Event, rule: Rule, target: Mapping[str, Any]) -> None:
        arn = str(target["Arn"])
        reason = self._send_to_queue(event, rule, arn)
        dead_letters = target.get("DeadLetterConfig", {}).get("Arn")
        if reason and dead_letters:
            reason = self._send_to_queue(event, rule, dead_letters) and reason
        if reason:
            logger.warning("event not delivered: rule=%s target=%s reason=%s", rule.name, arn, reason)
            with self._lock:
                self.undelivered.append(Undelivered(event, rule.name, arn, reason))

    def _send_to_queue(self, event: Event, rule: Rule, arn: str) -> str | None:
        """None when the queue has it, else why not."""
        queue = arn.rsplit(":", 1)[-1]
        backend = sqs_backends[self.account][self.region]
        if queue not in backend.queues:
            return "the queue does not exist"
        request = Request(
            service="events.amazonaws.com",
            action="sqs:SendMessage",
            resource=arn,
            context={"aws:SourceArn": rule.arn, "aws:SourceAccount": self.account, "aws:SecureTransport": "true"},
        )
        if not allows(self.queue_policies.get(queue, ()), request):
            return "the queue's policy does not let events.amazonaws.com send to it from this rule"
        backend.send_message(queue, json.dumps(event))
        return None


def check_targets(account: str, region: str) -> None:
    """Refuse at deployment what delivery would not do: targets other than queues, and transformed input."""
    for bus in events_backends[account][region].event_buses.values():
        for rule in bus.rules.values():
            if not rule.event_pattern.get_pattern():
                continue
            for target in rule.targets:
                if ":sqs:" not in target["Arn"]:
                    raise TemplateError(f"rule {rule.name}: target {target['Arn']}: only queues are served on a laptop")
                for key in ("Input", "InputPath", "InputTransformer"):
                    if key in target:
                        raise TemplateError(f"rule {rule.name}: {key} is not applied on a laptop")
