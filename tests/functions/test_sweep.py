from datetime import UTC, datetime, timedelta

import pytest

from assay_aws.run_store import RunStore
from publish_summary.handler import publish_summary
from start_evaluation.handler import start_evaluation
from start_explanation.handler import start_explanation
from sweep.handler import handler

from .conftest import BUCKET, IMAGES, QUEUES, SAMPLES, Aws, Context, Uploaded, land, report


def sweep() -> dict[str, int]:
    swept: dict[str, int] = handler({}, Context())
    return swept


def due(aws: Aws) -> dict[str, list[str]]:
    """Each step's due runs, where there are any."""
    found = {queue: aws.due(queue) for queue in QUEUES}
    return {queue: runs for queue, runs in found.items() if runs}


def evaluating(aws: Aws) -> Uploaded:
    uploaded = land(aws)
    start_evaluation(uploaded.event)
    return uploaded


def explaining(aws: Aws) -> Uploaded:
    uploaded = evaluating(aws)
    aws.put(uploaded.folder.report, report(explain=IMAGES).to_json())
    aws.put(uploaded.folder.samples, SAMPLES.to_json())
    aws.sagemaker.end(uploaded.job("evaluation"))
    start_explanation(uploaded.changed("evaluation"))
    return uploaded


def test_without_active_runs_there_is_nothing_to_do(aws: Aws) -> None:
    assert sweep() == {"swept": 0, "waiting": 0}


def test_a_run_whose_opening_was_interrupted_is_opened(aws: Aws) -> None:
    uploaded = evaluating(aws)
    for key in (uploaded.folder.run_json, uploaded.folder.state_json):
        aws.s3.delete_object(Bucket=BUCKET, Key=key)
        sweep()
        assert due(aws) == {"start-evaluation": [uploaded.folder.run]}


def test_a_job_that_runs_is_let_run(aws: Aws) -> None:
    evaluating(aws)
    assert sweep() == {"swept": 1, "waiting": 0}
    assert due(aws) == {}


@pytest.mark.parametrize(
    ("status", "queue"),
    [("Completed", "start-explanation"), ("Failed", "publish-summary"), ("Stopped", "publish-summary")],
)
def test_the_lost_event_of_an_evaluation_is_made_up_for(aws: Aws, status: str, queue: str) -> None:
    uploaded = evaluating(aws)
    aws.sagemaker.end(uploaded.job("evaluation"), status)
    sweep()
    assert due(aws) == {queue: [uploaded.folder.run]}


@pytest.mark.parametrize("status", ["Completed", "Failed", "Stopped"])
def test_the_lost_event_of_an_explanation_is_made_up_for(aws: Aws, status: str) -> None:
    uploaded = explaining(aws)
    aws.sagemaker.end(uploaded.job("explanation"), status)
    sweep()
    assert due(aws) == {"publish-summary": [uploaded.folder.run]}


def test_a_job_that_vanished_ends_its_run_with_an_error(aws: Aws) -> None:
    uploaded = evaluating(aws)
    aws.sagemaker.jobs.clear()
    sweep()
    assert due(aws) == {"publish-summary": [uploaded.folder.run]}
    assert "SageMaker does not know it any more" in aws.state(uploaded.folder).failures["evaluation"].message
    publish_summary(uploaded.due)
    assert len(aws.notices()) == 1


def test_an_explanation_that_vanished_leaves_the_verdict_to_the_evaluation(aws: Aws) -> None:
    uploaded = explaining(aws)
    del aws.sagemaker.jobs[uploaded.job("explanation")]
    sweep()
    publish_summary(uploaded.due)
    (notice,) = aws.notices()
    assert notice["MessageAttributes"]["verdict"]["Value"] == "pass"


@pytest.mark.parametrize(("hours", "status"), [(4, "InProgress"), (6, "Stopping")])
def test_a_job_past_its_limit_plus_an_hour_is_stopped(aws: Aws, hours: int, status: str) -> None:
    uploaded = evaluating(aws)
    job = aws.sagemaker.jobs[uploaded.job("evaluation")]
    job["ProcessingStartTime"] = datetime.now(UTC) - timedelta(hours=hours)
    sweep()
    assert job["ProcessingJobStatus"] == status
    sweep()
    assert job["ProcessingJobStatus"] == status


def test_of_those_who_wait_only_the_first_of_each_instance_type_is_woken(aws: Aws) -> None:
    aws.sagemaker.refusals = [("ResourceLimitExceeded", "The account-level service limit 'x' is 2 Instances")] * 2
    waits = [land(aws, key=f"models/{name}/model.tar.gz") for name in ("b", "a")]
    for uploaded in waits:
        start_evaluation(uploaded.event)
    assert sweep() == {"swept": 2, "waiting": 2}
    assert due(aws) == {"start-evaluation": [waits[0].folder.run]}


def test_a_run_that_ended_but_was_not_announced_is_announced(aws: Aws) -> None:
    uploaded = evaluating(aws)
    RunStore(BUCKET, uploaded.folder).change(lambda state: state.ended())
    sweep()
    assert due(aws) == {"publish-summary": [uploaded.folder.run]}


def test_a_broken_run_does_not_keep_the_others_from_being_swept(aws: Aws) -> None:
    uploaded = evaluating(aws)
    aws.sagemaker.end(uploaded.job("evaluation"), "Failed")
    aws.put("active/0-broken", "not JSON")
    with pytest.raises(RuntimeError, match="1 of 2 runs could not be swept: 0-broken"):
        sweep()
    assert due(aws) == {"publish-summary": [uploaded.folder.run]}
