"""`assay rejudge`: a verdict once more, from a run's folder on disk or in S3, by its own policy or another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from assay.drift import Drift, DriftOf
from assay.evaluation import DataFacts, EvaluationReport, Metric, ModelFacts
from assay.events import Upload
from assay.failure import Failure
from assay.layout import RunFolder
from assay.policy import read_policy
from assay.rates import wilson
from assay.run import Champion, Run
from assay.summary import Summary
from assay_aws import clients
from assay_local import cli

THIS, BEST = "a" * 20, "b" * 20
FOLDER = RunFolder("birds", THIS)
POLICY = {"task": "image_classification", "data": {"source": "test/", "annotations": "test.csv"}}
GATES = [{"metric": "accuracy", "min": 0.8}, {"metric": "recall", "class": "each", "min": 0.5}]
Ran = tuple[int, str, str]
Rejudge = Callable[..., Ran]


def rate(right: int, n: int) -> Metric:
    low, high = wilson(right, n)
    return Metric(value=right / n, low=low, high=high, n=n, higher_is_better=True)


def report(right: int) -> EvaluationReport:
    return EvaluationReport(
        task="image_classification",
        labels=("wren", "robin"),
        metrics={"accuracy": rate(right, 100)},
        per_class={"recall": {"wren": rate(45, 50), "robin": rate(right - 45, 50)}},
        model=ModelFacts(format="Keras", runtime="none", archive_sha256=str(right), inputs=(), outputs=()),
        data=DataFacts(rows=100, sha256="0"),
    )


def run(**fields: Any) -> Run:
    upload = Upload(bucket="archives", key="models/birds/7/model.tar.gz", version="v")
    given: dict[str, Any] = {"policy": read_policy({**POLICY, "gates": GATES})} | fields
    return Run(id=THIS, model="birds", upload=upload, opened_at=datetime(2026, 1, 1, tzinfo=UTC), **given)


def champion() -> Champion:
    then = datetime(2026, 1, 1, tzinfo=UTC)
    return Champion(model="birds", run=BEST, uploaded_at=then, key="k", version="v", crowned_at=then)


def files(of: Run, right: int = 95) -> dict[str, str]:
    summary = Summary(run=of.id, model=of.model, upload=of.upload, verdict="pass", headline="birds passed")
    return {
        FOLDER.run_json: of.to_json(),
        FOLDER.report: report(right).to_json(),
        FOLDER.summary_json: summary.to_json(),
    }


@pytest.fixture
def rejudge(capsys: pytest.CaptureFixture[str]) -> Rejudge:
    def call(*arguments: object) -> Ran:
        code = cli.main(["rejudge", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def written(folder: Path, content: dict[str, str]) -> Path:
    for key, text in content.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / FOLDER.prefix


def policy_file(folder: Path, *gates: dict[str, object], **parts: object) -> Path:
    file = folder / "other.yaml"
    file.write_text(json.dumps({**POLICY, **parts, "gates": gates}))
    return file


def test_by_its_own_policy_it_ends_as_it_did(rejudge: Rejudge, tmp_path: Path) -> None:
    code, out, err = rejudge(written(tmp_path, files(run())))
    assert (code, err) == (0, "")
    assert out.startswith("PASS: birds passed 3 gates: accuracy 0.95 (at least 0.8)")
    assert "  [pass] recall of wren is 0.9 (0.7864 to 0.9565), must be at least 0.5" in out
    assert f"Run          {THIS} of birds, 100 samples, announced as pass" in out
    assert "Note" not in out


@pytest.mark.parametrize(
    ("gate", "code", "verdict"),
    [
        ({"metric": "accuracy", "min": 0.8}, 0, "PASS"),
        ({"metric": "accuracy", "min": 0.99}, 1, "FAIL"),
        ({"metric": "accuracy", "min": 0.94}, 3, "INCONCLUSIVE"),
        ({"metric": "accuracy", "min": 0.94, "on_inconclusive": "warn"}, 0, "PASS"),
        ({"metric": "acuracy", "min": 0.5}, 1, "FAIL"),
        ({"metric": "accuracy", "max_worse": 0.1}, 0, "NOT JUDGED"),
    ],
)
def test_another_policy_decides_otherwise(
    rejudge: Rejudge, tmp_path: Path, gate: dict[str, object], code: int, verdict: str
) -> None:
    folder = written(tmp_path, files(run()))
    ended, out, _ = rejudge(folder, "--policy", policy_file(tmp_path, gate))
    assert (ended, out.split(":")[0]) == (code, verdict)


def test_explanation_drift_is_judged_as_it_was_measured(rejudge: Rejudge, tmp_path: Path) -> None:
    rows = {"task": "tabular_classification", "data": {"source": "test.csv"}}
    gate = {"metric": "explanation_rank_correlation", "min": 0.5}
    content = files(run(policy=read_policy({**rows, "gates": [gate]})))
    assert rejudge(written(tmp_path, content))[1].startswith("NOT JUDGED: ")
    of_all = DriftOf(
        rank_correlation=Metric(value=0.2, low=0.1, high=0.3), top_overlap=Metric(value=1), moved=Metric(value=0.4)
    )
    summary = Summary.model_validate_json(content[FOLDER.summary_json])
    kept = summary.model_copy(update={"drift": Drift(rows=100, features=8, top=4, outputs=(of_all,))})
    code, out, _ = rejudge(written(tmp_path, {**content, FOLDER.summary_json: kept.to_json()}))
    assert (code, out.split(":")[0]) == (1, "FAIL")
    assert "explanation_rank_correlation is 0.2 (0.1 to 0.3), must be at least 0.5" in out


def test_for_programs_it_is_json(rejudge: Rejudge, tmp_path: Path) -> None:
    folder = written(tmp_path, files(run()))
    code, out, _ = rejudge(folder, "--json", "--policy", policy_file(tmp_path, {"metric": "accuracy", "min": 0.99}))
    said = json.loads(out)
    assert code == 1
    assert {name: said[name] for name in ("run", "model", "verdict", "announced", "notes")} == {
        "run": THIS,
        "model": "birds",
        "verdict": "fail",
        "announced": "pass",
        "notes": [],
    }
    [gate] = said["gates"]
    assert (gate["value"], gate["result"], gate["gate"]["min"]) == (0.95, "fail", 0.99)


def test_the_champion_is_the_one_of_then(rejudge: Rejudge, tmp_path: Path) -> None:
    content = files(run(champion=champion()), right=70)
    content[RunFolder("birds", BEST).report] = report(95).to_json()
    gate = policy_file(tmp_path, {"metric": "accuracy", "max_worse": 0.02})
    code, out, _ = rejudge(written(tmp_path, content), "--policy", gate)
    assert code == 1
    assert "accuracy: 0.95 → 0.7, worse" in out
    code, out, _ = rejudge(written(tmp_path / "moved", files(run(champion=champion()), right=70)), "--policy", gate)
    assert code == 0
    assert f"the champion of then, {BEST}, has no report here: nothing is compared with it" in out


def test_it_says_that_nothing_is_measured_again(rejudge: Rejudge, tmp_path: Path) -> None:
    folder = written(tmp_path, files(run()))
    policy = policy_file(tmp_path, {"metric": "accuracy", "min": 0.8}, evaluate={"threshold": 0.7})
    code, out, _ = rejudge(folder, "--policy", policy)
    assert code == 0
    assert "Note         the numbers were measured by the run's own policy: evaluate of this one changes none" in out


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-a-test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        clients.s3.cache_clear()
        bucket = boto3.resource("s3").Bucket("archives")
        bucket.create()
        yield bucket
    clients.s3.cache_clear()


def test_a_run_in_s3_is_read_where_it_lies(rejudge: Rejudge, tmp_path: Path, bucket: Any) -> None:
    content = files(run(champion=champion()), right=70)
    content[RunFolder("birds", BEST).report] = report(95).to_json()
    for key, text in content.items():
        bucket.put_object(Key=key, Body=text.encode())
    for address in (f"s3://archives/{FOLDER.prefix}", f"s3://archives/{FOLDER.prefix}".rstrip("/")):
        code, out, err = rejudge(
            address, "--policy", policy_file(tmp_path, {"metric": "accuracy", "max_worse": {"relative": 0.05}})
        )
        assert (code, err) == (1, "")
        assert out.startswith("FAIL: birds failed 1 gate: accuracy is 0.7, must be at most 5 % worse")
    assert {key.key for key in bucket.objects.all()} == set(content)


def test_what_is_not_in_s3_is_named(rejudge: Rejudge, bucket: Any) -> None:
    code, _, err = rejudge("s3://archives/runs/birds/none/")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("assay: s3://archives/runs/birds/none/: no run: it holds no run.json; expected")


def test_without_credentials_it_says_so(rejudge: Rejudge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it keeps the credentials that another test gave it
    clients.s3.cache_clear()
    code, _, err = rejudge("s3://archives/runs/birds/none/")
    clients.s3.cache_clear()
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("assay: s3://archives/runs/birds/none/run.json: no AWS credentials were found; log in (aws")


def without(content: dict[str, str], key: str) -> dict[str, str]:
    return {name: text for name, text in content.items() if name != key}


FAILED = Summary(
    run=THIS,
    model="birds",
    upload=run().upload,
    verdict="error",
    headline="",
    failure=Failure(error="BadModel", message="the archive is empty"),
)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({}, "no run: it holds no run.json; expected a run's folder such as assay-results/runs/<model>/<run>"),
        (without(files(run()), FOLDER.report), "the run left no numbers"),
        (
            {FOLDER.run_json: run().to_json(), FOLDER.summary_json: FAILED.to_json()},
            "the run left no numbers: the archive is empty",
        ),
        ({**files(run()), FOLDER.report: "{}"}, "report.json: not written by this version of Assay: task: Field"),
        (files(run(policy=None)), "the run has no policy of its own; say which with --policy"),
    ],
)
def test_a_run_without_numbers_cannot_be_judged(
    rejudge: Rejudge, tmp_path: Path, content: dict[str, str], sentence: str
) -> None:
    code, out, err = rejudge(written(tmp_path, content))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err


def test_a_policy_with_a_typo_is_refused(rejudge: Rejudge, tmp_path: Path) -> None:
    folder = written(tmp_path, files(run()))
    code, _, err = rejudge(folder, "--policy", policy_file(tmp_path, {"metric": "accuracy", "mim": 0.8}))
    assert code == 2
    assert "gates.0.mim: unknown key; did you mean `min`?" in err
    code, _, err = rejudge(folder, "--policy", tmp_path / "none.yaml")
    assert (code, err) == (2, f"assay: policy {tmp_path}/none.yaml: No such file or directory\n")
