import json
from pathlib import Path

import pytest

from assay.errors import BadModel
from assay.failure import Failure
from job.folders import Folders
from job.program import run_program
from job.progress import Progress


def test_success_is_exit_code_0_and_no_message(tmp_path: Path) -> None:
    def work(folders: Folders, progress: Progress) -> None:
        (folders.output / "report.json").write_text("{}")

    assert run_program("evaluator", work, tmp_path) == 0
    assert [path.name for path in Folders(tmp_path).output.iterdir()] == ["report.json"]
    assert not Folders(tmp_path).message.exists()


def test_our_errors_sentence_is_the_message(tmp_path: Path) -> None:
    def work(folders: Folders, progress: Progress) -> None:
        raise BadModel("model.tar.gz: no model inside")

    assert run_program("evaluator", work, tmp_path) == 1
    folders = Folders(tmp_path)
    assert folders.message.read_text() == "model.tar.gz: no model inside"
    failure = Failure.model_validate_json((folders.output / "failure.json").read_bytes())
    assert (failure.error, failure.message) == ("BadModel", "model.tar.gz: no model inside")


def test_a_bug_ends_the_job_with_its_traceback(tmp_path: Path) -> None:
    def work(folders: Folders, progress: Progress) -> None:
        raise KeyError("surprise")

    assert run_program("evaluator", work, tmp_path) == 1
    failure = json.loads((Folders(tmp_path).output / "failure.json").read_text())
    assert failure["error"] == "KeyError"
    assert "test_program.py" in "".join(failure["details"])


def test_a_long_message_is_cut_between_characters(tmp_path: Path) -> None:
    def work(folders: Folders, progress: Progress) -> None:
        raise BadModel("a" + "ü" * 1000)

    run_program("evaluator", work, tmp_path)
    message = Folders(tmp_path).message.read_bytes()
    assert len(message) == 1023
    assert message.decode().endswith("ü")


def test_progress_is_written_at_most_four_times_a_second_and_at_the_end(tmp_path: Path) -> None:
    now = [0.0]
    file = tmp_path / "output" / "progress.json"
    progress = Progress(file, clock=lambda: now[0])
    seen = []
    for done in range(1, 11):
        now[0] = 0.1 * done
        progress.report("evaluating", done, 10, "images")
        seen.append(json.loads(file.read_text())["done"])
    assert seen == [1, 1, 1, 4, 4, 4, 7, 7, 7, 10]


def test_a_log_gets_a_line_with_rate_and_time_left_every_ten_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    progress = Progress(tmp_path / "progress.json", clock=lambda: now[0])
    with caplog.at_level("INFO"):
        for done in range(31):
            now[0] = float(done)
            progress.report("evaluating", done * 10, 300, "images")
    assert caplog.messages == [
        "evaluating: 100 of 300 images, 10.0/s, 20 s left",
        "evaluating: 200 of 300 images, 10.0/s, 10 s left",
        "evaluating: 300 of 300 images, 10.0/s",
    ]
