"""What another attempt may cure, by the texts that SageMaker really writes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assay.failure import OUT_OF_MEMORY
from assay_aws.attempts import Attempt, Attempts, Cause, cause_of, next_attempt, next_larger
from assay_aws.jobs import DescribedJob, known_instance_types

from ..conftest import CAPACITY, EXIT, INTERNAL, MEMORY, Aws

TYPES = ("ml.m5.xlarge", "ml.m6i.xlarge", "ml.m7i.xlarge")
LARGER = {"ml.m5.xlarge": "ml.m5.2xlarge", "ml.m5.2xlarge": "ml.m5.4xlarge", "ml.m6i.xlarge": "ml.m6i.2xlarge"}
BEGAN = datetime(2026, 11, 12, tzinfo=UTC)


def job(reason: str | None = None, said: str | None = None, *, on: str = TYPES[0], **fields: Any) -> DescribedJob:
    return DescribedJob.model_validate(
        {
            "ProcessingJobName": "a job",
            "ProcessingJobStatus": "Failed",
            "CreationTime": BEGAN,
            "ProcessingStartTime": BEGAN,
            "ProcessingEndTime": BEGAN + timedelta(minutes=1),
            "ProcessingResources": {"ClusterConfig": {"InstanceType": on}},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            "FailureReason": reason,
            "ExitMessage": said,
            **fields,
        }
    )


AT_LIMIT = job(ProcessingJobStatus="Stopped", ProcessingEndTime=BEGAN + timedelta(hours=1))


def following(*jobs: DescribedJob, kept: bool = False, types: tuple[str, ...] = TYPES) -> Attempt | None:
    return next_attempt(Attempts(jobs, jobs[-1], len(jobs)), types, LARGER.get, kept=kept)


@pytest.mark.parametrize(
    ("ended", "cause"),
    [
        (job(INTERNAL), "internal error"),
        (job(CAPACITY), "no capacity"),
        (job(CAPACITY.replace(" ", "\n ")), "no capacity"),
        (job(MEMORY), "out of memory"),
        (job(EXIT.format(1), OUT_OF_MEMORY), "out of memory"),
        (job(EXIT.format(137)), "out of memory"),  # what the kernel ends says nothing
        (AT_LIMIT, "time limit"),
        (job(ProcessingJobStatus="Stopped"), "other"),  # by a person
        (job(EXIT.format(1), "no rows in test.csv"), "other"),
        (job(EXIT.format(1)), "other"),
        (job(EXIT.format(137), "no rows in test.csv"), "other"),
        (job("ClientError: Data download failed: AccessDenied"), "other"),
        (job("something new"), "other"),
        (job(), "other"),
        (job(ProcessingJobStatus="Completed"), None),
        (job(ProcessingJobStatus="InProgress"), None),
        (job(ProcessingJobStatus="Stopping"), None),
    ],
)
def test_what_ended_a_job(ended: DescribedJob, cause: Cause | None) -> None:
    assert cause_of(ended) == cause


def test_an_internal_error_is_tried_again_once_on_the_same_type() -> None:
    assert following(job(INTERNAL)) == Attempt(2, TYPES[0], " ".join(INTERNAL.split()))
    assert following(job(INTERNAL), job(INTERNAL)) is None


def test_without_capacity_the_types_are_tried_in_their_order() -> None:
    first, second, third = (job(CAPACITY, on=one) for one in TYPES)
    assert following(first) == Attempt(2, TYPES[1], CAPACITY)
    assert following(first, second) == Attempt(3, TYPES[2], CAPACITY)
    assert following(first, second, third) is None
    assert following(first, second, types=TYPES[:2]) is None


def test_three_attempts_are_the_most_whatever_ended_them() -> None:
    third = job(MEMORY, on=TYPES[1])
    assert following(job(INTERNAL), job(CAPACITY), third) is None
    assert following(job(CAPACITY), third) == Attempt(3, "ml.m6i.2xlarge", MEMORY)


def test_memory_is_tried_once_on_the_next_larger_type() -> None:
    small, larger = job(MEMORY), job(MEMORY, on="ml.m5.2xlarge")
    assert following(small) == Attempt(2, "ml.m5.2xlarge", MEMORY)
    assert following(small, larger) is None
    assert following(job(MEMORY, on="ml.x9.xlarge")) is None  # there is none
    # what was too small on one type is too small on another of its size
    assert following(small, job(CAPACITY, on="ml.m5.2xlarge")) == Attempt(3, "ml.m6i.2xlarge", CAPACITY)


def test_at_the_time_limit_only_what_was_kept_is_gone_on_with_and_once() -> None:
    assert following(AT_LIMIT) is None
    assert following(AT_LIMIT, kept=True) == Attempt(2, TYPES[0], "its time limit of 1:00:00")
    assert following(AT_LIMIT, AT_LIMIT, kept=True) is None


def test_what_a_person_stops_stays_stopped() -> None:
    assert following(job(ProcessingJobStatus="Stopped"), kept=True) is None


@pytest.mark.parametrize(
    ("one", "larger"),
    [
        ("ml.m5.xlarge", "ml.m5.2xlarge"),
        ("ml.m5.4xlarge", "ml.m5.12xlarge"),  # there is no 8xlarge
        ("ml.t3.medium", "ml.t3.large"),
        ("ml.g4dn.2xlarge", "ml.g4dn.4xlarge"),
        ("ml.c7i-flex.large", "ml.c7i-flex.xlarge"),
        ("ml.m5.24xlarge", None),
        ("ml.m99.xlarge", None),
        ("ml.m5.metal", None),
    ],
)
def test_the_next_larger_type_is_one_that_there_is(aws: Aws, one: str, larger: str | None) -> None:
    assert next_larger(one, known_instance_types()) == larger
