"""The whole program on pictures with boxes."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from assay.evaluation import ExplainSample, ExplainSamples, Tensor
from assay.policy import read_policy
from assay.run import Champion
from assay.verdict import judge
from model.load import Model

from .conftest import Job, write_csv

CELLS: dict[str, Any] = {
    "task": "object_detection",
    "data": {
        "source": "images/",
        "annotations": "annotations.csv",
        "boxes": "xyxy_pixels",
        "label": "class_name",
        "labels": {1: "RBC", 2: "WBC", 3: "Platelets"},
    },
    "evaluate": {"score_threshold": 0.5, "iou": [0.5, 0.75]},
    "explain": {"chosen": {"samples": 0}},
}
HEADER = ("image_file_name", "class_name", "xmin", "ymin", "xmax", "ymax")
COLOURS = {"RBC": 0, "WBC": 1, "Platelets": 2}
WIDTH, HEIGHT = 80, 40
BCCD = Path(__file__).parents[3] / "shared/data/bccd"

Box = tuple[float, float, float, float]
Arrays = Mapping[str, NDArray[Any]]


def with_data(**parts: Any) -> dict[str, Any]:
    return {**CELLS, "data": {**CELLS["data"], **parts}}


class Drawn:
    """Pictures with patches: red for RBC, green for WBC, blue for Platelets; its brightness is what a patch scores."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.lines: list[tuple[Any, ...]] = []

    def picture(self, name: str, patches: Sequence[tuple[str, Box, float]], boxes: Sequence[tuple[str, Box]]) -> None:
        """A picture, and what the annotations say is on it."""
        pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
        for label, (xmin, ymin, xmax, ymax), score in patches:
            pixels[int(ymin) : int(ymax), int(xmin) : int(xmax), COLOURS[label]] = round(score * 255)
        Image.fromarray(pixels).save(self.job.input("dataset") / name)
        self.lines += [(name, label, *box) for label, box in boxes]

    def annotate(self) -> None:
        write_csv(self.job.input("annotations") / "annotations.csv", [HEADER, *self.lines])


A, B, C = (4.0, 4.0, 24.0, 24.0), (44.0, 10.0, 74.0, 30.0), (30.0, 2.0, 36.0, 8.0)


def draw(job: Job) -> Drawn:
    """Four pictures: all right; one missed; one for another; nothing there, and something found."""
    result = Drawn(job)
    result.picture("right.png", [("RBC", A, 0.9), ("WBC", B, 0.8)], [("RBC", A), ("WBC", B)])
    result.picture("missed.png", [("RBC", A, 0.9)], [("RBC", A), ("Platelets", C)])
    result.picture("confused.png", [("WBC", B, 0.7), ("Platelets", C, 0.6)], [("RBC", B), ("Platelets", C)])
    result.picture("empty.png", [("RBC", C, 0.6), ("WBC", A, 0.3)], [])
    result.annotate()
    return result


@pytest.fixture
def drawn(job: Job) -> Drawn:
    return draw(job)


def patches_of(image: NDArray[Any]) -> list[tuple[int, float, Box]]:
    """What the known model finds: for each colour its patch, normalised to 0 to 1."""
    found = []
    for colour in range(3):
        ys, xs = np.nonzero(image[:, :, colour] > 0.02 * 255)
        if len(xs):
            h, w = image.shape[:2]
            box = (xs.min() / w, ys.min() / h, (xs.max() + 1) / w, (ys.max() + 1) / h)
            found.append((colour, float(image[:, :, colour].max()) / 255, box))
    return found


def as_signature(batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The Object Detection API's: classes from 1, y before x, five places."""
    boxes, scores, classes = np.zeros((len(batch), 5, 4)), np.zeros((len(batch), 5)), np.ones((len(batch), 5))
    count = np.zeros(len(batch))
    for row, image in enumerate(batch):
        for place, (colour, score, (xmin, ymin, xmax, ymax)) in enumerate(patches_of(image)):
            boxes[row, place], scores[row, place] = (ymin, xmin, ymax, xmax), score
            classes[row, place], count[row] = colour + 1, place + 1
    return {"detection_boxes": boxes, "detection_scores": scores, "detection_classes": classes, "num_detections": count}


def as_rows(batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Clarify's rows: classes from 0, filled up with -1."""
    rows = np.full((len(batch), 5, 6), -1.0)
    for row, image in enumerate(batch):
        for place, (colour, score, box) in enumerate(patches_of(image)):
            rows[row, place] = (colour, score, *box)
    return {"prediction": rows}


SIGNATURE = {"detection_boxes": (None, 5, 4), "detection_scores": (None, 5), "detection_classes": (None, 5)}
SIGNATURE_OUTPUTS = [Tensor(name=name, shape=shape, dtype="float32") for name, shape in SIGNATURE.items()]
SIGNATURE_OUTPUTS.append(Tensor(name="num_detections", shape=(None,), dtype="float32"))
ROWS_OUTPUTS = [Tensor(name="prediction", shape=(None, 5, 6), dtype="float32")]

GiveDetector = Callable[..., None]


@pytest.fixture
def give_detector(monkeypatch: pytest.MonkeyPatch) -> GiveDetector:
    def give(
        function: Callable[[NDArray[Any]], Arrays] = as_signature,
        outputs: Sequence[Tensor] = SIGNATURE_OUTPUTS,
        shape: tuple[int | None, ...] = (1, None, None, 3),
    ) -> None:
        inputs = [Tensor(name="input_tensor", shape=shape, dtype="uint8")]
        model = Model(lambda arrays: function(arrays["input_tensor"]), inputs, outputs, "SavedModel", "known")
        monkeypatch.setattr("evaluator.request.unpack", lambda _archive, into: into.mkdir())
        monkeypatch.setattr("evaluator.request.load_model", lambda _: model)

    return give


def changed(key: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[NDArray[Any]], Arrays]:
    """The known model with one of its outputs changed."""

    def function(batch: NDArray[Any]) -> Arrays:
        answer = as_signature(batch)
        return answer | {key: change(answer[key])}

    return function


def test_pictures_with_boxes_are_scored_measured_and_reported(
    job: Job, drawn: Drawn, give_detector: GiveDetector
) -> None:
    give_detector()
    assert job.run(CELLS) == 0
    report = job.report
    assert report.labels == ("RBC", "WBC", "Platelets")
    assert (report.data.rows, report.data.unreadable) == (4, 0)
    # RBC: right, right, then one of nothing; a third missed: 67 of 101 recalls at precision 1
    assert report.per_class["ap50"]["RBC"].value == pytest.approx(67 / 101)
    assert report.per_class["recall_50"]["RBC"].value == pytest.approx(2 / 3)
    assert report.per_class["precision_75"]["RBC"].value == pytest.approx(2 / 3)
    assert report.per_class["ap50"]["WBC"].value == 1
    assert report.per_class["recall_50"]["Platelets"].value == 0.5
    assert report.metrics["map50"].value == pytest.approx((67 / 101 + 1 + 51 / 101) / 3)
    assert (report.metrics["objects"].value, report.metrics["detections"].value) == (6, 6)
    assert report.confusion is not None
    assert report.confusion.labels == ("RBC", "WBC", "Platelets", "background")
    assert report.confusion.counts == ((2, 1, 0, 0), (0, 1, 0, 0), (0, 0, 1, 1), (1, 0, 0, 0))
    assert report.findings == ()
    assert report.explain is None
    assert report.speed is not None and report.speed.unit == "images" and report.speed.latency_p50_ms is not None
    assert report.plots == ("plots/confusion.svg", "plots/classes.svg")
    assert not [path for path in job.output.rglob("*") if path.name.startswith(".")]

    rows = {row["id"]: row for row in job.predictions}
    assert [row["row"] for row in job.predictions] == [0, 1, 2, 3]
    assert (rows["right.png"]["width"], rows["right.png"]["height"]) == (WIDTH, HEIGHT)
    assert rows["right.png"]["true"] == rows["right.png"]["predicted"] == ["RBC", "WBC"]
    assert np.allclose(rows["right.png"]["predicted_boxes"], rows["right.png"]["true_boxes"])
    assert rows["right.png"]["scores"] == pytest.approx([0.9, 0.8], abs=0.01)
    errors = {name: (row["missed"], row["false"], row["confused"]) for name, row in rows.items()}
    assert errors == {
        "right.png": (0, 0, 0),
        "missed.png": (1, 0, 0),
        "confused.png": (0, 0, 1),
        "empty.png": (0, 1, 0),
    }
    assert rows["empty.png"]["true"] == rows["empty.png"]["true_boxes"] == []

    leaves = job.evaluation["object_detection_metrics"]
    assert leaves["map50"]["value"] == report.metrics["map50"].value
    assert leaves["map50"]["standard_deviation"] > 0
    assert leaves["ap"]["WBC"]["value"] == report.per_class["ap"]["WBC"].value
    assert "map_large" not in leaves  # no object is as large


def numbers_of(job: Job) -> tuple[Any, Any, Any]:
    """What is the same however boxes are told."""
    return job.report.metrics, job.report.per_class, job.report.confusion


def test_rows_as_clarify_has_them_say_the_same(job: Job, drawn: Drawn, give_detector: GiveDetector) -> None:
    give_detector()
    assert job.run(CELLS) == 0
    expected = numbers_of(job)
    give_detector(as_rows, ROWS_OUTPUTS, (None, HEIGHT, WIDTH, 3))
    assert job.run(with_data(labels={0: "RBC", 1: "WBC", 2: "Platelets"})) == 0
    assert numbers_of(job) == expected
    # a list begins with what the format calls the first class
    assert job.run(with_data(labels=["RBC", "WBC", "Platelets"])) == 0
    assert numbers_of(job) == expected


def test_a_model_that_sees_another_size_finds_the_same_shares(
    job: Job, drawn: Drawn, give_detector: GiveDetector
) -> None:
    give_detector(shape=(None, HEIGHT // 2, WIDTH // 2, 3))
    assert job.run({**CELLS, "preprocessing": {"interpolation": "nearest"}}) == 0
    assert job.report.per_class["ap50"]["WBC"].value == 1


def test_relative_boxes_say_the_same(job: Job, drawn: Drawn, give_detector: GiveDetector) -> None:
    give_detector()
    assert job.run(CELLS) == 0
    expected = numbers_of(job)
    size = (WIDTH, HEIGHT, WIDTH, HEIGHT)
    drawn.lines = [(*line[:2], *(v / side for v, side in zip(line[2:], size, strict=True))) for line in drawn.lines]
    drawn.annotate()
    assert job.run(with_data(boxes="xyxy_relative")) == 0
    assert numbers_of(job) == expected


def coco_of(lines: Sequence[tuple[Any, ...]], images: Sequence[str]) -> dict[str, Any]:
    """The annotations as COCO has them; categories by numbers with gaps."""
    categories = {"RBC": 11, "WBC": 3, "Platelets": 40}
    return {
        "info": {"year": 2026},
        "images": [
            {"id": 70 + i, "file_name": name, "width": WIDTH, "height": HEIGHT} for i, name in enumerate(images)
        ],
        "categories": [{"id": number, "name": name, "supercategory": "cell"} for name, number in categories.items()],
        "annotations": [
            {
                "id": 1000 + i,
                "image_id": 70 + images.index(name),
                "category_id": categories[label],
                "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
                "iscrowd": 0,
                "segmentation": [],
            }
            for i, (name, label, xmin, ymin, xmax, ymax) in enumerate(lines)
        ],
    }


PICTURES = ["right.png", "missed.png", "confused.png", "empty.png"]


def write_coco(job: Job, content: dict[str, Any]) -> None:
    (job.input("annotations") / "annotations.csv").unlink(missing_ok=True)
    (job.input("annotations") / "instances.json").write_text(json.dumps(content))


def test_cocos_json_says_the_same(job: Job, drawn: Drawn, give_detector: GiveDetector) -> None:
    give_detector()
    assert job.run(CELLS) == 0
    expected = numbers_of(job)
    content = coco_of(drawn.lines, PICTURES)
    write_coco(job, content)
    assert job.run(with_data(boxes="coco")) == 0
    assert numbers_of(job) == expected


def test_without_labels_cocos_categories_are_the_models_numbers(
    job: Job, drawn: Drawn, give_detector: GiveDetector
) -> None:
    write_coco(job, coco_of(drawn.lines, PICTURES))
    numbers = np.array([0, 11, 3, 40])
    give_detector(changed("detection_classes", lambda classes: numbers[classes.astype(int)]))
    assert job.run(with_data(boxes="coco", labels=None)) == 0
    assert job.report.labels == ("WBC", "RBC", "Platelets")
    assert job.report.per_class["ap50"]["WBC"].value == 1
    assert job.report.findings == ()


def test_a_crowd_may_be_found_or_not(job: Job, drawn: Drawn, give_detector: GiveDetector) -> None:
    content = coco_of(drawn.lines, PICTURES)
    crowd = {"image_id": 73, "category_id": 11, "bbox": [20, 0, 40, 20], "iscrowd": 1, "area": 500}
    content["annotations"].append(crowd)
    write_coco(job, content)
    give_detector()
    assert job.run(with_data(boxes="coco")) == 0
    assert job.report.per_class["precision_50"]["RBC"].value == 1  # what is found of nothing lies in the crowd
    assert job.report.per_class["objects"]["RBC"].value == 3
    assert next(row for row in job.predictions if row["id"] == "empty.png")["crowd"] == [True]


def test_pictures_that_coco_does_not_list_are_not_asked_about(
    job: Job, drawn: Drawn, give_detector: GiveDetector
) -> None:
    write_coco(job, coco_of(drawn.lines, PICTURES[:3]))
    give_detector()
    assert job.run(with_data(boxes="coco")) == 0
    assert job.report.data.rows == 3


def test_a_line_without_a_box_names_a_picture_without_one(job: Job, drawn: Drawn, give_detector: GiveDetector) -> None:
    give_detector()
    assert job.run(CELLS) == 0
    expected = numbers_of(job)
    drawn.lines.append(("empty.png", "", "", "", "", ""))
    drawn.annotate()
    assert job.run(CELLS) == 0
    assert numbers_of(job) == expected


def test_gates_judge_a_detector(job: Job, drawn: Drawn, give_detector: GiveDetector) -> None:
    gates = [
        {"metric": "map50", "min": 0.8},
        {"metric": "ap50", "class": "Platelets", "min": 0.6},
        {"metric": "ap50", "class": "WBC", "min": 0.6, "judge": "estimate"},
        {"metric": "recall_50", "class": "each", "min": 0.1, "judge": "estimate"},
    ]
    give_detector()
    assert job.run({**CELLS, "gates": gates}) == 0
    judgement = judge(read_policy({**CELLS, "gates": gates}).gates, job.report)
    assert judgement.verdict in ("fail", "inconclusive")
    platelets, wbc = judgement.gates[1:3]
    assert platelets.value == pytest.approx(51 / 101) and platelets.result != "pass"
    assert (wbc.value, wbc.result) == (1, "pass")
    assert [gate.result for gate in judgement.gates[3:]] == ["pass"] * 3


def test_the_same_job_writes_the_same_bytes(job: Job, drawn: Drawn, give_detector: GiveDetector) -> None:
    give_detector()
    found = []
    for _ in range(2):
        assert job.run(CELLS) == 0
        report = job.report.model_copy(update={"seconds": {}, "speed": None})
        names = ["evaluation.json", "predictions.parquet", "plots/confusion.svg"]
        found.append([report.to_json().encode(), *((job.output / name).read_bytes() for name in names)])
    assert found[0] == found[1]


def test_the_datas_digest_knows_its_boxes(job: Job, drawn: Drawn, give_detector: GiveDetector) -> None:
    give_detector()
    digests = set()
    for box in (A, A, (4.0, 4.0, 24.0, 23.0)):
        drawn.lines[0] = ("right.png", "RBC", *box)
        drawn.annotate()
        assert job.run(CELLS) == 0
        digests.add(job.report.data.sha256)
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("right.png", "RBC", 24, 4, 4, 24), "line 8: the box is inverted: xmin 24, ymin 4, xmax 4, ymax 24"),
        (("right.png", "RBC", 4, 4, 4, 24), "line 8: the box is empty: xmin 4, ymin 4, xmax 4, ymax 24"),
        (("right.png", "RBC", "x", 4, 4, 24), "line 8: expected four numbers, found xmin x, ymin 4"),
        (("right.png", "RBC", "nan", 4, 4, 24), "line 8: expected four numbers, found xmin nan"),
        (("right.png", "RBC", "", 4, 4, 24), "line 8: expected four numbers, found xmin ,"),
        (("right.png", "", 4, 4, 24, 24), "line 8: the box has no class"),
        (("right.png", "RBC", 4, 4, 24), "line 8: 5 cells, expected 6"),
        (
            ("right.png", "RBC", 4, 4, 90, 24),
            "line 8: the box reaches out of right.png, 80 × 40: xmin 4, ymin 4, xmax 90, ymax 24",
        ),
        (("right.png", "RBC", -3, 4, 9, 24), "line 8: the box reaches out of right.png, 80 × 40: xmin -3"),
        (("gone.png", "RBC", 4, 4, 24, 24), "gone.png: no such file"),
    ],
)
def test_a_bad_box_is_named_with_its_line(
    job: Job, drawn: Drawn, give_detector: GiveDetector, line: tuple[Any, ...], said: str
) -> None:
    drawn.lines.append(line)
    drawn.annotate()
    give_detector()
    assert job.run(CELLS) == 1
    assert "1 unreadable, at most 0 allowed (evaluate.max_unreadable)" in job.message
    assert said in job.message
    assert job.run({**CELLS, "evaluate": {"max_unreadable": 1}}) == 0
    # the picture's boxes are not all known, so it is not measured
    whole = line[0] == "gone.png" or len(line) == 5
    assert job.report.data.rows == (4 if whole else 3)
    assert said in job.report.data.unreadable_names[0]


def test_a_box_may_reach_out_by_a_pixel(job: Job, drawn: Drawn, give_detector: GiveDetector) -> None:
    drawn.lines.append(("right.png", "Platelets", -1, 30, WIDTH + 1, HEIGHT + 1))
    drawn.annotate()
    give_detector()
    assert job.run(CELLS) == 0


def test_a_picture_that_cannot_be_read_is_counted(job: Job, drawn: Drawn, give_detector: GiveDetector) -> None:
    (job.input("dataset") / "missed.png").write_bytes(b"no picture")
    give_detector()
    assert job.run(CELLS) == 1
    assert "missed.png: cannot be read as a picture" in job.message
    assert job.run({**CELLS, "evaluate": {"max_unreadable": 1}}) == 0
    assert (job.report.data.rows, job.report.data.unreadable) == (3, 1)
    assert [row["row"] for row in job.predictions] == [0, 2, 3]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bbox": [4, 4, 0, 20]}, "annotation id 1000: the box is empty: width 0, height 20"),
        ({"bbox": [4, 4, -3, 20]}, "annotation id 1000: the box is inverted: width -3, height 20"),
        ({"bbox": [70, 4, 30, 20]}, "annotation id 1000: the box reaches out of right.png, 80 × 40: xmin 70"),
        ({"bbox": [4, 4, 3]}, "instances.json: not COCO's JSON: annotations[0].bbox[3]: Field required"),
        ({"bbox": [4, 4, 3, float("nan")]}, "annotations[0].bbox[3]: Input should be a finite number"),
        ({"image_id": 5}, "annotation id 1000: no image has the id 5"),
        ({"category_id": 5}, "annotation id 1000: no category has the id 5"),
    ],
)
def test_what_is_wrong_with_cocos_annotations_is_named(
    job: Job, drawn: Drawn, give_detector: GiveDetector, change: dict[str, Any], said: str
) -> None:
    content = coco_of(drawn.lines, PICTURES)
    content["annotations"][0].update(change)
    write_coco(job, content)
    give_detector()
    assert job.run(with_data(boxes="coco")) == 1
    assert said in job.message


def test_annotations_of_a_picture_of_another_size_are_named(
    job: Job, drawn: Drawn, give_detector: GiveDetector
) -> None:
    content = coco_of(drawn.lines, PICTURES)
    content["images"][1].update(width=2 * WIDTH, height=2 * HEIGHT)
    write_coco(job, content)
    give_detector()
    assert job.run(with_data(boxes="coco")) == 1
    assert "missed.png: the annotations are of 160 × 80 pixels, the picture has 80 × 40" in job.message


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (with_data(label="cell"), "no column 'cell' for data.label; found image_file_name, class_name, xmin"),
        (with_data(file="photo"), "no column 'photo' for data.file"),
        (with_data(labels=None), "the labels are text (Platelets, RBC, WBC): say data.labels, the model's number of"),
        (with_data(labels={1: "RBC", 2: "WBC"}), "label 'Platelets' is none of data.labels (RBC, WBC)"),
        (with_data(labels={1: "RBC", 2: "RBC"}), "data.labels names a class twice: RBC"),
        (with_data(boxes="coco"), "annotations.csv: not COCO's JSON: the file: Invalid JSON"),
        (with_data(boxes="xyxy_relative"), "line 3: data.boxes is xyxy_relative, from 0 to 1, found 74; for pixels"),
    ],
)
@pytest.mark.usefixtures("no_model_is_loaded")
def test_what_is_wrong_with_the_annotations_is_found_before_the_model_is_loaded(
    job: Job, drawn: Drawn, policy: dict[str, Any], said: str
) -> None:
    assert job.run(policy) == 1
    assert said in job.message


@pytest.mark.usefixtures("no_model_is_loaded")
def test_annotations_that_hold_nothing_or_something_else(job: Job, drawn: Drawn) -> None:
    drawn.lines = [("right.png", "RBC", 0.1, 0.1, 0.4, 0.4)]
    drawn.annotate()
    assert job.run(CELLS) == 1
    assert "all 1 boxes lie within 0 to 1: say data.boxes: xyxy_relative" in job.message
    drawn.lines = []
    drawn.annotate()
    assert job.run(CELLS) == 1
    assert job.message == "annotations.csv: no boxes"
    drawn.lines = [("other.png", "RBC", *A)]
    drawn.annotate()
    assert job.run(CELLS) == 1
    assert "none of the 1 annotated pictures is in the data: expected other.png, found 4 files such as" in job.message
    write_coco(job, coco_of([], PICTURES))
    assert job.run(CELLS) == 1
    assert "data.boxes is xyxy_pixels, but the annotations are instances.json: say data.boxes: coco" in job.message


def test_a_model_that_is_no_detector_says_what_its_outputs_are(
    job: Job, drawn: Drawn, give_detector: GiveDetector
) -> None:
    give_detector(outputs=[Tensor(name="scores", shape=(None, 3), dtype="float32")])
    assert job.run(CELLS) == 1
    assert "the model's outputs are not a detector's: found scores (any × 3)" in job.message


def exchanged(boxes: NDArray[Any]) -> NDArray[Any]:
    return boxes[..., [1, 0, 3, 2]]


def in_pixels(boxes: NDArray[Any]) -> NDArray[Any]:
    return boxes * [HEIGHT, WIDTH, HEIGHT, WIDTH]


def with_sides(boxes: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def around_centres(boxes: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], axis=-1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (exchanged, "if x and y of the model's boxes changed places."),
        (in_pixels, "if the model's boxes were pixels of the picture."),
        (with_sides, "if the model's boxes were [x, y, width, height]."),
        (around_centres, "if the model's boxes were [x, y, width, height] around x and y."),
    ],
)
def test_boxes_that_mean_something_else_are_found_out(
    job: Job, drawn: Drawn, give_detector: GiveDetector, change: Callable[[NDArray[Any]], NDArray[Any]], said: str
) -> None:
    give_detector(changed("detection_boxes", change))
    assert job.run(CELLS) == 0
    (finding,) = [one for one in job.report.findings if one.title == "Boxes that mean something else"]
    assert finding.severity == "serious"
    assert said in finding.text
    assert "of 6 objects have a box on them; 0.83 would have one if" in finding.text


def test_boxes_in_pixels_of_the_models_own_size_are_found_out(
    job: Job, drawn: Drawn, give_detector: GiveDetector
) -> None:
    half = changed("detection_boxes", lambda boxes: in_pixels(boxes) / 2)
    give_detector(half, shape=(None, HEIGHT // 2, WIDTH // 2, 3))
    assert job.run({**CELLS, "preprocessing": {"interpolation": "nearest"}}) == 0
    (finding,) = [one for one in job.report.findings if one.title == "Boxes that mean something else"]
    assert "if the model's boxes were pixels of the model's input." in finding.text


@pytest.mark.parametrize("shift", [1, -1])
def test_classes_that_are_shifted_by_one_are_found_out(
    job: Job, drawn: Drawn, give_detector: GiveDetector, shift: int
) -> None:
    give_detector(changed("detection_classes", lambda classes: classes + shift))
    assert job.run(CELLS) == 0
    found = {one.title: one.text for one in job.report.findings}
    assert f"get the number {'after' if shift == 1 else 'before'} it" in found["Classes shifted by one"]
    assert (
        f"are of class {4 if shift == 1 else 0}, which data.labels does not name (it has 1 to 3)"
        in (found["Classes that no label names"])
    )
    assert {name for row in job.predictions for name in row["predicted"]} >= {f"class {4 if shift == 1 else 0}"}


def test_a_model_that_finds_nothing_is_measured_and_flagged(
    job: Job, drawn: Drawn, give_detector: GiveDetector
) -> None:
    give_detector(changed("num_detections", np.zeros_like))
    assert job.run(CELLS) == 0
    assert [(one.severity, one.title) for one in job.report.findings] == [("serious", "Nothing is found")]
    assert job.report.metrics["map"].value == 0
    assert job.report.metrics["precision_50"].reason == "nothing was found with a score of at least 0.5"
    assert [row["predicted_boxes"] for row in job.predictions] == [[], [], [], []]


def test_scores_that_no_threshold_fits_are_flagged(job: Job, drawn: Drawn, give_detector: GiveDetector) -> None:
    give_detector(changed("detection_scores", lambda scores: scores / 10))
    assert job.run(CELLS) == 0
    (finding,) = job.report.findings
    assert "No detection reaches evaluate.score_threshold 0.5; the highest score is 0.0902" in finding.text
    give_detector(changed("detection_scores", lambda scores: np.where(scores > 0, 10 * scores - 5, 0)))
    assert job.run(CELLS) == 0
    assert [one.title for one in job.report.findings] == ["Scores that are no probabilities"]


def test_detections_that_are_no_numbers_are_flagged_and_never_reach_a_file(
    job: Job, drawn: Drawn, give_detector: GiveDetector
) -> None:
    def broken(boxes: NDArray[Any]) -> NDArray[Any]:
        return np.where(np.arange(5)[None, :, None] == 0, np.nan, boxes)

    give_detector(changed("detection_boxes", broken))
    assert job.run(CELLS) == 0
    found = {one.title: one.text for one in job.report.findings}
    assert "4 of 7 detections have a score, class or box that is NaN" in found["Detections that are no numbers"]
    assert job.evaluation  # strict JSON


def test_answers_that_change_are_flagged(job: Job, drawn: Drawn, give_detector: GiveDetector) -> None:
    random = np.random.default_rng(0)
    give_detector(changed("detection_scores", lambda scores: scores * random.uniform(0.9, 1)))
    assert job.run(CELLS) == 0
    assert [one.title for one in job.report.findings] == ["Two runs differ"]
    by_batch = changed("detection_scores", lambda scores: scores * (0.9 if len(scores) > 1 else 1))
    give_detector(by_batch, shape=(None, HEIGHT, WIDTH, 3))
    assert job.run(CELLS) == 0
    assert [one.title for one in job.report.findings] == ["Scores depend on the batch"]


def test_a_picture_that_stands_there_twice_is_named(job: Job, drawn: Drawn, give_detector: GiveDetector) -> None:
    drawn.picture("again.png", [("RBC", A, 0.9), ("WBC", B, 0.8)], [("RBC", A), ("WBC", B)])
    drawn.annotate()
    give_detector()
    assert job.run(CELLS) == 0
    (finding,) = job.report.findings
    assert finding.title == "Duplicates in the test set"
    assert "right.png and again.png" in finding.text


@pytest.fixture
def champion(tmp_path: Path) -> Job:
    """Another job on the same pictures; its model sees no blue, so it has missed the platelets."""
    result = Job(tmp_path / "champion")
    (result.input("model") / "model.tar.gz").write_bytes(b"another archive")
    draw(result)
    return result


def blind_to_platelets(batch: NDArray[Any]) -> Arrays:
    return as_signature(batch * np.array([1, 1, 0], dtype=np.uint8))


def test_the_champion_answered_the_same_pictures(
    job: Job, drawn: Drawn, champion: Job, give_detector: GiveDetector
) -> None:
    give_detector(blind_to_platelets)
    # the champion's own numbers and order of the classes do not matter
    assert champion.run(with_data(labels={2: "WBC", 1: "RBC", 3: "Platelets"})) == 0
    theirs = champion.report
    give_detector()
    assert job.run_beside(champion, CELLS) == 0
    comparison = job.report.comparison
    assert comparison is not None and comparison.refused is None
    assert (comparison.rows, comparison.rescored) == (4, 0)
    for name in ("map", "map50", "recall_50", "ar_100"):
        difference = comparison.metrics[name]
        ours, champions = job.report.metrics[name].value, theirs.metrics[name].value
        assert ours is not None and champions is not None
        assert difference.ours == pytest.approx(ours)
        assert difference.champion == pytest.approx(champions)
        assert difference.low is not None and difference.high is not None
        assert difference.low <= ours - champions <= difference.high
    assert comparison.per_class["ap50"]["Platelets"].value == pytest.approx(51 / 101)
    same = comparison.per_class["ap50"]["RBC"]
    assert same.value == 0
    assert same.champion == pytest.approx(67 / 101)
    assert job.report.findings == ()


def test_the_champion_is_asked_about_pictures_it_has_not_seen(
    job: Job, drawn: Drawn, champion: Job, give_detector: GiveDetector
) -> None:
    give_detector()
    assert champion.run(CELLS) == 0
    drawn.picture("new.png", [("RBC", A, 0.85)], [("RBC", A)])
    drawn.annotate()
    assert job.run_beside(champion, CELLS) == 0
    comparison = job.report.comparison
    assert comparison is not None and (comparison.rows, comparison.rescored) == (5, 1)
    assert {difference.value for difference in comparison.metrics.values() if difference.reason is None} == {0}


def test_a_champion_that_cannot_be_asked_is_compared_where_it_answered(
    job: Job, drawn: Drawn, champion: Job, give_detector: GiveDetector
) -> None:
    give_detector(blind_to_platelets)
    assert champion.run(CELLS) == 0
    give_detector()
    drawn.picture("new.png", [("RBC", A, 0.85)], [("RBC", A)])
    drawn.annotate()
    for name in ("report.json", "predictions.parquet"):
        (job.input("champion") / name).write_bytes((champion.output / name).read_bytes())
    now = datetime(2026, 1, 1, tzinfo=UTC)
    crowned = Champion(model="cells", run="c" * 20, uploaded_at=now, key="k", version="v", crowned_at=now)
    assert job.run(CELLS, crowned) == 0
    comparison = job.report.comparison
    assert comparison is not None and comparison.rows == 4
    assert comparison.per_class["recall_50"]["Platelets"].value == 0.5
    assert "4 of 5 samples are compared" in next(one.text for one in job.report.findings)


def test_a_champion_of_other_classes_is_not_compared(
    job: Job, drawn: Drawn, champion: Job, give_detector: GiveDetector
) -> None:
    give_detector()
    assert champion.run(with_data(labels={1: "RBC", 2: "WBC", 3: "Platelets", 4: "Eosinophil"})) == 0
    assert job.run_beside(champion, CELLS) == 0
    comparison = job.report.comparison
    assert comparison is not None
    assert comparison.refused == ("the champion finds RBC, WBC, Platelets, Eosinophil, this model RBC, WBC, Platelets")


EXPLAINED = {**CELLS, "explain": {"chosen": {"samples": 3}}}


def samples_of(job: Job) -> list[ExplainSample]:
    text = (job.output / "explain/samples.json").read_text()
    return list(ExplainSamples.model_validate_json(text).samples)


def test_pictures_with_mistakes_are_chosen_first_and_then_unsure_ones(
    job: Job, drawn: Drawn, give_detector: GiveDetector
) -> None:
    drawn.picture("worse.png", [("RBC", A, 0.9)], [("WBC", A), ("WBC", B), ("Platelets", C)])
    drawn.picture("unsure.png", [("RBC", A, 0.52)], [("RBC", A)])
    drawn.annotate()
    give_detector()
    assert job.run({**EXPLAINED, "explain": {"chosen": {"samples": 6}}}) == 0
    samples = samples_of(job)
    assert [sample.id for sample in samples] == [
        "worse.png",
        "missed.png",
        "confused.png",
        "empty.png",
        "unsure.png",
        "right.png",
    ]
    assert [sample.reason for sample in samples] == [
        "mistake: 2 missed, 1 taken for another class",
        "mistake: 1 missed",
        "mistake: 1 taken for another class",
        "mistake: 1 found where nothing is",
        "unsure: a score of 0.52, and 0.5 counts",
        "unsure: a score of 0.80, and 0.5 counts",
    ]
    assert (samples[1].true, samples[1].predicted) == ("1 Platelets, 1 RBC", "1 RBC (1 missed)")
    assert samples[3].true == "nothing"
    assert samples[-1].true == samples[-1].predicted == "1 RBC, 1 WBC"
    assert samples[0].fingerprint == next(row["fingerprint"] for row in job.predictions if row["id"] == "worse.png")
    for sample in samples:
        assert sample.file is not None
        copied = (job.output / "explain/images" / sample.file).read_bytes()
        assert copied == (job.input("dataset") / sample.id).read_bytes()
    explain = job.report.explain
    assert explain is not None
    assert (explain.kind, explain.samples, explain.label_headers) == ("images", 6, ("RBC", "WBC", "Platelets"))


def test_pictures_with_new_errors_are_explained_before_those_that_the_champion_has_wrong_too(
    job: Job, drawn: Drawn, champion: Job, give_detector: GiveDetector
) -> None:
    for one in (drawn, draw(champion)):
        one.picture("worse.png", [("RBC", A, 0.9)], [("WBC", A), ("WBC", B), ("Platelets", C)])
        one.picture("new.png", [("Platelets", C, 0.9)], [("Platelets", C)])
        one.annotate()
    give_detector()
    assert champion.run(CELLS) == 0
    give_detector(blind_to_platelets)
    assert job.run_beside(champion, EXPLAINED) == 0
    more, new, same = samples_of(job)
    assert (more.id, new.id, same.id) == ("confused.png", "new.png", "worse.png")
    assert more.reason == "mistake: 1 missed, 1 taken for another class; the champion: 1 taken for another class"
    assert new.reason == "broken: 1 missed; the champion has all right"
    assert (new.true, new.predicted, new.champion) == ("1 Platelets", "nothing (1 missed)", "1 Platelets")
    assert same.champion == same.predicted == "1 RBC (2 missed, 1 taken for another class)"
    assert same.reason == (
        "mistake: 2 missed, 1 taken for another class; the champion: 2 missed, 1 taken for another class"
    )


def test_label_headers_have_a_name_for_each_number_that_a_class_may_have(
    job: Job, drawn: Drawn, give_detector: GiveDetector
) -> None:
    numbers = np.array([0, 2, 3, 5])
    give_detector(changed("detection_classes", lambda classes: numbers[classes.astype(int)]))
    assert job.run({**with_data(labels={2: "RBC", 3: "WBC", 5: "Platelets"}), "explain": EXPLAINED["explain"]}) == 0
    assert job.report.explain is not None
    assert job.report.explain.label_headers == ("class 1", "RBC", "WBC", "class 4", "Platelets")


def test_boxes_have_no_columns_to_choose_by(job: Job, drawn: Drawn, give_detector: GiveDetector) -> None:
    give_detector()
    assert job.run({**CELLS, "explain": {"chosen": {"only": {"lab": "A"}}}}) == 1
    assert "explain.chosen.only: no column 'lab'" in job.message


# Real models


def pack(job: Job, folder: Path) -> None:
    with tarfile.open(job.input("model") / "model.tar.gz", "w:gz") as tar:
        for path in folder.iterdir():
            tar.add(path, arcname=path.name)


def patches_in_tensorflow(images: Any, threshold: float) -> tuple[Any, Any]:
    """The box of each colour's patch, (n, 3, 4) as [ymin, xmin, ymax, xmax], and its brightness, (n, 3)."""
    import tensorflow as tf

    shares = tf.cast(images, tf.float32) / 255.0
    there = shares > threshold
    rows, columns = tf.reduce_any(there, axis=2), tf.reduce_any(there, axis=1)  # (n, h, 3), (n, w, 3)

    def ends(along: Any) -> tuple[Any, Any]:
        size = tf.cast(tf.shape(along)[1], tf.float32)
        first = tf.argmax(tf.cast(along, tf.int32), axis=1, output_type=tf.int32)
        last = tf.argmax(tf.cast(tf.reverse(along, [1]), tf.int32), axis=1, output_type=tf.int32)
        return tf.cast(first, tf.float32) / size, 1.0 - tf.cast(last, tf.float32) / size

    (ymin, ymax), (xmin, xmax) = ends(rows), ends(columns)
    boxes = tf.stack([ymin, xmin, ymax, xmax], axis=2)
    return boxes, tf.reduce_max(tf.where(there, shares, 0.0), axis=[1, 2])


@pytest.mark.tensorflow
def test_saved_models_of_both_formats_from_an_archive_to_the_report(job: Job, drawn: Drawn, tmp_path: Path) -> None:
    import tensorflow as tf

    def signature(input_tensor: Any) -> Any:
        boxes, scores = patches_in_tensorflow(input_tensor, 0.02)
        order = tf.argsort(scores, axis=1, direction="DESCENDING", stable=True)
        return {
            "detection_boxes": tf.gather(boxes, order, batch_dims=1),
            "detection_scores": tf.gather(scores, order, batch_dims=1),
            "detection_classes": tf.cast(order + 1, tf.float32),
            "num_detections": tf.reduce_sum(tf.cast(scores > 0, tf.float32), axis=1),
            "raw_detection_boxes": boxes,
        }

    def rows(images: Any) -> Any:
        boxes, scores = patches_in_tensorflow(images * 255.0, 0.02)
        classes = tf.where(scores > 0, tf.range(3, dtype=tf.float32)[None, :], -1.0)
        return {
            "prediction": tf.concat([classes[..., None], scores[..., None], tf.gather(boxes, [1, 0, 3, 2], axis=2)], 2)
        }

    module = tf.Module()
    found = []
    for name, function, spec, labels in (
        ("s", signature, tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor"), CELLS["data"]["labels"]),
        ("r", rows, tf.TensorSpec([None, HEIGHT, WIDTH, 3], tf.float32), {0: "RBC", 1: "WBC", 2: "Platelets"}),
    ):
        served = tf.function(function, input_signature=[spec], autograph=False)
        setattr(module, name, served)
        tf.saved_model.save(module, str(tmp_path / name / "1"), signatures={"serving_default": served})
        pack(job, tmp_path / name)
        assert job.run(with_data(labels=labels)) == 0
        found.append(numbers_of(job))
    assert found[0] == found[1]
    assert job.report.metrics["map50"].value == pytest.approx((67 / 101 + 1 + 51 / 101) / 3)
    assert job.report.model.outputs[0].name == "prediction"


@pytest.mark.tensorflow
@pytest.mark.skipif(not BCCD.exists(), reason=f"needs the microscope photos at {BCCD}")
def test_white_cells_of_real_photos_are_found_by_their_colour(job: Job, tmp_path: Path) -> None:
    """The one violet patch of a photo is its white cell's nucleus, nine times of ten; red cells are not looked for."""
    import tensorflow as tf

    def violet(input_tensor: Any) -> Any:
        image = tf.cast(input_tensor, tf.float32)
        there = (image[..., 2] - image[..., 1] > 60.0) & (image[..., 1] < 130.0)
        smooth = tf.nn.avg_pool2d(tf.cast(there, tf.float32)[..., None], 15, 1, "SAME")
        boxes, scores = patches_in_tensorflow(tf.repeat(255.0 * smooth, 3, axis=3), 0.6)
        # a cell is larger than its nucleus
        grown = boxes[:, :1] + [[[-0.04, -0.03, 0.04, 0.03]]]
        return {
            "detection_boxes": tf.clip_by_value(grown, 0.0, 1.0),
            "detection_scores": scores[:, :1],
            "detection_classes": tf.fill([1, 1], 2.0),
            "num_detections": tf.cast(scores[:, 0] > 0, tf.float32),
        }

    module = tf.Module()
    module.serve = tf.function(
        violet, input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")], autograph=False
    )
    tf.saved_model.save(module, str(tmp_path / "m/1"), signatures={"serving_default": module.serve})
    pack(job, tmp_path / "m")
    (job.input("annotations").parent / "dataset").symlink_to(BCCD / "test/images")
    annotations = (BCCD / "test/annotations.csv").read_bytes()
    (job.input("annotations") / "annotations.csv").write_bytes(annotations)
    assert job.run(CELLS) == 0
    report = job.report
    assert (report.data.rows, report.metrics["objects"].value) == (72, 945)
    white = report.per_class["ap50"]["WBC"]
    assert white.value is not None and white.low is not None and white.low > 0.3
    assert report.per_class["recall_50"]["RBC"].value == 0


def test_a_picture_with_a_class_that_the_model_does_not_know_is_left_out(
    job: Job, drawn: Drawn, give_detector: GiveDetector
) -> None:
    give_detector()
    policy = with_data(labels={1: "RBC", 2: "WBC"})
    assert job.run(policy | {"evaluate": {"max_unreadable": 2}}) == 0
    report = job.report
    assert (report.data.rows, report.data.unreadable) == (2, 2)
    assert report.data.unreadable_names[0].endswith(": label 'Platelets' is none of data.labels (RBC, WBC)")
    assert {row["id"] for row in job.predictions} == {"right.png", "empty.png"}


SLICED = {**CELLS, "evaluate": {**CELLS["evaluate"], "slices": ["lab", {"column": "zoom", "bins": [0, 10, 20]}]}}


def with_labs(drawn: Drawn, **labs: tuple[str, str]) -> None:
    """Say of each picture's boxes which lab it is of, and how large it is seen."""
    lines = [(*line, *labs[str(line[0]).partition(".")[0]]) for line in drawn.lines]
    write_csv(drawn.job.input("annotations") / "annotations.csv", [(*HEADER, "lab", "zoom"), *lines])


def test_slices_are_of_pictures_by_what_the_annotations_say_of_them(
    job: Job, drawn: Drawn, give_detector: GiveDetector
) -> None:
    give_detector()
    with_labs(drawn, right=("north", "5"), missed=("south", "15"), confused=("south", "5"))
    assert job.run(SLICED) == 0
    report = job.report
    slices = {one.name: one for one in report.slices}
    assert {name: one.n for name, one in slices.items()} == {
        "lab=north": 1,
        "lab=south": 2,
        "lab is missing": 1,
        "zoom=[0, 10)": 2,
        "zoom=[10, 20]": 1,
        "zoom is missing": 1,
    }
    assert slices["lab=north"].metrics["recall_50"].value == 1
    assert slices["lab=south"].metrics["recall_50"].value == 0.5  # two of four objects
    assert slices["lab=south"].metrics["objects"].value == 4
    assert slices["lab=south"].per_class["recall_50"]["RBC"].value == 0.5
    assert slices["lab is missing"].metrics["map50"].reason == "no object in any picture"
    assert slices["lab is missing"].metrics["precision_50"].value == 0
    assert "plots/slices.svg" in report.plots
    gates = [{"metric": "recall_50", "min": 0.9, "slice": "lab=south", "judge": "estimate"}]
    assert judge(read_policy({**SLICED, "gates": gates}).gates, report).gates[0].result == "fail"


def test_a_slice_of_boxes_is_refused_with_its_line(job: Job, drawn: Drawn, no_model_is_loaded: None) -> None:
    lines = [(*line, "round" if number % 2 else "flat", "5") for number, line in enumerate(drawn.lines)]
    write_csv(job.input("annotations") / "annotations.csv", [(*HEADER, "lab", "zoom"), *lines])
    assert job.run(SLICED) == 1
    assert "annotations.csv, line 3: lab of right.png is 'round', before 'flat'; evaluate.slices are of" in job.message
    drawn.annotate()
    assert job.run(SLICED) == 1
    assert "evaluate.slices: no column 'lab' in the data" in job.message


def test_cocos_images_say_what_slices_are_by(job: Job, drawn: Drawn, give_detector: GiveDetector) -> None:
    give_detector()
    (job.input("annotations") / "annotations.csv").unlink()
    images = [
        {"id": 1, "file_name": "right.png", "width": WIDTH, "height": HEIGHT, "lab": "north"},
        {"id": 2, "file_name": "empty.png", "lab": 7},
    ]
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [4, 4, 20, 20]}]
    categories = [{"id": number, "name": name} for number, name in CELLS["data"]["labels"].items()]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (job.input("annotations") / "coco.json").write_text(json.dumps(content))
    policy = {**CELLS, "data": {**CELLS["data"], "annotations": "coco.json", "boxes": "coco", "label": None}}
    assert job.run(policy | {"evaluate": {"slices": ["lab"]}}) == 0
    assert {one.name: one.n for one in job.report.slices} == {"lab=7": 1, "lab=north": 1}


def test_pictures_with_more_errors_are_found_by_what_is_said_of_them(job: Job, give_detector: GiveDetector) -> None:
    give_detector()
    drawn = Drawn(job)
    labs = {}
    for number in range(160):
        name = f"{number}.png"
        bad = number % 2 == 0
        drawn.picture(name, [] if bad else [("RBC", A, 0.9)], [("RBC", A)])
        labs[str(number)] = ("south" if bad else "north", str(number % 3))
    with_labs(drawn, **labs)
    assert job.run(CELLS) == 0
    (found,) = [one for one in job.report.slices if one.found == "discovered"]
    assert found.name in ("lab=south", "lab is not north")
    assert found.metrics["recall_50"].value == 0
    assert "Parts of the data where the model is worse" in [finding.title for finding in job.report.findings]
