"""EventBridge's schedules: each fires its function on its rate, with the event that AWS sends."""

import json
import logging
import threading
from typing import Any

from assay_local.event_bus import aws_event
from assay_local.lambda_service import FunctionError, LambdaService
from assay_local.resource_policy import Request, allows
from assay_local.stack import Schedule, Stack

logger = logging.getLogger(__name__)


class Schedules:
    def __init__(self, stack: Stack, functions: LambdaService) -> None:
        self._stack = stack
        self._functions = functions
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(schedule,), name=f"schedule {schedule.name}", daemon=True)
            for schedule in stack.schedules
            if schedule.enabled
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def join(self) -> None:
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def fire(self, function: str) -> Any:
        """Fire the function's schedule now and return what the function answers."""
        for schedule in self._stack.schedules:
            if schedule.function == function:
                return self._fire(schedule)
        known = sorted(schedule.function for schedule in self._stack.schedules)
        raise KeyError(f"{function}: no schedule fires it, expected one of {known}")

    def _repeat(self, schedule: Schedule) -> None:
        while not self._stopped.wait(schedule.seconds):
            try:
                self._fire(schedule)
            except FunctionError as error:
                logger.warning("scheduled function failed: %s", error)

    def _fire(self, schedule: Schedule) -> Any:
        function = self._stack.functions[schedule.function]
        if ":rule/" in schedule.arn:  # EventBridge Scheduler invokes with a role instead of the function's policy
            request = Request(
                service="events.amazonaws.com",
                action="lambda:InvokeFunction",
                resource=function.arn,
                context={"aws:SourceArn": schedule.arn, "aws:SourceAccount": self._stack.account},
            )
            if not allows(function.policies, request):
                raise PermissionError(f"{function.logical_id} does not let {schedule.arn} invoke it")
        return self._functions.invoke(schedule.function, self._event(schedule))

    def _event(self, schedule: Schedule) -> Any:
        if schedule.input is not None:
            return json.loads(schedule.input)
        return aws_event(
            "aws.events",
            "Scheduled Event",
            {},
            account=self._stack.account,
            region=self._stack.region,
            resources=[schedule.arn],
        )
