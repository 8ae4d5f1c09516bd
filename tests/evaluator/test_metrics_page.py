"""docs/metrics.md names every metric that there is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from assay import drift
from bias.metrics import FLIP_TEST, POST_TRAINING, PRE_TRAINING
from evaluator import regression
from evaluator.classification import Classified, measure
from publish_summary.drift import ALIKE, HALVES, MIN_FEATURES, MIN_ROWS, MOVED, TOP

PAGE = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
RNG = np.random.default_rng(0)


def named() -> set[str]:
    """The names in code, with those that share a beginning: `residual_q05`, `_q25`."""
    found = set()
    for line in PAGE.splitlines():
        first = ""
        for name in re.findall(r"`([A-Za-z0-9_…]+)`", line):
            if name.startswith("_"):
                found |= {re.sub(r"_[a-z0-9]+$", "", first) + name}
            else:
                first = name
                found.add(name)
                if name.endswith("_…"):  # as the first of the line
                    found |= {name[:-1] + end for end in ("macro", "weighted", "micro")}
    return found


def classified(k: int) -> Classified:
    scores = RNG.dirichlet(np.ones(k), 200)
    labels = tuple(f"class {index}" for index in range(k))
    return Classified(RNG.integers(0, k, 200), scores.argmax(axis=1), scores, labels, 1 if k == 2 else None)


@pytest.mark.parametrize("k", [2, 6])
def test_every_metric_of_a_classifier_is_named(k: int) -> None:
    metrics, per_class = measure(classified(k))
    assert {*metrics, *per_class} - named() == set()


def test_every_metric_of_a_regressor_is_named() -> None:
    true = RNG.normal(size=100)
    assert set(regression.measure(true, true + 0.1)) - named() == set()


def test_every_metric_of_bias_is_named() -> None:
    assert {*PRE_TRAINING, *POST_TRAINING, FLIP_TEST[0]} - named() == set()


def test_every_metric_of_explanation_drift_is_named_with_the_numbers_that_decide() -> None:
    assert set(drift.GATES) - named() == set()
    said = PAGE[PAGE.index("## Explanation drift") :]
    for number in (
        f"At least {MIN_ROWS} such rows and {MIN_FEATURES} common",
        f"of the {TOP} features",
        f"{HALVES} half",
    ):
        assert number in said
    assert f"below {ALIKE:g} beyond chance" in said
    assert MOVED == 0.2, "the page says a fifth"
