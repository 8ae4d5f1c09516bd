"""The commands on runs, on a stack as the template makes it: what they ask for happens, and what they tell is so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assay.run import Run
from assay.title import Title
from assay_aws import clients
from assay_local import cli
from assay_local.upload_story import Again, UploadStory

from .conftest import Application

pytestmark = pytest.mark.pipeline

Assay = Callable[..., str]


@pytest.fixture
def assay(
    application: Application, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Assay]:
    """The command, with the account's credentials as boto3 finds them; what it says."""
    settings = {
        "AWS_ENDPOINT_URL": application.cloud.endpoint,
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_DEFAULT_REGION": application.cloud.region,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    for client in (clients.s3, clients.events):
        client.cache_clear()

    def call(*arguments: str, code: int = 0) -> str:
        ended = cli.main([*arguments, "--stack", "assay"])
        said = capsys.readouterr()
        assert ended == code, said.err
        return said.out

    yield call
    for client in (clients.s3, clients.events):
        client.cache_clear()


def test_a_rerun_is_the_run_that_was_told_and_takes_no_title_that_a_person_gave(
    application: Application, assay: Assay
) -> None:
    first = application.upload({"accuracy": 0.9})
    application.cloud.drain(60)
    second = application.upload({"accuracy": 0.95}, "models/census/2/model.tar.gz")
    application.cloud.drain(60)
    assay("promote", first.run, "--reason", "better in the field")
    told = assay("rerun", second.run, "--request", "ticket 12")
    run = told.split("  run      ")[1].split("\n")[0]
    application.cloud.drain(60)
    application.check_is_whole()

    found = {line["run"]: line for line in json.loads(assay("runs", "--json"))}
    assert set(found) == {first.run, second.run, run}
    assert (found[run]["verdict"], found[run]["request"]) == ("pass", "ticket 12")
    assert found[run]["uploaded_at"] == found[second.run]["uploaded_at"]
    assert [line["run"] for line in found.values() if line["champion"]] == [first.run]
    # the events of both passes come once more
    for event in list(application.cloud.events):
        application.cloud.deliver(event)
    application.cloud.drain(60)
    assert Title.parse(application.get("champions/census.json")).champion is not None
    assert "Champion      this run" in assay("show", first.run)
    third = application.upload({"accuracy": 0.92}, "models/census/3/model.tar.gz")
    application.cloud.drain(60)
    assert "Champion      this run" in assay("show", third.run)


def test_an_archive_that_is_put_again_keeps_its_time_and_its_runs_request(
    application: Application, tmp_path: Path
) -> None:
    """What `assay rerun` does on a laptop."""
    archive = tmp_path / "model.tar.gz"
    archive.write_text('{"accuracy": 0.9}')
    first_came = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    story = UploadStory(application.cloud, archive, "models/census/model.tar.gz", Again("ticket 12", first_came))
    ended = story.tell(60)
    application.check_is_whole()
    assert (ended.summary.verdict, ended.summary.upload.request) == ("pass", "ticket 12")
    assert ended.summary.uploaded_at == first_came
    run = Run.model_validate_json(application.get(ended.folder.run_json))
    assert run.archive is not None
    assert run.archive.uploaded_at == first_came
    assert application.get(ended.folder.archive) == archive.read_bytes()
    assert len(application.verdicts()) == 1  # the upload itself caused no run
    causes = [step.cause for step in story.steps()]
    assert "Assay Run Requested → start_evaluation" in causes
