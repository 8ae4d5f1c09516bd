"""Which samples are explained, in which order, and for which reason."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.errors import BadPolicy
from assay.evaluation import ExplainSample
from assay.policy import Chosen
from evaluator.choose import check_only, combine, eligible, representative, worst_classified, worst_predicted
from evaluator.classification import Classified
from evaluator.comparison import UNKNOWN
from evaluator.scored import Sample, Samples

SCORES = np.array(
    [
        [0.6, 0.3, 0.1],  # right, sure
        [0.1, 0.8, 0.1],  # mistake, sure
        [0.4, 0.35, 0.25],  # right, unsure
        [0.3, 0.4, 0.3],  # mistake, unsure
        [0.0, 0.1, 0.9],  # right, surest
    ]
)
FOUND = Classified(np.array([0, 0, 0, 2, 2]), SCORES.argmax(axis=1), SCORES, ("a", "b", "c"))
ALL = range(5)


def samples(*contents: str) -> Samples:
    return Samples.of(
        [
            Sample(str(row), row, "x", hashlib.sha256(content.encode()).hexdigest(), {"kind": content})
            for row, content in enumerate(contents)
        ]
    )


def yes(count: int) -> NDArray[np.bool_]:
    return np.ones(count, dtype=np.bool_)


def test_mistakes_come_first_the_surest_of_them_first_then_the_least_sure() -> None:
    assert worst_classified(FOUND, ALL, 5) == [
        (1, "mistake: a taken for b with 0.80"),
        (3, "mistake: c taken for b with 0.40"),
        (2, "unsure: a with 0.40, 0.05 ahead of the next"),
        (0, "unsure: a with 0.60, 0.30 ahead of the next"),
        (4, "unsure: c with 0.90, 0.80 ahead of the next"),
    ]
    assert [place for place, _ in worst_classified(FOUND, [0, 3], 5)] == [3, 0]
    assert worst_classified(FOUND, [], 5) == []
    assert worst_classified(FOUND, ALL, 0) == []


def test_what_the_champion_has_right_is_explained_before_all_other_mistakes() -> None:
    surer = np.vstack([SCORES, [0.2, 0.7, 0.1]])
    found = Classified(np.array([0, 0, 0, 2, 2, 0]), surer.argmax(axis=1), surer, ("a", "b", "c"))
    champion = np.array([0, 1, 1, 2, UNKNOWN, 0])  # it has 3 and 5 right, and of 2, which is right, it had wrong
    assert worst_classified(found, range(6), 4, champion) == [
        (5, "broken: a taken for b with 0.70; the champion said a"),
        (3, "broken: c taken for b with 0.40; the champion said c"),
        (1, "mistake: a taken for b with 0.80"),
        (2, "unsure: a with 0.40, 0.05 ahead of the next"),
    ]
    assert [place for place, _ in worst_classified(found, range(6), 1, champion)] == [5]
    assert [place for place, _ in worst_classified(found, [1, 3], 5, champion)] == [3, 1]
    unknown = np.full(6, UNKNOWN)
    assert worst_classified(found, range(6), 6, unknown) == worst_classified(found, range(6), 6)


def test_the_largest_errors_come_first() -> None:
    true, predicted = np.array([1.0, 2.0, 3.0]), np.array([1.5, -7.25, 3.0])
    assert worst_predicted(true, predicted, range(3), 2) == [
        (1, "error: -7.25 instead of 2"),
        (0, "error: 1.5 instead of 1"),
    ]
    assert worst_predicted(true, predicted, range(3), 2, np.array([np.nan, 2.5, 3])) == [
        (1, "error: -7.25 instead of 2; the champion said 2.5"),
        (0, "error: 1.5 instead of 1"),
    ]


def test_a_sample_of_an_answer_that_is_no_number_is_never_explained() -> None:
    data = samples("p", "q", "p")
    answered = np.array([True, True, False])
    assert eligible(data, answered, Chosen()).tolist() == [0, 1]
    assert eligible(data, answered, Chosen(only={"kind": "p"})).tolist() == [0]
    assert representative(data, answered, 3, seed=0) == [0, 1]


def test_a_column_that_there_is_not_is_named_with_those_that_are() -> None:
    check_only(Chosen(only={"a": "1"}), ["a", "b"])
    with pytest.raises(BadPolicy, match=r"explain.chosen.only: no column 'c' in the data; found a, b$"):
        check_only(Chosen(only={"c": "1"}), ["a", "b"])


def test_the_representative_part_hangs_on_the_seed_and_hardly_on_other_rows() -> None:
    data = samples(*map(str, range(200)))
    drawn = representative(data, yes(200), 50, seed=0)
    assert len(set(drawn)) == 50
    assert drawn == sorted(drawn) == representative(data, yes(200), 50, seed=0)
    assert drawn != representative(data, yes(200), 50, seed=1)
    more = representative(samples(*map(str, range(-10, 200))), yes(210), 50, seed=0)
    assert len(set(drawn) & {place - 10 for place in more}) >= 45
    assert representative(data, yes(200), 0, seed=0) == []
    assert representative(data, yes(200), 1000, seed=0) == list(range(200))


def test_rows_of_the_same_content_are_drawn_apart() -> None:
    assert len(representative(samples(*["same"] * 20), yes(20), 10, seed=0)) == 10
    drawn = representative(samples(*["same"] * 100, *map(str, range(100))), yes(200), 100, seed=0)
    assert 30 < sum(place < 100 for place in drawn) < 70


def test_a_sample_that_is_there_for_two_reasons_stands_once_and_the_chosen_come_first() -> None:
    def describe(place: int) -> ExplainSample:
        return ExplainSample(id=str(place), row=place, sample=(), reason="")

    together = combine([1, 4, 7], [(4, "mistake"), (2, "unsure")], describe)
    assert [(place, sample.sample, sample.reason) for place, sample in together] == [
        (4, ("representative", "chosen"), "mistake"),
        (2, ("chosen",), "unsure"),
        (1, ("representative",), "drawn by chance"),
        (7, ("representative",), "drawn by chance"),
    ]
