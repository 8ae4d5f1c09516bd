"""What n rows can decide is what the verdict will say of them: each number right is tried."""

from __future__ import annotations

import pytest

from assay.evaluation import DataFacts, EvaluationReport, Metric, ModelFacts
from assay.policy import Gate
from assay.power import example_rate, power, power_in_words, rounded_up, samples_needed
from assay.rates import wilson
from assay.verdict import judge


def report(rate: float, n: int) -> EvaluationReport:
    low, high = wilson(rate * n, n)
    return EvaluationReport(
        task="tabular_classification",
        metrics={"accuracy": Metric(value=rate, low=low, high=high, n=n, higher_is_better=True)},
        model=ModelFacts(format="SavedModel", runtime="none", archive_sha256="0", inputs=(), outputs=()),
        data=DataFacts(rows=n, sha256="0"),
    )


def decided(gate: Gate, rate: float, n: int) -> str:
    [outcome] = judge([gate], report(rate, n)).gates
    return outcome.result


def accuracy(**limits: object) -> Gate:
    return Gate.model_validate({"metric": "accuracy", **limits})


GATES = [
    accuracy(min=0.9),
    accuracy(min=0.9, confidence=0.99),
    accuracy(min=0.9, confidence=0.5),
    accuracy(min=0.7, judge="estimate"),
    accuracy(min=0.05, confidence=0.999),
    accuracy(min=1.0),
    accuracy(min=1.0, judge="estimate"),
    accuracy(max=0.2),
    accuracy(max=0.0),
    accuracy(max=0.9, confidence=0.999),
    accuracy(max_abs=0.3, confidence=0.8),
    accuracy(min=0.3, max=0.8),
    accuracy(min=0.5, max=0.5),
]


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.model_dump_json(exclude_defaults=True))
def test_it_is_what_the_verdict_decides(gate: Gate) -> None:
    for n in (1, 2, 7, 20, 96, 250):
        found = power(gate, n)
        assert found is not None
        for right in range(n + 1):
            expected = "pass" if right in found.passes else "inconclusive" if right in found.undecided else "fail"
            assert decided(gate, right / n, n) == expected, (right, n)


def test_the_samples_needed_are_the_least_that_decide() -> None:
    for gate in (accuracy(min=0.9), accuracy(min=0.9, confidence=0.99), accuracy(max=0.3)):
        rate = example_rate(gate)
        assert rate is not None
        needed = samples_needed(gate, rate)
        assert needed is not None
        assert decided(gate, rate, needed) == "pass"
        assert decided(gate, rate, needed - 1) == "inconclusive"
    assert samples_needed(accuracy(min=0.9), 0.93) == 385
    assert samples_needed(accuracy(min=0.9), 0.9) is None
    assert samples_needed(accuracy(min=0.9, judge="estimate"), 0.93) == 1


def test_ninety_per_cent_on_96_pictures() -> None:
    gate = accuracy(min=0.9)
    assert power_in_words(gate, 96) == "passes from 93 of 96 right, fails up to 80; at 0.93 you need 390"
    assert [decided(gate, right / 96, 96) for right in (80, 81, 92, 93)] == ["fail", *["inconclusive"] * 2, "pass"]
    assert decided(gate, 0.93, 390) == "pass"
    # 363 of 390 is what reads as 0.93
    assert decided(gate, 363 / 390, 390) == "pass"


@pytest.mark.parametrize(
    ("gate", "n", "sentence"),
    [
        (accuracy(min=0.9), 10_000, "passes from 9,059 of 10,000 right, fails up to 8,941"),
        (accuracy(min=0.9), 12, "can never pass on 12 samples, with all 12 right; at 0.93 you need 390"),
        (accuracy(min=0.9), 1, "can never pass on 1 sample, with all 1 right; at 0.93 you need 390"),
        (accuracy(min=0.995), 500, "can never pass on 500 samples, with all 500 right; at 0.997 you need 4,800"),
        (accuracy(min=0.5, judge="estimate"), 3, "passes from 2 of 3 right, fails up to 1"),
        (accuracy(max=0.2), 100, "passes up to 12 of 100 right, fails from 28; at 0.13 you need 130"),
        (accuracy(min=0.3, max=0.8), 100, "passes from 39 to 72 of 100 right, fails up to 21 and from 88"),
        (accuracy(min=0.5, max=0.5), 100, "can never pass on 100 samples"),
    ],
)
def test_in_words(gate: Gate, n: int, sentence: str) -> None:
    assert power_in_words(gate, n) == sentence


@pytest.mark.parametrize("gate", [accuracy(max_worse=0.01), accuracy(min=0.0), accuracy(max=1.0)])
def test_where_nothing_can_be_said_nothing_is(gate: Gate) -> None:
    assert power(gate, 96) is None
    assert power_in_words(gate, 96) is None


def test_nothing_is_said_of_no_samples() -> None:
    assert power(accuracy(min=0.9), 0) is None


def test_a_need_is_rounded_up() -> None:
    assert [rounded_up(number) for number in (7, 99, 100, 101, 385, 390, 1201)] == [7, 99, 100, 110, 390, 390, 1300]
