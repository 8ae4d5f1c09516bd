"""Pictures explained through an endpoint: as files and as arrays, classes and objects."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import numpy as np
import pytest
from moto import mock_aws
from numpy.typing import NDArray
from PIL import Image

from explainer.picture_predictor import MOST_SIDE
from tests.standin import Answer, Asked, StandIn, point_boto3_at, standing_in

SIZE = 24
LOOKED_AT = (slice(14, 22), slice(12, 22))
"""Rows and columns: the only pixels that the model looks at."""
JOB = "notebook-clarify-job"


def pixels_of(asked: Asked) -> NDArray[np.float64]:
    """(n, h, w, 3), whatever they were sent as."""
    if asked.content_type == "application/x-npy":
        return np.asarray(np.load(io.BytesIO(asked.content)), dtype=np.float64)
    pixels: NDArray[np.float64] = np.asarray(Image.open(io.BytesIO(asked.content)), dtype=np.float64)
    return pixels[None]


def red(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,): how red it is where the model looks."""
    found: NDArray[np.float64] = pixels[:, LOOKED_AT[0], LOOKED_AT[1], 0].mean(axis=(1, 2)) / 255
    return found


def scores(asked: Asked) -> Answer:
    value = red(pixels_of(asked))
    return Answer(json.dumps({"predictions": np.stack([value, 1 - value], axis=1).tolist()}))


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with standing_in(scores) as made:
        point_boto3_at(made, monkeypatch)
        yield made


def patch() -> Image.Image:
    """Dark, with a red patch where the model looks and a green one elsewhere."""
    pixels = np.full((SIZE, SIZE, 3), 20, dtype=np.uint8)
    pixels[LOOKED_AT] = (250, 30, 30)
    pixels[2:8, 2:8] = (30, 200, 30)
    return Image.fromarray(pixels)


@pytest.fixture
def pictures(job: Any, there: StandIn, without_tensorflow: None) -> Any:
    """A job on one picture, without an archive."""
    (job.root / "processing/input/model/model.tar.gz").unlink()
    patch().save(job.data / "patch.png")
    return job


def config(predictor: dict[str, Any] | None = None, *, shap: dict[str, Any] | None = None, **image_config: Any) -> Any:
    image_config = {"model_type": "IMAGE_CLASSIFICATION", "num_segments": 7, "segment_compactness": 30} | image_config
    asked = {"endpoint_name": "patches", "label_headers": ["red", "other"]} | (predictor or {})
    return {
        "dataset_type": "application/x-image",
        "probability_threshold": 0.3,
        "methods": {"shap": {"baseline": [[0]], "num_samples": 600, "image_config": image_config} | (shap or {})},
        "predictor": {key: value for key, value in asked.items() if value is not None},
    }


def check_found_where_it_looks(
    job: Any, stem: str = "patch", *, within: float = 1e-6, total: float = 250 / 255
) -> None:
    folder = job.output / "explanations_shap"
    segments = np.load(folder / f"shap_{stem}_segments.npy")
    attributions = np.load(folder / f"shap_{stem}_attributions.npy")[:, 0]
    seen = np.unique(segments[LOOKED_AT])
    assert len(seen) < segments.max()
    assert np.abs(np.delete(attributions, seen)).max() <= within
    assert attributions[seen].sum() == pytest.approx(total, abs=len(attributions) * within)


@pytest.mark.parametrize(
    ("content_type", "sent_as", "within"),
    [
        ("image/png", "image/png", 1e-6),
        ("image/jpeg", "image/jpeg", 0.02),  # JPEG loses a little
        ("application/x-npy", "application/x-npy", 1e-6),
        (None, "image/jpeg", 0.02),
    ],
)
def test_classes_are_explained_through_an_endpoint(
    pictures: Any, there: StandIn, content_type: str | None, sent_as: str, within: float
) -> None:
    assert pictures.run(config({"content_type": content_type})) == 0, pictures.message
    check_found_where_it_looks(pictures, within=within)
    assert {asked.content_type for asked in there.asked} == {sent_as}
    assert {(asked.path, asked.accept) for asked in there.asked} == {
        ("/endpoints/patches/invocations", "application/json")
    }
    sent = sum(len(pixels_of(asked)) for asked in there.asked)
    assert pictures.analysis["assay"]["model_calls"] == sent - 1  # one to see how many outputs there are
    together = [len(pixels_of(asked)) for asked in there.asked]
    assert max(together) > 50 if sent_as == "application/x-npy" else set(together) == {1}
    assert pictures.analysis["assay"]["max_additivity_gap"] < 1e-9
    assert (pictures.output / "explanations_shap/shap_patch_red.jpeg").exists()


def test_files_go_with_several_requests_in_flight(pictures: Any, there: StandIn) -> None:
    lock, under_way, most = threading.Lock(), 0, 0

    def slowly(asked: Asked) -> Answer:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.01)
        with lock:
            under_way -= 1
        return scores(asked)

    there.answer = slowly
    assert pictures.run(config({"content_type": "image/png"}, shap={"num_samples": 60})) == 0, pictures.message
    assert most == 4


def test_arrays_go_together_as_many_as_a_request_may_hold(pictures: Any, there: StandIn) -> None:
    """Each in its own size, by half where it is too large: 1024 × 640 pixels, 1.97 MB, three of which fit in 6 MiB."""
    patch().resize((1280, 2048), Image.Resampling.NEAREST).save(pictures.data / "patch.png")
    bright = lambda asked: Answer(json.dumps([[float(one.mean()), 0.0] for one in pixels_of(asked)]))  # noqa: E731
    there.answer = bright
    asked = config({"content_type": "application/x-npy"}, shap={"num_samples": 20}, num_segments=4)
    assert pictures.run(asked) == 0, pictures.message
    shapes = [pixels_of(asked).shape for asked in there.asked]
    assert {shape[1:] for shape in shapes} == {(MOST_SIDE, 640, 3)}
    assert max(shape[0] for shape in shapes) == 3
    assert max(len(asked.content) for asked in there.asked) <= 6 * 2**20


def test_the_largest_file_there_is_fits_in_a_request(pictures: Any, there: StandIn) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1100, 1100, 3), dtype=np.uint8)
    Image.fromarray(noise).save(pictures.data / "patch.png")
    there.answer = lambda _: Answer("[0.5, 0.5]")
    for kind in ("image/png", "image/jpeg"):
        there.asked.clear()
        asked = config({"content_type": kind}, shap={"baseline": None, "num_samples": 2}, num_segments=2)
        del asked["methods"]["shap"]["baseline"]
        assert pictures.run(asked) == 0, pictures.message
        assert 2**20 < max(len(asked.content) for asked in there.asked) < 6 * 2**20


def rows_of_boxes(asked: Asked) -> Answer:
    (value,) = red(pixels_of(asked))
    box = [12 / SIZE, 14 / SIZE, 22 / SIZE, 22 / SIZE]
    return Answer(json.dumps({"prediction": [[1.0, value, *box], [0.0, 0.9 * value, *box]]}))


def boxes_by_name(asked: Asked) -> Answer:
    (value,) = red(pixels_of(asked))
    box = [14 / SIZE, 12 / SIZE, 22 / SIZE, 22 / SIZE]
    one = {"detection_boxes": [box], "detection_scores": [value], "detection_classes": [1.0], "num_detections": 1}
    return Answer(json.dumps({"predictions": [one]}))


@pytest.mark.parametrize("content_type", ["image/png", "application/x-npy"])
@pytest.mark.parametrize("answer", [rows_of_boxes, boxes_by_name])
def test_objects_are_explained_through_an_endpoint(
    pictures: Any, there: StandIn, answer: Callable[[Asked], Answer], content_type: str
) -> None:
    there.answer = answer
    asked = config(
        {"content_type": content_type, "label_headers": ["green", "red"]}, model_type="OBJECT_DETECTION", max_objects=1
    )
    assert pictures.run(asked) == 0, pictures.message
    check_found_where_it_looks(pictures)
    numbers = json.loads((pictures.output / "explanations_shap/shap_patch.json").read_text())
    assert [(one["name"], one["class"]) for one in numbers["objects"]] == [("box 1: red", 1)]
    assert (pictures.output / "explanations_shap/shap_patch_box1_object.jpeg").exists()


def test_an_answered_label_gets_a_score_of_one(pictures: Any, there: StandIn) -> None:
    there.answer = lambda asked: Answer(json.dumps({"label": "red" if red(pixels_of(asked))[0] > 0.5 else "other"}))
    assert pictures.run(config({"content_type": "image/png", "label": "label"})) == 0, pictures.message
    check_found_where_it_looks(pictures, within=1e-6, total=1)


@pytest.mark.parametrize(
    ("predictor", "answer", "says"),
    [
        ({"content_type": "text/csv"}, None, "predictor.content_type: text/csv is for rows; images are sent as image/"),
        ({"probability": "out.p"}, None, "nothing stands at predictor.probability 'out.p'"),
        ({"label_headers": ["red", "green", "blue"]}, None, "3 names (red, green, blue), but the model has 2 outputs"),
        ({}, Answer("no picture", "text/plain", 415), "endpoint patches: 415: 'no picture'"),
    ],
)
def test_what_is_wrong_names_clarifys_keys(
    pictures: Any, there: StandIn, predictor: dict[str, Any], answer: Answer | None, says: str
) -> None:
    if answer is not None:
        there.answer = lambda _: answer
    assert pictures.run(config(predictor)) == 1
    assert says in pictures.message


def test_a_model_with_a_handler_gets_a_shadow_endpoint(
    pictures: Any, there: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    processing = {"ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1}}}
    described: dict[str, Any] = {"ProcessingJobArn": f"arn:aws:sagemaker:us-east-1:111122223333:processing-job/{JOB}"}
    (pictures.root / "config").mkdir(exist_ok=True)
    described |= {"ProcessingJobName": JOB} | processing
    (pictures.root / "config/processingjobconfig.json").write_text(json.dumps(described))
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name in ("code/inference.py", "1/saved_model.pb"):
            tar.addfile(tarfile.TarInfo(name))
    with mock_aws():
        s3, sagemaker = boto3.client("s3"), boto3.client("sagemaker")
        s3.create_bucket(Bucket="models")
        s3.put_object(Bucket="models", Key="m/model.tar.gz", Body=content.getvalue())
        container = {"Image": "i", "ModelDataUrl": "s3://models/m/model.tar.gz"}
        role = "arn:aws:iam::111122223333:role/r"
        sagemaker.create_model(ModelName="birds", PrimaryContainer=container, ExecutionRoleArn=role)  # type: ignore[arg-type]
        by_name = {"endpoint_name": None, "model_name": "birds", "content_type": "image/png"}
        assert pictures.run(config(by_name)) == 0, pictures.message
        assert sagemaker.list_endpoints()["Endpoints"] == []
    check_found_where_it_looks(pictures)
    (path,) = {asked.path for asked in there.asked}
    assert path.startswith("/endpoints/assay-shadow-")


def test_a_policys_endpoint_is_asked_as_the_evaluation_asked_it(pictures: Any, there: StandIn) -> None:
    """With a content type that Clarify has no name for, labels that are numbers, and the last step of the model."""
    policy = {
        "task": "image_classification",
        "data": {"source": "x/", "annotations": "a.csv", "labels": ["7", "8"], "names": "n"},
        "model": {
            "predictor": "endpoint",
            "endpoint_name": "patches",
            "content_type": "application/x-image",
            "predicted_label": "label",
            "custom_attributes": "trace=7",
        },
    }
    run = {"id": "r" * 20, "model": "m", "upload": {"bucket": "b", "key": "k"}, "opened_at": "2026-01-01T00:00:00Z"}
    folder = pictures.root / "processing/input/run"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(run | {"policy": policy}))
    there.answer = lambda asked: Answer(
        json.dumps(
            {"label": 7 if np.asarray(Image.open(io.BytesIO(asked.content)))[LOOKED_AT][..., 0].mean() > 99 else 8}
        )
    )
    assert pictures.run(config({"content_type": "image/jpeg"})) == 0, pictures.message
    assert {(asked.content_type, asked.custom_attributes) for asked in there.asked} == {
        ("application/x-image", "trace=7")
    }
    check_found_where_it_looks(pictures, within=1e-6, total=1)
