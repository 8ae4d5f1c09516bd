"""Whatever fails ends in one summary that says what was found and what was expected, and in one notice."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator

import pytest

from assay_local.cloud import Cloud

from .conftest import POLICY, Application

pytestmark = pytest.mark.pipeline


def check_error(application: Application, run: str, *said: str) -> None:
    application.check_is_whole()
    (notice,) = application.cloud.notices()
    told = {name: notice.attributes[name] for name in ("verdict", "severity", "model", "run")}
    assert told == {"verdict": "error", "severity": "serious", "model": "census", "run": run}
    assert notice.subject is not None
    assert notice.subject.startswith("ERROR: census could not be judged: ")
    (key,) = [key for key in application.keys("runs/") if key.endswith("summary.json")]
    summary = application.get(key).decode()
    for part in said:
        assert part in notice.message
        assert part in summary


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (None, "no policy: no assay.yaml in s3://"),
        ("task: tabular_classification\ndata: {source: test.csv\n", "line 3, column 1"),
        (POLICY + "gatse: []\n", "gatse: unknown key; did you mean `gates`?"),
        (POLICY.replace("test.csv", "missing.csv"), "missing.csv does not exist; expected an object, or a folder"),
        (POLICY.replace("test.csv", "s3://lake/x.csv"), "location not allowed; the deployer allows"),
        (
            POLICY.replace("tabular_classification", "object_detection"),
            "data.annotations: missing; expected a CSV file",
        ),
    ],
    ids=["none", "no YAML", "typo", "missing data", "data elsewhere", "another task's"],
)
def test_a_policy_that_cannot_be_followed(application: Application, policy: str | None, said: str) -> None:
    if policy is None:
        application.s3.delete_object(Bucket=application.bucket, Key="models/census/assay.yaml")
    else:
        application.put("models/census/assay.yaml", policy)
    folder = application.upload({"accuracy": 0.9})
    application.cloud.drain(60)
    check_error(application, folder.run, said)
    assert application.cloud.jobs() == []


def test_a_job_that_fails(application: Application) -> None:
    folder = application.upload({"fails": "no saved_model.pb in the archive; found a.txt"})
    application.cloud.drain(60)
    check_error(application, folder.run, "no saved_model.pb in the archive; found a.txt")


def test_a_job_that_is_stopped(application: Application) -> None:
    folder = application.upload({"waits": True})
    application.until(application.cloud.jobs)
    name = application.cloud.jobs()[0].name
    application.cloud.client("sagemaker").stop_processing_job(ProcessingJobName=name)
    application.cloud.drain(60)
    check_error(application, folder.run, f"job {name} was stopped before it was done")


@pytest.mark.parametrize("application", [{"JobTimeLimitSeconds": "60"}], indirect=True)
def test_a_role_that_may_not_be_passed_on_ends_the_run(application: Application) -> None:
    application.cloud.client("iam").delete_role_policy(RoleName=job_role(application), PolicyName="job")
    application.cloud.client("iam").delete_role(RoleName=job_role(application))
    folder = application.upload({"accuracy": 0.9})
    application.cloud.drain(60)
    check_error(application, folder.run, "sagemaker:CreateProcessingJob", "Could not assume role")


def job_role(application: Application) -> str:
    return application.cloud.resources["JobRole"]


# With the real evaluator: what is wrong with an archive


@pytest.fixture
def real() -> Iterator[Application]:
    with Cloud(schedules=False) as cloud:
        made = Application(cloud)
        made.put("models/census/assay.yaml", POLICY.replace("label: income", "label: income, labels: [low, high]"))
        made.put("models/census/test.csv", "age,hours,income\n1,2,low\n3,4,high\n")
        yield made


def archive(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04 a zip", "model.tar.gz: not a gzip file but zip"),
        (gzip.compress(b"garbage" * 500), "model.tar.gz: not a tar archive inside the gzip"),
        (archive(**{"../evil": b"x"}), "member '../evil' leads outside the archive's own folder"),
        (archive(**{"notes.txt": b"x"}), "no model in the archive: found 'notes.txt'; expected a SavedModel"),
    ],
    ids=["no gzip", "no tar", "leads outside", "no model"],
)
def test_an_archive_that_is_none(real: Application, content: bytes, said: str) -> None:
    folder = real.upload(content)
    real.cloud.drain(90)
    check_error(real, folder.run, said)
    assert [job.status for job in real.cloud.jobs()] == ["Failed"]
