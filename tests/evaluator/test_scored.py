"""Samples in columns are what they were one by one."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from assay.errors import BadData
from evaluator.scored import Coder, Room, Sample, Samples, Scored, Unreadable


def sample(row: int, label: str, **columns: str) -> Sample:
    return Sample(f"s{row}", row, label, hashlib.sha256(str(row).encode()).hexdigest(), columns)


SINGLE = [sample(0, "b", sex="f"), sample(2, "a", sex=""), sample(5, "b", sex="m")]


def test_samples_are_given_back_one_by_one() -> None:
    samples = Samples.of(SINGLE)
    assert list(samples) == SINGLE
    assert (samples[-1], samples[1:], len(samples)) == (SINGLE[2], SINGLE[1:], 3)
    with pytest.raises(IndexError):
        samples[3]
    assert len(Samples.of([])) == 0


def test_samples_without_ids_are_called_by_their_places_and_numbers_are_written_short() -> None:
    numbers = {"age": np.array([30.0, 0.1])}
    samples = Samples(np.array([7, 9]), np.array([2.5, 3.0]), np.zeros((2, 32), dtype=np.uint8), columns=numbers)
    assert samples[1] == Sample("9", 9, "3", "00" * 32, {"age": "0.1"})


def test_columns_and_labels_as_arrays() -> None:
    samples = Samples.of(SINGLE)
    assert samples.labels.tolist() == ["b", "a", "b"]
    assert samples.numbered({"a": 0, "b": 1}).tolist() == [1, 0, 1]
    assert samples.column("sex").tolist() == ["f", "", "m"]
    assert samples.equal("sex", "m").tolist() == [False, False, True]
    with pytest.raises(KeyError):
        samples.column("age")


def test_a_column_of_numbers_equals_a_value_however_it_is_written() -> None:
    columns = {"age": np.array([30.0, np.nan])}
    samples = Samples(np.arange(2), np.zeros(2), np.zeros((2, 32), dtype=np.uint8), columns=columns)
    assert samples.equal("age", "30.0").tolist() == [True, False]
    assert samples.equal("age", "thirty").tolist() == [False, False]


def test_the_data_as_a_whole_is_known_by_content_labels_and_ids() -> None:
    def digest(*samples: Sample) -> str:
        return Scored(Samples.of(samples), np.zeros((len(samples), 1))).fingerprint

    assert digest(*SINGLE) == digest(*SINGLE)
    others = [
        SINGLE[::-1],
        SINGLE[:2],
        [SINGLE[0]._replace(label="a"), *SINGLE[1:]],
        [SINGLE[0]._replace(id="other"), *SINGLE[1:]],
        [SINGLE[0]._replace(fingerprint="00" * 32), *SINGLE[1:]],
    ]
    assert len({digest(*SINGLE), *(digest(*other) for other in others)}) == 6


def test_columns_are_filled_from_their_front() -> None:
    room, coder = Room(5), Coder(5)
    for values in ([1.0, 2.0], [3.0]):
        room.add(np.array(values))
        coder.add(map(str, values))
    coder.add(["2.0"])
    assert room.column().tolist() == [1, 2, 3]
    assert coder.column().values().tolist() == ["1.0", "2.0", "3.0", "2.0"]
    assert len(coder.column().categories) == 3


def test_the_first_20_of_what_cannot_be_read_are_named_and_all_counted() -> None:
    unreadable = Unreadable(limit=30)
    unreadable.add(*(f"line {number}" for number in range(15)))
    unreadable.add(*(f"line {number}" for number in range(15, 40)))
    assert unreadable.count == 40
    assert unreadable.named == [f"line {number}" for number in range(20)]
    with pytest.raises(BadData, match=r"40 unreadable, at most 30 allowed .*line 19; and 20 more"):
        unreadable.check()
