from typing import Any

import pytest

from assay.evaluation import Comparison, DataFacts, Difference, EvaluationReport, Metric, ModelFacts, Slice
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
    assert outcome.reason == "acuracy is not measured (did you mean accuracy?); measured are accuracy"


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
        (0.95, {"max_worse": -0.04, "judge": "estimate"}, "pass"),
        (0.91, {"max_worse": -0.04, "judge": "estimate"}, "fail"),
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


def part(name: str, recall: Metric, *, n: int = 96, small: bool = False, **fields: Any) -> Slice:
    found = {"columns": (name.partition("=")[0],), "found": "declared", "per_class": {"recall": {"cat": recall}}}
    return Slice.model_validate(
        {"name": name, "n": n, "small": small, "metrics": {"recall": recall}, **found, **fields}
    )


def sliced(*parts: Slice, comparison: Comparison | None = None) -> EvaluationReport:
    whole = report(recall=measured(0.9, 0.05))
    return whole.model_copy(update={"slices": parts, "comparison": comparison})


SEXES = (part("sex=Female", measured(0.70, 0.05)), part("sex=Male", measured(0.95, 0.05)))


@pytest.mark.parametrize(
    ("parts", "results"),
    [
        ({"slice": "sex=Female"}, {"sex=Female": "fail"}),
        ({"slice": "sex=Male"}, {"sex=Male": "pass"}),
        ({"slice": "sex"}, {"sex=Female": "fail", "sex=Male": "pass"}),
        ({"slice": "sex", "class": "cat"}, {"sex=Female": "fail", "sex=Male": "pass"}),
        ({"slice": "sex=Femal"}, {"sex=Femal": "fail"}),
        ({"slice": "age"}, {"age": "fail"}),
    ],
)
def test_a_gate_on_a_slice_or_on_each_of_a_column(parts: dict[str, Any], results: dict[str, str]) -> None:
    judged = judge([gate(metric="recall", min=0.80, **parts)], sliced(*SEXES))
    assert {outcome.slice: outcome.result for outcome in judged.gates} == results


def test_what_is_not_measured_of_a_slice_is_said_with_what_is() -> None:
    def reason(**parts: Any) -> str:
        (outcome,) = judge([gate(min=0.8, **parts)], sliced(*SEXES)).gates
        assert outcome.result == "fail"
        return outcome.reason

    assert reason(metric="recall", slice="age") == "no slice 'age'; measured are sex=Female, sex=Male"
    found = reason(metric="accuracy", slice="sex=Male")
    assert found == "accuracy where sex=Male is not measured; measured are recall"
    found = reason(metric="recall", slice="sex=Male", **{"class": "dog"})
    assert found == "recall of dog where sex=Male is not measured; measured are recall"


@pytest.mark.parametrize(
    "metric", [measured(0.1, 0.05), measured(0.8, 0.2), Metric(reason="only one class in the labels")]
)
@pytest.mark.parametrize("on_inconclusive", [None, "fail"])
def test_a_small_slice_warns_and_never_vetoes(metric: Metric, on_inconclusive: str | None) -> None:
    small = part("sex=Other", metric, n=7, small=True)
    asked = gate(metric="recall", slice="sex=Other", min=0.8, on_inconclusive=on_inconclusive)
    judged = judge([asked], sliced(small))
    assert judged.verdict == "pass"
    assert judged.gates[0].counts_as == "warn"
    assert judged.gates[0].reason.endswith("; 7 samples are too few to stop a model")


def test_a_column_gate_is_not_about_what_was_discovered() -> None:
    discovered = part("sex=Female & age > 40", measured(0.1, 0.05), found="discovered", columns=("sex",))
    judged = judge([gate(metric="recall", slice="sex", min=0.65)], sliced(*SEXES, discovered))
    assert [outcome.slice for outcome in judged.gates] == ["sex=Female", "sex=Male"]


def compared(**fields: Any) -> Comparison:
    return Comparison(champion="c" * 20, archive_sha256="other", **fields)


def differs(value: float, half: float, champion: float = 0.9, higher_is_better: bool = True) -> Difference:
    low, high, ours = value - half, value + half, champion + value
    return Difference(
        ours=ours, champion=champion, value=value, low=low, high=high, n=96, higher_is_better=higher_is_better
    )


@pytest.mark.parametrize(
    ("difference", "limit", "result"),
    [
        (differs(-0.01, 0.005), 0.02, "pass"),
        (differs(-0.01, 0.02), 0.02, "inconclusive"),
        (differs(-0.06, 0.02), 0.02, "fail"),
        (differs(-0.01, 0.005), {"relative": 0.02}, "pass"),
        (differs(-0.01, 0.005), {"relative": 0.001}, "fail"),
    ],
)
def test_no_worse_than_the_champion_is_judged_on_the_same_rows(difference: Difference, limit: Any, result: str) -> None:
    """The two reports by themselves would leave each of these open."""
    ours = report(accuracy=measured(0.9 + (difference.value or 0), 0.2)).model_copy(
        update={"comparison": compared(metrics={"accuracy": difference})}
    )
    (outcome,) = judge([gate(max_worse=limit)], ours, report(accuracy=measured(0.9, 0.2))).gates
    assert outcome.result == result
    assert outcome.champion == 0.9
    told = outcome.difference
    assert told is not None
    assert (told.value, told.low, told.high, told.paired) == (difference.value, difference.low, difference.high, True)
    assert told.bound == pytest.approx(-limit if isinstance(limit, float) else -0.9 * limit["relative"])


def test_the_difference_of_two_reports_is_told_as_such_with_the_bound_on_the_side_that_is_worse() -> None:
    champion = report(mae=measured(10.0, 0.3, higher_is_better=False))
    now = report(mae=measured(10.5, 0.4, higher_is_better=False))
    (outcome,) = judge([gate(metric="mae", max_worse=1)], now, champion).gates
    told = outcome.difference
    assert told is not None and told.low is not None and told.high is not None
    assert (told.value, told.low, told.high) == pytest.approx((0.5, 0.0, 1.0))
    assert (told.bound, told.paired, outcome.result) == (1, False, "pass")


def test_only_a_limit_beside_a_champion_has_a_difference() -> None:
    champion, now = report(accuracy=measured(0.9, 0.05)), report(accuracy=measured(0.9, 0.05))
    (limited,) = judge([gate(min=0.5)], now, champion).gates
    (alone,) = judge([gate(max_worse=0.1)], now).gates
    assert (limited.difference, limited.champion) == (None, 0.9)
    assert (alone.difference, alone.champion) == (None, None)


def test_an_error_that_falls_on_the_same_rows_is_better() -> None:
    now = report(mae=measured(9.0, 5.0, higher_is_better=False))

    def judged(value: float) -> str:
        difference = differs(value, 0.1, champion=10.0, higher_is_better=False)
        return judge(
            [gate(metric="mae", max_worse=0.5)],
            now.model_copy(update={"comparison": compared(metrics={"mae": difference})}),
        ).verdict

    assert [judged(value) for value in (-1.0, 0.3, 0.55, 1.0)] == ["pass", "pass", "inconclusive", "fail"]


def test_slices_and_classes_are_compared_on_their_own_rows() -> None:
    comparison = compared(
        slices={"sex=Female": {"recall": differs(-0.2, 0.01)}, "sex=Male": {"recall": differs(0.1, 0.01)}},
        per_class={"recall": {"cat": differs(-0.2, 0.01), "dog": differs(0.0, 0.01)}},
    )
    now = sliced(*SEXES, comparison=comparison)
    judged = judge([gate(metric="recall", slice="sex", max_worse=0.05)], now)
    assert [outcome.result for outcome in judged.gates] == ["fail", "pass"]
    judged = judge([gate(metric="recall", max_worse=0.05, **{"class": "each"})], now)
    assert [outcome.result for outcome in judged.gates] == ["fail", "pass"]


def test_the_champions_own_archive_is_compared_with_nothing() -> None:
    now = report(accuracy=measured(0.9, 0.05))
    archive = now.model.archive_sha256
    same = Comparison(champion="c" * 20, archive_sha256=archive, refused="it is the champion's own archive")
    judged = judge([gate(max_worse=0.0)], now.model_copy(update={"comparison": same}), now)
    assert judged.verdict == "not judged"
    assert judged.gates[0].reason == "nothing to compare with: it is the champion's own archive"


def test_a_champion_that_cannot_be_asked_any_more_still_has_its_report() -> None:
    refused = compared(refused="its archive cannot be loaded")
    now = report(accuracy=measured(0.5, 0.05)).model_copy(update={"comparison": refused})
    assert judge([gate(max_worse=0.1)], now, report(accuracy=measured(0.9, 0.05))).verdict == "fail"
    (outcome,) = judge([gate(max_worse=0.1)], now).gates
    assert (outcome.result, outcome.reason) == ("not applicable", f"nothing to compare with: {refused.refused}")


BIASED = {"sex=F": {"DPPL": Metric(value=0.08, low=0.05, high=0.11), "CDDL": Metric(reason="no group")}}


@pytest.mark.parametrize(
    ("parts", "result", "said"),
    [
        ({"facet": "sex=F", "max_abs": 0.12}, "pass", "bias.DPPL of sex=F is 0.08 (0.05 to 0.11)"),
        ({"facet": "sex=F", "max_abs": 0.10}, "inconclusive", "do not decide it"),
        ({"facet": "sex=F", "max_abs": 0.04}, "fail", "must be at most 0.04 from zero"),
        ({"facet": "sex=F", "max_abs": 0.10, "judge": "estimate"}, "pass", ""),
        ({"max_abs": 0.12}, "pass", "bias.DPPL of sex=F"),  # of each facet there is
        ({"facet": "sex=M", "max_abs": 0.10}, "fail", "no facet 'sex=M'; measured are sex=F"),
        ({"facet": "sex=F", "metric": "bias.DI", "max_abs": 1}, "fail", "bias.DI of sex=F is not measured; measured"),
        ({"facet": "sex=F", "metric": "bias.CDDL", "max_abs": 1}, "fail", "has no value: no group"),
    ],
)
def test_a_gate_on_a_facet_is_about_bias(parts: dict[str, Any], result: str, said: str) -> None:
    judged = judge([gate(**({"metric": "bias.DPPL"} | parts))], report().model_copy(update={"bias": BIASED}))
    (outcome,) = judged.gates
    assert outcome.result == result
    assert said in outcome.reason


def test_without_facets_a_gate_on_bias_says_what_is_missing() -> None:
    (outcome,) = judge([gate(metric="bias.DPPL", max_abs=0.1)], report()).gates
    assert (outcome.result, outcome.reason) == (
        "fail",
        "no facet; measured are none: say bias.facets in the policy",
    )
