"""Gates on explanation drift: decided on the interval; without a champion's explanation they never fail."""

from __future__ import annotations

from typing import Any

import pytest

from assay.drift import Drift, DriftOf
from assay.errors import BadPolicy
from assay.evaluation import DataFacts, EvaluationReport, Metric, ModelFacts
from assay.policy import Gate, read_policy
from assay.verdict import GateOutcome, judge

REPORT = EvaluationReport(
    task="tabular_classification",
    labels=("cat", "dog"),
    metrics={"accuracy": Metric(value=0.9)},
    model=ModelFacts(format="SavedModel", runtime="", archive_sha256="00", inputs=(), outputs=()),
    data=DataFacts(rows=500, sha256="da"),
)


def of(label: str | None, correlation: float, overlap: float = 1.0) -> DriftOf:
    return DriftOf(
        label=label,
        rank_correlation=Metric(value=correlation, low=correlation - 0.1, high=correlation + 0.05),
        top_overlap=Metric(value=overlap, low=overlap, high=overlap),
        moved=Metric(value=0.3),
    )


MEASURED = Drift(rows=90, features=8, top=4, outputs=(of(None, 0.7, 0.75), of("cat", 0.95), of("dog", 0.2)))


def decided(drift: Drift | None, **gate: Any) -> tuple[str, list[GateOutcome]]:
    asked = Gate.model_validate({"metric": "explanation_rank_correlation", **gate})
    judged = judge([asked], REPORT, None, drift)
    return judged.verdict, list(judged.gates)


@pytest.mark.parametrize(
    ("least", "verdict", "said"),
    [
        (0.5, "pass", "explanation_rank_correlation is 0.7 (0.6 to 0.75), must be at least 0.5"),
        (0.9, "fail", "explanation_rank_correlation is 0.7 (0.6 to 0.75), must be at least 0.9"),
        (
            0.65,
            "inconclusive",
            "explanation_rank_correlation is 0.7 (0.6 to 0.75), must be at least 0.65: 90 samples do not decide it",
        ),
    ],
)
def test_a_gate_is_decided_on_its_interval(least: float, verdict: str, said: str) -> None:
    found, (gate,) = decided(MEASURED, min=least)
    assert (found, gate.reason, gate.value) == (verdict, said, 0.7)


def test_a_gate_may_be_of_a_class_or_each_and_of_the_top() -> None:
    assert decided(MEASURED, min=0.5, **{"class": "cat"})[0] == "pass"
    verdict, gates = decided(MEASURED, min=0.5, **{"class": "each"})
    assert verdict == "fail"
    assert [(gate.of, gate.result) for gate in gates] == [("cat", "pass"), ("dog", "fail")]
    _, (top,) = decided(MEASURED, metric="explanation_top_overlap", min=0.7)
    assert (top.value, top.result) == (0.75, "pass")


@pytest.mark.parametrize(
    ("drift", "said"),
    [
        (None, "this model's explanation and a champion's cannot be compared: one of them is missing"),
        (Drift(reason="9 rows"), "this model's explanation and a champion's cannot be compared: 9 rows"),
        (
            Drift(
                rows=90,
                outputs=(DriftOf(rank_correlation=(no := Metric(reason="all alike")), top_overlap=no, moved=no),),
            ),
            "explanation_rank_correlation has no value: all alike",
        ),
    ],
)
def test_without_a_champions_explanation_a_gate_does_not_apply_and_never_fails(drift: Drift | None, said: str) -> None:
    verdict, (gate,) = decided(drift, min=0.99, on_inconclusive="fail")
    assert (verdict, gate.result, gate.counts_as, gate.reason) == ("not judged", "not applicable", "pass", said)


def test_a_class_that_only_the_champion_lacks_does_not_apply_one_that_no_model_has_fails() -> None:
    without = Drift(rows=90, outputs=(of(None, 0.9), of("cat", 0.9), of("cow", 0.9)))
    _, (dog,) = decided(without, min=0.5, **{"class": "dog"})
    assert (dog.result, dog.reason) == ("not applicable", "the champion has no output 'dog' to compare with")
    _, (bird,) = decided(MEASURED, min=0.5, **{"class": "bird"})
    assert (bird.result, bird.reason) == ("fail", "no class 'bird'; the classes are cat, dog")


ROWS = {"task": "tabular_classification", "data": {"source": "test.csv"}}
PICTURES = {"task": "image_classification", "data": {"source": "test/"}}
GATE = {"metric": "explanation_rank_correlation", "min": 0.5}


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({**PICTURES, "gates": [GATE]}, "pictures have no features in common with the champion's"),
        (
            {**ROWS, "gates": [GATE], "explain": {"representative": {"samples": 0}}},
            "needs representative rows, but explain.representative.samples is 0",
        ),
        ({**ROWS, "gates": [{**GATE, "slice": "sex"}]}, "expected no slice and no facet"),
        (
            {**ROWS, "gates": [{"metric": "explanation_top_overlap", "max_worse": 0.1}]},
            "gates.0: explanation_top_overlap: compares with the champion already, 1 is the same; expected `min`",
        ),
    ],
)
def test_a_gate_that_asks_for_what_there_is_not_is_refused(policy: dict[str, Any], said: str) -> None:
    with pytest.raises(BadPolicy, match=said):
        read_policy(policy)


def test_such_gates_may_be_set() -> None:
    each = {"metric": "explanation_top_overlap", "min": 0.5, "class": "each"}
    assert len(read_policy({**ROWS, "gates": [GATE, each]}).gates) == 2
