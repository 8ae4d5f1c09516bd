"""Plots: what stands in them, and that they can be drawn of whatever the data holds."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from assay.evaluation import ConfusionMatrix, Metric, ReliabilityBin, Slice
from evaluator.plots import confusion_svg, curves_svg, per_class_svg, reliability_svg, residuals_svg, slices_svg

HOSTILE = ["$x^2$", "<script>alert(1)</script>", "a & b", "_$\\frac", "日本", "x" * 80]


def texts(svg: str) -> list[str]:
    found = [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    # a text of several lines is one group of lines
    lines = [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}tspan")]
    return [*found, *lines]


def metric(value: float) -> Metric:
    return Metric(value=value, low=value - 0.05, high=value + 0.05, n=100, higher_is_better=True)


def shown(label: str, most: int = 18) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"


def test_a_confusion_matrix_shows_every_count_and_label() -> None:
    found = texts(confusion_svg(ConfusionMatrix(labels=("cat", "dog"), counts=((41, 2), (0, 57)))))
    assert {"41", "2", "57", "cat", "dog", "true", "predicted"} <= set(found)


@pytest.mark.parametrize("label", [*HOSTILE, ""])
def test_labels_are_text_whatever_they_hold(label: str) -> None:
    svg = confusion_svg(ConfusionMatrix(labels=(label, "b"), counts=((1, 0), (0, 1))))
    assert "<script>" not in svg
    assert not label or texts(svg).count(shown(label)) == 2  # one on each axis


def test_of_two_hundred_classes_the_most_frequent_mistakes_are_named() -> None:
    size = 200
    counts = 10 * np.eye(size, dtype=int)
    counts[3, 7], counts[5, 9] = 6, 4
    labels = tuple(f"class {i}" for i in range(size))
    svg = confusion_svg(ConfusionMatrix(labels=labels, counts=tuple(map(tuple, counts.tolist()))))
    assert len(svg) < 1_000_000
    found = texts(svg)
    assert "class 7" not in found
    lines = [line for line in found if "taken for" in line]
    assert lines == ["6 × class 3 taken for class 7", "4 × class 5 taken for class 9"]


@pytest.mark.parametrize("label", HOSTILE)
def test_curves_name_their_classes(label: str) -> None:
    true = np.array([0, 1, 2, 0, 1, 2])
    svg = curves_svg(true, np.eye(3)[[0, 1, 2, 1, 1, 0]], [label, "b", "c"], None)
    assert {shown(label), "b", "c", "recall", "precision"} <= set(texts(svg))


def test_curves_of_a_million_rows_are_small() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, 1_000_000)
    scores = np.clip(true * 0.2 + rng.random(1_000_000), 0, 1)
    svg = curves_svg(true, np.stack([1 - scores, scores], axis=1), ["no", "yes"], 1)
    assert 10_000 < len(svg) < 200_000


def test_of_many_classes_each_is_a_line() -> None:
    rng = np.random.default_rng(0)
    svg = curves_svg(rng.integers(0, 50, 2000), rng.random((2000, 50)), [str(i) for i in range(50)], None)
    assert "50 classes, a line each" in texts(svg)


def test_there_are_no_curves_of_one_class_alone() -> None:
    assert curves_svg(np.zeros(5, dtype=np.int64), np.full((5, 2), 0.5), ["a", "b"], 1) == ""


def test_reliability_can_have_empty_bins() -> None:
    bins = [
        ReliabilityBin(low=0, high=0.5, n=0, score=0, rate=Metric(reason="no sample")),
        ReliabilityBin(low=0.5, high=1, n=9, score=0.8, rate=metric(0.7)),
    ]
    assert "share that is right" in texts(reliability_svg(bins))


def test_of_sixty_classes_the_worst_forty_are_drawn() -> None:
    recall = {f"class {i}": metric(0.9 - i / 100) for i in range(60)}
    found = texts(per_class_svg({"recall": recall, "precision": {}}, ["recall", "precision"]))
    assert "recall with 95 % intervals, the worst 40 of 60" in found
    assert "class 59" in found and "class 19" not in found
    places = [found.index(f"class {i}") for i in range(20, 60)]
    assert all(later > earlier for later, earlier in pairwise(places))  # the worst first


def test_a_class_without_a_value_leaves_its_row_empty() -> None:
    per_class = {"recall": {"a": metric(0.8), "b": Metric(reason="no sample of this class")}}
    assert {"a", "b"} <= set(texts(per_class_svg(per_class, ["recall"])))
    assert per_class_svg({"recall": {"b": Metric(reason="no sample of this class")}}, ["recall"]) == ""


@pytest.mark.parametrize("label", HOSTILE)
def test_slices_are_named_with_their_size(label: str) -> None:
    slices = [
        Slice(name=label, columns=("x",), found="declared", n=1234, metrics={"accuracy": metric(0.8)}),
        Slice(name="b", columns=("x",), found="discovered", n=9, metrics={"accuracy": Metric(reason="none")}),
    ]
    found = texts(slices_svg(slices, "accuracy", metric(0.9)))
    assert shown(f"{label} (n 1,234)", 40) in found
    assert "b (n 9)" not in found
    assert slices_svg(slices[1:], "accuracy", metric(0.9)) == ""


@pytest.mark.parametrize("size", [1, 2, 500, 20_000])
def test_residuals_of_any_number_of_samples(size: int) -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=size)
    svg = residuals_svg(true, true + rng.normal(size=size), "$price$")
    assert "true $price$" in texts(svg)
    assert len(svg) < 300_000


def test_a_constant_prediction_can_be_drawn() -> None:
    assert "predicted − true" in texts(residuals_svg(np.full(1200, 3.0), np.full(1200, 3.0), "y"))


def test_the_same_numbers_give_the_same_bytes() -> None:
    true, predicted = np.arange(50.0), np.arange(50.0) ** 1.01
    assert residuals_svg(true, predicted, "y") == residuals_svg(true, predicted, "y")
