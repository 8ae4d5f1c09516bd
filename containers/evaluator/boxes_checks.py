"""What a person should know of a detector that no gate asks about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import Finding
from evaluator.boxes_data import ScoredPicture
from evaluator.detection import MATCH_IOU
from model.detections import overlaps

Array = NDArray[np.float64]
Sizes = tuple[int, int]
"""Width and height."""

_BETTER_BY = 0.3
"""Of the objects. A reading that is wrong matches few of them by chance, the right one of a useful model most."""

_READINGS: dict[str, Callable[[Array, Sizes, Sizes], Array]] = {
    "x and y of the model's boxes changed places": lambda boxes, _, __: boxes[:, [1, 0, 3, 2]],
    "the model's boxes were pixels of the picture": lambda boxes, picture, _: boxes / (picture * 2),
    "the model's boxes were pixels of the model's input": lambda boxes, _, seen: boxes / (seen * 2),
    "the model's boxes were [x, y, width, height]": lambda boxes, _, __: np.hstack(
        [boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]
    ),
    "the model's boxes were [x, y, width, height] around x and y": lambda boxes, _, __: np.hstack(
        [boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2]
    ),
}
"""How else a model's boxes may be meant."""


def of_detector(
    pictures: Sequence[ScoredPicture], numbers: Sequence[int], threshold: float, seen: Sizes | None
) -> Iterator[Finding]:
    """Nothing found, scores or boxes that are no numbers, boxes that mean something else, classes shifted by one.

    Args:
        pictures: objects and detections of each.
        numbers: the model's number of each class.
        threshold: the score from which a detection counts.
        seen: the size of the model's input; None: each picture's own.
    """
    scores = np.concatenate([one.detections.scores for one in pictures])
    unusable = sum(one.detections.unusable for one in pictures)
    if unusable:
        text = f"{unusable} of {unusable + len(scores)} detections have a score, class or box that is NaN or infinite."
        yield Finding(severity="serious", title="Detections that are no numbers", text=text)
    if not len(scores):
        text = f"The model finds nothing in any of {len(pictures)} pictures."
        yield Finding(severity="serious", title="Nothing is found", text=text)
        return
    if scores.max() < threshold:
        text = f"No detection reaches evaluate.score_threshold {threshold:g}; the highest score is {scores.max():.3g}."
        yield Finding(severity="warning", title="No detection is sure enough", text=text)
    if scores.max() > 1 + 1e-6 or scores.min() < 0:
        text = (
            f"Scores go from {scores.min():.3g} to {scores.max():.3g}: they may be logits, and "
            f"evaluate.score_threshold {threshold:g} may not mean what it says."
        )
        yield Finding(severity="warning", title="Scores that are no probabilities", text=text)
    yield from _classes(pictures, numbers)
    yield from _boxes(pictures, seen)


def _classes(pictures: Sequence[ScoredPicture], numbers: Sequence[int]) -> Iterator[Finding]:
    said = np.concatenate([one.detections.classes for one in pictures])
    unknown = ~np.isin(said, numbers)
    if unknown.any():
        few = ", ".join(map(str, np.unique(said[unknown])[:5]))
        text = (
            f"{unknown.sum()} of {len(said)} detections are of class {few}, which data.labels does not name (it has "
            f"{min(numbers)} to {max(numbers)}): they are left out."
        )
        yield Finding(severity="serious", title="Classes that no label names", text=text)
    known = np.array(numbers)
    pairs = [_surest(one.relative, one.detections.boxes) for one in pictures]
    true = np.concatenate([known[one.objects.classes[where >= 0]] for one, where in zip(pictures, pairs, strict=True)])
    found = np.concatenate(
        [one.detections.classes[where[where >= 0]] for one, where in zip(pictures, pairs, strict=True)]
    )
    if not len(true):
        return
    right = (found == true).mean()
    for shift in (1, -1):
        shifted = (found == true + shift).mean()
        if shifted > right + _BETTER_BY:
            text = (
                f"{right:.2f} of the {len(true)} objects that a box lies on get their own class; {shifted:.2f} get the "
                f"number {'after' if shift == 1 else 'before'} it. See the numbers in data.labels, or data.label_base."
            )
            yield Finding(severity="serious", title="Classes shifted by one", text=text)


def _surest(objects: Array, boxes: Array) -> NDArray[np.int64]:
    """The surest box that lies on each object, -1 where none does: (objects, 4), (k, 4) → (objects,)."""
    if not len(boxes):
        return np.full(len(objects), -1)
    on = overlaps(objects, boxes) >= MATCH_IOU
    return np.where(on.any(axis=1), on.argmax(axis=1), -1)


def _boxes(pictures: Sequence[ScoredPicture], seen: Sizes | None) -> Iterator[Finding]:
    objects = sum(len(one.objects.classes) for one in pictures)
    if not objects:
        return

    def covered(reading: Callable[[Array, Sizes, Sizes], Array]) -> float:
        """The share of the objects that a box lies on."""
        on = (
            (_surest(one.relative, reading(one.detections.boxes, one.size, seen or one.size)) >= 0).sum()
            for one in pictures
        )
        return float(sum(on) / objects)

    as_said = covered(lambda boxes, _, __: boxes)
    name, best = max(((name, covered(reading)) for name, reading in _READINGS.items()), key=lambda pair: pair[1])
    if best > as_said + _BETTER_BY:
        largest = max(float(np.abs(one.detections.boxes).max(initial=0)) for one in pictures)
        text = (
            f"{as_said:.2f} of {objects} objects have a box on them; {best:.2f} would have one if {name}. "
            f"Expected are shares of the picture's sides, 0 to 1; found up to {largest:.4g}."
        )
        yield Finding(severity="serious", title="Boxes that mean something else", text=text)
