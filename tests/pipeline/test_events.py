"""Events come twice, late, in the wrong order, or not at all: one run, one summary, one notice."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from assay.title import Title
from assay_local.cloud import Cloud

from .conftest import CLARIFY, ROOT, SCRIPTED, Application

pytestmark = pytest.mark.pipeline

Json = dict[str, Any]


def is_end_of(job: str) -> Any:
    return lambda event: (
        event["detail"].get("ProcessingJobName", "").endswith(job)
        and event["detail"]["ProcessingJobStatus"] in ("Completed", "Failed", "Stopped")
    )


def check_passed(application: Application, folder: Any) -> None:
    application.check_is_whole()
    assert application.verdicts() == {folder.run: ["pass"]}
    assert [job.name for job in application.cloud.jobs()] == [
        f"assay-{folder.run}-01-{stage}" for stage in ("evaluation", "explanation")
    ]
    summary = application.summary(folder)
    assert (summary.verdict, summary.explanation) == ("pass", "done")
    assert summary.importance[0].features == {"hours": 2.0, "age": 1.0}
    assert [mistake.attributions for mistake in summary.mistakes] == [{"hours": 4.0, "age": -3.0}]


@pytest.mark.parametrize("application", [{}, CLARIFY], indirect=True, ids=["assay", "clarify"])
def test_an_uploads_verdict_comes_out_by_events_alone(application: Application) -> None:
    folder = application.upload({"accuracy": 0.9})
    application.cloud.drain(60)
    check_passed(application, folder)
    assert application.cloud.client("sagemaker").list_models()["Models"] == []


def test_every_event_comes_three_times(application: Application) -> None:
    folder = application.upload({"accuracy": 0.9})
    (uploaded,) = application.cloud.events[-1:]
    for _ in range(2):
        application.cloud.deliver(uploaded)
    application.cloud.drain(60)
    for event in list(application.cloud.events):
        for _ in range(2):
            application.cloud.deliver(event)
    application.cloud.drain(60)
    check_passed(application, folder)


def test_the_same_events_come_at_the_same_time(application: Application) -> None:
    lost = application.cloud.drop(is_end_of("evaluation"))
    folder = application.upload({"accuracy": 0.9})
    application.until(lambda: lost)
    late = application.cloud.drop(is_end_of("explanation"))
    for _ in range(4):
        application.cloud.deliver(lost[0])
    application.until(lambda: late)
    for _ in range(4):
        application.cloud.deliver(late[0])
    application.cloud.drain(60)
    check_passed(application, folder)


def test_completions_come_late_and_in_the_wrong_order(application: Application) -> None:
    evaluation = application.cloud.drop(is_end_of("evaluation"))
    folder = application.upload({"accuracy": 0.9})
    application.cloud.drain(60)
    explanation = application.cloud.drop(is_end_of("explanation"))
    application.cloud.deliver(evaluation[0])
    application.until(lambda: explanation)
    application.cloud.drain(60)
    in_progress = application.events("evaluation", "InProgress")[0]
    for event in (explanation[0], evaluation[0], in_progress, explanation[0], evaluation[0]):
        application.cloud.deliver(event)
    application.cloud.drain(60)
    check_passed(application, folder)


@pytest.mark.parametrize("job", ["evaluation", "explanation"])
def test_a_completion_that_never_comes_is_made_up_for_by_the_sweep(application: Application, job: str) -> None:
    lost = application.cloud.drop(is_end_of(job))
    folder = application.upload({"accuracy": 0.9})
    application.until(lambda: lost)
    application.cloud.drain(60)
    assert application.verdicts() == {}
    application.cloud.fire("SweepFunction")
    application.cloud.drain(60)
    check_passed(application, folder)
    assert application.cloud.fire("SweepFunction") == {"swept": 0, "waiting": 0}


def test_both_completions_are_lost(application: Application) -> None:
    application.cloud.drop(is_end_of(""), times=2)
    folder = application.upload({"accuracy": 0.9})
    for _ in range(3):
        application.cloud.drain(60)
        application.cloud.fire("SweepFunction")
    application.cloud.drain(60)
    check_passed(application, folder)


def test_a_second_upload_to_the_same_key_while_the_first_runs(application: Application) -> None:
    held = application.cloud.drop(is_end_of("evaluation"), times=2)
    archives = [b'{"accuracy": 0.9}', b'{"accuracy": 0.95}']
    folders = [application.upload(archive) for archive in archives]
    application.until(lambda: len(held) == 2)
    for event in held[::-1]:  # the newer one's first
        application.cloud.deliver(event)
    application.cloud.drain(60)
    application.check_is_whole()
    assert application.verdicts() == {folder.run: ["pass"] for folder in folders}
    assert [application.get(folder.archive) for folder in folders] == archives
    assert [application.summary(folder).metrics["accuracy"].value for folder in folders] == [0.9, 0.95]
    champion = Title.parse(application.get("champions/census.json")).champion
    assert champion is not None
    assert champion.archive_sha256 == hashlib.sha256(archives[1]).hexdigest()


def test_forged_and_foreign_events_change_nothing(application: Application) -> None:
    folder = application.upload({"waits": True})
    application.until(application.cloud.jobs)
    name = application.cloud.jobs()[0].name
    forged = application.events("evaluation", "InProgress")[0]
    for status in ("Completed", "Failed", "Stopped"):
        detail = {**forged["detail"], "ProcessingJobStatus": status}
        application.cloud.deliver({**forged, "detail": detail})
        other = name.replace("assay-", "essay-")
        application.cloud.deliver({**forged, "detail": {**detail, "ProcessingJobName": other}})
    application.until(lambda: len(application.cloud.invocations) == 4)
    assert application.verdicts() == {}
    application.cloud.client("sagemaker").stop_processing_job(ProcessingJobName=name)
    application.cloud.drain(60)
    application.check_is_whole()
    assert application.verdicts() == {folder.run: ["error"]}


def test_a_run_that_was_asked_for_is_judged_beside_the_uploads_own(application: Application) -> None:
    folder = application.upload({"accuracy": 0.9})
    application.cloud.drain(60)
    entry = {
        "Source": "pipeline",
        "DetailType": "Assay Run Requested",
        "Detail": f'{{"bucket": "{application.bucket}", "key": "models/census/1/model.tar.gz", "request": "nightly"}}',
    }
    for _ in range(2):
        application.cloud.client("events").put_events(Entries=[entry])
    application.cloud.drain(60)
    application.check_is_whole()
    verdicts = application.verdicts()
    assert sorted(verdicts.values()) == [["pass"], ["pass"]]
    assert folder.run in verdicts


WAYS_IN = {
    "model-uploaded": "StartEvaluationFunction",
    "run-requested": "StartEvaluationFunction",
    "evaluation-completed": "StartExplanationFunction",
    "evaluation-failed": "PublishSummaryFunction",
    "explanation-completed": "PublishSummaryFunction",
    "explanation-failed": "PublishSummaryFunction",
    "step-due": "PublishSummaryFunction",
}


def test_each_function_can_be_invoked_with_its_event_file(scripted: Path) -> None:
    parameters = {"ExistingBucketName": "assay-bucket-1a2b3c4d5e6f"}
    with Cloud(scripted, parameters, buckets=(*parameters.values(),), programs=SCRIPTED, schedules=False) as cloud:
        for name, function in WAYS_IN.items():
            event = json.loads((ROOT / "events" / "sqs" / f"{name}.json").read_text())
            assert cloud.invoke(function, event) == {"batchItemFailures": []}
        cloud.drain(60)
        assert (
            cloud.invoke("SweepFunction", json.loads((ROOT / "events" / "schedule.json").read_text()))["waiting"] == 0
        )
        # The archive that both events name does not exist.
        assert [notice.attributes["verdict"] for notice in cloud.notices()] == ["error", "error"]
        assert all("this version no longer exists" in notice.message for notice in cloud.notices())
