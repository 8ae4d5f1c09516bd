"""A job that failed for a cause that another attempt may cure is started again; the run is announced once."""

from typing import Any

import pytest

from assay.summary import Summary
from publish_summary.handler import publish_summary
from start_evaluation.handler import start_evaluation
from start_explanation.handler import start_explanation
from sweep.handler import handler as sweep_handler

from .conftest import (
    CAPACITY,
    EXIT,
    INTERNAL,
    MEMORY,
    POLICY,
    QUEUES,
    ROWS,
    SAMPLES,
    Aws,
    Context,
    Uploaded,
    land,
    report,
)

Json = dict[str, Any]


def deliver(aws: Aws) -> list[str]:
    """Hand what the steps have sent each other to them, until nothing is left; the steps, in order."""
    steps = {
        "start-evaluation": start_evaluation,
        "start-explanation": start_explanation,
        "publish-summary": publish_summary,
    }
    taken: list[str] = []
    while sent := [(queue, event) for queue in QUEUES for event in aws.queued(queue)]:
        for queue, event in sent:
            taken.append(queue)
            steps[queue](event)
    return taken


def ended(aws: Aws, uploaded: Uploaded, stage: str, status: str = "Failed", attempt: int = 1, **fields: Any) -> Json:
    """End an attempt; returns the event that tells of it."""
    aws.sagemaker.end(uploaded.job(stage, attempt), status, **fields)
    return uploaded.changed(stage, status, attempt)


def jobs(aws: Aws) -> list[tuple[str, str]]:
    """Number and stage, and what it runs on, of all jobs."""
    return [
        (name.split("-", 2)[2], job["ProcessingResources"]["ClusterConfig"]["InstanceType"])
        for name, job in aws.sagemaker.jobs.items()
    ]


def evaluating(aws: Aws, policy: str = POLICY) -> Uploaded:
    uploaded = land(aws, policy=policy)
    start_evaluation(uploaded.event)
    return uploaded


def explaining(aws: Aws) -> Uploaded:
    uploaded = evaluating(aws)
    aws.put(uploaded.folder.report, report(explain=ROWS).to_json())
    aws.put(uploaded.folder.samples, SAMPLES.to_json())
    start_explanation(ended(aws, uploaded, "evaluation", "Completed"))
    return uploaded


def summary(aws: Aws, uploaded: Uploaded) -> Summary:
    return Summary.model_validate_json(aws.get(uploaded.folder.summary_json))


def inputs(aws: Aws, job: str) -> dict[str, Json]:
    return {one["InputName"]: one["S3Input"] for one in aws.sagemaker.jobs[job]["ProcessingInputs"]}


def test_an_internal_error_is_tried_again_and_nobody_is_told(aws: Aws) -> None:
    uploaded = evaluating(aws)
    publish_summary(ended(aws, uploaded, "evaluation", FailureReason=INTERNAL))
    assert deliver(aws) == ["start-evaluation"]
    assert jobs(aws) == [("01-evaluation", "ml.m5.xlarge"), ("02-evaluation", "ml.m5.xlarge")]
    assert aws.notices() == []
    aws.put(uploaded.folder.report, report().to_json())
    start_explanation(ended(aws, uploaded, "evaluation", "Completed", 2))
    assert deliver(aws) == ["publish-summary"]
    found = summary(aws, uploaded)
    assert (found.verdict, [job.status for job in found.jobs]) == ("pass", ["Failed", "Completed"])
    assert found.costs is not None and found.costs.total.seconds == 120
    page, text = aws.get(uploaded.folder.summary_html), aws.get(uploaded.folder.summary_md)
    assert page.count("InternalServerError: We encountered an internal error.") == 1
    assert page.count("all attempts") == 1
    assert "-01-evaluation: Failed (InternalServerError: We encountered an internal error." in text
    assert len(aws.notices()) == 1


def test_a_second_internal_error_is_the_end(aws: Aws) -> None:
    uploaded = evaluating(aws)
    for attempt in (1, 2):
        publish_summary(ended(aws, uploaded, "evaluation", attempt=attempt, FailureReason=INTERNAL))
        deliver(aws)
    found = summary(aws, uploaded)
    assert found.failure is not None
    said = " ".join(INTERNAL.split())
    assert found.failure.message == (
        f"job {uploaded.job('evaluation', 2)} failed: {said} (earlier attempts: ml.m5.xlarge: {said})"
    )
    assert len(aws.notices()) == 1


def test_without_capacity_three_types_are_tried(aws: Aws) -> None:
    uploaded = evaluating(aws)
    for attempt in (1, 2, 3):
        publish_summary(ended(aws, uploaded, "evaluation", attempt=attempt, FailureReason=CAPACITY))
        deliver(aws)
    assert [on for _, on in jobs(aws)] == ["ml.m5.xlarge", "ml.m6i.xlarge", "ml.m7i.xlarge"]
    assert summary(aws, uploaded).verdict == "error"
    assert len(aws.notices()) == 1


def test_a_policy_names_what_is_tried(aws: Aws) -> None:
    uploaded = evaluating(aws, POLICY + "evaluate: {instance_type: [ml.r5.large, ml.r6i.large]}\n")
    for attempt in (1, 2):
        publish_summary(ended(aws, uploaded, "evaluation", attempt=attempt, FailureReason=CAPACITY))
        deliver(aws)
    assert [on for _, on in jobs(aws)] == ["ml.r5.large", "ml.r6i.large"]
    assert "Unable to provision" in (summary(aws, uploaded).headline)


@pytest.mark.parametrize(
    "fields",
    [{"FailureReason": EXIT.format(1), "ExitMessage": "no rows"}, {"FailureReason": "ClientError: no image"}],
)
def test_what_no_attempt_cures_is_not_tried_again(aws: Aws, fields: dict[str, Any]) -> None:
    uploaded = evaluating(aws)
    publish_summary(ended(aws, uploaded, "evaluation", "Failed", 1, **fields))
    assert deliver(aws) == []
    assert summary(aws, uploaded).verdict == "error"


def test_what_comes_again_late_and_in_another_order_starts_one_attempt(aws: Aws) -> None:
    uploaded = evaluating(aws)
    failed = ended(aws, uploaded, "evaluation", FailureReason=INTERNAL)
    for _ in range(3):
        publish_summary(failed)
    assert deliver(aws) == ["start-evaluation"] * 3
    publish_summary(failed)  # late: the second runs
    start_evaluation(uploaded.event)
    start_explanation(uploaded.changed("evaluation"))  # forged
    assert deliver(aws) == []
    assert len(jobs(aws)) == 2
    aws.put(uploaded.folder.report, report().to_json())
    start_explanation(ended(aws, uploaded, "evaluation", "Completed", 2))
    publish_summary(failed)
    deliver(aws)
    publish_summary(failed)
    assert deliver(aws) == []
    assert len(aws.notices()) == 1


def test_an_event_that_is_lost_is_made_up_for_by_the_sweep(aws: Aws) -> None:
    uploaded = evaluating(aws)
    ended(aws, uploaded, "evaluation", FailureReason=INTERNAL)
    sweep_handler({}, Context())
    assert deliver(aws) == ["publish-summary", "start-evaluation"]
    aws.put(uploaded.folder.report, report().to_json())
    ended(aws, uploaded, "evaluation", "Completed", 2)
    sweep_handler({}, Context())
    assert deliver(aws) == ["start-explanation", "publish-summary"]
    assert len(aws.notices()) == 1


def test_an_attempt_that_nobody_wrote_down_is_found_by_its_name(aws: Aws) -> None:
    uploaded = evaluating(aws)
    publish_summary(ended(aws, uploaded, "evaluation", FailureReason=INTERNAL))
    before = aws.get(uploaded.folder.state_json)
    deliver(aws)
    aws.put(uploaded.folder.state_json, before)  # as if the function had died after it started the job
    aws.put(uploaded.folder.report, report(explain=ROWS).to_json())
    aws.put(uploaded.folder.samples, SAMPLES.to_json())
    ended(aws, uploaded, "evaluation", "Completed", 2)
    sweep_handler({}, Context())
    assert deliver(aws) == ["start-explanation"]
    assert [name for name, _ in jobs(aws)] == ["01-evaluation", "02-evaluation", "01-explanation"]


def test_a_second_attempt_waits_for_capacity_too(aws: Aws) -> None:
    uploaded = evaluating(aws)
    aws.sagemaker.refusals = [("ResourceLimitExceeded", "The account-level service limit 'x' is 2 Instances")]
    publish_summary(ended(aws, uploaded, "evaluation", FailureReason=MEMORY))
    deliver(aws)
    waiting = aws.state(uploaded.folder).waiting
    assert waiting is not None
    assert (waiting.attempt, waiting.instance_type) == (2, "ml.m5.2xlarge")
    assert sweep_handler({}, Context()) == {"swept": 1, "waiting": 1}
    assert deliver(aws) == ["start-evaluation"]
    assert jobs(aws)[1:] == [("02-evaluation", "ml.m5.2xlarge")]
    assert aws.state(uploaded.folder).waiting is None


def test_a_quota_of_zero_for_the_next_type_tells_why_it_was_wanted(aws: Aws) -> None:
    uploaded = evaluating(aws)
    limit = "The account-level service limit 'ml.m6i.xlarge for processing job usage' is 0 Instances"
    aws.sagemaker.refusals = [("ResourceLimitExceeded", limit)]
    publish_summary(ended(aws, uploaded, "evaluation", FailureReason=CAPACITY))
    deliver(aws)
    failure = summary(aws, uploaded).failure
    assert failure is not None
    assert failure.message == (
        f"attempt 2 on ml.m6i.xlarge, after '{CAPACITY}': quota 'ml.m6i.xlarge for processing job usage' is 0: request "
        "an increase in Service Quotas"
    )
    assert len(aws.notices()) == 1


def test_an_explanation_goes_on_where_the_last_attempt_was(aws: Aws) -> None:
    uploaded = explaining(aws)
    config = aws.get(uploaded.folder.analysis_config)
    aws.put(uploaded.folder.explanation + "assay/parts/0a/000000000.npy", b"numbers")
    publish_summary(ended(aws, uploaded, "explanation", FailureReason=EXIT.format(137)))
    assert deliver(aws) == ["start-explanation"]
    first, second = (inputs(aws, uploaded.job("explanation", attempt)) for attempt in (1, 2))
    resume = second.pop("resume")
    assert resume["S3Uri"].endswith(uploaded.folder.explanation + "assay/parts/")
    assert resume["LocalPath"] == "/opt/ml/processing/input/resume/assay/parts"
    assert second == first
    assert aws.get(uploaded.folder.analysis_config) == config  # else its own parts would be another's
    assert jobs(aws)[1:] == [("01-explanation", "ml.c5.xlarge"), ("02-explanation", "ml.c5.2xlarge")]


def test_an_explanation_that_left_nothing_begins_anew(aws: Aws) -> None:
    uploaded = explaining(aws)
    publish_summary(ended(aws, uploaded, "explanation", FailureReason=INTERNAL))
    deliver(aws)
    assert "resume" not in inputs(aws, uploaded.job("explanation", 2))


@pytest.mark.parametrize("kept", [True, False])
def test_at_its_time_limit_an_explanation_goes_on_only_with_what_it_kept(aws: Aws, kept: bool) -> None:
    uploaded = explaining(aws)
    if kept:
        aws.put(uploaded.folder.explanation + "assay/parts/0a/000000000.npy", b"numbers")
    publish_summary(ended(aws, uploaded, "explanation", "Stopped", seconds=14_400))
    assert deliver(aws) == ["start-explanation"] * kept
    assert len(jobs(aws)) == 2 + kept
    assert len(aws.notices()) == 1 - kept


def test_a_person_who_stops_an_explanation_is_obeyed(aws: Aws) -> None:
    uploaded = explaining(aws)
    aws.put(uploaded.folder.explanation + "assay/parts/0a/000000000.npy", b"numbers")
    publish_summary(ended(aws, uploaded, "explanation", "Stopped"))
    assert deliver(aws) == []
    assert summary(aws, uploaded).explanation == "failed"


def test_a_former_attempts_reason_is_not_taken_for_the_last_ones(aws: Aws) -> None:
    uploaded = evaluating(aws)
    aws.put(
        uploaded.folder.evaluation + "failure.json", '{"error": "MemoryError", "message": "out of memory: use more"}'
    )
    publish_summary(ended(aws, uploaded, "evaluation", FailureReason=MEMORY))
    deliver(aws)
    publish_summary(ended(aws, uploaded, "evaluation", attempt=2, ExitMessage="no rows"))
    failure = summary(aws, uploaded).failure
    assert failure is not None
    assert failure.message.startswith(f"job {uploaded.job('evaluation', 2)} failed: no rows (earlier attempts: ml.m5.")
