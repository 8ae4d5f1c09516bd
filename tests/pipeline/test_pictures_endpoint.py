"""The whole chain for pictures whose model is behind an endpoint: judged, explained, shown."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from assay_local.cloud import Cloud

from .conftest import CLARIFY, Application
from .test_endpoint import ALLOWED, HANDLED

pytestmark = pytest.mark.pipeline

SIZE = 32
PLACE = (slice(2, 10), slice(2, 10))
"""Rows and columns: where a patch lies that both models look for, and look at nothing else."""
BOX = [2 / SIZE, 2 / SIZE, 10 / SIZE, 10 / SIZE]
COLOUR = ", baseline: [[0]]"
"""Clarify knows none."""
CHOSEN = f"explain: {{chosen: {{samples: 2}}, num_samples: 40, num_segments: 4{COLOUR}}}"
BIRDS = f"""
task: image_classification
model: {{predictor: endpoint, endpoint_name: reviews-birds}}
data: {{source: photos/, annotations: photos.csv, label: kind, labels: [crow, jay]}}
{CHOSEN}
gates:
  - {{metric: accuracy, min: 0.5, judge: estimate}}
"""
CELLS = f"""
task: object_detection
model: {{predictor: endpoint, endpoint_name: reviews-cells, content_type: image/png}}
data: {{source: photos/, annotations: boxes.csv, labels: {{1: RBC, 2: WBC}}}}
evaluate: {{score_threshold: 0.1}}
{CHOSEN}
"""


BIRDS_FOR_CLARIFY = BIRDS.replace(COLOUR, "").replace("reviews-birds}", "reviews-birds, content_type: image/png}")


def pixels_of(body: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))


def bird(body: bytes, content_type: str, accept: str) -> str:
    assert (content_type, accept) == ("image/png", "application/json")
    blue = float(pixels_of(body)[PLACE][..., 2].mean()) / 255
    return json.dumps([1 - blue, blue])


def cell(body: bytes, content_type: str, accept: str) -> str:
    assert (content_type, accept) == ("image/png", "application/json")
    blue = float(pixels_of(body)[PLACE][..., 2].mean()) / 255
    return json.dumps({"prediction": [[1.0, blue, *BOX]]})


def photo(blue: int) -> bytes:
    pixels = np.full((SIZE, SIZE, 3), 90, dtype=np.uint8)
    pixels[PLACE] = (0, 0, blue)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def check_explained(app: Application, folder: Any, scores: int) -> None:
    """What the model looked at got it all, in each of the two pictures."""
    shown = json.loads(app.get(folder.analysis))["assay"]["images"]
    assert len(shown) == 2
    for one in shown:
        names = sorted(app.keys(f"{folder.explanation}explanations_shap/"))
        stem = one["image"].removesuffix(".png")
        arrays = {
            kind: np.load(io.BytesIO(app.get(next(name for name in names if name.endswith(f"_{stem}_{kind}.npy")))))
            for kind in ("segments", "attributions")
        }
        assert arrays["attributions"].shape[1] == scores
        seen = np.unique(arrays["segments"][PLACE])
        assert len(seen) < 1 + arrays["segments"].max()
        assert np.abs(np.delete(arrays["attributions"], seen, axis=0)).max() < 1e-9
        assert np.abs(arrays["attributions"][seen].sum(axis=0)).min() > 0.2


@pytest.mark.parametrize(
    ("engine", "policy", "scores"),
    [({}, BIRDS, 2), ({}, CELLS, 1), (CLARIFY, BIRDS_FOR_CLARIFY, 2)],
    ids=["classes", "objects", "clarify"],
)
def test_pictures_are_judged_and_explained_through_their_endpoint(
    engine: dict[str, str], policy: str, scores: int
) -> None:
    endpoints = {"reviews-birds": bird, "reviews-cells": cell}
    with Cloud(parameters=ALLOWED | engine, endpoints=endpoints, schedules=False) as cloud:
        app = Application(cloud)
        app.put("models/m/assay.yaml", policy)
        kinds = ["crow", "crow", "jay", "jay", "crow", "jay"]
        for number, blue in enumerate([60, 70, 250, 240, 200, 230]):  # the fifth is a mistake
            app.put(f"models/m/photos/{number}.png", photo(blue))
        app.put(
            "models/m/photos.csv", "image_file_name,kind\n" + "".join(f"{n}.png,{k}\n" for n, k in enumerate(kinds))
        )
        boxes = "".join(f"{number}.png,RBC,2,2,10,10\n" for number in range(6))
        app.put("models/m/boxes.csv", "image_file_name,class_name,xmin,ymin,xmax,ymax\n" + boxes)
        folder = app.upload(HANDLED, "models/m/1/model.tar.gz")
        cloud.drain(timeout=120)
        app.check_is_whole()
        summary = app.summary(folder)
        assert summary.verdict == ("not judged" if policy == CELLS else "pass"), summary
        assert (summary.explanation, summary.explanation_failure) == ("done", None)
        if policy != CELLS:
            # of the predicted class, and the true one, which Clarify is not told
            assert [len(mistake.heat_maps) for mistake in summary.mistakes] == [1 if engine else 2]
        check_explained(app, folder, scores)
        asked = json.loads(app.get(folder.analysis_config))["predictor"]
        assert asked["content_type"] == ("image/jpeg" if policy == BIRDS else "image/png")
        calls = [call for call in cloud.calls if call.action == "InvokeEndpoint"]
        assert {call.caller.name for call in calls} == {job.name for job in cloud.jobs()}
