"""What a detector found in a picture, whichever of two ways its outputs say it.

The signature of the TensorFlow Object Detection API (tensorflow/models, research/object_detection/exporter_lib_v2.py):
`detection_boxes` (n, k, 4) as [ymin, xmin, ymax, xmax] from 0 to 1, `detection_scores` and `detection_classes` (n, k),
`num_detections` (n,), how many of the k count; classes begin with 1.

Rows, as SageMaker's own detector gives and Clarify takes them
(https://docs.aws.amazon.com/sagemaker/latest/dg/object-detection-in-formats.html): one output (n, k, 6) of
[class, score, xmin, ymin, xmax, ymax] from 0 to 1, classes from 0; rows that only fill up k have a class below 0, or a
score of 0 or NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadModel
from assay.evaluation import Tensor

BOXES, SCORES, CLASSES, COUNT = "detection_boxes", "detection_scores", "detection_classes", "num_detections"
_ACCEPTED = f"{BOXES}, {SCORES} and {CLASSES}, or one output of rows [class, score, xmin, ymin, xmax, ymax]"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Detections:
    """What was found in one picture, the surest first."""

    boxes: Array
    """(k, 4): xmin, ymin, xmax, ymax as shares of the picture's width and height; as the model gave them, so they may
    be inverted or reach out of the picture."""
    scores: Array
    """(k,)"""
    classes: NDArray[np.int64]
    """(k,): by the model's own numbers."""
    unusable: int = 0
    """Detections that were left out because their score, class or box is no finite number."""

    def __len__(self) -> int:
        return len(self.scores)


class DetectionReader:
    """Reads the outputs of one model.

    Attributes:
        first_class: the number of the first class by the format's custom: 1 or 0.

    Raises:
        BadModel: the outputs are in neither format; says which there are.
    """

    def __init__(self, outputs: Sequence[Tensor]) -> None:
        names = {tensor.name for tensor in outputs}
        self._rows: str | None = None
        if {BOXES, SCORES, CLASSES} <= names:
            self.first_class = 1
            return
        rows = [tensor.name for tensor in outputs if len(tensor.shape) == 3 and tensor.shape[2] in (6, None)]
        if len(rows) != 1:
            found = ", ".join(f"{tensor.name} {_in_words(tensor.shape)}" for tensor in outputs)
            raise BadModel(f"the model's outputs are not a detector's: found {found}; expected {_ACCEPTED}")
        self._rows = rows[0]
        self.first_class = 0

    def read(self, answers: Mapping[str, NDArray[Any]]) -> list[Detections]:
        """What was found in each picture of a batch.

        Raises:
            BadModel: an output has another shape than its format asks for.
        """
        if self._rows is not None:
            return [
                _detections(rows[:, 2:], rows[:, 1], rows[:, 0], ~(rows[:, 1] > 0) | ~(rows[:, 0] >= 0))
                for rows in _numbers(answers, self._rows, 3, 6)
            ]
        boxes = _numbers(answers, BOXES, 3, 4)
        scores, classes = _numbers(answers, SCORES, 2), _numbers(answers, CLASSES, 2)
        if not boxes.shape[:2] == scores.shape == classes.shape:
            shapes = f"{BOXES} {boxes.shape}, {SCORES} {scores.shape}, {CLASSES} {classes.shape}"
            raise BadModel(f"the model's outputs do not belong together: {shapes}")
        counts = np.full(len(boxes), boxes.shape[1])
        if COUNT in answers:
            counts = np.asarray(answers[COUNT]).reshape(-1).astype(np.int64)
            if len(counts) != len(boxes):
                raise BadModel(f"the model's output {COUNT} has {len(counts)} numbers for {len(boxes)} pictures")
        return [
            _detections(b[:count][:, [1, 0, 3, 2]], s[:count], c[:count], s[:count] == 0)
            for b, s, c, count in zip(boxes, scores, classes, counts, strict=True)
        ]


def overlaps(boxes: Array, others: Array, crowd: NDArray[np.bool_] | None = None) -> Array:
    """Intersection over union of each pair.

    Args:
        boxes: (a, 4) xmin, ymin, xmax, ymax; an inverted one is empty.
        others: (b, 4).
        crowd: (b,): those that stand for many objects; with them it is the intersection over the area of the box
            alone, as COCO has it.

    Returns:
        (a, b), from 0 to 1; 0 where both are empty.
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    own, other = areas(boxes)[:, None], areas(others)[None, :]
    union = own + other - shared
    if crowd is not None:
        union = np.where(crowd[None, :], own, union)
    result: Array = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result


def areas(boxes: Array) -> Array:
    """(k, 4) → (k,); an inverted box has none."""
    result: Array = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)
    return result


def _detections(boxes: Array, scores: Array, classes: Array, padding: NDArray[np.bool_]) -> Detections:
    usable = np.isfinite(scores) & np.isfinite(classes) & np.isfinite(boxes).all(axis=1)
    kept = np.flatnonzero(usable & ~padding)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    unusable = int((~usable & ~padding).sum())
    return Detections(boxes[kept], scores[kept], classes[kept].round().astype(np.int64), unusable)


def _numbers(answers: Mapping[str, NDArray[Any]], name: str, rank: int, last: int | None = None) -> Array:
    values = np.asarray(answers[name], dtype=np.float64)
    if values.ndim != rank or (last is not None and values.shape[-1] != last):
        expected = ["pictures", "detections", str(last)][:rank]
        raise BadModel(f"the model's output {name} is {values.shape}, expected {' × '.join(expected)}")
    return values


def _in_words(shape: tuple[int | None, ...]) -> str:
    return f"({' × '.join('any' if size is None else str(size) for size in shape)})"
