"""Metrics of detectors: against pycocotools, against cases worked by hand, and by laws."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from evaluator.detection import (
    COCO_IOUS,
    MATCH_IOU,
    SIZES,
    Errors,
    Estimates,
    Found,
    Truth,
    all_ious,
    coco,
    coco_values,
    counts_of,
    estimate,
    find_errors,
    match,
    precision_recall_f1,
    rates,
)
from model.detections import areas


class Scene(NamedTuple):
    """Objects and detections of some pictures."""

    truth: Truth
    found: Found
    pictures: int
    classes: int

    def estimates(self, asked: Sequence[float] = (0.5,), threshold: float = 0.5) -> Estimates:
        matches = match(self.truth, self.found, self.pictures, self.classes, all_ious(asked))
        return estimate(matches, [str(k) for k in range(self.classes)], asked, threshold)

    def errors(self, threshold: float = 0.5) -> Errors:
        return find_errors(self.truth, self.found, self.pictures, self.classes, threshold)


def scene(objects: Sequence[tuple[Any, ...]], detections: Sequence[tuple[Any, ...]], pictures: int = 2) -> Scene:
    """Objects (picture, class, box[, crowd]) and detections (picture, class, score, box)."""
    boxes = np.array([one[2] for one in objects], dtype=np.float64).reshape(-1, 4)
    truth = Truth(
        np.array([one[0] for one in objects], dtype=np.int64),
        boxes,
        np.array([one[1] for one in objects], dtype=np.int64),
        areas(boxes),
        np.array([len(one) > 3 for one in objects], dtype=np.bool_),
    )
    ordered = sorted(detections, key=lambda one: (one[0], -one[2]))
    found = Found(
        np.array([one[0] for one in ordered], dtype=np.int64),
        np.array([one[3] for one in ordered], dtype=np.float64).reshape(-1, 4),
        np.array([one[1] for one in ordered], dtype=np.int64),
        np.array([one[2] for one in ordered], dtype=np.float64),
    )
    return Scene(truth, found, pictures, 2)


A, B, C = (0, 0, 10, 10), (20, 20, 30, 30), (50, 50, 60, 60)


def by_chance(seed: int, pictures: int = 25, classes: int = 4) -> Scene:
    """Objects of all sizes, some crowds; detections near them, elsewhere, of other classes, of equal scores."""
    random = np.random.default_rng(seed)
    objects, detections = [], []
    for picture in range(pictures):
        for _ in range(random.integers(0, 9)):
            x, y = random.uniform(0, 400, 2)
            w, h = random.choice([12, 50, 140]) * random.uniform(0.7, 1.4, 2)
            k = int(random.integers(0, classes - 1))  # the last class has no object
            box = (x, y, x + w, y + h)
            objects.append((picture, k, box, True) if random.random() < 0.1 else (picture, k, box))
            for _ in range(random.integers(0, 4)):
                moved = np.array(box) + random.normal(0, 0.08, 4) * [w, h, w, h]
                said = k if random.random() < 0.8 else int(random.integers(0, classes))
                detections.append((picture, said, round(random.random(), 2), tuple(moved)))
        for _ in range(random.integers(0, 4)):
            x, y = random.uniform(0, 400, 2)
            said = int(random.integers(0, classes))
            detections.append((picture, said, round(random.random() * 0.7, 2), (x, y, x + 40, y + 30)))
    return scene(objects, detections, pictures)._replace(classes=classes)


def official(one: Scene) -> COCOeval:
    """pycocotools by itself, all classes and pictures at once."""

    def load(rows: list[dict[str, Any]]) -> COCO:
        api = COCO()
        images, categories = [{"id": i} for i in range(one.pictures)], [{"id": k} for k in range(one.classes)]
        api.dataset = {"images": images, "categories": categories, "annotations": rows}
        api.createIndex()
        return api

    def rows(boxes: Any, **columns: Any) -> list[dict[str, Any]]:
        xywh = np.concatenate([boxes[:, :2], np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)], axis=1).tolist()
        return [
            {"id": i + 1, "bbox": box, **{name: values[i].item() for name, values in columns.items()}}
            for i, box in enumerate(xywh)
        ]

    truth, found = one.truth, one.found
    with contextlib.redirect_stdout(io.StringIO()):
        objects = rows(
            truth.boxes, image_id=truth.picture, category_id=truth.classes, area=truth.areas, iscrowd=truth.crowd
        )
        detections = rows(
            found.boxes, image_id=found.picture, category_id=found.classes, area=areas(found.boxes), score=found.scores
        )
        evaluation = COCOeval(load(objects), load(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def drawn(one: Scene, pictures: NDArray[np.int64]) -> Scene:
    """The scene of these of its pictures, each as often as it is named."""

    def gathered(columns: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        places = [np.flatnonzero(columns[0] == picture) for picture in pictures]
        number = np.repeat(np.arange(len(pictures)), [len(of) for of in places])
        return [number, *(column[np.concatenate(places)] for column in columns[1:])]

    return Scene(Truth(*gathered(one.truth)), Found(*gathered(one.found)), len(pictures), one.classes)


TWELVE = ["map", "map50", "map75", "map_small", "map_medium", "map_large"]
TWELVE += ["ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large"]


@pytest.mark.parametrize("seed", range(4))
def test_all_numbers_are_those_of_pycocotools(seed: int) -> None:
    one = by_chance(seed)
    expected = official(one)
    found = one.estimates(asked=(0.35, 0.5))  # a threshold of the policy's own changes nothing in COCO's numbers
    assert [found.of_all[name].value for name in TWELVE] == pytest.approx(expected.stats.tolist(), abs=1e-12)
    precision = expected.eval["precision"][:, :, :, 0, 2].mean(axis=1)  # (10, classes)
    for k in range(one.classes - 1):
        got = [found.of_class[name][str(k)].value for name in ("ap", "ap50", "ap75")]
        assert got == pytest.approx([precision[:, k].mean(), precision[0, k], precision[5, k]], abs=1e-12)
    assert np.isnan(found.of_class["ap"][str(one.classes - 1)].value)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_resampled_is_pycocotools_when_every_picture_counts_once(seed: int) -> None:
    one = by_chance(seed)
    ious = all_ious((0.42,))
    matches = match(one.truth, one.found, one.pictures, one.classes, ious)
    ours, theirs = coco(matches, ious, np.ones((1, one.pictures))), coco_values(matches)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        assert values == pytest.approx(theirs[name], abs=1e-9, nan_ok=True), name


@pytest.mark.parametrize("seed", range(4))
def test_a_resample_is_what_pycocotools_finds_in_pictures_that_stand_there_as_often(seed: int) -> None:
    one = by_chance(seed, pictures=12)
    # all scores differ: in which order pycocotools takes ties depends on the pictures' order
    one = one._replace(found=one.found._replace(scores=one.found.scores - 1e-6 * np.arange(len(one.found.scores))))
    times = np.random.default_rng(seed).multinomial(12, np.full(12, 1 / 12))
    again = drawn(one, np.repeat(np.arange(12), times))
    ious = all_ious(())
    weighted = coco(match(one.truth, one.found, 12, one.classes, ious), ious, times[None, :].astype(np.float64))
    expected = coco_values(match(again.truth, again.found, 12, one.classes, ious))
    for name, values in weighted.items():
        assert values == pytest.approx(expected[name], abs=1e-9, nan_ok=True), name


def test_average_precision_worked_by_hand() -> None:
    """Two objects; right, wrong, right: precision 1 up to recall 1/2, 2/3 up to 1: (51 · 1 + 50 · 2/3) / 101."""
    one = scene([(0, 0, A), (1, 0, B)], [(0, 0, 0.9, A), (0, 0, 0.8, C), (1, 0, 0.7, B)])
    found = one.estimates()
    assert found.of_class["ap"]["0"].value == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert found.of_class["ap50"]["0"].value == found.of_class["ap75"]["0"].value == found.of_all["map"].value
    assert found.of_class["precision_50"]["0"].value == pytest.approx(2 / 3)
    assert found.of_class["recall_50"]["0"].value == 1
    assert found.of_class["f1_50"]["0"].value == pytest.approx(0.8)


def test_an_overlap_counts_by_each_threshold_that_it_reaches() -> None:
    """9 of 10 columns shared, 10 in all: IoU 0.9 (thresholds 0.5 to 0.9 of ten); 2/3: 0.5 to 0.65."""
    one = scene(
        [(0, 0, (0, 0, 10, 10)), (1, 1, (0, 0, 10, 10))], [(0, 0, 0.9, (0, 0, 9, 10)), (1, 1, 0.9, (2, 0, 12, 10))]
    )
    found = one.estimates(asked=(0.5, 0.6667, 0.75))
    assert found.of_class["ap"]["0"].value == pytest.approx(0.9)
    assert found.of_class["ap"]["1"].value == pytest.approx(0.4)
    assert (found.of_class["ap50"]["1"].value, found.of_class["ap75"]["1"].value) == (1, 0)
    assert found.of_class["recall_50"]["1"].value == 1
    assert found.of_class["recall_66.67"]["1"].value == found.of_class["recall_75"]["1"].value == 0


def test_the_second_detection_of_an_object_is_wrong() -> None:
    one = scene([(0, 0, A), (1, 0, B)], [(0, 0, 0.9, A), (0, 0, 0.8, A), (1, 0, 0.7, B)])
    assert one.estimates().of_class["precision_50"]["0"].value == pytest.approx(2 / 3)
    assert one.errors().counts.tolist() == [[2, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_the_score_threshold_cuts_precision_and_recall_but_not_average_precision() -> None:
    one = scene([(0, 0, A), (1, 0, B)], [(0, 0, 0.9, A), (1, 0, 0.5, B), (1, 0, 0.4, C)])
    for threshold, precision, recall in ((0.4, 2 / 3, 1), (0.5, 1, 1), (0.51, 1, 0.5)):
        found = one.estimates(threshold=threshold)
        assert found.of_class["precision_50"]["0"].value == pytest.approx(precision)
        assert found.of_class["recall_50"]["0"].value == recall
        assert found.of_class["ap50"]["0"].value == 1


def test_nothing_found_is_zero_and_a_precision_of_nothing_has_a_reason() -> None:
    one = scene([(0, 0, A), (1, 1, B)], [])
    metrics, per_class = one.estimates().metrics()
    assert metrics["map"].value == metrics["ar_100"].value == metrics["recall_50"].value == 0
    assert metrics["precision_50"].reason == "nothing was found with a score of at least 0.5"
    assert per_class["f1_50"]["0"].value == 0
    assert one.errors().counts.tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]
    assert one.errors().missed.tolist() == [1, 1]


def test_a_class_without_an_object_has_a_reason_and_no_part_in_the_mean() -> None:
    one = scene([(0, 0, A), (1, 0, A)], [(0, 0, 0.9, A), (1, 0, 0.9, A), (1, 1, 0.9, B)])
    metrics, per_class = one.estimates().metrics()
    assert metrics["map"].value == 1
    for name in ("ap", "ap50", "ar_100", "recall_50", "f1_50"):
        assert per_class[name]["1"].reason == "no object of this class", name
    assert per_class["precision_50"]["1"].value == 0
    assert (per_class["ap"]["1"].n, per_class["precision_50"]["1"].n) == (0, 1)
    assert metrics["map_large"].reason == "no large object"
    assert metrics["precision_50"].value == pytest.approx(2 / 3)


def test_no_object_anywhere_gives_reasons_not_numbers() -> None:
    one = scene([], [(0, 0, 0.9, A)])
    metrics, _ = one.estimates().metrics()
    assert metrics["map"].reason == "no object in any picture"
    assert metrics["precision_50"].value == 0
    assert one.errors().false.tolist() == [1, 0]
    nothing = scene([], []).estimates().metrics()[0]
    assert nothing["map"].value is None and nothing["precision_50"].value is None


def test_what_lies_in_a_crowd_is_neither_right_nor_wrong() -> None:
    crowd = (40, 40, 100, 100)
    one = scene([(0, 0, A), (0, 0, crowd, True), (1, 0, A)], [(0, 0, 0.9, A), (0, 0, 0.8, C), (1, 0, 0.7, A)])
    found = one.estimates()
    assert found.of_class["ap"]["0"].value == found.of_class["precision_50"]["0"].value == 1
    assert found.of_class["ap"]["0"].n == 2
    assert one.errors().counts.tolist() == [[2, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_an_inverted_box_is_wrong_and_breaks_nothing() -> None:
    one = scene([(0, 0, A), (1, 0, A)], [(0, 0, 0.9, (10, 10, 0, 0)), (1, 0, 0.8, A)])
    assert one.estimates().of_class["precision_50"]["0"].value == 0.5


def test_errors_are_missed_false_and_confused() -> None:
    objects = [(0, 0, A), (0, 1, B), (1, 1, A)]
    detections = [(0, 1, 0.9, A), (0, 0, 0.8, C), (1, 1, 0.7, A), (1, 0, 0.4, C)]
    found = scene(objects, detections).errors()
    # class 0 taken for 1, one of class 1 missed, one right; something of class 0 found where nothing is
    assert found.counts.tolist() == [[0, 1, 0], [0, 1, 1], [1, 0, 0]]
    assert (found.confused.tolist(), found.missed.tolist(), found.false.tolist()) == ([1, 0], [1, 0], [1, 0])


def test_an_object_goes_to_the_detection_of_its_own_class_before_a_surer_one_of_another() -> None:
    found = scene([(0, 0, A)], [(0, 1, 0.9, A), (0, 0, 0.6, A)], pictures=1).errors()
    assert found.counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("seed", range(4))
def test_the_confusion_matrix_agrees_with_precision_and_recall(seed: int) -> None:
    one = by_chance(seed)
    matches = match(one.truth, one.found, one.pictures, one.classes, COCO_IOUS)
    counts = rates(matches, int(np.flatnonzero(COCO_IOUS == MATCH_IOU)[0]), 0.3, np.ones((1, one.pictures)))
    errors = one.errors(0.3)
    assert np.diagonal(errors.counts)[:-1].tolist() == counts["right"][0].tolist()
    assert errors.counts[:-1].sum(axis=1).tolist() == counts["objects"][0].tolist()
    assert (errors.counts[-1].sum(), errors.counts[:, -1].sum()) == (errors.false.sum(), errors.missed.sum())
    assert errors.confused.sum() == errors.counts[:-1, :-1].sum() - np.trace(errors.counts)


def test_a_hundred_detections_of_a_class_count_in_each_picture() -> None:
    found = [(0, 0, 0.9 - place / 1000, C) for place in range(100)]
    one = scene([(0, 0, A)], [*found, (0, 0, 0.1, A)], pictures=1)
    assert one.estimates().of_class["ap"]["0"].value == 0


def test_renaming_the_classes_renames_their_numbers() -> None:
    one = by_chance(5)
    renamed = np.array([2, 0, 3, 1])
    other = one._replace(
        truth=one.truth._replace(classes=renamed[one.truth.classes]),
        found=one.found._replace(classes=renamed[one.found.classes]),
    )
    before, after = one.estimates(), other.estimates()
    for name, of in before.of_class.items():
        for k in range(one.classes):
            assert of[str(k)].value == pytest.approx(after.of_class[name][str(renamed[k])].value, nan_ok=True)
    for name, value in before.of_all.items():
        assert value.value == pytest.approx(after.of_all[name].value, nan_ok=True)
        assert value.resampled == pytest.approx(after.of_all[name].resampled, nan_ok=True)


def test_every_value_lies_in_its_interval_and_two_estimates_are_the_same() -> None:
    one = by_chance(7)
    metrics, per_class = one.estimates().metrics()
    for metric in [*metrics.values(), *(of for classes in per_class.values() for of in classes.values())]:
        if metric.value is not None:
            assert metric.low is not None and metric.high is not None
            assert 0 <= metric.low <= metric.value <= metric.high <= 1
    assert one.estimates().metrics() == (metrics, per_class)


def test_what_is_right_in_all_pictures_is_as_sure_as_there_are_pictures() -> None:
    def perfect(pictures: int) -> float:
        boxes = [(p, k, box) for p in range(pictures) for k, box in ((0, A), (1, B))]
        one = scene(boxes, [(p, k, 0.9, box) for p, k, box in boxes], pictures)
        metric = one.estimates().metrics()[0]["map50"]
        assert (metric.value, metric.high) == (1, 1)
        assert metric.low is not None
        return metric.low

    assert perfect(1) < perfect(10) < perfect(100) < 1


def test_pictures_differ_so_boxes_of_one_picture_are_no_independent_samples() -> None:
    """Ten objects a picture, all found or all missed: the interval is that of 40 pictures, not of 400 boxes."""
    boxes = [(p, 0, (20 * i, 0, 20 * i + 10, 10)) for p in range(40) for i in range(10)]
    one = scene(boxes, [(p, 0, 0.9, box) for p, _, box in boxes if p % 2], 40)
    metric = one.estimates().metrics()[1]["recall_50"]["0"]
    assert metric.value == 0.5 and metric.low is not None and metric.high is not None
    assert (metric.high - metric.low) / 2 == pytest.approx(1.96 * 0.5 / np.sqrt(40), rel=0.1)


def test_intervals_hold_what_many_more_pictures_give() -> None:
    """Percentiles alone would miss low: an average precision of few pictures is too high."""
    world = by_chance(1, pictures=800)
    world = world._replace(
        found=world.found._replace(scores=world.found.scores - 1e-7 * np.arange(len(world.found.scores)))
    )
    ious = all_ious(())
    values = coco_values(match(world.truth, world.found, world.pictures, world.classes, ious))
    random = np.random.default_rng(0)
    held = {"map": 0, "map50": 0}
    for _ in range(25):
        metrics = drawn(world, random.integers(0, world.pictures, 40)).estimates().metrics()[0]
        for name in held:
            metric, true = metrics[name], float(np.nanmean(values[name[1:]]))
            assert metric.low is not None and metric.high is not None
            held[name] += metric.low <= true <= metric.high
    assert all(number >= 22 for number in held.values()), held


def test_counts_are_of_objects_and_of_detections_from_the_threshold_on() -> None:
    one = scene([(0, 0, A), (0, 0, B, True), (1, 1, A)], [(0, 0, 0.9, A), (1, 0, 0.2, A), (1, 1, 0.5, C)])
    matches = match(one.truth, one.found, 2, 2, COCO_IOUS)
    metrics, per_class = counts_of(matches, ["x", "y"], 0.5)
    assert (metrics["objects"].value, metrics["detections"].value) == (2, 2)
    assert (per_class["objects"]["x"].value, per_class["detections"]["y"].value) == (1, 1)
    assert metrics["objects"].higher_is_better is None


def test_the_thresholds_of_the_policy_join_cocos() -> None:
    assert all_ious((0.5, 0.75, 0.95)).tolist() == COCO_IOUS.tolist()
    assert all_ious((0.3, 0.5)).tolist() == [0.3, *COCO_IOUS.tolist()]
    assert list(SIZES) == ["all", "small", "medium", "large"]


def test_precision_recall_and_f1_of_counts() -> None:
    counts = {"right": np.array([3.0, 0, 0]), "said": np.array([4.0, 0, 2]), "objects": np.array([6.0, 5, 0])}
    found = precision_recall_f1(counts)
    assert found["precision"].tolist()[0] == 0.75 and np.isnan(found["precision"][1]) and found["precision"][2] == 0
    assert found["recall"].tolist()[:2] == [0.5, 0] and np.isnan(found["recall"][2])
    assert found["f1"].tolist()[:2] == [0.6, 0] and np.isnan(found["f1"][2])
