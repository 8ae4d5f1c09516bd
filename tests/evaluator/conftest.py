"""A job's folders as SageMaker lays them out, and models of which all is known."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from assay.errors import BadModel
from assay.evaluation import EvaluationReport, ExplainSample, ExplainSamples, Tensor
from assay.events import Upload
from assay.policy import read_policy
from assay.run import Champion, Run
from evaluator.program import main
from model.load import Model


@dataclass
class Job:
    """An evaluation job, before and after it ran."""

    root: Path

    def input(self, name: str) -> Path:
        folder = self.root / "processing/input" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def output(self) -> Path:
        return self.root / "processing/output"

    def run(self, policy: dict[str, Any], champion: Champion | None = None) -> int:
        key = "models/digits/1/model.tar.gz"
        run = Run(
            id="a" * 20,
            model="digits",
            upload=Upload(bucket="bucket", key=key, version="v"),
            opened_at=datetime(2026, 1, 1, tzinfo=UTC),
            policy=read_policy(policy),
            champion=champion,
        )
        (self.input("run") / "run.json").write_text(run.to_json())
        return main(self.root)

    def run_beside(self, champion: Job, policy: dict[str, Any]) -> int:
        """With what another job left behind, whose model passed."""
        for path in (
            champion.input("run") / "run.json",
            champion.input("model") / "model.tar.gz",
            champion.output / "report.json",
            champion.output / "predictions.parquet",
        ):
            shutil.copy(path, self.input("champion"))
        now = datetime(2026, 1, 1, tzinfo=UTC)
        return self.run(
            policy, Champion(model="digits", run="c" * 20, uploaded_at=now, key="k", version="v", crowned_at=now)
        )

    @property
    def message(self) -> str:
        """What people are told when there are no results."""
        return (self.root / "output/message").read_text()

    @property
    def report(self) -> EvaluationReport:
        return EvaluationReport.model_validate_json((self.output / "report.json").read_bytes())

    @property
    def samples(self) -> tuple[ExplainSample, ...]:
        return ExplainSamples.model_validate_json((self.output / "explain/samples.json").read_bytes()).samples

    @property
    def evaluation(self) -> dict[str, Any]:
        """Strict: JSON knows no NaN."""

        def refuse(constant: str) -> None:
            pytest.fail(f"evaluation.json holds a bare {constant}")

        content: dict[str, Any] = json.loads((self.output / "evaluation.json").read_text(), parse_constant=refuse)
        return content

    @property
    def predictions(self) -> list[dict[str, Any]]:
        import pyarrow.parquet as pq

        rows: list[dict[str, Any]] = pq.read_table(self.output / "predictions.parquet").to_pylist()
        return rows

    def write_rows(self, lines: Iterable[Sequence[object]], name: str = "test.csv") -> None:
        write_csv(self.input("dataset") / name, lines)

    def write_pictures(self, labels: Sequence[object], levels: Sequence[int], header: str = "class_id") -> None:
        """Grey pictures `0.png`, `1.png`, …: the level is what the known model sees, the label what is said of them."""
        for number, level in enumerate(levels):
            Image.fromarray(np.full((6, 5), level, dtype=np.uint8)).save(self.input("dataset") / f"{number}.png")
        lines = [("image_file_name", header, "class_name")]
        lines += [(f"{number}.png", str(label), f"class {label}") for number, label in enumerate(labels)]
        write_csv(self.input("annotations") / "annotations.csv", lines)


def write_csv(path: Path, lines: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(lines)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    result = Job(tmp_path / "ml")
    (result.input("model") / "model.tar.gz").write_bytes(b"an archive")
    return result


Function = Callable[[NDArray[Any]], NDArray[Any]]
GiveModel = Callable[..., None]


@pytest.fixture
def give_model(monkeypatch: pytest.MonkeyPatch) -> GiveModel:
    """Let the job's archive hold this function of inputs of this shape."""

    def give(function: Function, *shape: int | None, outputs: int = 1, dtype: str = "float32") -> None:
        monkeypatch.setattr("evaluator.request.unpack", lambda _archive, into: into.mkdir())
        monkeypatch.setattr("evaluator.request.load_model", lambda _: known(function, shape, outputs, dtype))

    return give


def known(function: Function, shape: Sequence[int | None], outputs: int, dtype: str = "float32") -> Model:
    return Model(
        lambda arrays: {"scores": np.asarray(function(arrays["x"]))},
        [Tensor(name="x", shape=(None, *shape), dtype=dtype)],
        [Tensor(name="scores", shape=(None, outputs), dtype="float32")],
        "SavedModel",
        "known",
    )


@pytest.fixture
def archives(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, Model]:
    """What each archive holds, by its bytes: for jobs that load more than one; an unknown one holds no model."""
    models: dict[bytes, Model] = {}

    def unpack(archive: Path, into: Path) -> None:
        into.mkdir()
        shutil.copy(archive, into / "archive")

    def load(folder: Path) -> Model:
        content = (folder / "archive").read_bytes()
        if content not in models:
            raise BadModel("no model in the archive")
        return models[content]

    monkeypatch.setattr("evaluator.request.unpack", unpack)
    monkeypatch.setattr("evaluator.request.load_model", load)
    return models


@pytest.fixture
def no_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong must be found before the model is loaded, which takes seconds."""
    monkeypatch.setattr("evaluator.request.unpack", lambda _archive, into: into.mkdir())
    monkeypatch.setattr("evaluator.request.load_model", lambda _: pytest.fail("loaded the model"))


def sees_levels(classes: int, sure: float = 0.9) -> Function:
    """A model of grey pictures that says class `level // 10`, with this score."""

    def function(batch: NDArray[Any]) -> NDArray[Any]:
        said = np.round(batch.mean(axis=(1, 2, 3)) * 255).astype(int) // 10
        scores = np.full((len(batch), classes), (1 - sure) / (classes - 1), dtype=np.float32)
        scores[np.arange(len(batch)), said] = sure
        return scores

    return function
