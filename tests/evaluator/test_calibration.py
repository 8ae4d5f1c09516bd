"""Calibration: hand-worked bins, and an interval that holds the truth of calibrated and of overconfident models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evaluator.calibration import BINS, bins_of, calibration_error, largest_excess, reliability
from evaluator.classification import Classified, measure

Array = NDArray[np.float64]


def test_bins_have_equal_mass_and_equal_scores_share_one() -> None:
    random = np.random.default_rng(0)
    bins = bins_of(random.random(1500), np.ones(1500))
    assert np.bincount(bins).tolist() == [100] * BINS
    tied = bins_of(np.array([0.9] * 14 + [0.1]), np.ones(15))
    assert len(set(tied[:14])) == 1 and tied[14] != tied[0]
    assert len(set(bins_of(np.full(7, 0.5), np.ones(7)))) == 1


def test_a_hand_worked_curve() -> None:
    """Two scores: 0.6 right 1 of 2 times, 0.9 right 3 of 3: |−0.2| + |0.3| over 5."""
    scores, right = np.array([0.6, 0.6, 0.9, 0.9, 0.9]), np.array([True, False, True, True, True])
    low, high = reliability(scores, right)
    assert (low.low, low.high, low.n, low.rate.value) == (0.6, 0.6, 2, 0.5)
    assert (high.n, high.rate.value) == (3, 1)
    assert (low.score, high.score) == pytest.approx((0.6, 0.9))
    true = np.array([0, 1, 1, 1, 1])
    probabilities = np.stack([1 - scores, scores], axis=1)
    probabilities[0] = probabilities[0, ::-1]
    found = Classified(true, np.array([0, 1, 1, 1, 1]), probabilities, ("a", "b"), 1)
    assert found.right.all()  # 0.6 right 2 of 2 times: (0.8 + 0.3) / 5
    assert measure(found)[0]["ece"].value == pytest.approx(1.1 / 5)


def test_samples_of_a_curve_count_by_their_weight() -> None:
    (one,) = reliability(np.full(3, 0.5), np.array([True, False, False]), np.array([2.0, 1, 0]))
    assert one.n == 2
    assert one.rate.value == pytest.approx(2 / 3)
    assert reliability(np.full(2, 0.5), np.array([True, True]), np.zeros(2)) == ()


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.integers(1, 3)), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_a_row_of_weight_two_is_two_rows(rows: list[tuple[int, bool, int]]) -> None:
    raw, right, times = (np.array(column) for column in zip(*rows, strict=True))
    scores = raw / 10
    weighted = reliability(scores, right, times.astype(float))
    repeated = reliability(np.repeat(scores, times), np.repeat(right, times))
    for one, other in zip(weighted, repeated, strict=True):
        assert (one.low, one.high) == (other.low, other.high)
        assert (one.score, one.rate.value) == pytest.approx((other.score, other.rate.value))


def too_sure(random: np.random.Generator, n: int, by: float) -> Classified:
    """Two classes, right as often as the score says, minus `by`."""
    scores = random.uniform(0.6, 0.99, n)
    predicted = random.integers(0, 2, n)
    true = np.where(random.random(n) < scores - by, predicted, 1 - predicted)
    said = np.arange(2) == predicted[:, None]
    return Classified(true, predicted, np.where(said, scores[:, None], 1 - scores[:, None]), ("a", "b"), 0)


@pytest.mark.parametrize(("by", "n"), [(0.0, 60), (0.02, 300), (0.1, 60), (0.3, 300)])
def test_the_errors_interval_holds_the_truth_though_chance_raises_the_error(by: float, n: int) -> None:
    random = np.random.default_rng(0)
    covered, errors = 0, []
    for _ in range(100):
        metric = measure(too_sure(random, n, by))[0]["ece"]
        assert metric.value is not None and metric.low is not None and metric.high is not None
        covered += metric.low <= by <= metric.high
        errors.append(metric.value)
    assert covered >= 92
    assert np.mean(errors) > by - 0.005


def test_chance_raises_a_calibrated_models_error_by_what_is_said() -> None:
    random = np.random.default_rng(0)
    errors, said = [], []
    for _ in range(100):
        found = too_sure(random, 1500, 0.0)
        gaps, ones = found.right - found.confidence, np.ones(1500)
        bins = bins_of(found.confidence, ones)
        errors.append(float(calibration_error(np.bincount(bins, gaps)[:, None].astype(float), np.array([1500.0]))[0]))
        said.append(largest_excess(bins, found.confidence, ones))
    assert np.mean(said) == pytest.approx(np.mean(errors), rel=0.05)
