"""The whole chain for a detector on real photos: judged, explained object by object, shown."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assay_local.cloud import Cloud

from .conftest import Application

BCCD = Path(__file__).parents[3] / "shared/data/bccd/test"
pytestmark = [
    pytest.mark.pipeline,
    pytest.mark.tensorflow,
    pytest.mark.skipif(not BCCD.exists(), reason=f"{BCCD} is not on this machine"),
]

HEIGHT, WIDTH = 240, 320
WINDOW, STEP = 84, 12
"""Pixels: of the square that a nucleus fills, and between two of them."""
POLICY = f"""
task: object_detection
data:
  source: photos/
  annotations: annotations.csv
  label: class_name
  labels: {{1: RBC, 2: WBC, 3: Platelets}}
preprocessing: {{size: [{HEIGHT}, {WIDTH}]}}
evaluate: {{score_threshold: 0.3, iou: [0.5]}}
explain:
  chosen: {{samples: 3}}
  num_samples: 150
  num_segments: 30
  baseline: [[225, 220, 220]]
  max_objects: 2
  iou_threshold: 0.5
gates:
  - {{metric: ap50, class: WBC, min: 0.2, judge: estimate}}
"""


def detector(folder: Path) -> bytes:
    """An archive with a detector of white blood cells: the squares of the picture that are the most purple."""
    import tensorflow as tf

    corners = [(y, x) for y in range(0, HEIGHT - WINDOW + 1, STEP) for x in range(0, WIDTH - WINDOW + 1, STEP)]
    boxes = tf.constant([[[y / HEIGHT, x / WIDTH, (y + WINDOW) / HEIGHT, (x + WINDOW) / WIDTH] for y, x in corners]])

    class Purple(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None, HEIGHT, WIDTH, 3), tf.uint8)])  # type: ignore[untyped-decorator]
        def __call__(self, image: Any) -> dict[str, Any]:
            pixels = tf.cast(image, tf.float32)
            purple = tf.clip_by_value((pixels[..., 2:] - pixels[..., 1:2] - 40) / 60, 0, 1)
            seen = tf.reshape(tf.nn.avg_pool2d(purple, WINDOW, STEP, "VALID"), (tf.shape(image)[0], len(corners), 1))
            places = tf.repeat(boxes, tf.shape(image)[0], axis=0)[:, :, None]
            found = tf.image.combined_non_max_suppression(places, tf.minimum(1.0, 2.5 * seen), 5, 5, 0.2, 0.05)
            return {
                "detection_boxes": found.nmsed_boxes,
                "detection_scores": found.nmsed_scores,
                "detection_classes": found.nmsed_classes + 2,
                "num_detections": tf.cast(found.valid_detections, tf.float32),
            }

    module = Purple()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.__call__})
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        tar.add(folder, "1")
    return content.getvalue()


def test_white_blood_cells_are_found_by_what_is_purple_in_them(tmp_path: Path) -> None:
    with (BCCD / "annotations.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = sorted({row["image_file_name"] for row in rows if row["class_name"] == "WBC"})[:8]
    with Cloud(schedules=False) as cloud:
        app = Application(cloud)
        for name in names:
            app.put(f"models/cells/photos/{name}", (BCCD / "images" / name).read_bytes())
        lines = [",".join(row.values()) for row in rows if row["image_file_name"] in names]
        app.put("models/cells/annotations.csv", "\n".join([",".join(rows[0]), *lines]) + "\n")
        app.put("models/cells/assay.yaml", POLICY)
        folder = app.upload(detector(tmp_path / "saved"), "models/cells/1/model.tar.gz")
        cloud.drain(timeout=180)
        app.check_is_whole()
        summary = app.summary(folder)
        assert (summary.explanation, summary.explanation_failure) == ("done", None)
        assert summary.verdict == "pass", summary
        asked = json.loads(app.get(folder.analysis_config))
        assert asked["probability_threshold"] == 0.3
        assert asked["predictor"]["label_headers"] == ["RBC", "WBC", "Platelets"]

        images = json.loads(app.get(folder.analysis))["assay"]["images"]
        maps = {key for mistake in summary.mistakes for key in mistake.heat_maps}
        drawn = [name for one in images for name in (one["objects"], *one["heat_maps"].values())]
        assert maps == {f"{folder.explanation}explanations_shap/{name}" for name in drawn}
        shap = f"{folder.explanation}explanations_shap/shap_"
        seen = 0
        for one in images:
            stem = one["image"].removesuffix(".jpg")
            assert (
                Image.open(io.BytesIO(app.get(f"{folder.explanation}explanations_shap/{one['objects']}"))).height > 240
            )
            numbers = json.loads(app.get(f"{shap}{stem}.json"))
            segments = np.load(io.BytesIO(app.get(f"{shap}{stem}_segments.npy")))
            attributions = np.load(io.BytesIO(app.get(f"{shap}{stem}_attributions.npy")))
            for place, found in enumerate(numbers["objects"]):
                assert (found["label"], found["class"]) == ("WBC", 2)
                left, top, right, bottom = (
                    round(share * size) for share, size in zip(found["box"], [WIDTH, HEIGHT] * 2, strict=True)
                )
                near = np.unique(segments[max(0, top - 12) : bottom + 12, max(0, left - 12) : right + 12])
                values = attributions[:, place]
                assert values[near].sum() > 0.9 * values.sum() > 0.2
                seen += 1
        assert seen >= 3
