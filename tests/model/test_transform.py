from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax

from assay.errors import BadPolicy
from model.transform import Name, output_transform

SCORES = np.array([[0.0, 1.0, -2.0], [800.0, -800.0, 0.5], [-1e-20, 700.0, 3.0]])


def test_scores_are_what_scipy_makes_of_them() -> None:
    np.testing.assert_allclose(output_transform("sigmoid")(SCORES), expit(SCORES), atol=1e-16)
    np.testing.assert_allclose(output_transform("softmax")(SCORES), softmax(SCORES, axis=1), atol=1e-16)
    np.testing.assert_array_equal(output_transform("exp")(SCORES[:1]), np.exp(SCORES[:1]))
    np.testing.assert_array_equal(output_transform("expm1")(SCORES[2:]), np.expm1(SCORES[2:]))
    assert output_transform(None)(SCORES) is SCORES


@pytest.mark.parametrize("name", ["exp", "expm1"])
def test_what_is_too_large_becomes_infinite_in_silence(name: Name) -> None:
    assert output_transform(name)(np.array([[1000.0]])).tolist() == [[np.inf]]


def test_what_is_no_number_stays_none() -> None:
    broken = np.array([[np.nan, 1.0], [np.inf, 1.0]])
    assert np.isnan(output_transform("softmax")(broken)).any(axis=1).all()


def test_the_softmax_of_one_output_is_refused() -> None:
    with pytest.raises(BadPolicy, match="the softmax of one output is always 1"):
        output_transform("softmax")(np.zeros((2, 1)))
