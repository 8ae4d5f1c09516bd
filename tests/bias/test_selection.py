"""Which rows a value, a threshold or an interval means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.errors import BadPolicy
from bias.selection import Kind, Selection, kind_of, selections, within


def texts(*values: str) -> NDArray[Any]:
    return np.array(values, dtype=object)


def chosen(values: NDArray[Any], given: list[object] | None, kind: Kind | None = None) -> Selection:
    found = list(selections(values, given, kind, "facet[0].value_or_threshold"))
    assert len(found) == 1
    return found[0]


AGES = np.array([18.0, 40.0, 41.0, 68.0])


def test_a_threshold_means_what_lies_above_it() -> None:
    found = chosen(AGES, [40])
    assert found.name == "(40.0, 68.0]"
    assert found.rows.tolist() == [False, False, True, True]


def test_whole_numbers_are_shown_whole() -> None:
    assert chosen(texts("18", "40", "41", "68"), [40]).name == "(40, 68]"


def test_several_thresholds_of_a_declared_quantity_are_intervals() -> None:
    found = chosen(AGES, [20, 40], "continuous")
    assert found.name == "(20.0, 40.0],(40.0, 68.0]"
    assert found.rows.tolist() == [False, True, True, True]


def test_labels_and_predictions_are_cut_alike() -> None:
    assert within(AGES, [40], np.append(AGES, 90.0), "label_values_or_threshold").name == "(40.0, 90.0]"


def test_values_mean_the_rows_that_hold_one_of_them() -> None:
    found = chosen(texts("Black", "White", "Other"), ["Black", "Other"])
    assert found.name == "Black,Other"
    assert found.rows.tolist() == [True, False, True]


@pytest.mark.parametrize("given", [[1], ["1"], [1.0], ["1.0"]])
@pytest.mark.parametrize("values", [np.array([0, 1, 1]), np.array([0.0, 1.0, 1.0]), texts("0", "1", "1.0")])
def test_a_number_is_the_same_however_it_is_written(values: NDArray[Any], given: list[object]) -> None:
    assert chosen(values, given).rows.tolist() == [False, True, True]


@pytest.mark.parametrize("given", [[True], ["true"], ["True"]])
def test_truth_is_the_same_however_it_is_spelt(given: list[object]) -> None:
    assert chosen(texts("True", "false"), given).rows.tolist() == [True, False]


def test_without_a_value_each_is_looked_at_in_turn() -> None:
    found = list(selections(texts("b", "a", "b"), None, None, "facet"))
    assert [one.name for one in found] == ["b", "a"]
    assert [one.rows.tolist() for one in found] == [[True, False, True], [False, True, False]]


@pytest.mark.parametrize(
    ("values", "given", "kind"),
    [
        (np.array([0.5, 1.5, 2.5]), [1], "continuous"),
        (np.array([0.5, 1.5, 2.5]), [1, 2], "categorical"),
        (np.array([0, 1] * 5), [0], "categorical"),  # smclarify: continuous, and the facet the rows with 1
        (np.repeat([1, 2, 3], 100), [1], "categorical"),
        (np.arange(100), [1], "continuous"),
        (texts("a", "b"), ["a"], "categorical"),
    ],
)
def test_what_a_column_holds_is_seen(values: NDArray[Any], given: list[object], kind: str) -> None:
    assert kind_of(values, given) == kind


def test_a_declared_kind_is_taken_at_its_word() -> None:
    codes = np.arange(100)
    assert chosen(codes, [7], "categorical").rows.sum() == 1
    assert chosen(codes, [7], "continuous").rows.sum() == 92


@pytest.mark.parametrize(
    ("given", "said"), [([], "Threshold values must be provided"), (["x"], "single numeric threshold.*found 'x'")]
)
def test_a_quantity_needs_thresholds_that_are_numbers(given: list[object], said: str) -> None:
    with pytest.raises(BadPolicy, match=f"facet.*{said}"):
        chosen(AGES, given, "continuous")


def test_text_has_no_threshold() -> None:
    with pytest.raises(BadPolicy, match=r"holds text.*found 'a'"):
        chosen(texts("a", "b"), [1], "continuous")
