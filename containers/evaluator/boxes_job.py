"""A job on pictures with boxes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assay.errors import BadData, BadPolicy
from assay.evaluation import ConfusionMatrix, DataFacts, EvaluationReport, Finding, ModelFacts
from evaluator import checks, model_quality
from evaluator.boxes_checks import of_detector
from evaluator.boxes_chosen import explain_pictures
from evaluator.boxes_compare import Boxes, compare_boxes
from evaluator.boxes_data import (
    Annotations,
    ScoredPicture,
    class_numbers,
    label_places,
    note_unknown_classes,
    read_boxes,
)
from evaluator.boxes_score import Listed, find_listed, prepare, read_content, score_boxes
from evaluator.boxes_slices import METRIC, check_picture_slices, measure_pictures, picture_parts
from evaluator.choose import check_only
from evaluator.detection import Errors, Found, Truth, all_ious, counts_of, estimate, find_errors, match
from evaluator.labels import names_that_differ
from evaluator.plots import confusion_svg, per_class_svg, slices_svg
from evaluator.request import Request
from evaluator.scored import Unreadable
from evaluator.slices import discovery_findings
from evaluator.speed import speed_of
from model.detections import Detections
from model.detector import Detector
from model.picture_endpoint import PictureEndpoint
from model.runtime import SCORES_ALONE

NOTHING = "background"
"""The row of what was found where nothing is, and the column of what was missed."""


def evaluate_boxes(request: Request) -> EvaluationReport:
    """Score and measure; what can be wrong with the data is found before the model is loaded."""
    unreadable = Unreadable(request.policy.evaluate.max_unreadable)
    check_only(request.policy.explain.chosen, ())
    looked = look(request, unreadable)
    with _detector(request) as (detector, facts):
        with request.timed("score"):
            boxes = looked.score(request, detector, unreadable)
        pictures, numbers, _ = boxes
        if not pictures:
            raise BadData(f"no picture can be read: {', '.join(unreadable.named[:1])}")
        path_of = {one.row: one.path for one in looked.listed}
        probe = pictures[: checks.PROBE]
        with request.timed("probe"):
            prepared = [prepare(detector, *read_content(path_of[one.row]), one.file) for one in probe]
            alone = [detector.find([one])[0] for one in prepared]
            speed = speed_of("images", len(pictures), request.seconds["score"], lambda: detector.find(prepared[:1]))
    findings = [
        *of_detector(pictures, numbers, request.policy.evaluate.score_threshold, detector.size),
        *_of_answers([one.detections for one in probe], alone, together=detector.size is not None),
    ]
    first_class = detector.first_class or 0  # an endpoint's classes are explained by their places in label_headers
    report = boxes_report(request, boxes, unreadable, facts, looked, first_class)
    if isinstance(detector, PictureEndpoint):
        findings += checks.of_endpoint(request.policy.model)
        findings += checks.of_files(detector, [path_of[one.row] for one in pictures])
    return report.model_copy(update={"speed": speed, "findings": (*report.findings, *findings)})


@dataclass(frozen=True)
class Looked:
    """What is known of the data before the model is loaded."""

    annotations: Annotations
    listed: Sequence[Listed]

    def score(self, request: Request, detector: Detector | PictureEndpoint, unreadable: Unreadable) -> Boxes:
        """Ask about the pictures that the request is about."""
        data = request.policy.data
        numbers = class_numbers(data, self.annotations, detector.first_class)
        listed = [one for one in self.listed if request.only is None or one.row in request.only]
        pictures = list(score_boxes(listed, detector, label_places(numbers), data, unreadable, request.progress))
        unreadable.check()
        names = self.annotations.names
        return pictures, tuple(numbers), names_that_differ(names.get(label, label) for label in numbers.values())


def look(request: Request, unreadable: Unreadable) -> Looked:
    """Read the annotations and find the pictures; raises BadData, BadPolicy."""
    data = request.policy.data
    if data.annotations is None:
        raise BadPolicy("data.annotations is missing: expected a CSV file with a line a box, or COCO's JSON")
    annotations = read_boxes(request.annotations, data)
    check_picture_slices(request.policy.evaluate.slices, annotations)
    first = None if request.policy.model.predictor == "endpoint" else 1
    note_unknown_classes(annotations, class_numbers(data, annotations, first))
    listed = find_listed(annotations, request.dataset, unreadable)
    unreadable.check()
    return Looked(annotations, listed)


def score(request: Request) -> Boxes:
    """Ask the request's archive, by its policy, about those of the pictures that the request is about."""
    unreadable = Unreadable(request.policy.evaluate.max_unreadable)
    looked = look(request, unreadable)
    with _detector(request) as (detector, _):
        return looked.score(request, detector, unreadable)


@contextmanager
def _detector(request: Request) -> Iterator[tuple[Detector | PictureEndpoint, ModelFacts]]:
    """Who is asked: the policy's endpoint, or the request's model."""
    if request.policy.model.predictor == "endpoint":
        with request.picture_endpoint(None) as (endpoint, folder):
            yield endpoint, request.facts(endpoint, folder)
    else:
        with request.model() as (model, folder):
            facts = request.facts(model, folder).model_copy(update={"runtime_reason": SCORES_ALONE})
            yield Detector(model, request.preprocessing(folder)), facts


def boxes_report(
    request: Request, boxes: Boxes, unreadable: Unreadable, model: ModelFacts, looked: Looked, first_class: int
) -> EvaluationReport:
    """Measure, choose what to explain, and write all files beside the report that is returned.

    Args:
        request: the job.
        boxes: the pictures and what was found in them.
        unreadable: those that could not be read.
        model: who was asked.
        looked: where the pictures lie.
        first_class: what the model's format calls the first class.
    """
    pictures, numbers, labels = boxes
    asked, outputs = request.policy.evaluate, request.outputs
    truth, found = in_columns(pictures, numbers)
    with request.timed("measure"):
        matches = match(truth, found, len(pictures), len(labels), all_ious(asked.iou))
        estimates = estimate(matches, labels, asked.iou, asked.score_threshold)
        errors = find_errors(truth, found, len(pictures), len(labels), asked.score_threshold)
        metrics, per_class = estimates.metrics()
        counts, counts_per_class = counts_of(matches, labels, asked.score_threshold)
    with request.timed("slices"):
        annotated = {one.row: one.annotated for one in looked.listed}
        parts, left_out = picture_parts(
            asked.slices, looked.annotations, [annotated[one.row] for one in pictures], errors
        )
        slices = measure_pictures(parts, truth, found, labels, asked)
    comparison, of_comparison, champion = compare_boxes(
        request, model.archive_sha256, truth, found, boxes, estimates, parts, score
    )
    paths = {one.annotated.file: one.path for one in looked.listed}
    explain = explain_pictures(request, pictures, (numbers, labels, first_class), errors, champion, paths)
    outputs.table("predictions.parquet", [predictions(pictures, numbers, labels, errors)])
    outputs.json("evaluation.json", model_quality.detection(*estimates))
    confusion = ConfusionMatrix(
        labels=names_that_differ([*labels, NOTHING]), counts=tuple(tuple(map(int, row)) for row in errors.counts)
    )
    with request.timed("plots"):
        plots = outputs.plots(
            {
                "confusion": confusion_svg(confusion),
                "classes": per_class_svg(per_class, ["ap", "ap50", "ap75"]),
                "slices": slices_svg(slices, METRIC, metrics[METRIC]),
            }
        )
    return EvaluationReport(
        task=request.policy.task,
        labels=tuple(labels),
        metrics=metrics | counts,
        per_class=per_class | counts_per_class,
        confusion=confusion,
        slices=slices,
        comparison=comparison,
        model=model,
        data=DataFacts(
            rows=len(pictures),
            unreadable=unreadable.count,
            unreadable_names=tuple(unreadable.named),
            sha256=_fingerprint(pictures, labels),
        ),
        findings=(*left_out, *discovery_findings(slices, METRIC), *of_comparison, *_of_data(pictures, labels)),
        explain=explain,
        plots=plots,
        seconds=dict(request.seconds),
    )


def in_columns(pictures: Sequence[ScoredPicture], numbers: Sequence[int]) -> tuple[Truth, Found]:
    """All objects and all detections, in pixels; detections of a class that no label names are left out."""
    place_of = {number: place for place, number in enumerate(numbers)}
    objects = [one.objects for one in pictures]
    counts = [len(one.classes) for one in objects]
    truth = Truth(
        picture=np.repeat(np.arange(len(pictures)), counts),
        boxes=np.concatenate([one.boxes for one in objects]),
        classes=np.concatenate([one.classes for one in objects]),
        areas=np.concatenate([one.areas for one in objects]),
        crowd=np.concatenate([one.crowd for one in objects]),
    )
    known = [np.isin(one.detections.classes, list(numbers)) for one in pictures]
    said = np.concatenate([one.detections.classes[where] for one, where in zip(pictures, known, strict=True)])
    found = Found(
        picture=np.repeat(np.arange(len(pictures)), [int(where.sum()) for where in known]),
        boxes=np.concatenate([one.found[where] for one, where in zip(pictures, known, strict=True)]),
        classes=np.array([place_of[number] for number in said.tolist()], dtype=np.int64),
        scores=np.concatenate([one.detections.scores[where] for one, where in zip(pictures, known, strict=True)]),
    )
    return truth, found


def predictions(
    pictures: Sequence[ScoredPicture], numbers: Sequence[int], labels: Sequence[str], errors: Errors
) -> dict[str, pa.Array]:
    """The columns of predictions.parquet: a row a picture, boxes as [xmin, ymin, xmax, ymax] in its pixels."""
    name_of = dict(zip(numbers, labels, strict=True))
    boxes, texts = pa.list_(pa.list_(pa.float64())), pa.list_(pa.string())
    said = [[name_of.get(number, f"class {number}") for number in one.detections.classes.tolist()] for one in pictures]
    return {
        "id": pa.array([one.file for one in pictures], pa.string()),
        "row": pa.array([one.row for one in pictures], pa.int64()),
        "fingerprint": pa.array([one.fingerprint for one in pictures], pa.string()),
        "width": pa.array([one.size[0] for one in pictures], pa.int64()),
        "height": pa.array([one.size[1] for one in pictures], pa.int64()),
        "true": pa.array([[labels[place] for place in one.objects.classes] for one in pictures], texts),
        "true_boxes": pa.array([one.objects.boxes.tolist() for one in pictures], boxes),
        "crowd": pa.array([one.objects.crowd.tolist() for one in pictures], pa.list_(pa.bool_())),
        "predicted": pa.array(said, texts),
        "predicted_boxes": pa.array([one.found.tolist() for one in pictures], boxes),
        "scores": pa.array([one.detections.scores.tolist() for one in pictures], pa.list_(pa.float64())),
        "missed": pa.array(errors.missed),
        "false": pa.array(errors.false),
        "confused": pa.array(errors.confused),
    }


def _fingerprint(pictures: Sequence[ScoredPicture], labels: Sequence[str]) -> str:
    """Of the data as a whole: SHA-256 over names, boxes, classes and contents."""
    digest = hashlib.sha256()
    for one in pictures:
        said = [labels[place] for place in one.objects.classes], one.objects.boxes.tolist(), one.objects.crowd.tolist()
        digest.update(f"{one.file}\0{said}\0{one.fingerprint}\n".encode())
    return digest.hexdigest()


def _of_answers(first: Sequence[Detections], alone: Sequence[Detections], *, together: bool) -> Iterator[Finding]:
    """Pictures asked about again, one by one; the first time they were asked about together, or one by one too."""

    def scores(found: Sequence[Detections]) -> NDArray[np.float64]:
        most = max(len(one) for one in (*first, *alone))
        return np.stack([np.pad(one.scores, (0, most - len(one))) for one in found])

    once, again = scores(first), scores(alone)
    yield from checks.of_answers(once, once if together else again, again)


def _of_data(pictures: Sequence[ScoredPicture], labels: Sequence[str]) -> Iterator[Finding]:
    """Pictures that stand there twice; what is in them is told by how many objects of each class."""
    fingerprints = np.array([list(bytes.fromhex(one.fingerprint)) for one in pictures], dtype=np.uint8)
    counts = [Counter(labels[place] for place in one.objects.classes) for one in pictures]
    holds = np.array([", ".join(f"{n} {label}" for label, n in sorted(of.items())) or "nothing" for of in counts])
    yield from checks.of_data(fingerprints, holds, lambda place: pictures[place].file, "images")
