"""The real containers end to end, on models made here: rows and pictures, on our engine and in Clarify's place."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assay.evaluation import ExplainSamples
from assay.layout import RunFolder
from assay.summary import Summary
from assay_local.cloud import Cloud

from .conftest import CLARIFY, Application

pytestmark = [pytest.mark.pipeline, pytest.mark.tensorflow]

MAKE_MODELS = """
import sys
import tensorflow as tf

def save(folder, spec, function):
    module = tf.Module()
    module.scale = tf.Variable(1.0)
    call = tf.function(lambda x: {"scores": tf.nn.softmax(module.scale * function(x))}, input_signature=[spec])
    tf.saved_model.save(module, folder, signatures=call)

def census(x):
    margin = 2.0 * x[:, 0] - 1.0 * x[:, 1]
    return tf.stack([-margin, margin], axis=1)

def lamps(x):
    light = 8.0 * (tf.reduce_mean(x, axis=[1, 2, 3]) - 0.5)
    return tf.stack([-light, light], axis=1)

save(sys.argv[1] + "/census/1", tf.TensorSpec([None, 2], tf.float32, name="x"), census)
save(sys.argv[1] + "/lamps/1", tf.TensorSpec([None, 8, 8, 1], tf.float32, name="x"), lamps)
"""
CENSUS = """
task: tabular_classification
data: {source: test.csv, label: income, labels: [low, high]}
explain: {chosen: {samples: 5}, representative: {samples: 20}, baseline: [[0, 0]]}
gates:
  - {metric: accuracy, min: 0.5, judge: estimate}
"""
LAMPS = """
task: image_classification
data: {source: photos/, annotations: test.csv, label: class_id, names: class_name}
explain: {chosen: {samples: 3}, num_samples: 30, num_segments: 4}
gates:
  - {metric: accuracy, min: 0.99, judge: estimate}
"""


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, "-c", MAKE_MODELS, str(folder)], check=True, capture_output=True)
    return {name: packed(folder / name) for name in ("census", "lamps")}


def packed(folder: Path) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.add(folder / "1", "1")
        if folder.name == "lamps":
            # Clarify's endpoint needs it for pictures; our jobs never run it.
            tar.addfile(tarfile.TarInfo("code/inference.py"))
    return archive.getvalue()


def put_data(application: Application) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(40, 2)).round(2)
    noise = random.normal(scale=0.5, size=40)
    labels = np.where(2 * rows[:, 0] - rows[:, 1] + noise > 0, "high", "low")
    lines = [f"{age},{hours},{label}" for (age, hours), label in zip(rows, labels, strict=True)]
    application.put("models/census/test.csv", "\n".join(["age,hours,income", *lines, ""]))
    application.put("models/census/assay.yaml", CENSUS)
    application.put("models/three/test.csv", "age,hours,income\n1,2,a\n1,2,b\n3,4,c\n")
    application.put("models/three/assay.yaml", CENSUS.replace("[low, high]", "[a, b, c]"))
    annotations = ["image_file_name,class_id,class_name"]
    for number in range(10):
        bright = number % 2
        level = 255 - 60 if bright else 60
        pixels = np.clip(random.normal(level if number != 9 else 20, 10, size=(8, 8)), 0, 255).astype(np.uint8)
        picture = io.BytesIO()
        Image.fromarray(pixels).save(picture, "PNG")
        application.put(f"models/lamps/photos/{number}.png", picture.getvalue())
        annotations.append(f"{number}.png,{bright},{('dark', 'bright')[bright]}")
    application.put("models/lamps/test.csv", "\n".join([*annotations, ""]))
    application.put("models/lamps/assay.yaml", LAMPS)


@dataclass
class Results:
    """What came out of one engine."""

    folders: dict[str, RunFolder]
    summaries: dict[str, Summary]
    objects: dict[str, bytes]
    verdicts: dict[str, list[str]]
    models: list[Any]
    """SageMaker Models that are left."""
    isolated: dict[str, bool]
    """A job's stage → whether it ran without a network."""


@pytest.fixture(scope="module", params=[{}, CLARIFY], ids=["assay", "clarify"])
def results(request: pytest.FixtureRequest, archives: dict[str, bytes]) -> Iterator[Results]:
    with Cloud(parameters=request.param, schedules=False) as cloud:
        application = Application(cloud)
        put_data(application)
        folders = {name: application.upload(archives[name], f"models/{name}/1/model.tar.gz") for name in archives}
        folders["three"] = application.upload(archives["census"], "models/three/1/model.tar.gz")
        cloud.drain(240)
        application.check_is_whole()
        yield Results(
            folders=folders,
            summaries={name: application.summary(folder) for name, folder in folders.items()},
            objects={key: application.get(key) for key in application.keys("runs/")},
            verdicts=application.verdicts(),
            models=cloud.client("sagemaker").list_models()["Models"],
            isolated={
                job.name.rpartition("-")[2]: job.describe()["NetworkConfig"]["EnableNetworkIsolation"]
                for job in cloud.jobs()
            },
        )


def test_rows_are_judged_and_their_mistakes_explained(results: Results) -> None:
    summary = results.summaries["census"]
    assert (summary.verdict, summary.explanation, summary.rows) == ("pass", "done", 40)
    for importance in summary.importance:
        assert list(importance.features) == ["age", "hours"]
        assert importance.features["age"] > importance.features["hours"] > 0
    assert summary.mistakes
    assert all(set(mistake.attributions) == {"age", "hours"} for mistake in summary.mistakes)
    assert summary.max_additivity_gap is not None
    assert summary.max_additivity_gap < 1e-4


def test_the_global_importance_is_the_mean_over_the_representative_rows(results: Results) -> None:
    # the model is f(x) = σ(2(2·age − hours)), its baseline 0: with two features exact values are within hand's reach
    folder = results.folders["census"]
    rows = results.objects[folder.explain_rows + "data.csv"].decode().split()
    values = {row.split(",")[3]: [float(cell) for cell in row.split(",")[:2]] for row in rows}

    def high(age: float, hours: float) -> float:
        return float(1 / (1 + np.exp(-2 * (2 * age - hours))))

    def shapley(age: float, hours: float) -> tuple[float, float]:
        alone, other, both = high(age, 0), high(0, hours), high(age, hours)
        return (alone - 0.5 + both - other) / 2, (other - 0.5 + both - alone) / 2

    samples = ExplainSamples.model_validate_json(results.objects[folder.samples]).samples
    drawn = [sample.id for sample in samples if "representative" in sample.sample]
    assert len(drawn) == 20
    expected = np.abs([shapley(*values[row]) for row in drawn]).mean(axis=0)
    importance = {i.label: i.features for i in results.summaries["census"].importance}["high"]
    np.testing.assert_allclose([importance["age"], importance["hours"]], expected, atol=1e-5)


def test_pictures_are_judged_and_their_heat_maps_shown(results: Results, request: pytest.FixtureRequest) -> None:
    summary = results.summaries["lamps"]
    if request.node.callspec.id == "clarify":  # the archive's handler would be asked, test_pictures_endpoint asks one
        assert (summary.verdict, summary.explanation) == ("fail", "failed")
        assert "an archive's own code is never run on a laptop" in str(summary.explanation_failure)
        return
    assert (summary.verdict, summary.explanation) == ("fail", "done"), summary.explanation_failure
    (mistake,) = [mistake for mistake in summary.mistakes if mistake.id == "9.png"]
    assert (mistake.true, mistake.predicted) == ("bright", "dark")
    assert mistake.heat_maps
    for key in mistake.heat_maps:
        assert results.objects[key].startswith(b"\xff\xd8")
    page = results.objects[results.folders["lamps"].summary_html].decode()
    assert "data:image/jpeg;base64," in page
    assert "data:image/svg+xml;base64," in page


def test_a_model_whose_output_does_not_fit_the_labels_says_so(results: Results) -> None:
    summary = results.summaries["three"]
    assert summary.verdict == "error"
    assert summary.failure is not None
    assert "2" in summary.failure.message
    assert "3" in summary.failure.message


def test_each_run_is_announced_once_and_nothing_is_left(results: Results) -> None:
    assert results.verdicts == {
        results.folders["census"].run: ["pass"],
        results.folders["lamps"].run: ["fail"],
        results.folders["three"].run: ["error"],
    }
    assert results.models == []


def test_only_clarify_has_a_network(results: Results, request: pytest.FixtureRequest) -> None:
    ours = request.node.callspec.id == "assay"
    assert results.isolated == {"evaluation": True, "explanation": ours}
