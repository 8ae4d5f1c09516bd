"""What a person is told of a run follows from the bus, the jobs and the notice."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assay.events import Upload
from assay.names import Stage
from assay_local.cloud import Cloud
from assay_local.problem import Problem
from assay_local.sagemaker_service import Job
from assay_local.steps import Step
from assay_local.upload_story import UploadStory, progress, size, steps_of

UPLOAD = Upload(bucket="lake", key="models/birds/1/model.tar.gz", version="v1")
START = datetime(2026, 5, 1, 12, tzinfo=UTC)
UPLOADED = START.timestamp()


class RunningJob(Job):
    """A job whose program has said how far it is."""

    progress = {"stage": "evaluating", "done": 120, "total": 480, "unit": "images"}


def job(stage: Stage, **fields: Any) -> Job:
    return RunningJob(f"assay-{stage}", "arn", {}, created=START, modified=START, **fields)


def ended(stage: Stage, status: str, after: float, **fields: Any) -> Job:
    return job(stage, status=status, ended=START + timedelta(seconds=after), **fields)


def uploaded(version: str = "v1") -> dict[str, Any]:
    detail = {"bucket": {"name": "lake"}, "object": {"key": UPLOAD.key, "version-id": version}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}


def changed(stage: Stage, status: str) -> dict[str, Any]:
    detail = {"ProcessingJobName": f"assay-{stage}", "ProcessingJobStatus": status}
    return {"source": "aws.sagemaker", "detail-type": "SageMaker Processing Job State Change", "detail": detail}


def story(
    events: list[dict[str, Any]], jobs: dict[Stage, Job], *, told: bool = False, over: float = 30
) -> list[tuple[str, str, float, str, str]]:
    steps = steps_of(UPLOAD, UPLOADED, events, jobs, told, UPLOADED + over)
    return [(step.title, step.state, step.seconds, step.cause, step.detail) for step in steps]


def test_nothing_moves_before_the_event_of_this_very_version() -> None:
    assert story([uploaded("v0")], {}) == []
    assert story([uploaded()], {}) == [
        ("evaluation", "running", 30, "Object Created → start_evaluation", "starting"),
    ]


def test_a_job_that_runs_shows_its_progress() -> None:
    (step,) = steps_of(UPLOAD, UPLOADED, [uploaded()], {"evaluation": job("evaluation")}, False, UPLOADED + 4)
    assert step == Step("evaluation", "running", 4, "Object Created → start_evaluation", "120 of 480 images", 0.25)


def test_a_job_s_end_moves_nothing_before_its_event() -> None:
    jobs: dict[Stage, Job] = {"evaluation": ended("evaluation", "Completed", 10)}
    assert [title for title, *_ in story([uploaded()], jobs)] == ["evaluation"]
    events = [uploaded(), changed("evaluation", "InProgress"), changed("evaluation", "Completed")]
    assert story(events, jobs)[1] == (
        "explanation",
        "running",
        20,
        "evaluation job Completed → start_explanation",
        "starting",
    )


def test_a_whole_run() -> None:
    jobs: dict[Stage, Job] = {
        "evaluation": ended("evaluation", "Completed", 10),
        "explanation": ended("explanation", "Completed", 25),
    }
    events = [uploaded(), changed("evaluation", "Completed"), changed("explanation", "Completed")]
    assert [line[:4] for line in story(events, jobs, told=True)] == [
        ("evaluation", "done", 10, "Object Created → start_evaluation"),
        ("explanation", "done", 15, "evaluation job Completed → start_explanation"),
        ("summary", "done", 5, "explanation job Completed → publish_summary"),
    ]


def test_a_job_that_failed_says_why_and_goes_on_to_the_summary() -> None:
    jobs: dict[Stage, Job] = {"evaluation": ended("evaluation", "Failed", 10, exit_message="BadData: no rows")}
    assert story([uploaded(), changed("evaluation", "Failed")], jobs) == [
        ("evaluation", "failed", 10, "Object Created → start_evaluation", "BadData: no rows"),
        ("summary", "running", 20, "evaluation job Failed → publish_summary", "starting"),
    ]


def test_a_run_without_jobs_comes_to_its_notice() -> None:
    assert [line[:2] + line[4:] for line in story([uploaded()], {}, told=True)] == [
        ("evaluation", "failed", "not reached"),
        ("summary", "done", "written, and subscribers told"),
    ]


def test_a_run_with_nothing_to_explain_shows_no_explanation() -> None:
    jobs: dict[Stage, Job] = {"evaluation": ended("evaluation", "Completed", 10)}
    titles = [line[0] for line in story([uploaded(), changed("evaluation", "Completed")], jobs, told=True)]
    assert titles == ["evaluation", "summary"]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (None, ("starting", None)),
        ({"stage": "loading"}, ("loading", None)),
        ({"stage": "evaluating", "done": 1200, "total": 2400, "unit": "rows"}, ("1,200 of 2,400 rows", 0.5)),
        ({"done": 5, "total": 4, "unit": "rows"}, ("5 of 4 rows", 1.0)),
    ],
)
def test_progress_in_words(told: dict[str, Any] | None, words: tuple[str, float | None]) -> None:
    assert progress(told) == words


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 bytes"), (999, "999 bytes"), (1_250_000, "1.2 MB"), (5e9, "5.0 GB")]
)
def test_sizes_in_words(number: float, words: str) -> None:
    assert size(number) == words


def test_a_run_that_comes_to_a_halt_is_not_waited_for(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "model.tar.gz").write_bytes(b"model")
    told = UploadStory(cloud, tmp_path / "model.tar.gz", "models/lonely/archive/model.tar.gz")
    with pytest.raises(Problem, match=r"run [a-z2-7]{20} came to a halt without a notice: no function"):
        told.tell(timeout=60)
    upload = told.steps()[0]
    assert (upload.state, upload.detail) == ("done", "models/lonely/archive/model.tar.gz, 5 bytes")
