from typing import Any

import pytest

from assay.evaluation import DataFacts, EvaluationReport, Metric, ModelFacts
from assay.policy import Gate
from assay.verdict import judge


def report(**metrics: Metric) -> EvaluationReport:
    return EvaluationReport(
        task="image_classification",
        labels=("cat", "dog"),
        metrics=metrics,
        per_class={"recall": {"cat": measured(0.95, 0.05), "dog": measured(0.60, 0.05)}},
        model=ModelFacts(format="SavedModel", runtime="none", archive_sha256="", inputs=(), outputs=()),
        data=DataFacts(rows=96, sha256=""),
    )


def measured(value: float, half: float, higher_is_better: bool | None = True) -> Metric:
    return Metric(value=value, low=value - half, high=value + half, n=96, higher_is_better=higher_is_better)


def gate(**parts: Any) -> Gate:
    return Gate.model_validate({"metric": "accuracy", **parts})


@pytest.mark.parametrize(
    ("parts", "result"),
    [
        ({"min": 0.80}, "pass"),
        ({"min": 0.99}, "fail"),
        ({"min": 0.90}, "inconclusive"),
        ({"min": 0.90, "judge": "estimate"}, "pass"),
        ({"min": 0.90001, "judge": "estimate"}, "fail"),
        ({"max": 0.97}, "pass"),
        ({"max": 0.80}, "fail"),
        ({"min": 0.80, "max": 0.97}, "pass"),
        # 0.90 ± 0.05 at 95 % is 0.90 ± 0.0657 at 99 %
        ({"min": 0.845, "confidence": 0.95}, "pass"),
        ({"min": 0.845, "confidence": 0.99}, "inconclusive"),
        ({"class": "cat", "metric": "recall", "min": 0.80}, "pass"),
        ({"class": "dog", "metric": "recall", "min": 0.80}, "fail"),
        ({"class": "each", "metric": "recall", "min": 0.80}, "fail"),
        ({"class": "cow", "metric": "recall", "min": 0.80}, "fail"),
        ({"metric": "acuracy", "min": 0.80}, "fail"),
    ],
)
def test_a_gate_is_decided_by_its_whole_interval_unless_asked_otherwise(parts: dict[str, Any], result: str) -> None:
    assert judge([gate(**parts)], report(accuracy=measured(0.90, 0.05))).verdict == result


def test_the_reason_names_what_was_found_and_what_was_asked() -> None:
    (outcome,) = judge([gate(min=0.99)], report(accuracy=measured(0.90, 0.05))).gates
    assert outcome.reason == "accuracy is 0.9 (0.85 to 0.95), must be at least 0.99"
    (outcome,) = judge([gate(metric="acuracy", min=0.99)], report(accuracy=measured(0.90, 0.05))).gates
    assert outcome.reason == "acuracy is not measured; measured are accuracy"


@pytest.mark.parametrize(
    ("on_inconclusive", "verdict"),
    [(None, "inconclusive"), ("warn", "pass"), ("pass", "pass"), ("fail", "fail")],
)
def test_the_policy_says_what_an_inconclusive_gate_counts_as(on_inconclusive: str | None, verdict: str) -> None:
    judged = judge([gate(min=0.90, on_inconclusive=on_inconclusive)], report(accuracy=measured(0.90, 0.05)))
    assert judged.verdict == verdict
    assert judged.gates[0].result == "inconclusive"


def test_without_gates_nothing_is_judged() -> None:
    assert judge([], report(accuracy=measured(1, 0))).verdict == "not judged"


def test_without_a_champion_no_worse_than_it_does_not_apply() -> None:
    judged = judge([gate(max_worse=0.01)], report(accuracy=measured(0.1, 0.05)))
    assert judged.verdict == "not judged"
    assert judged.gates[0].result == "not applicable"


@pytest.mark.parametrize(
    ("value", "parts", "verdict"),
    [
        (0.90, {"max_worse": 0.20}, "pass"),
        (0.40, {"max_worse": 0.20}, "fail"),
        (0.70, {"max_worse": 0.20}, "inconclusive"),
        (0.70, {"max_worse": 0.20, "judge": "estimate"}, "pass"),
        (0.85, {"max_worse": {"relative": 0.10}, "judge": "estimate"}, "pass"),
        (0.79, {"max_worse": {"relative": 0.10}, "judge": "estimate"}, "fail"),
        (0.95, {"max_worse": 0.0, "judge": "estimate"}, "pass"),
    ],
)
def test_a_score_may_fall_by_so_much(value: float, parts: dict[str, Any], verdict: str) -> None:
    champion = report(accuracy=measured(0.90, 0.05))
    assert judge([gate(**parts)], report(accuracy=measured(value, 0.05)), champion).verdict == verdict


@pytest.mark.parametrize(("value", "verdict"), [(9.0, "pass"), (10.5, "pass"), (11.5, "fail")])
def test_an_error_is_worse_when_it_grows(value: float, verdict: str) -> None:
    champion = report(mae=measured(10.0, 0.0, higher_is_better=False))
    now = report(mae=measured(value, 0.0, higher_is_better=False))
    assert judge([gate(metric="mae", max_worse=1)], now, champion).verdict == verdict


@pytest.mark.parametrize(
    ("value", "verdict"), [(-0.05, "pass"), (-0.2, "fail"), (0.2, "fail"), (0.095, "inconclusive")]
)
def test_max_abs_bounds_both_sides_of_zero(value: float, verdict: str) -> None:
    now = report(DPPL=measured(value, 0.02, higher_is_better=None))
    assert judge([gate(metric="DPPL", max_abs=0.1)], now).verdict == verdict


def test_a_metric_without_a_value_fails_with_its_reason() -> None:
    now = report(roc_auc=Metric(reason="only one class in the labels"))
    judged = judge([gate(metric="roc_auc", min=0.5)], now)
    assert judged.verdict == "fail"
    assert judged.gates[0].reason == "roc_auc has no value: only one class in the labels"


def test_a_metric_without_an_interval_does_not_decide_on_a_bound() -> None:
    now = report(accuracy=Metric(value=0.9))
    assert judge([gate(min=0.5)], now).verdict == "inconclusive"
    assert judge([gate(min=0.5, judge="estimate")], now).verdict == "pass"


def test_a_failed_gate_outweighs_an_inconclusive_one() -> None:
    assert judge([gate(min=0.90), gate(min=0.99)], report(accuracy=measured(0.90, 0.05))).verdict == "fail"
