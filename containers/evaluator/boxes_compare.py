"""The champion's boxes beside ours, on the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from assay.evaluation import EvaluationReport
from assay.policy import Policy
from evaluator.boxes_data import ScoredPicture
from evaluator.comparison import Compared, Estimated, Flags, Places, Refused, answers_of_champion, compared, refused
from evaluator.detection import Array, Errors, Estimates, Found, Truth, all_ious, estimate, find_errors, match_some
from evaluator.request import Request
from evaluator.scored import Sample, Samples, Scored
from evaluator.slices import Part

MOST = 300
"""Boxes of a picture that are compared, the surest ones; COCO counts 100 a class."""
_BOX = 6
"""Numbers of a box: the place of its class among the labels, its score, xmin, ymin, xmax, ymax in pixels."""

Boxes = tuple[Sequence[ScoredPicture], Sequence[int], Sequence[str]]
"""Pictures, and of each class the model's number and its name."""


class ChampionFound(NamedTuple):
    """What the champion found in the pictures that it was asked about."""

    known: Flags
    """(pictures,) whether it was asked"""
    found: Found
    """Its classes are places among our labels."""
    errors: Errors
    """Where it was not asked they mean nothing."""


def compare_boxes(
    request: Request,
    archive_sha256: str,
    truth: Truth,
    found: Found,
    boxes: Boxes,
    estimates: Estimates,
    parts: Sequence[Part],
    score: Callable[[Request], Boxes],
) -> Compared[ChampionFound]:
    """This detector beside the champion, by a paired bootstrap of pictures.

    Args:
        request: the job.
        archive_sha256: of the archive that is judged.
        truth, found: the objects, and what this detector found.
        boxes: its pictures and classes.
        estimates: what they come to.
        parts: the slices.
        score: asks the champion about those of the pictures that the request is about.
    """
    champion = request.champion
    if champion is None:
        return Compared()
    pictures, _, labels = boxes
    asked = request.policy.evaluate

    def rescored(theirs: Request) -> Scored:
        others, numbers, names = score(theirs)
        task.check_labels(names)
        return _as_scored(others, [labels.index(name) for name in names], numbers)

    task = _Answers(labels)
    ours = Scored(_samples(pictures), np.zeros((len(pictures), 0)))
    try:
        beside = answers_of_champion(request, champion, archive_sha256, ours, task, rescored)
    except Refused as why:
        return Compared(*refused(champion, archive_sha256, why))

    def of(said: Found, places: Places) -> Estimated:
        matches = match_some(truth, said, places, len(labels), all_ious(asked.iou))
        return estimate(matches, labels, asked.iou, asked.score_threshold)

    theirs = _found(beside.answers)
    comparison, findings = compared(
        champion,
        beside,
        parts,
        lambda places, _: estimates if len(places) == len(pictures) else of(found, places),
        lambda places, _: of(theirs, places),
    )
    errors = find_errors(truth, theirs, len(pictures), len(labels), asked.score_threshold)
    return Compared(comparison, findings, ChampionFound(beside.known, theirs, errors))


class _Answers:
    """A detector's answers: up to MOST boxes a picture, six numbers each, filled up with NaN."""

    columns = ("predicted", "predicted_boxes", "scores")
    width = MOST * _BOX

    def __init__(self, labels: Sequence[str]) -> None:
        self._place = {label: place for place, label in enumerate(labels)}

    def check(self, champion: EvaluationReport) -> None:
        self.check_labels(champion.labels)

    def check_labels(self, labels: Sequence[str]) -> None:
        if sorted(labels) != sorted(self._place):
            raise Refused(f"the champion finds {', '.join(labels)}, this model {', '.join(self._place)}")

    def stored(self, batch: Any, _champion: EvaluationReport) -> Array:
        columns = [batch.column(name).to_pylist() for name in self.columns]
        rows = []
        for names, boxes, scores in zip(*columns, strict=True):
            # a class that no label names is no part of what was measured
            known = [
                (self._place[name], score, *box)
                for name, box, score in zip(names, boxes, scores, strict=True)
                if name in self._place
            ]
            rows.append(_filled(np.array(known, dtype=np.float64).reshape(-1, _BOX)))
        return np.stack(rows)

    def asked(self, scored: Scored, _policy: Policy) -> Array:
        return scored.scores


def _as_scored(pictures: Sequence[ScoredPicture], places: Sequence[int], numbers: Sequence[int]) -> Scored:
    place_of = dict(zip(numbers, places, strict=True))
    rows = []
    for one in pictures:
        known = np.isin(one.detections.classes, list(numbers))
        classes = np.array([place_of[number] for number in one.detections.classes[known].tolist()], dtype=np.float64)
        rows.append(_filled(np.column_stack([classes, one.detections.scores[known], one.found[known]])))
    return Scored(_samples(pictures), np.stack(rows) if rows else np.empty((0, MOST * _BOX)))


def _filled(boxes: Array) -> Array:
    """(k, 6), the surest first → (MOST · 6,)"""
    result = np.full((MOST, _BOX), np.nan)
    result[: len(boxes)] = boxes[:MOST]
    return result.ravel()


def _found(answers: Array) -> Found:
    """(pictures, MOST · 6) → all boxes."""
    boxes = answers.reshape(len(answers), -1, _BOX)
    there = np.isfinite(boxes[:, :, 0])
    picture, _ = np.nonzero(there)
    every = boxes[there]
    return Found(picture, every[:, 2:], every[:, 0].astype(np.int64), every[:, 1])


def _samples(pictures: Sequence[ScoredPicture]) -> Samples:
    return Samples.of([Sample(one.file, one.row, "", one.fingerprint, {}) for one in pictures])
