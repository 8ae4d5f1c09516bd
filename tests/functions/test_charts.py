"""The geometry of the page's small drawings, by hand."""

from __future__ import annotations

import math

import pytest

from assay.summary import PartialDependence
from assay.verdict import FromChampion
from publish_summary.charts import MOST_CATEGORIES, MOST_LINES, Scale, dependence_chart, range_of

from .test_notice import FAILED


def test_a_scale_keeps_proportions_and_takes_the_largest_numbers_there_are() -> None:
    scale = Scale([0.5, None, 1.0])
    assert [scale.at(value) for value in (0.5, 0.75, 1.0)] == [4, 50, 96]
    huge = Scale([-1e308, 1e308])
    assert [huge.at(value) for value in (-1e308, 0.0, 1e308)] == [4, 50, 96]
    assert Scale([3.0, 3.0]).at(3.0) == Scale([]).at(0.0) == 50


def test_a_gate_lies_on_a_line_with_its_bounds_and_the_champion() -> None:
    gate = FAILED.gate.model_copy(update={"min": 0.5, "max": None, "max_abs": None, "max_worse": None})
    lies = FAILED.model_copy(update={"gate": gate, "value": 0.75, "low": 0.5, "high": 1.0, "champion": 0.5})
    found = range_of(lies)
    assert found is not None
    assert [found.low, found.value, found.high, found.champion, *found.bounds] == [4, 50, 96, 4, 4]
    around_zero = range_of(lies.model_copy(update={"gate": gate.model_copy(update={"min": None, "max_abs": 1.0})}))
    assert around_zero is not None and list(around_zero.bounds) == [4, 96]
    assert range_of(lies.model_copy(update={"value": None})) is None
    assert range_of(lies.model_copy(update={"gate": gate.model_copy(update={"min": None, "max_worse": 0.1})})) is None


def test_a_limit_beside_the_champion_is_drawn_as_the_difference_from_it() -> None:
    gate = FAILED.gate.model_copy(update={"min": None, "max": None, "max_abs": None, "max_worse": 0.5})
    apart = FromChampion(value=-0.75, low=-1.0, high=-0.5, bound=-0.5, paired=True)
    found = range_of(FAILED.model_copy(update={"gate": gate, "value": 0.2, "champion": 0.95, "difference": apart}))
    assert found is not None
    assert (found.low, found.value, found.high, found.bounds, found.champion) == (4, 27, 50, (50,), 96)


def test_of_many_labels_those_are_drawn_whose_score_moves_most() -> None:
    curves = [{"label": f"label {n}", "scores": [0, n / 10]} for n in range(10)]
    found = dependence_chart(PartialDependence.model_validate({"feature": "age", "values": [1, 2], "curves": curves}))
    assert found.labels == tuple(f"label {n}" for n in range(9, 9 - MOST_LINES, -1))
    assert found.labels_left_out == 10 - MOST_LINES
    assert (found.lowest, found.highest) == (0, 0.9)
    assert found.curve is not None and found.curve.paths[0] == "M4.0 112.0L316.0 8.0"
    assert found.curve.columns == ()


def test_of_many_categories_those_are_listed_that_most_rows_have_in_their_own_order() -> None:
    shares = [place / 300 for place in range(25)]
    values = [f"town {place:02}" for place in range(25)]
    curves = [{"label": "high", "scores": list(range(25))}]
    found = dependence_chart(
        PartialDependence.model_validate({"feature": "town", "values": values, "shares": shares, "curves": curves})
    )
    assert [one.name for one in found.categories] == values[-MOST_CATEGORIES:]
    assert list(found.categories[0].scores) == [25 - MOST_CATEGORIES]
    assert found.categories_left_out == 25 - MOST_CATEGORIES


def test_a_columns_height_is_its_share_and_a_single_value_is_a_line_across() -> None:
    one = {"feature": "age", "values": [1, 2], "shares": [1.0, 0.5], "curves": [{"label": "a", "scores": [1, 2]}]}
    found = dependence_chart(PartialDependence.model_validate(one))
    assert found.curve is not None
    heights = [height for _, _, height in found.curve.columns]
    assert heights[0] == pytest.approx(2 * heights[1])
    single = {"feature": "age", "values": [7], "shares": [1.0], "curves": [{"label": "a", "scores": [0.5]}]}
    alone = dependence_chart(PartialDependence.model_validate(single))
    assert alone.curve is not None and alone.curve.paths == ("M4 60.0H316",)


@pytest.mark.parametrize("fields", [{}, {"values": [1, 2], "curves": [{"label": "a", "scores": [1]}]}])
def test_what_cannot_be_drawn_says_so(fields: dict[str, object]) -> None:
    found = dependence_chart(PartialDependence.model_validate({"feature": "age", **fields}))
    assert found.error == "there are no values"
    assert not math.isnan(found.lowest)
