"""A job's folders as SageMaker lays them out, and models of which all is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.evaluation import Tensor
from assay.policy import ModelOptions
from explainer.program import main


@dataclass
class Job:
    """An explanation job, before and after it ran."""

    root: Path
    calls: list[int] = field(default_factory=list)
    """How many inputs each call of the model had."""

    @property
    def data(self) -> Path:
        return self.root / "processing/input/data"

    @property
    def output(self) -> Path:
        return self.root / "processing/output"

    def configure(self, config: dict[str, Any] | str) -> None:
        path = self.root / "processing/input/config/analysis_config.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(config if isinstance(config, str) else json.dumps(config))

    def run(self, config: dict[str, Any] | str) -> int:
        self.configure(config)
        return main(self.root)

    @property
    def message(self) -> str:
        """What people are told when there are no results."""
        return (self.root / "output/message").read_text()

    @property
    def analysis(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.output / "analysis.json").read_text())
        return content


@pytest.fixture
def job(tmp_path: Path) -> Job:
    result = Job(tmp_path / "ml")
    result.data.mkdir(parents=True)
    (result.root / "processing/input/model").mkdir()
    (result.root / "processing/input/model/model.tar.gz").touch()
    return result


@dataclass
class KnownModel:
    """Stands in the place of a loaded model."""

    function: Callable[[Any], NDArray[Any]]
    inputs: tuple[Tensor, ...]
    calls: list[int]
    runtime: str = "known"
    runtime_reason: str | None = None

    def asked_by(self, _: ModelOptions) -> KnownModel:
        return self

    def predict(self, batch: Any) -> NDArray[np.float64]:
        self.calls.append(len(next(iter(batch.values())) if isinstance(batch, dict) else batch))
        return np.asarray(self.function(batch), dtype=np.float64)


GiveModel = Callable[..., None]


@pytest.fixture
def give_model(job: Job, monkeypatch: pytest.MonkeyPatch) -> GiveModel:
    """Let the job's archive hold this function of one input of this shape, or of an input for each of these dtypes."""

    def give(
        function: Callable[[Any], NDArray[Any]], *shape: int | None, dtype: str = "float32", **dtypes: str
    ) -> None:
        tensors = [Tensor(name="input", shape=(None, *shape), dtype=dtype)]
        if dtypes:
            tensors = [Tensor(name=name, shape=(None,), dtype=one) for name, one in dtypes.items()]
        monkeypatch.setattr("explainer.request.unpack", lambda _archive, into: into.mkdir())
        monkeypatch.setattr("explainer.request.load_model", lambda _: KnownModel(function, tuple(tensors), job.calls))

    return give


@pytest.fixture
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow cannot be imported."""
    monkeypatch.setitem(__import__("sys").modules, "tensorflow", None)
