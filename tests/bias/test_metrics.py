"""Bias metrics against values worked by hand, and laws that hold of any data."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bias.metrics import (
    POST_TRAINING,
    PRE_TRAINING,
    Counts,
    Undefined,
    count,
    flip_test,
    ratio,
    resample,
)

# Others: 6 of 10 labelled positive, of which 5 are predicted so, as is 1 of the 4 negative ones.
# Facet: 2 of 8 labelled positive, of which 1 is predicted so, as are 2 of the 6 negative ones.
TABLE = np.array([[[3, 1], [1, 5]], [[4, 2], [1, 1]]])[..., None]
BY_HAND = {
    "CI": (10 - 8) / 18,
    "DPL": 0.6 - 0.25,
    "KL": 0.4 * math.log(0.4 / 0.75) + 0.6 * math.log(0.6 / 0.25),
    "JS": 0.5
    * (
        0.4 * math.log(0.4 / 0.575)
        + 0.6 * math.log(0.6 / 0.425)
        + 0.75 * math.log(0.75 / 0.575)
        + 0.25 * math.log(0.25 / 0.425)
    ),
    "LP": math.sqrt(2) * 0.35,
    "TVD": 0.35,
    "KS": 0.35,
    "CDDL": 6 / 10 - 2 / 8,
    "DPPL": 0.6 - 3 / 8,
    "DI": (3 / 8) / 0.6,
    "DCA": 6 / 6 - 2 / 3,
    "DCR": 6 / 5 - 4 / 4,
    "RD": 5 / 6 - 1 / 2,
    "SD": 4 / 6 - 3 / 4,
    "DAR": 5 / 6 - 1 / 3,
    "DRR": 4 / 5 - 3 / 4,
    "AD": 8 / 10 - 5 / 8,
    "TE": 1 / 2 - 1 / 1,
    "CDDPL": 5 / 9 - 3 / 9,
    "GE": ((13 * 1 + 3 * 4) / 18 / ((13 + 6) / 18) ** 2 - 1) / 2,
}


def value(name: str, counts: Counts) -> float:
    if name in PRE_TRAINING:
        return float(PRE_TRAINING[name].of(counts.sum(axis=-2)))
    return float(POST_TRAINING[name].of(counts))


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_values_are_those_worked_by_hand(name: str) -> None:
    assert value(name, TABLE) == pytest.approx(BY_HAND[name], abs=1e-12)


def test_every_metric_of_clarify_is_there() -> None:
    assert set(PRE_TRAINING) == {"CI", "DPL", "KL", "JS", "LP", "TVD", "KS", "CDDL"}
    after = {"DPPL", "DI", "DCA", "DCR", "SD", "RD", "DAR", "DRR", "AD", "TE", "CDDPL", "FT", "GE"}
    assert set(POST_TRAINING) == after - {"FT"}


def test_groups_are_weighted_by_their_sizes() -> None:
    one = np.array([[4, 6], [6, 2]])  # others, facet × rejected, accepted
    other = np.array([[1, 1], [3, 1]])
    counts = np.stack([one, other], axis=-1)
    by_hand = (18 * (6 / 10 - 2 / 8) + 6 * (3 / 4 - 1 / 2)) / 24
    assert float(PRE_TRAINING["CDDL"].of(counts)) == pytest.approx(by_hand, abs=1e-12)


def test_what_has_no_denominator_is_zero_or_infinite_as_in_clarify() -> None:
    assert ratio(np.array([0, 1]), np.array([0, 0])).tolist() == [0, math.inf]
    never = np.array([[[4, 0], [6, 0]], [[4, 2], [1, 1]]])[..., None]  # nobody else is predicted positive
    assert value("DI", never) == math.inf
    assert value("DCA", never) == math.inf
    alike = np.array([[[4, 0], [6, 0]], [[6, 0], [2, 0]]])[..., None]
    assert value("DCA", alike) == 0  # both are infinite
    assert value("TE", alike) == 0


def test_labels_that_only_one_side_has_are_left_out() -> None:
    counts = np.array([[0, 10], [4, 6]])[..., None]
    assert float(PRE_TRAINING["TVD"].of(counts)) == pytest.approx(0.2)
    disjoint = np.array([[0, 10], [4, 0]])[..., None]
    with pytest.raises(Undefined, match="No instance of common facet"):
        PRE_TRAINING["KL"].check(disjoint)  # type: ignore[misc]


def test_only_false_negatives_have_no_entropy() -> None:
    counts = np.zeros((2, 2, 2, 1), dtype=np.int64)
    counts[:, 1, 0] = 5
    with pytest.raises(Undefined, match="All predicted labels are false negatives"):
        POST_TRAINING["GE"].check(counts)  # type: ignore[misc]


rows = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2)), min_size=1, max_size=40)


def table(data: list[tuple[bool, bool, bool, int]]) -> Counts:
    facet, label, predicted, group = (np.array(column) for column in zip(*data, strict=True))
    return count(facet, label, predicted, group)


@given(rows)
def test_counting_counts_every_row_once(data: list[tuple[bool, bool, bool, int]]) -> None:
    counts = table(data)
    assert counts.sum() == len(data)
    facet, label, predicted, group = data[0]
    assert counts[int(facet), int(label), int(predicted), group] == data.count(data[0])


ANTISYMMETRIC = ["CI", "DPL", "DPPL", "DCA", "DCR", "RD", "SD", "DAR", "DRR", "AD", "TE"]


@pytest.mark.parametrize("name", ANTISYMMETRIC)
@given(data=rows)
def test_facet_and_others_exchanged_turn_the_sign(name: str, data: list[tuple[bool, bool, bool, int]]) -> None:
    counts = table(data)
    there, back = value(name, counts), value(name, counts[::-1])
    assert there == pytest.approx(-back, abs=1e-12)


@pytest.mark.parametrize("name", sorted(BY_HAND))
@given(data=rows)
def test_rows_told_twice_change_nothing(name: str, data: list[tuple[bool, bool, bool, int]]) -> None:
    assert value(name, table(data)) == pytest.approx(value(name, table(data * 2)), abs=1e-12)


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_many_tables_at_once_are_those_tables(name: str) -> None:
    drawn = resample(TABLE, 7, np.random.default_rng(0))
    of = partial(PRE_TRAINING[name].of) if name in PRE_TRAINING else POST_TRAINING[name].of
    together = of(drawn.sum(axis=-2) if name in PRE_TRAINING else drawn)
    assert together.shape == (7,)
    assert together.tolist() == [value(name, one) for one in drawn]


def test_resamples_keep_each_facet_s_size() -> None:
    drawn = resample(TABLE, 100, np.random.default_rng(0))
    assert (drawn.sum(axis=(2, 3, 4)) == [10, 8]).all()
    assert drawn.mean(axis=0) == pytest.approx(TABLE, abs=0.6)


def test_the_flip_test_asks_the_nearest_others() -> None:
    others: NDArray[np.float64] = np.array([[0.0], [1.0], [10.0], [11.0]])
    facet = np.array([[0.4], [10.4], [10.6]])
    features = np.concatenate([others, facet])
    sensitive = np.array([False] * 4 + [True] * 3)
    predicted = np.array([False, False, True, True, True, True, False])
    # near 0 the others are refused and it is accepted; near 10 they are accepted, and the last is refused
    assert flip_test(features, sensitive, predicted).tolist() == [1, 0, -1]
