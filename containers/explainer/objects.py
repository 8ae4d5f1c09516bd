"""What a detector found in a picture, as scores that can be explained: one for each object, whatever is masked."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explainer.masking import NOBODY, Segments
from model.detections import Detections, overlaps

WHOLE = 1.0
"""The `context` at which nothing is masked for good."""


@dataclass(frozen=True)
class DetectedObject:
    """One of the boxes that are explained."""

    number: int
    """From 1, the surest first: N in `shap_<stem>_box<N>_object.jpeg`."""
    label: str
    class_number: int
    """The model's."""
    score: float
    box: tuple[float, float, float, float]
    """xmin, ymin, xmax, ymax as shares of the picture's width and height."""

    @property
    def name(self) -> str:
        return f"box {self.number}: {self.label}"


def choose_objects(
    found: Detections,
    labels: Sequence[str],
    first_class: int,
    threshold: float,
    most: int,
    only: Collection[int] | None,
) -> list[DetectedObject]:
    """The surest detections, at most `most`.

    Args:
        found: in the picture as it is.
        labels: the classes' names, in the order of their numbers.
        first_class: the first one's number.
        threshold: the least score that counts.
        most: how many.
        only: places of the classes that are looked at; None: all.
    """
    chosen: list[DetectedObject] = []
    for box, score, number in zip(found.boxes, found.scores.tolist(), found.classes.tolist(), strict=True):
        place = number - first_class
        if score < threshold or (only is not None and place not in only) or len(chosen) == most:
            continue
        label = labels[place] if 0 <= place < len(labels) else f"class {number}"
        xmin, ymin, xmax, ymax = box.tolist()
        chosen.append(DetectedObject(len(chosen) + 1, label, number, score, (xmin, ymin, xmax, ymax)))
    return chosen


def matched_scores(found: Sequence[Detections], objects: Sequence[DetectedObject], iou: float) -> NDArray[np.float64]:
    """How sure the model still is of each object in other versions of its picture: (pictures, objects).

    Of the detections of the object's class that overlap its box by at least `iou` the highest score counts, 0 where
    there is none.
    """
    boxes = np.array([one.box for one in objects]).reshape(-1, 4)
    classes = np.array([one.class_number for one in objects])
    scores = np.zeros((len(found), len(objects)))
    for place, detections in enumerate(found):
        if len(detections):
            same = (overlaps(boxes, detections.boxes) >= iou) & (classes[:, None] == detections.classes)
            scores[place] = np.where(same, detections.scores, 0).max(axis=1)
    return scores


def surroundings(
    box: tuple[float, float, float, float], context: float, height: int, width: int
) -> tuple[slice, slice]:
    """The pixels that are looked at when an object is explained, rows and columns: the box, and around it a part of
    the rest.

    Clarify's SDK calls `context` "the portion of the image outside the bounding box" that is used: 1 is the whole
    picture, 0 the box alone. Between, the box is grown evenly towards the picture's borders until it holds that
    portion of the pixels outside it.
    """
    xmin, ymin, xmax, ymax = np.clip(box, 0, 1).tolist()
    w, h = max(xmax - xmin, 0.0), max(ymax - ymin, 0.0)
    # a² t² + b t = c, t being the part of the way from the box to the borders
    a, b, c = (1 - w) * (1 - h), w * (1 - h) + h * (1 - w), context * (1 - w * h)
    t = 0.0 if c == 0 else c / b if a == 0 else (math.sqrt(b * b + 4 * a * c) - b) / (2 * a)
    t = min(t, 1.0)
    left, top, right, bottom = xmin * (1 - t), ymin * (1 - t), xmax + (1 - xmax) * t, ymax + (1 - ymax) * t
    return _pixels(top, bottom, height), _pixels(left, right, width)


def _pixels(low: float, high: float, size: int) -> slice:
    """All pixels that the part of a side touches, at least one; 1e-9: rounding touches none."""
    start = min(math.floor(low * size + 1e-9), size - 1)
    return slice(start, max(math.ceil(high * size - 1e-9), start + 1))


def only_within(segments: Segments, part: tuple[slice, slice]) -> tuple[Segments, NDArray[np.intp]]:
    """The segments as far as they lie in a part of the picture, numbered anew, NOBODY elsewhere; and which they are."""
    inside = segments[part]
    players, numbered = np.unique(inside, return_inverse=True)
    result = np.full_like(segments, NOBODY)
    result[part] = numbered.reshape(inside.shape)
    return result, players
