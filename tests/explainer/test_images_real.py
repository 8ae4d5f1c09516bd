"""Jobs on pictures with real archives: both runtimes say the same, and a detector's graph is explained."""

from __future__ import annotations

import html
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.runtime import SCORES_ALONE

SIZE = 24


def config(model_type: str, labels: list[str]) -> dict[str, Any]:
    return {
        "dataset_type": "application/x-image",
        "probability_threshold": 0.3,
        "methods": {
            "shap": {
                "baseline": [[0]],
                "num_samples": 300,
                "image_config": {"model_type": model_type, "num_segments": 12, "segment_compactness": 30},
            }
        },
        "predictor": {"model_name": "m", "label_headers": labels},
    }


def pack(exported: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(exported, "1")


@pytest.fixture
def patch(job: Any) -> Any:
    """A job on one picture: dark, with a red patch in its lower right quarter."""
    pixels = np.full((SIZE, SIZE, 3), 20, dtype=np.uint8)
    pixels[14:22, 12:22] = (250, 30, 30)
    pixels[2:8, 2:8] = (30, 200, 30)
    Image.fromarray(pixels).save(job.data / "patch.png")
    return job


@pytest.mark.tensorflow
def test_a_real_archive_is_explained_alike_on_every_runtime(patch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(8, 5, activation="relu")(inputs))
    network = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    network.export(patch.root / "export", verbose=False)
    pack(patch.root / "export", patch.root / "processing/input/model/model.tar.gz")
    asked = config("IMAGE_CLASSIFICATION", ["a", "b", "c"])
    folder = patch.output / "explanations_shap"

    assert patch.run(asked) == 0
    theirs = np.load(folder / "shap_patch_attributions.npy")
    assert "are too few to look for a faster one" in patch.analysis["assay"]["runtime"]["reason"]
    monkeypatch.setattr("explainer.images.WORTH_PIXELS", 1000)
    found = []
    for attempt in range(4):
        if attempt == 2:
            monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed
        assert patch.run(asked) == 0
        runtime = patch.analysis["assay"]["runtime"]
        assert "ONNX Runtime 1." in runtime["name"] if attempt < 2 else "made constants" in runtime["name"]
        assert runtime["reason"].endswith("its scores of a probe are TensorFlow's within 0.0001")
        np.testing.assert_allclose(np.load(folder / "shap_patch_attributions.npy"), theirs, atol=1e-5)
        page = html.unescape((patch.output / "report.html").read_text())
        assert f"{runtime['name']} ({runtime['reason']})" in page
        found.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert found[0] == found[1]
    assert found[2] == found[3]


@pytest.mark.tensorflow
def test_a_detectors_graph_is_explained_where_it_looks(patch: Any) -> None:
    import tensorflow as tf

    class Detector(tf.Module):  # type: ignore[misc]
        """Finds red, where the patch is, as surely as that place is red."""

        @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8)])  # type: ignore[untyped-decorator]
        def __call__(self, input_tensor: Any) -> dict[str, Any]:
            red = tf.reduce_mean(tf.cast(input_tensor[:, 14:22, 12:22, 0], tf.float32), axis=(1, 2)) / 255
            box = tf.constant([[14, 12, 22, 22]], tf.float32) / SIZE
            return {
                "detection_boxes": box[None],
                "detection_scores": red[:, None],
                "detection_classes": tf.constant([[2.0]]),
                "num_detections": tf.constant([1.0]),
            }

    detector = Detector()
    tf.saved_model.save(detector, str(patch.root / "export"), signatures=detector.__call__)
    pack(patch.root / "export", patch.root / "processing/input/model/model.tar.gz")
    assert patch.run(config("OBJECT_DETECTION", ["green", "red"])) == 0
    folder = patch.output / "explanations_shap"
    assert (folder / "shap_patch_box1_object.jpeg").exists()
    numbers = json.loads((folder / "shap_patch.json").read_text())
    assert patch.analysis["assay"]["runtime"]["reason"] == SCORES_ALONE
    (one,) = numbers["objects"]
    assert (one["name"], one["class"]) == ("box 1: red", 2)
    assert one["box"] == pytest.approx([12 / SIZE, 14 / SIZE, 22 / SIZE, 22 / SIZE])
    segments = np.load(folder / "shap_patch_segments.npy")
    attributions = np.load(folder / "shap_patch_attributions.npy")[:, 0]
    seen = np.unique(segments[14:22, 12:22])
    assert np.abs(np.delete(attributions, seen)).max() < 1e-6
    assert attributions[seen].sum() == pytest.approx(250 / 255, abs=1e-6)
