"""The confusion matrix as a picture."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from assay.evaluation import ConfusionMatrix
from evaluator.plots import confusion_svg


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_it_shows_every_count_and_label() -> None:
    found = texts(confusion_svg(ConfusionMatrix(labels=("cat", "dog"), counts=((41, 2), (0, 57)))))
    assert {"41", "2", "57", "cat", "dog", "true", "predicted"} <= set(found)


@pytest.mark.parametrize("label", ["$x^2$", "<script>alert(1)</script>", "a & b", "_$\\frac", "日本", "x" * 80, ""])
def test_labels_are_text_whatever_they_hold(label: str) -> None:
    svg = confusion_svg(ConfusionMatrix(labels=(label, "b"), counts=((1, 0), (0, 1))))
    assert "<script>" not in svg
    shown = label if len(label) <= 18 else label[:17] + "…"
    assert not label or texts(svg).count(shown) == 2  # one on each axis


def test_two_hundred_classes_are_drawn_without_numbers() -> None:
    size = 200
    counts = tuple(tuple(int(t == p) for p in range(size)) for t in range(size))
    svg = confusion_svg(ConfusionMatrix(labels=tuple(f"class {i}" for i in range(size)), counts=counts))
    assert len(svg) < 1_000_000
    assert "class 7" not in texts(svg)
