"""All metrics of a facet, with intervals or reasons."""

from __future__ import annotations

import numpy as np
import pytest

from bias.metrics import FLIP_TEST, POST_TRAINING, PRE_TRAINING
from bias.report import Measured, Rows, after_training, before_training

RNG = np.random.default_rng(0)
N = 400
FACET = RNG.random(N) < 0.4
LABEL = RNG.random(N) < np.where(FACET, 0.3, 0.6)
PREDICTED = LABEL ^ (RNG.random(N) < 0.1)
GROUP = RNG.choice(["a", "b"], N).astype(object)
FEATURES = RNG.normal(size=(N, 2))
ALL = (*POST_TRAINING, FLIP_TEST[0])


def named(measured: list[Measured]) -> dict[str, Measured]:
    return {one.name: one for one in measured}


def test_every_metric_has_a_value_and_an_interval_around_it() -> None:
    rows = Rows(LABEL, PREDICTED, GROUP, FEATURES)
    found = [*before_training(rows, FACET), *after_training(rows, FACET, ALL)]
    assert len(found) == 21
    for one in found:
        assert one.value is not None and one.low is not None and one.high is not None, one
        assert one.low < one.value + 0.05 and one.value - 0.05 < one.high, one


def test_metrics_stand_in_the_order_of_their_names() -> None:
    names = [one.name for one in after_training(Rows(LABEL, PREDICTED, GROUP, FEATURES), FACET, ALL)]
    assert names == sorted(ALL)


def test_intervals_hold_the_truth_at_their_rate() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        facet = np.arange(300) < 120
        label = rng.random(300) < np.where(facet, 0.3, 0.6)
        dpl = named(before_training(Rows(label), facet, ["DPL"]))["DPL"]
        assert dpl.low is not None and dpl.high is not None
        held += dpl.low <= 0.3 <= dpl.high
    assert 180 <= held <= 198  # of 190 expected


def test_the_same_data_gives_the_same_intervals() -> None:
    rows = Rows(LABEL, PREDICTED, GROUP)
    assert after_training(rows, FACET, ["AD"]) == after_training(rows, FACET, ["AD"])


def test_without_a_group_variable_the_conditional_ones_say_so() -> None:
    rows = Rows(LABEL, PREDICTED)
    for one in (
        named(before_training(rows, FACET))["CDDL"],
        named(after_training(rows, FACET, ["CDDPL"]))["CDDPL"],
    ):
        assert one.to_clarify()["error"] == "Group variable is empty or not provided"
        assert one.to_clarify()["value"] is None


def test_text_among_the_features_leaves_only_the_flip_test_out() -> None:
    found = after_training(Rows(LABEL, PREDICTED, GROUP, None), FACET, ALL)
    assert [one.name for one in found if one.error] == ["FT"]


@pytest.mark.parametrize(("facet", "said"), [(True, "Negated facet set is empty"), (False, "Facet set is empty")])
def test_a_facet_of_all_or_none_has_no_differences(facet: bool, said: str) -> None:
    rows = Rows(LABEL, PREDICTED, GROUP, FEATURES)
    every = np.full(N, facet)
    found = named([*before_training(rows, every), *after_training(rows, every, ALL)])
    assert {one.error for one in found.values()} == {said, None}
    # as in Clarify, what compares no facets has a value
    assert {name for name, one in found.items() if one.error is None} == {"GE", "CDDL", "CDDPL"}


def test_infinity_is_written_as_clarify_writes_it() -> None:
    never = Rows(LABEL, np.where(FACET, PREDICTED, False))
    found = named(after_training(never, FACET, ["DI"]))["DI"]
    assert found.to_clarify() == {"name": "DI", "description": "Disparate Impact (DI)", "value": "Infinity"}
    assert (found.low, found.high) == (None, None)


def test_all_of_clarify_s_metrics_can_be_asked_for_alone() -> None:
    for name in PRE_TRAINING:
        assert [one.name for one in before_training(Rows(LABEL, None, GROUP), FACET, [name])] == [name]
