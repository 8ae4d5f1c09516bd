"""The demo's and one's own models through the whole chain, as the command runs it: verdicts, notices, files."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from assay.run import Champion
from assay.summary import Summary
from assay_local.results import Results

pytestmark = [pytest.mark.pipeline, pytest.mark.tensorflow]

PYTHON_PATH = os.pathsep.join(filter(None, sys.path))


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    error: str
    results: Path


Assay = Callable[..., Ran]


def champion_in(results: Path) -> Champion:
    champion = Results(results).title("digits").champion
    assert champion is not None
    return champion


@pytest.fixture
def assay(tmp_path: Path) -> Iterator[Assay]:
    """The command as a person calls it, in an empty folder; nothing may be left of it but the results."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    def call(*arguments: object) -> Ran:
        ended = subprocess.run(
            command(*arguments), cwd=tmp_path, env=environment(temporary), capture_output=True, text=True, check=False
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr, tmp_path / "assay-results")

    yield call
    assert list(temporary.iterdir()) == []


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """assay.yaml, test/, 1/model.tar.gz and the spoiled 2/model.tar.gz."""
    folder = tmp_path_factory.mktemp("digits")
    trained = [sys.executable, "-m", "assay_local.digits", str(folder)]
    subprocess.run(trained, env=environment(folder), capture_output=True, check=True)
    return folder


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "assay_local.cli", *map(str, arguments)]


def environment(temporary: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": PYTHON_PATH, "TMPDIR": str(temporary)}


def test_the_demo_goes_as_told(assay: Assay) -> None:
    ran = assay("demo")
    assert ran.code == 0, ran.out + ran.error
    assert ran.error == ""

    folders = sorted((ran.results / "runs" / "digits").iterdir())
    assert len(folders) == 2
    summaries = {
        s.verdict: s for f in folders for s in [Summary.model_validate_json((f / "summary.json").read_bytes())]
    }
    passed, failed = summaries["pass"], summaries["fail"]

    # What the spoiled version broke is in its notice, and the notice is in what a person reads.
    broken = {(gate.metric, gate.of) for gate in failed.gates if gate.result == "fail"}
    assert broken == {("accuracy", None), ("recall", "three")}
    assert failed.champion == passed.run
    assert "\nPASS: digits passed" in ran.out
    assert "\nFAIL: digits failed" in ran.out
    assert "[fail] recall of three is 0" in ran.out

    # Each run was explained, and whoever looks for the results finds them.
    for summary in summaries.values():
        folder = ran.results / "runs" / "digits" / summary.run
        assert summary.explanation == "done"
        assert summary.max_additivity_gap is not None
        assert summary.max_additivity_gap < 1e-4
        for name in ("summary.html", "summary.md", "run.json", "input/model.tar.gz", "evaluation/report.json"):
            assert (folder / name).stat().st_size > 0
        assert list((folder / "explanation" / "explanations_shap").glob("*.jpeg"))
        assert f"assay-results/runs/digits/{summary.run}/summary.html\n" in ran.out
        assert f"assay-results/runs/digits/{summary.run}/explanation/report.html\n" in ran.out
    champion = champion_in(ran.results)
    assert champion.run == passed.run


def test_a_newer_model_is_compared_with_the_one_that_passed(assay: Assay, digits: Path) -> None:
    policy = digits / "assay.yaml"
    first = assay("run", digits / "1" / "model.tar.gz", "--policy", policy, "--name", "digits")
    assert first.code == 0, first.out + first.error
    second = assay(
        "run", digits / "2" / "model.tar.gz", "--policy", policy, "--name", "digits", "--explainer", "clarify"
    )
    assert second.code == 1, second.out + second.error
    champion = champion_in(second.results)
    assert f"; champion {champion.run}\n" in second.out
    assert "[fail] accuracy is 0.8" in second.out
    assert "worse than the champion" in second.out


def test_what_is_no_archive_ends_in_a_notice_and_2(assay: Assay, digits: Path, tmp_path: Path) -> None:
    (tmp_path / "birds.tar.gz").write_bytes(b"PK\3\4 a zip by another name")
    ran = assay("run", tmp_path / "birds.tar.gz", "--policy", digits / "assay.yaml")
    assert ran.code == 2
    assert "\nERROR: birds could not be judged" in ran.out
    assert "not a gzip file" in ran.out
    (page,) = ran.results.glob("runs/birds/*/summary.html")
    assert "not a gzip file" in page.read_text()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing_behind(digits: Path, tmp_path: Path, number: signal.Signals) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    called = command("run", digits / "1" / "model.tar.gz", "--policy", digits / "assay.yaml", "--name", "digits")
    with subprocess.Popen(
        called, cwd=tmp_path, env=environment(temporary), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert any("evaluation: began" in line for line in running.stdout)
        started = descendants(running.pid)
        while not any("evaluator" in line for line in started.values()):
            time.sleep(0.05)
            started = descendants(running.pid)
        running.send_signal(number)
        assert running.stderr.read() == "interrupted: nothing is left running\n"
        assert running.wait() == 130
    assert [line for pid, line in started.items() if alive(pid)] == []
    assert list(temporary.iterdir()) == []


def descendants(pid: int) -> dict[int, str]:
    """Process id → command line of all that a process started, in turn."""
    found: dict[int, str] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            line = (status.parent / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue  # it has ended meanwhile
        if parent == pid:
            child = int(status.parent.name)
            found |= {child: line, **descendants(child)}
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
