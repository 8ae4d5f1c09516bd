"""Jobs on a detector: one that looks at one patch only for each object, and what is said of why it found it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from assay.evaluation import Tensor
from explainer.objects import choose_objects, matched_scores, only_within, surroundings
from model.detections import Detections
from model.load import Model

SIZE = 48
LEFT, RIGHT = (slice(6, 18), slice(6, 18)), (slice(27, 45), slice(24, 45))
"""Rows and columns of the two patches that the detector looks at: red for the first, green for the second."""

Arrays = Mapping[str, NDArray[Any]]


def patches_found(image: NDArray[Any]) -> list[tuple[int, float, tuple[float, ...]]]:
    """Each patch is found, at its place, as surely as it has its colour: (class, score, box)."""
    found = []
    for number, (patch, colour) in enumerate(((LEFT, 0), (RIGHT, 1))):
        score = float(image[patch][..., colour].mean()) / 255
        if score > 0.05:
            rows, columns = patch
            box = tuple(v / SIZE for v in (columns.start, rows.start, columns.stop, rows.stop))
            found.append((number, score, box))
    return found


def as_rows(batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Clarify's rows: [class, score, xmin, ymin, xmax, ymax], filled up with -1."""
    rows = np.full((len(batch), 3, 6), -1.0)
    for place, image in enumerate(batch):
        for at, (number, score, box) in enumerate(patches_found(image)):
            rows[place, at] = (number, score, *box)
    return {"prediction": rows}


def as_signature(batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The Object Detection API's: classes from 1, y before x."""
    rows = as_rows(batch)["prediction"]
    return {
        "detection_boxes": rows[:, :, [3, 2, 5, 4]],
        "detection_scores": np.maximum(rows[:, :, 1], 0),
        "detection_classes": rows[:, :, 0] + 1,
        "num_detections": (rows[:, :, 0] >= 0).sum(axis=1),
    }


ROWS = [Tensor(name="prediction", shape=(None, 3, 6), dtype="float32")]
SIGNATURE = [
    Tensor(name="detection_boxes", shape=(None, 3, 4), dtype="float32"),
    Tensor(name="detection_scores", shape=(None, 3), dtype="float32"),
    Tensor(name="detection_classes", shape=(None, 3), dtype="float32"),
    Tensor(name="num_detections", shape=(None,), dtype="float32"),
]


def config(**image_config: Any) -> dict[str, Any]:
    return {
        "dataset_type": "application/x-image",
        "probability_threshold": 0.4,
        "methods": {
            "shap": {
                "baseline": [[0]],
                "num_samples": 4100,
                "seed": 1,
                "image_config": {"model_type": "OBJECT_DETECTION", "num_segments": 12, "segment_compactness": 40}
                | image_config,
            },
            "report": {"name": "report", "title": "Patches"},
        },
        "predictor": {"model_name": "patches", "label_headers": ["red", "green"]},
    }


GiveDetector = Callable[..., None]


@pytest.fixture
def give_detector(job: Any, monkeypatch: pytest.MonkeyPatch) -> GiveDetector:
    def give(
        function: Callable[[NDArray[Any]], Arrays] = as_rows,
        outputs: Sequence[Tensor] = ROWS,
        shape: tuple[int | None, ...] = (None, SIZE, SIZE, 3),
    ) -> None:
        def counted(arrays: Arrays) -> Arrays:
            job.calls.append(len(arrays["image"]))
            return function(arrays["image"])

        model = Model(counted, [Tensor(name="image", shape=shape, dtype="uint8")], outputs, "SavedModel", "known")
        monkeypatch.setattr("explainer.request.unpack", lambda _archive, into: into.mkdir())
        monkeypatch.setattr("explainer.request.load_model", lambda _: model)

    return give


@pytest.fixture
def patches(job: Any, give_detector: GiveDetector) -> Any:
    """A job on one picture: a bright red patch, a green one less bright, blue noise everywhere."""
    pixels = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    pixels[..., 2] = np.random.default_rng(3).integers(0, 60, (SIZE, SIZE))
    pixels[LEFT] = (240, 0, 0)
    pixels[RIGHT] = (0, 180, 0)
    Image.fromarray(pixels).save(job.data / "two.png")
    give_detector()
    return job


def numbers(job: Any, stem: str = "two") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((job.output / f"explanations_shap/shap_{stem}.json").read_text())
    return content


def arrays(job: Any, stem: str = "two") -> tuple[NDArray[Any], NDArray[Any]]:
    folder = job.output / "explanations_shap"
    return np.load(folder / f"shap_{stem}_segments.npy"), np.load(folder / f"shap_{stem}_attributions.npy")


@pytest.mark.parametrize(
    ("function", "outputs", "shape"),
    [
        (as_rows, ROWS, (None, SIZE, SIZE, 3)),
        (as_signature, SIGNATURE, (1, None, None, 3)),
    ],
)
def test_each_objects_attributions_lie_where_the_detector_looks_for_it_and_nowhere_else(
    patches: Any, give_detector: GiveDetector, function: Any, outputs: Any, shape: Any
) -> None:
    give_detector(function, outputs, shape)
    assert patches.run(config()) == 0
    segments, attributions = arrays(patches)
    assert attributions.shape == (segments.max() + 1, 2)
    found = numbers(patches)
    assert [one["label"] for one in found["objects"]] == ["red", "green"]
    for output, (patch, score) in enumerate(((LEFT, 240 / 255), (RIGHT, 180 / 255))):
        seen = np.unique(segments[patch])
        unseen = np.setdiff1d(np.unique(segments), seen)
        assert len(unseen) >= 3
        tolerance = 1e-9 if found["exact"] else 0.02
        assert np.abs(attributions[unseen, output]).max() < tolerance
        assert attributions[seen, output].sum() == pytest.approx(score, abs=tolerance * len(unseen))
        assert found["prediction"][output] == pytest.approx(score)
        assert found["baseline_prediction"][output] == 0
    assert np.abs(found["additivity_gap"]).max() < 1e-9


def test_files_are_called_as_clarify_calls_them(patches: Any) -> None:
    assert patches.run(config()) == 0
    folder = patches.output / "explanations_shap"
    assert sorted(path.name for path in folder.glob("*.jpeg")) == [
        "shap_two_box1_object.jpeg",
        "shap_two_box2_object.jpeg",
        "two_objects.jpeg",
    ]
    assert not list(patches.output.rglob(".*"))
    (image,) = patches.analysis["assay"]["images"]
    assert image["objects"] == "two_objects.jpeg"
    assert image["heat_maps"] == {
        "box 1: red": "shap_two_box1_object.jpeg",
        "box 2: green": "shap_two_box2_object.jpeg",
    }
    assert patches.analysis["assay"]["model_calls"] == sum(patches.calls)
    page = (patches.output / "report.html").read_text()
    assert page.count('src="data:image/jpeg;base64,') == 3


def test_the_heat_map_is_blue_at_the_object_and_pale_elsewhere(patches: Any) -> None:
    assert patches.run(config()) == 0
    picture = np.asarray(Image.open(patches.output / "explanations_shap/shap_two_box1_object.jpeg")).astype(int)
    right = picture[60:380, 16 + 320 + 16 :][:, :320]
    blueness = right[..., 2] - right[..., 0]
    assert blueness[60:100, 60:100].min() > 60
    assert np.abs(blueness[200:280, 180:280]).max() < 25


def test_the_surest_objects_are_explained_and_no_unsure_ones(patches: Any) -> None:
    assert patches.run(config(max_objects=1)) == 0
    assert [one["label"] for one in numbers(patches)["objects"]] == ["red"]
    assert patches.run(config() | {"probability_threshold": 0.8}) == 0
    assert [one["label"] for one in numbers(patches)["objects"]] == ["red"]
    assert patches.run(config(debug={"class_ids": [1]})) == 0
    (one,) = numbers(patches)["objects"]
    assert (one["name"], one["class"], one["score"]) == ("box 1: green", 1, pytest.approx(180 / 255))


def test_a_picture_in_which_nothing_is_found_says_so(patches: Any) -> None:
    assert patches.run(config() | {"probability_threshold": 0.99}) == 0
    (image,) = patches.analysis["assay"]["images"]
    assert (image["heat_maps"], image["objects"]) == ({}, "two_objects.jpeg")
    assert "additivity_gap" not in image
    assert numbers(patches)["objects"] == []
    assert "two.png: the objects found" in (patches.output / "report.html").read_text()


def as_pair(batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The red patch scores by the green one too: it looks outside its box."""
    rows = np.full((len(batch), 1, 6), -1.0)
    for place, image in enumerate(batch):
        found = {number: score for number, score, _ in patches_found(image)}
        if 0 in found:
            box = (LEFT[1].start, LEFT[0].start, LEFT[1].stop, LEFT[0].stop)
            rows[place, 0] = (0, (found[0] + found.get(1, 0)) / 2, *(v / SIZE for v in box))
    return {"prediction": rows}


def as_shifting(batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The red patch is found by itself, but where the green one is not seen, half a box too far to the right."""
    rows = np.full((len(batch), 1, 6), -1.0)
    for place, image in enumerate(batch):
        found = {number: score for number, score, _ in patches_found(image)}
        if 0 in found:
            shift = 0 if found.get(1, 0) > 0.4 else 6
            box = (LEFT[1].start + shift, LEFT[0].start, LEFT[1].stop + shift, LEFT[0].stop)
            rows[place, 0] = (0, found[0], *(v / SIZE for v in box))
    return {"prediction": rows}


@pytest.mark.parametrize(("iou_threshold", "counts"), [(0.5, True), (0.3, False)])  # half a box further: 1/3 in common
def test_a_box_that_moved_counts_where_it_overlaps_enough(
    patches: Any, give_detector: GiveDetector, iou_threshold: float, counts: bool
) -> None:
    give_detector(as_shifting)
    assert patches.run(config(iou_threshold=iou_threshold)) == 0
    segments, attributions = arrays(patches)
    green = np.setdiff1d(segments[RIGHT], segments[LEFT])
    assert bool(attributions[green, 0].sum() > 0.3) is counts
    assert attributions[:, 0].sum() == pytest.approx(240 / 255)
    if not counts:
        assert np.abs(attributions[green]).max() < 1e-9


def test_without_context_only_the_box_is_looked_at(patches: Any, give_detector: GiveDetector) -> None:
    give_detector(as_pair)
    assert patches.run(config(context=1.0)) == 0
    segments, with_context = arrays(patches)
    green = np.setdiff1d(segments[RIGHT], segments[LEFT])
    assert with_context[green, 0].sum() > 0.1
    assert patches.run(config(context=0.0)) == 0
    _, without = arrays(patches)
    assert np.abs(without[np.setdiff1d(segments, segments[LEFT])]).max() == 0
    found = numbers(patches)
    assert found["objects"][0]["score"] == pytest.approx((240 + 180) / 2 / 255)
    assert found["prediction"] == [pytest.approx(240 / 2 / 255)]  # the green patch is masked for good
    assert found["objects"][0]["pixels_looked_at"] == [6, 6, 18, 18]
    assert without[:, 0].sum() == pytest.approx(found["prediction"][0])


def test_context_is_the_portion_of_the_pixels_outside_the_box_that_is_used() -> None:
    box = (0.1, 0.3, 0.4, 0.7)

    def portion(context: float) -> float:
        rows, columns = surroundings(box, context, 2000, 3000)
        area = (rows.stop - rows.start) * (columns.stop - columns.start) / 6e6
        return float((area - 0.12) / 0.88)

    assert surroundings(box, 0.0, 2000, 3000) == (slice(600, 1400), slice(300, 1200))
    assert surroundings(box, 1.0, 2000, 3000) == (slice(0, 2000), slice(0, 3000))
    assert [portion(c) for c in (0.1, 0.5, 0.9)] == [pytest.approx(c, abs=2e-3) for c in (0.1, 0.5, 0.9)]
    # the whole width already; inverted; outside the picture
    assert surroundings((0, 0.25, 1, 0.75), 0.5, 100, 100) == (slice(12, 88), slice(0, 100))
    for odd in ((0.5, 0.5, 0.4, 0.4), (1.2, 1.2, 1.5, 1.5), (-1.0, -1.0, 2.0, 2.0)):
        rows, columns = surroundings(odd, 0.0, 10, 10)
        assert 0 <= rows.start < rows.stop <= 10
        assert 0 <= columns.start < columns.stop <= 10


def test_segments_outside_the_part_looked_at_are_nobodys() -> None:
    segments = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3]])
    seen, players = only_within(segments, (slice(1, 3), slice(2, 4)))
    assert players.tolist() == [1, 3]
    assert seen.tolist() == [[-1, -1, -1, -1], [-1, -1, 0, 0], [-1, -1, 1, 1]]


def test_the_score_is_that_of_the_surest_box_of_the_class_that_overlaps_enough() -> None:
    box = (0.0, 0.0, 0.5, 0.5)
    original = Detections(np.array([box]), np.array([0.9]), np.array([1]))
    (one,) = choose_objects(original, ["a", "b"], 0, 0.5, 3, None)
    assert (one.label, one.number) == ("b", 1)
    half, near = (0.0, 0.0, 0.5, 0.25), (0.0, 0.0, 0.5, 0.4)

    def score(iou: float, *found: tuple[tuple[float, ...], float, int]) -> Any:
        boxes = np.array([box for box, _, _ in found], dtype=np.float64).reshape(-1, 4)
        scores, classes = np.array([score for _, score, _ in found]), np.array([number for _, _, number in found])
        detections = Detections(boxes, scores, classes)
        return matched_scores([detections], [one], iou)[0, 0]

    assert score(0.5, (near, 0.3, 1), (half, 0.8, 1)) == 0.8
    assert score(0.6, (near, 0.3, 1), (half, 0.8, 1)) == 0.3
    assert score(0.5, (near, 0.7, 0)) == 0  # another class
    assert score(0.9, (near, 0.7, 1)) == 0  # moved too far
    assert score(0.5) == 0


def test_a_class_that_no_label_names_is_called_by_its_number() -> None:
    found = Detections(np.tile([0.0, 0.0, 1.0, 1.0], (3, 1)), np.array([0.9, 0.8, 0.7]), np.array([1, 3, 0]))
    assert [one.label for one in choose_objects(found, ["a", "b"], 1, 0.5, 9, None)] == ["a", "class 3", "class 0"]


def test_a_classifier_is_no_detector(patches: Any, give_detector: GiveDetector) -> None:
    give_detector(
        lambda batch: {"scores": np.ones((len(batch), 2))}, [Tensor(name="scores", shape=(None, 2), dtype="float32")]
    )
    assert patches.run(config()) == 1
    assert "the model's outputs are not a detector's: found scores (any × 2)" in patches.message


def test_the_same_job_gives_the_same_bytes(patches: Any) -> None:
    def run() -> dict[str, bytes]:
        assert patches.run(config(context=0.5)) == 0
        return {str(path): path.read_bytes() for path in patches.output.rglob("*") if path.is_file()}

    first = run()
    assert len(first) == 14
    assert run() == first
