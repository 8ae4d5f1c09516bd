"""What a detector found, read from both formats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask

from assay.errors import BadModel
from assay.evaluation import Tensor
from model.detections import DetectionReader, areas, overlaps

SIGNATURE = [
    Tensor(name="detection_anchor_indices", shape=(1, 3), dtype="float32"),
    Tensor(name="detection_boxes", shape=(1, 3, 4), dtype="float32"),
    Tensor(name="detection_classes", shape=(1, 3), dtype="float32"),
    Tensor(name="detection_scores", shape=(1, 3), dtype="float32"),
    Tensor(name="num_detections", shape=(1,), dtype="float32"),
    Tensor(name="raw_detection_boxes", shape=(1, 9, 4), dtype="float32"),
]
ROWS = [Tensor(name="prediction", shape=(None, None, 6), dtype="float32")]


def signature_answer(**parts: Any) -> dict[str, Any]:
    return {
        "detection_boxes": np.array([[[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8], [0, 0, 1, 1]]]),
        "detection_scores": np.array([[0.5, 0.9, 0.8]]),
        "detection_classes": np.array([[1.0, 2.0, 3.0]]),
        "num_detections": np.array([2.0]),
        **parts,
    }


def test_the_object_detection_apis_signature_is_read_the_surest_first_and_x_before_y() -> None:
    reader = DetectionReader(SIGNATURE)
    (found,) = reader.read(signature_answer())
    assert reader.first_class == 1
    assert found.scores.tolist() == [0.9, 0.5]
    assert found.classes.tolist() == [2, 1]
    assert found.boxes.tolist() == [[0.6, 0.5, 0.8, 0.7], [0.2, 0.1, 0.4, 0.3]]
    assert found.unusable == 0


def test_without_their_number_all_detections_with_a_score_count() -> None:
    answer = signature_answer(detection_scores=np.array([[0.5, 0.9, 0.0]]))
    del answer["num_detections"]
    (found,) = DetectionReader([tensor for tensor in SIGNATURE if tensor.name != "num_detections"]).read(answer)
    assert found.scores.tolist() == [0.9, 0.5]


def test_rows_are_read_and_those_that_fill_up_are_passed_over() -> None:
    nan = np.nan
    reader = DetectionReader(ROWS)
    found = reader.read(
        {
            "prediction": np.array(
                [
                    [[0, 0.4, 0.1, 0.2, 0.3, 0.4], [4, 0.7, 0.5, 0.6, 0.7, 0.8]],
                    [[2, 0.0, 0.1, 0.2, 0.3, 0.4], [-1, 0.9, 0.1, 0.2, 0.3, 0.4]],
                    [[1, nan, 0.1, 0.2, 0.3, 0.4], [nan, nan, nan, nan, nan, nan]],
                ]
            )
        }
    )
    assert reader.first_class == 0
    assert [len(one) for one in found] == [2, 0, 0]
    assert found[0].classes.tolist() == [4, 0]
    assert found[0].boxes.tolist() == [[0.5, 0.6, 0.7, 0.8], [0.1, 0.2, 0.3, 0.4]]
    assert [one.unusable for one in found] == [0, 0, 0]


def test_detections_that_are_no_numbers_are_left_out_and_counted() -> None:
    (found,) = DetectionReader(SIGNATURE).read(
        signature_answer(
            detection_scores=np.array([[np.nan, 0.9, 0.8]]),
            detection_boxes=np.array([[[0.1, 0.2, 0.3, 0.4], [0.5, np.inf, 0.7, 0.8], [0, 0, 1, 1]]]),
            num_detections=np.array([3.0]),
        )
    )
    assert (found.scores.tolist(), found.unusable) == ([0.8], 2)
    (found,) = DetectionReader(ROWS).read({"prediction": np.array([[[1, 0.5, np.nan, 0, 1, 1]]])})
    assert (len(found), found.unusable) == (0, 1)


def test_outputs_that_are_no_detectors_are_named() -> None:
    scores = [Tensor(name="scores", shape=(None, 10), dtype="float32")]
    with pytest.raises(BadModel, match=r"not a detector's: found scores \(any × 10\); expected detection_boxes"):
        DetectionReader(scores)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"detection_scores": np.zeros((1, 2))}, r"do not belong together: detection_boxes \(1, 3, 4\)"),
        ({"detection_boxes": np.zeros((3, 4))}, r"detection_boxes is \(3, 4\), expected pictures × detections × 4"),
        ({"num_detections": np.zeros(2)}, "num_detections has 2 numbers for 1 pictures"),
    ],
)
def test_answers_of_another_shape_are_refused(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(BadModel, match=said):
        DetectionReader(SIGNATURE).read(signature_answer(**parts))


def test_overlaps_worked_by_hand() -> None:
    a = np.array([[0.0, 0, 2, 2], [5, 5, 4, 6]])
    b = np.array([[1.0, 1, 3, 3], [0, 0, 2, 2], [2, 0, 4, 2], [0, 0, 4, 4]])
    assert overlaps(a, b).tolist() == [[1 / 7, 1, 0, 4 / 16], [0, 0, 0, 0]]  # the second box is inverted: empty
    crowd = np.array([False, False, False, True])
    assert overlaps(a, b, crowd).tolist()[0] == [1 / 7, 1, 0, 1]
    assert areas(a).tolist() == [4, 0]


boxes = arrays(np.float64, (4, 4), elements=st.floats(0, 100, width=16)).map(
    lambda values: np.concatenate([values[:, :2], values[:, :2] + values[:, 2:] + 0.5], axis=1)
)


@given(boxes, boxes, arrays(np.bool_, 4))
def test_overlaps_are_pycocotools(a: Any, b: Any, crowd: Any) -> None:
    def xywh(corners: Any) -> Any:
        return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)

    expected = mask.iou(xywh(a), xywh(b), crowd.astype(np.uint8))
    assert overlaps(a, b, crowd) == pytest.approx(expected, abs=1e-9)
