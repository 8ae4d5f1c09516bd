"""The program as SageMaker starts it, on real models."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from .conftest import Job, write_csv


def pack(job: Job, folder: Path) -> None:
    with tarfile.open(job.input("model") / "model.tar.gz", "w:gz") as tar:
        for path in folder.iterdir():
            tar.add(path, arcname=path.name)


@pytest.mark.tensorflow
def test_handwritten_digits_from_an_archive_to_every_file_of_the_results(job: Job, tmp_path: Path) -> None:
    """The model knows each digit by its mean picture; it is asked about pictures that are none of them."""
    import tensorflow as tf

    digits = load_digits()
    pixels, labels = digits.images / 16, digits.target
    known, asked = slice(200, None), slice(0, 200)
    means = np.stack([pixels[known][labels[known] == digit].mean(axis=0) for digit in range(10)]).reshape(10, 64)

    def nearest(pictures: Any) -> Any:
        flat = tf.reshape(pictures, [-1, 1, 64])
        return {"output": tf.nn.softmax(-tf.reduce_sum((flat - means.astype(np.float32)) ** 2, axis=2))}

    module = tf.Module()
    module.serve = tf.function(
        nearest, input_signature=[tf.TensorSpec([None, 8, 8, 1], tf.float32, name="input_1")], autograph=False
    )
    tf.saved_model.save(module, str(tmp_path / "m/1"), signatures={"serving_default": module.serve})
    pack(job, tmp_path / "m")
    for number, picture in enumerate(pixels[asked]):
        Image.fromarray((picture * 255).astype(np.uint8)).save(job.input("dataset") / f"{number:03}.png")
    lines = [(f"{number:03}.png", label, f"digit {label}") for number, label in enumerate(labels[asked])]
    write_csv(job.input("annotations") / "test.csv", [("image_file_name", "class_id", "class_name"), *lines])

    assert job.run({"task": "image_classification", "data": {"source": "d/", "annotations": "test.csv"}}) == 0
    distances = ((pixels[asked].reshape(-1, 1, 64) - means) ** 2).sum(axis=2)
    report = job.report
    assert report.metrics["accuracy"].value == pytest.approx(
        (distances.argmin(axis=1) == labels[asked]).mean(), abs=0.01
    )
    assert (report.model.format, report.model.inputs[0].shape) == ("SavedModel", (None, 8, 8, 1))
    assert len(report.model.archive_sha256) == 64
    assert {"unpack", "load", "score", "measure", "plots"} <= set(report.seconds)
    results = {path.relative_to(job.output).as_posix() for path in job.output.rglob("*") if path.is_file()}
    images = {name for name in results if name.startswith("explain/images/")}
    assert len(images) == len(job.samples) == 12
    plots = {f"plots/{name}.svg" for name in ("classes", "confusion", "curves", "reliability")}
    assert set(report.plots) == plots
    assert results - images - plots == {
        "evaluation.json",
        "explain/samples.json",
        "predictions.parquet",
        "report.json",
    }


@pytest.mark.tensorflow
def test_rows_of_a_keras_model(job: Job, tmp_path: Path) -> None:
    import tensorflow as tf

    (tmp_path / "m").mkdir()
    model = tf.keras.Sequential([tf.keras.Input((2,)), tf.keras.layers.Dense(1, activation="sigmoid", use_bias=False)])
    model.layers[0].set_weights([np.array([[3.0], [-3.0]])])
    model.save(tmp_path / "m/model.keras")
    pack(job, tmp_path / "m")
    x = np.random.default_rng(0).normal(size=(50, 2)).round(2)
    job.write_rows([("a", "b", "label"), *((*row, int(row[0] > row[1])) for row in x)])
    assert job.run({"task": "tabular_classification", "data": {"source": "test.csv"}}) == 0
    assert job.report.metrics["roc_auc"].value == 1
    assert job.report.model.format == "Keras"


def test_the_archive_is_looked_into_before_anything_of_it_is_loaded(job: Job) -> None:
    job.write_pictures([0], [0])
    (job.input("model") / "model.tar.gz").write_bytes(b"PK\x03\x04 zipped")
    ran = subprocess.run(
        [sys.executable, "-m", "evaluator", str(job.root)],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 1
    assert "run.json" in job.message
    policy = {"task": "image_classification", "data": {"source": "d/", "annotations": "a.csv", "label_base": 0}}
    assert job.run(policy) == 1
    assert "model.tar.gz: not a gzip file but zip" in job.message
