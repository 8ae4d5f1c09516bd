"""What a person sees, on a terminal and in a log."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console as Terminal
from rich.text import Text

from assay_local.console import Column, Console, picture, wrapped
from assay_local.notices import Notice
from assay_local.steps import Step, Task

NOTICE = Notice(
    "1", "topic", "FAIL: [red]birds[/red]", "FAIL: birds\n\nReport  s3://lake/" + "x" * 120, "{}", {"verdict": "fail"}
)


def drawn(steps: Sequence[Step], width: int) -> str:
    file = io.StringIO()
    Terminal(file=file, width=width, force_terminal=True, color_system=None).print(picture(steps, now=0.0, width=width))
    return file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_step_takes_one_line_and_its_cause_another(width: int) -> None:
    steps = [
        Step("upload", "done", 0.12, detail="models/" + "long/" * 40 + "model.tar.gz"),
        Step("evaluation", "running", 3.0, "Object Created → start_evaluation", "120 of 480 images", 0.25),
        Step("explanation", "failed", 65.0, "evaluation job Completed → start_explanation", "exit code: 1"),
    ]
    lines = [line.rstrip() for line in drawn(steps, width).splitlines()]
    assert len(lines) == 5
    assert all(len(line) <= width - 3 for line in lines)
    assert lines[0].split()[:2] == ["✓", "upload"]
    assert lines[0].endswith("0.1 s")
    assert "Object Created → start" in lines[1]
    assert lines[2].startswith("  ⠋ evaluation")
    assert "━" in lines[2]
    assert lines[4].startswith("  ✗ explanation")


def test_a_log_gets_a_line_for_each_change() -> None:
    file = io.StringIO()
    task = Task("train")
    with Console(file).following(task.steps), task:
        task.detail = "epoch 1 of 2"
    began, done = file.getvalue().splitlines()
    assert began.endswith(" s  train: began")
    assert done.endswith(" s  train: done in 0.0 s: epoch 1 of 2")


def test_a_log_holds_no_control_characters_and_unbroken_lines() -> None:
    file = io.StringIO()
    console = Console(file)
    console.title("Act 1")
    console.notice(NOTICE)
    console.verdict("fail")
    console.places([("report", Path("/somewhere/" + "deep/" * 30 + "summary.html"))])
    console.excerpt("The last lines of a job", ["[bold]KeyError[/bold]: 3"])
    text = file.getvalue()
    assert "\x1b" not in text
    assert "\nFAIL: [red]birds[/red]\n\nFAIL: birds\n\nReport  s3://lake/" + "x" * 120 + "\n" in text
    assert "deep/" * 30 + "summary.html\n" in text
    assert "  [bold]KeyError[/bold]: 3\n" in text


def test_on_a_terminal_an_address_is_not_broken() -> None:
    file = io.StringIO()
    Console(file, live=True).notice(NOTICE)
    assert "s3://lake/" + "x" * 120 in file.getvalue()


def test_a_long_line_is_broken_between_words_only() -> None:
    text = (
        "What decided it\n  [fail] recall of three is 0, must be at least 0.7\n\nReport  s3://a-bucket-with-a-name/key"
    )
    assert wrapped(text, 30).split("\n") == [
        "What decided it",
        "  [fail] recall of three is 0,",
        "      must be at least 0.7",
        "",
        "Report",
        "    s3://a-bucket-with-a-name/key",
    ]


def test_a_path_is_shown_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    file = io.StringIO()
    Console(file).places([("all", tmp_path / "results"), ("else", Path("/elsewhere"))])
    assert [line.split() for line in file.getvalue().splitlines()] == [["all", "results/"], ["else", "/elsewhere"]]


def test_a_display_that_breaks_is_not_kept_secret() -> None:
    def broken() -> list[Step]:
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"), Console(io.StringIO()).following(broken):
        pass


def test_a_task_that_raises_has_failed() -> None:
    task = Task("train")
    assert task.steps() == []
    with pytest.raises(ValueError, match="no data"), task:
        raise ValueError("no data")
    (step,) = task.steps()
    assert step.state == "failed"


COLUMNS = [Column(""), Column("run"), Column("model", gives=True), Column("what decided it", gives=True)]
ROWS: list[list[str | Text]] = [
    [Text("★", style="yellow"), "k3vq" * 5, "birds", "accuracy 0.9759 (at least 0.93) and 10 more"],
    ["", "m2xa" * 5, "[red]" + "模型" * 30, "the archive holds no saved_model.pb; " * 5],
]


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_table_fits_the_terminal_and_cuts_what_is_longest(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    file = io.StringIO()
    Console(file, live=True).table(COLUMNS, ROWS)
    lines = re.sub(r"\x1b\[[\d;]*m", "", file.getvalue()).splitlines()
    assert len(lines) == 3
    assert max(map(cell_len, lines)) <= width
    assert all(run in line for run, line in zip(("k3vq" * 5, "m2xa" * 5), lines[1:], strict=True))
    assert "birds  " in lines[1]  # what is short stays whole
    assert lines[2].count("…") == 2
    assert "[red]模型" in lines[2]


def test_a_table_for_a_file_is_whole_and_plain() -> None:
    file = io.StringIO()
    Console(file).table(COLUMNS, ROWS)
    header, first, second = file.getvalue().splitlines()
    assert header.split("  ")[-1] == "what decided it"
    assert first.startswith("★  " + "k3vq" * 5 + "  birds ")
    assert second.endswith(("the archive holds no saved_model.pb; " * 5).rstrip())
    assert "模型" * 30 in second
    assert "\x1b" not in file.getvalue()
