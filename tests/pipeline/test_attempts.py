"""A job that fails for a cause that another attempt may cure is started again, and its run is announced once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from assay_local.cloud import Cloud

from .conftest import ROOT, Application
from .test_endpoint import ALLOWED, HANDLED, REVIEWS, ROWS, stars

pytestmark = pytest.mark.pipeline

INTERNAL = "InternalServerError: We encountered an internal error.  Please try again."
FEW = "explain: {representative: {samples: 6}, chosen: {samples: 2}, num_samples: 40}\n"
CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
)


def attempts(application: Application) -> list[tuple[str, str, str]]:
    """Number and stage, instance type and status of all jobs."""
    return [
        (
            job.name.split("-", 2)[2],
            job.describe()["ProcessingResources"]["ClusterConfig"]["InstanceType"],
            job.status,
        )
        for job in application.cloud.jobs()
    ]


def test_both_stages_are_tried_again(application: Application) -> None:
    application.cloud.fail_jobs(INTERNAL, names="evaluation")
    application.cloud.fail_jobs(CAPACITY, 2, names="explanation")
    folder = application.upload({"accuracy": 0.9})
    application.cloud.drain(60)
    application.check_is_whole()
    assert attempts(application) == [
        ("01-evaluation", "ml.m5.xlarge", "Failed"),
        ("02-evaluation", "ml.m5.xlarge", "Completed"),
        ("01-explanation", "ml.m5.xlarge", "Failed"),
        ("02-explanation", "ml.m6i.xlarge", "Failed"),
        ("03-explanation", "ml.m7i.xlarge", "Completed"),
    ]
    summary = application.summary(folder)
    assert (summary.verdict, summary.explanation, len(summary.jobs)) == ("pass", "done", 5)
    for event in list(application.cloud.events):  # all of it again
        application.cloud.deliver(event)
    application.cloud.drain(60)
    assert len(application.cloud.jobs()) == 5
    assert application.verdicts() == {folder.run: ["pass"]}


def test_what_is_lost_is_made_up_for_and_what_comes_late_does_nothing(application: Application) -> None:
    application.cloud.fail_jobs(INTERNAL, names="evaluation")
    late = application.cloud.drop(lambda event: event["detail"]["ProcessingJobStatus"] in ("Failed", "Completed"), 2)
    folder = application.upload({"accuracy": 0.9})
    application.cloud.drain(60)
    for _ in late:
        application.cloud.fire("SweepFunction")
        application.cloud.drain(60)
    application.cloud.fire("SweepFunction")
    application.cloud.drain(60)
    application.check_is_whole()
    for event in reversed(late):
        application.cloud.deliver(event)
    application.cloud.drain(60)
    assert [name for name, _, _ in attempts(application)] == ["01-evaluation", "02-evaluation", "01-explanation"]
    assert application.verdicts() == {folder.run: ["pass"]}


def test_without_capacity_anywhere_the_run_ends_in_one_error(application: Application) -> None:
    application.cloud.fail_jobs(CAPACITY, 3)
    folder = application.upload({"accuracy": 0.9})
    application.cloud.drain(60)
    application.check_is_whole()
    assert [on for _, on, _ in attempts(application)] == ["ml.m5.xlarge", "ml.m6i.xlarge", "ml.m7i.xlarge"]
    failure = application.summary(folder).failure
    assert failure is not None
    assert "(earlier attempts: ml.m5.xlarge: CapacityError" in failure.message
    assert application.verdicts() == {folder.run: ["error"]}


@pytest.fixture
def mortal(tmp_path: Path) -> Path:
    """The real application with an explainer that may be killed."""
    shutil.copy(ROOT / "template.yaml", tmp_path)
    for name in ("functions", "layers"):
        (tmp_path / name).symlink_to(ROOT / name)
    containers = tmp_path / "containers"
    containers.mkdir()
    for folder in (*(ROOT / "containers").iterdir(), Path(__file__).with_name("containers") / "mortal_explainer"):
        (containers / folder.name).symlink_to(folder)
    return tmp_path / "template.yaml"


def test_a_killed_explanation_goes_on_and_ends_as_an_unbroken_one(mortal: Path) -> None:
    pytest.importorskip("spacy")
    programs = {"assay-evaluator": "evaluator", "assay-explainer": "mortal_explainer"}
    with Cloud(mortal, ALLOWED, programs=programs, endpoints={"reviews-dev": stars}, schedules=False) as cloud:
        app = Application(cloud)
        folders = []
        for model in ("mortal", "whole"):
            app.put(f"models/{model}/assay.yaml", REVIEWS + FEW)
            app.put(f"models/{model}/test.jsonl", "\n".join(map(json.dumps, ROWS)))
            folders.append(app.upload(HANDLED, f"models/{model}/1/model.tar.gz"))
            cloud.drain(timeout=120)
        app.check_is_whole()
        broken, whole = folders
        assert [name for name in attempts(app) if "explanation" in name[0]] == [
            ("01-explanation", "ml.m5.xlarge", "Failed"),
            ("02-explanation", "ml.m5.2xlarge", "Completed"),
            ("01-explanation", "ml.m5.xlarge", "Completed"),
        ]
        resumed = next(job for job in cloud.jobs() if job.name.endswith("-02-explanation"))
        assert "going on after 3 rows" in resumed.log
        for name in ("analysis.json", "explanations_shap/out.jsonl", "assay/standard_errors.jsonl"):
            assert app.get(broken.explanation + name) == app.get(whole.explanation + name)
        assert (app.summary(broken).verdict, app.summary(broken).explanation) == ("pass", "done")
        assert app.verdicts() == {broken.run: ["pass"], whole.run: ["pass"]}
