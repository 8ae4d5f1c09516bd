"""The verdict: pure functions from a report, the policy's gates and the champion's report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Literal

from assay.base import Record
from assay.evaluation import EvaluationReport, Metric
from assay.policy import Gate, RelativeLimit

GateResult = Literal["pass", "fail", "inconclusive", "not applicable"]
Verdict = Literal["pass", "fail", "inconclusive", "not judged", "error"]

_ROUNDING = 1e-12  # 0.9 - 0.7 is 0.20000000000000007, and may be 0.2 worse


class GateOutcome(Record):
    """One gate, decided: what was measured, what was asked, and how it came out."""

    gate: Gate
    metric: str
    of: str | None = None
    """The class that it is about."""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    champion: float | None = None
    limit: str
    """What was asked, for people: `at least 0.9`."""
    result: GateResult
    counts_as: Literal["pass", "warn", "fail", "inconclusive"]
    """`result` after `on_inconclusive`."""
    reason: str
    """A sentence with the numbers that decided it."""


class Judgement(Record):
    verdict: Verdict
    gates: tuple[GateOutcome, ...] = ()


def judge(gates: Sequence[Gate], report: EvaluationReport, champion: EvaluationReport | None = None) -> Judgement:
    """Decide each gate and then the verdict: fail before inconclusive before pass; without gates, not judged."""
    outcomes = tuple(outcome for gate in gates for outcome in _decide(gate, report, champion))
    counted = {outcome.counts_as for outcome in outcomes}
    verdict: Verdict = "pass"
    if not any(outcome.result != "not applicable" for outcome in outcomes):
        verdict = "not judged"
    elif "fail" in counted:
        verdict = "fail"
    elif "inconclusive" in counted:
        verdict = "inconclusive"
    return Judgement(verdict=verdict, gates=outcomes)


def _decide(gate: Gate, report: EvaluationReport, champion: EvaluationReport | None) -> Iterator[GateOutcome]:
    classes: Sequence[str | None] = [gate.class_]
    if gate.class_ == "each":
        classes = report.labels or ["each"]
    for of in classes:
        yield _decide_one(gate, of, report, champion)


def _decide_one(gate: Gate, of: str | None, report: EvaluationReport, champion: EvaluationReport | None) -> GateOutcome:
    metric = _find(report, gate.metric, of)
    other = None if champion is None else _find(champion, gate.metric, of)
    result, reason = _result(gate, metric, other, report, of, champion is not None)
    counts_as: Literal["pass", "warn", "fail", "inconclusive"]
    if result == "not applicable":
        counts_as = "pass"
    elif result == "inconclusive" and gate.on_inconclusive is not None:
        counts_as = gate.on_inconclusive
    else:
        counts_as = result
    known = metric or Metric(reason="not measured")
    return GateOutcome(
        gate=gate,
        metric=gate.metric,
        of=of,
        value=known.value,
        low=known.low,
        high=known.high,
        champion=None if other is None else other.value,
        limit=limit_in_words(gate),
        result=result,
        counts_as=counts_as,
        reason=reason,
    )


def _find(report: EvaluationReport, name: str, of: str | None) -> Metric | None:
    return report.metrics.get(name) if of is None else report.per_class.get(name, {}).get(of)


def _result(
    gate: Gate, metric: Metric | None, other: Metric | None, report: EvaluationReport, of: str | None, champion: bool
) -> tuple[GateResult, str]:
    name = gate.metric if of is None else f"{gate.metric} of {of}"
    if metric is None:
        measured = sorted(report.metrics if of is None else report.per_class)
        if of is not None and of not in report.labels:
            return "fail", f"no class {of!r}; the classes are {_few(report.labels)}"
        return "fail", f"{name} is not measured; measured are {_few(measured)}"
    if gate.max_worse is not None and not champion:
        return "not applicable", "there is no champion to compare with"
    if metric.value is None:
        return "fail", f"{name} has no value: {metric.reason}"
    if gate.max_worse is not None:
        if other is None or other.value is None:
            return "not applicable", f"the champion has no value for {name}"
        if metric.higher_is_better is None:
            return "fail", f"{name} is neither better nor worse when it grows: use min, max or max_abs"
        return _against(gate, name, metric, other)
    interval = _interval(gate, metric)
    if interval is None:
        return "inconclusive", f"{name} is {metric.value:.4g}, but has no interval: set `judge: estimate`"
    low, high = interval
    if gate.max_abs is not None:
        low, high = (0.0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))
    floor = -math.inf if gate.min is None else gate.min
    ceiling = min(math.inf if limit is None else limit for limit in (gate.max, gate.max_abs))
    sentence = f"{name} is {_with_interval(metric, interval)}, must be {limit_in_words(gate)}"
    if low >= floor and high <= ceiling:
        return "pass", sentence
    if high < floor or low > ceiling:
        return "fail", sentence
    return "inconclusive", sentence + f": {report.data.rows} samples do not decide it"


def _against(gate: Gate, name: str, metric: Metric, other: Metric) -> tuple[GateResult, str]:
    """How much worse than the champion: the intervals are combined as if of independent samples.

    Both were measured on the same rows, mostly, so this overstates the uncertainty and never decides too early.
    """
    assert metric.value is not None and other.value is not None and gate.max_worse is not None
    sign = -1.0 if metric.higher_is_better else 1.0
    worse = sign * (metric.value - other.value)
    limit = gate.max_worse
    allowed = limit.relative * abs(other.value) if isinstance(limit, RelativeLimit) else limit
    sentence = f"{name} is {metric.value:.4g}, must be {limit_in_words(gate)}'s {other.value:.4g}"
    half = 0.0
    if gate.judge == "bound":
        ours, theirs = _interval(gate, metric), _interval(gate, other)
        if ours is None or theirs is None:
            return "inconclusive", sentence + "; one of them has no interval: set `judge: estimate`"
        half = math.hypot((ours[1] - ours[0]) / 2, (theirs[1] - theirs[0]) / 2)
    if worse + half <= allowed + _ROUNDING:
        return "pass", sentence
    if worse - half > allowed + _ROUNDING:
        return "fail", sentence
    return "inconclusive", sentence + f": the difference is uncertain by {half:.2g}"


def _interval(gate: Gate, metric: Metric) -> tuple[float, float] | None:
    """What the gate is judged on: the value twice, or the interval rescaled from the stored 95 %; None if it lacks."""
    assert metric.value is not None
    if gate.judge == "estimate":
        return metric.value, metric.value
    if metric.low is None or metric.high is None:
        return None
    normal = NormalDist()
    scale = normal.inv_cdf(0.5 + gate.confidence / 2) / normal.inv_cdf(0.975)
    return metric.value - (metric.value - metric.low) * scale, metric.value + (metric.high - metric.value) * scale


def _with_interval(metric: Metric, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{metric.value:.4g}" + (f" ({low:.4g} to {high:.4g})" if low < high else "")


def limit_in_words(gate: Gate) -> str:
    """What a gate asks for: `at least 0.9`."""
    parts = []
    if gate.min is not None:
        parts.append(f"at least {gate.min:g}")
    if gate.max is not None:
        parts.append(f"at most {gate.max:g}")
    if gate.max_abs is not None:
        parts.append(f"at most {gate.max_abs:g} from zero")
    if isinstance(gate.max_worse, RelativeLimit):
        parts.append(f"at most {100 * gate.max_worse.relative:g} % worse than the champion")
    elif gate.max_worse is not None:
        parts.append(f"at most {gate.max_worse:g} worse than the champion")
    return " and ".join(parts)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
