"""Partial dependence against functions of which it is known, and against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import partial_dependence as sklearn_dependence

from explainer.dependence import BATCH, INDIVIDUAL, Dependence, buckets, categories, partial_dependence

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(300, 4))


def of(predict: Any, rows: NDArray[Any], feature: int, grid: list[float]) -> Dependence:
    points = np.array(grid)
    return next(partial_dependence(predict, rows, [feature], [(points, np.full(len(points), 0.1))]))


def test_a_linear_model_s_dependence_is_its_line() -> None:
    def predict(batch: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([2 * batch[:, 1] + batch[:, 0], -batch[:, 1]], axis=1)

    found = of(predict, ROWS, 1, [-1.0, 0.0, 3.0])
    assert found.mean[:, 0] == pytest.approx(np.array([-2.0, 0.0, 6.0]) + ROWS[:, 0].mean())
    assert found.mean[:, 1] == pytest.approx([1.0, 0.0, -3.0])


def test_each_row_has_a_curve_of_its_own() -> None:
    found = of(lambda batch: batch[:, :1] * batch[:, 1:2], ROWS, 1, [1.0, 2.0])
    assert found.individual.shape == (INDIVIDUAL, 2, 1)
    assert found.individual[:, 0, 0] == pytest.approx(ROWS[:INDIVIDUAL, 0])
    assert found.individual[:, 1, 0] == pytest.approx(2 * ROWS[:INDIVIDUAL, 0])


def test_it_is_scikit_learn_s() -> None:
    forest = RandomForestClassifier(20, random_state=0).fit(ROWS, ROWS[:, 0] * ROWS[:, 1] > 0)
    grid = np.linspace(-2, 2, 7)
    ours = of(forest.predict_proba, ROWS, 0, grid.tolist())
    theirs = sklearn_dependence(forest, ROWS, [0], custom_values={0: grid}, kind="both")
    assert ours.mean[:, 1] == pytest.approx(theirs["average"][0])
    assert ours.individual[:, :, 1] == pytest.approx(theirs["individual"][0][:INDIVIDUAL])


@pytest.mark.parametrize("rows", [1, 7, 2 * BATCH + 1])
def test_portions_change_nothing(rows: int) -> None:
    many = RNG.normal(size=(rows, 3))
    found = of(lambda batch: np.sin(batch).sum(axis=1, keepdims=True), many, 2, [0.0, 0.5, 1.0])
    expected = np.sin(many[:, :2]).sum(axis=1).mean() + np.sin([0.0, 0.5, 1.0])
    assert found.mean[:, 0] == pytest.approx(expected)
    assert len(found.individual) == min(rows, INDIVIDUAL)


def test_the_rows_stay_as_they_are() -> None:
    before = ROWS.copy()
    of(lambda batch: batch[:, :1], ROWS, 0, [9.0])
    assert (before == ROWS).all()


def test_buckets_are_intervals_by_their_centres() -> None:
    centres, shares = buckets(np.array([0.0, 1.0, 9.0, 10.0]), 5)
    assert centres.tolist() == [1, 3, 5, 7, 9]
    assert shares.tolist() == [0.5, 0, 0, 0, 0.5]


def test_one_value_is_one_bucket() -> None:
    centres, shares = buckets(np.array([3.0, 3.0, np.nan]), 5)
    assert centres.tolist() == [3]
    assert shares == pytest.approx([2 / 3])


def test_without_numbers_there_are_no_buckets() -> None:
    centres, _ = buckets(np.array([np.nan]), 5)
    assert len(centres) == 0
    assert of(lambda batch: batch[:, :1], ROWS, 0, []).mean.shape == (0, 0)


def test_categories_are_all_values() -> None:
    found, shares = categories(np.array([2.0, 0.0, 2.0, np.nan]))
    assert found.tolist() == [0, 2]
    assert shares.tolist() == [0.25, 0.5]


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2,\), expected \(2, outputs\)"):
        of(lambda batch: batch[:, 0], ROWS[:1], 0, [1.0, 2.0])
