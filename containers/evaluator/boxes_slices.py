"""Parts of the pictures: by what the annotations say of a picture, beside its boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.errors import BadData
from assay.evaluation import Finding, Slice
from assay.policy import Evaluate
from evaluator.boxes_data import AnnotatedPicture, Annotations
from evaluator.detection import Errors, Found, Truth, all_ious, counts_of, estimate, match_some
from evaluator.slices import (
    Declared,
    Measured,
    Part,
    Places,
    check_slices,
    column_of,
    declared_parts,
    discovered_parts,
    drawn_for_discovery,
    measured_slices,
)

METRIC = "map50"
"""The one that says best how good a part is."""


def check_picture_slices(declared: Sequence[Declared], annotations: Annotations) -> None:
    """Raises BadPolicy for a column that the annotations have not, BadData for one that is of boxes, not pictures."""
    check_slices(declared, dict.fromkeys(annotations.columns))
    for one in declared:
        column = column_of(one)
        if column in annotations.of_boxes:
            raise BadData(
                f"{annotations.of_boxes[column]}; evaluate.slices are of whole pictures: expected one value for all "
                "boxes of a picture"
            )


def picture_parts(
    declared: Sequence[Declared], annotations: Annotations, pictures: Sequence[AnnotatedPicture], errors: Errors
) -> tuple[list[Part], list[Finding]]:
    """The declared slices and the parts that are found, and what was left out.

    Args:
        declared: the policy's `evaluate.slices`.
        annotations: what is said of pictures.
        pictures: those that were measured; one that the annotations do not list has no value in any column.
        errors: theirs; parts are looked for where pictures have more of them.
    """
    columns = {
        name: np.array([one.columns.get(name, "") for one in pictures], dtype=object)
        for name in annotations.columns
        if name not in annotations.of_boxes
    }
    parts, left_out = declared_parts(declared, columns.__getitem__)
    losses = (errors.missed + errors.confused + errors.false).astype(np.float64)
    drawn = drawn_for_discovery(len(pictures))
    if columns:
        parts += discovered_parts({name: values[drawn] for name, values in columns.items()}, losses[drawn], drawn)
    return parts, left_out


def measure_pictures(
    parts: Sequence[Part], truth: Truth, found: Found, labels: Sequence[str], asked: Evaluate
) -> tuple[Slice, ...]:
    """Each part measured as all pictures are."""

    def measure(places: Places) -> Measured:
        matches = match_some(truth, found, places, len(labels), all_ious(asked.iou))
        metrics, per_class = estimate(matches, labels, asked.iou, asked.score_threshold).metrics()
        counts, counts_per_class = counts_of(matches, labels, asked.score_threshold)
        return metrics | counts, per_class | counts_per_class

    return measured_slices(parts, measure)
