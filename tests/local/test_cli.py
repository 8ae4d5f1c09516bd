"""The `assay` command: what it takes, how it ends, and how it says what is wrong."""

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

import assay_local.run
from assay.errors import BadModel
from assay.verdict import Verdict
from assay_local.problem import Problem
from assay_local.run import EXIT_CODES, Options, model_name

from .conftest import Assay

COMMANDS = (
    *("demo", "run", "init", "validate", "rejudge", "explain", "schema"),
    *("runs", "show", "open", "compare", "promote", "demote", "rerun", "prices"),
)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Options]:
    """What the command would have run."""
    seen: list[Options] = []

    def run(options: Options, console: object) -> tuple[int, Path]:
        seen.append(options)
        return 3, tmp_path / "summary.html"

    monkeypatch.setattr(assay_local.run, "run", run)
    return seen


def test_without_a_command_the_commands_are_listed(assay: Assay) -> None:
    code, out, err = assay()
    assert (code, out) == (2, "")
    assert "watch a model pass" in err


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help_has_examples(assay: Assay, arguments: list[str]) -> None:
    code, out, _ = assay(*arguments)
    assert code == 0
    assert "usage: assay" in out
    assert "examples:\n  assay " in out


def test_the_version_is_told(assay: Assay) -> None:
    code, out, _ = assay("--version")
    assert (code, out[:6]) == (0, "assay ")


def test_arguments_become_options(assay: Assay, runs: list[Options], tmp_path: Path) -> None:
    mapped = f"s3://lake/birds={tmp_path}"
    code, _, _ = assay(
        *("run", "birds.tar.gz", "--policy", "assay.yaml", "--name", "birds", "--results", "kept"),
        *("--engine", "docker", "--explainer", "clarify", "--map", mapped, "--timeout", "0.5"),
        *("--endpoint", "reviews=http://localhost:8080/invocations"),
    )
    assert code == 3
    assert runs == [
        Options(
            model=Path("birds.tar.gz"),
            policy=Path("assay.yaml"),
            name="birds",
            results=Path("kept"),
            engine="docker",
            explainer="clarify",
            folders={"s3://lake/birds": tmp_path},
            endpoints={"reviews": "http://localhost:8080/invocations"},
            timeout=30.0,
        )
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["run"], "model"),
        (["run", "m", "--policy", "p", "--engine", "podman"], "podman"),
        (["run", "m", "--policy", "p", "--timeout", "0"], "expected a number of minutes above 0"),
        (["run", "m", "--policy", "p", "--map", "lake=./copy"], "expected s3://bucket/prefix=path"),
    ],
)
def test_bad_arguments_end_with_2(assay: Assay, runs: list[Options], arguments: list[str], message: str) -> None:
    code, _, err = assay(*arguments)
    assert code == 2
    assert message in err
    assert runs == []


def test_a_run_goes_by_assay_yaml_unless_told_otherwise(assay: Assay, runs: list[Options]) -> None:
    assay("run", "birds.tar.gz")
    assert [one.policy for one in runs] == [Path("assay.yaml")]


def test_no_display_is_said(assay: Assay, runs: list[Options], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    code, _, err = assay("run", "m", "--policy", "p", "--open")
    assert (code, "no display to open it on" in err) == (3, True)


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (Problem("no such thing"), "assay: no such thing\n"),
        (BadModel("archive is empty"), "assay: archive is empty\n"),
        (KeyError("bug"), "assay: unexpected KeyError: 'bug' (--debug shows where)\n"),
    ],
)
def test_an_error_is_one_sentence(
    assay: Assay, monkeypatch: pytest.MonkeyPatch, raised: Exception, sentence: str
) -> None:
    def run(*_: Any) -> None:
        raise raised

    monkeypatch.setattr(assay_local.run, "run", run)
    assert assay("run", "m", "--policy", "p") == (2, "", sentence)
    code, _, err = assay("run", "m", "--policy", "p", "--debug")
    assert code == 2
    assert "Traceback" in err


def test_a_missing_model_or_policy_is_named(assay: Assay, tmp_path: Path) -> None:
    policy = tmp_path / "assay.yaml"
    assert assay("run", tmp_path / "model.tar.gz", "--policy", policy) == (
        2,
        "",
        f"assay: policy {policy}: no such file; `assay init MODEL DATA` writes one\n",
    )
    (tmp_path / "data.csv").write_text("a,label\n1,0\n")
    policy.write_text("{task: tabular_classification, data: {source: data.csv}}")
    code, _, err = assay("run", tmp_path / "model.tar.gz", "--policy", policy, "--results", tmp_path / "results")
    assert code == 2
    assert err.startswith(f"assay: {tmp_path}/model.tar.gz does not exist; expected a model.tar.gz")
    assert not (tmp_path / "results").exists()


def test_a_name_that_is_no_name_is_refused(assay: Assay, tmp_path: Path) -> None:
    code, _, err = assay("run", tmp_path, "--policy", tmp_path, "--name", "../birds")
    assert (code, err.count("\n")) == (2, 1)
    assert "--name '../birds': expected" in err


def test_a_missing_docker_or_image_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem, match="no `docker` command on the PATH"):
        assay_local.run.start_cloud("docker")
    (tmp_path / "docker").write_text("#!/bin/sh\necho 'Error: No such image' >&2; exit 1\n")
    (tmp_path / "docker").chmod(0o755)
    with pytest.raises(Problem, match="image assay-evaluator: Error: No such image; `make images`"):
        assay_local.run.start_cloud("docker")


def test_our_image_stands_in_for_clarify_s() -> None:
    assert assay_local.run.parameters("process", "assay") == {}
    assert "sagemaker-clarify-processing" in assay_local.run.parameters("process", "clarify")["ClarifyImageUri"]
    assert assay_local.run.parameters("docker", "clarify") == {
        "EvaluatorImageUri": "assay-evaluator",
        "ExplainerImageUri": "assay-explainer",
        "ExplainerEngine": "clarify",
        "ClarifyImageUri": "assay-explainer",
        "ServingImageUri": assay_local.run.parameters("process", "clarify")["ServingImageUri"],
    }


def test_each_verdict_has_its_exit_code() -> None:
    assert dict(EXIT_CODES) == {"pass": 0, "not judged": 0, "fail": 1, "error": 2, "inconclusive": 3}
    assert set(EXIT_CODES) == set(get_args(Verdict))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/me/birds/7/model.tar.gz", "birds"),
        ("/home/me/birds/2026-01-31/model.tar.gz", "birds"),
        ("/home/me/birds v8.tar.gz", "birds-v8"),
        ("/home/me/wrens.keras", "wrens"),
        ("/home/me/exports/1", "exports"),
        ("/model.tar.gz", "model"),
    ],
)
def test_a_model_is_named_after_its_place(path: str, name: str) -> None:
    assert model_name(Path(path)) == name


def test_help_needs_nothing_heavy() -> None:
    code = """if True:
        import sys
        from assay_local import cli
        cli.parser().format_help()
        print(sorted({"boto3", "moto", "numpy", "rich", "tensorflow"} & set(sys.modules)))
    """
    environment = {"PYTHONPATH": ":".join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout == "[]\n"
