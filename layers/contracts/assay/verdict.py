"""The verdict: pure functions from a report, the policy's gates and the champion's report."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import Literal, NamedTuple

from assay.base import Record
from assay.drift import Drift
from assay.evaluation import Difference, EvaluationReport, Metric, Slice
from assay.policy import RANK_CORRELATION, TOP_OVERLAP, Gate, RelativeLimit

GateResult = Literal["pass", "fail", "inconclusive", "not applicable"]
Counted = Literal["pass", "warn", "fail", "inconclusive"]
Verdict = Literal["pass", "fail", "inconclusive", "not judged", "error"]

BIAS = "bias."
"""What a gate puts before the name of a bias metric: `bias.DPPL`."""

_ROUNDING = 1e-12  # 0.9 - 0.7 is 0.20000000000000007, and may be 0.2 worse


class FromChampion(Record):
    """This model's value minus the champion's, with its 95 % interval, and how far apart a gate lets them be."""

    value: float
    low: float | None = None
    high: float | None = None
    bound: float
    """On its far side this model is worse than allowed: below it where more is better, above it where less is."""
    paired: bool
    """Measured on the same samples; else from two reports, as if of samples that have nothing to do with each other."""


class GateOutcome(Record):
    """One gate, decided: what was measured, what was asked, and how it came out."""

    gate: Gate
    metric: str
    of: str | None = None
    """The class that it is about."""
    slice: str | None = None
    """The slice that it is about."""
    facet: str | None = None
    """The facet that it is about: its rows against all others."""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    champion: float | None = None
    difference: FromChampion | None = None
    """What a limit to how much worse it may be was judged by; None: of another limit, or there was no champion."""
    limit: str
    """What was asked, for people: `at least 0.9`."""
    result: GateResult
    counts_as: Counted
    """`result` after `on_inconclusive`; a small slice warns at most."""
    reason: str
    """A sentence with the numbers that decided it."""


class Judgement(Record):
    verdict: Verdict
    gates: tuple[GateOutcome, ...] = ()


class Scope(NamedTuple):
    """What a number is about: all samples, a class, a slice, a class within a slice, or a facet against the others."""

    metric: str
    of: str | None = None
    slice: str | None = None
    facet: str | None = None

    def __str__(self) -> str:
        """`recall of dog where sex=Female`, `bias.DPPL of sex=Female`."""
        of = "".join(f" of {name}" for name in (self.of, self.facet) if name is not None)
        return self.metric + of + ("" if self.slice is None else f" where {self.slice}")


def judge(
    gates: Sequence[Gate],
    report: EvaluationReport,
    champion: EvaluationReport | None = None,
    drift: Drift | None = None,
) -> Judgement:
    """Decide each gate and then the verdict: fail before inconclusive before pass; without gates, not judged."""
    outcomes = tuple(
        _decide_drift(gate, scope, report, drift)
        if gate.metric in (RANK_CORRELATION, TOP_OVERLAP)
        else _decide(gate, scope, report, champion)
        for gate in gates
        for scope in _scopes(gate, report)
    )
    counted = {outcome.counts_as for outcome in outcomes}
    verdict: Verdict = "pass"
    if not any(outcome.result != "not applicable" for outcome in outcomes):
        verdict = "not judged"
    elif "fail" in counted:
        verdict = "fail"
    elif "inconclusive" in counted:
        verdict = "inconclusive"
    return Judgement(verdict=verdict, gates=outcomes)


def _scopes(gate: Gate, report: EvaluationReport) -> list[Scope]:
    """Everything that a gate is about; what does not exist stays in, and fails."""
    classes: Sequence[str | None] = [gate.class_]
    if gate.class_ == "each":
        classes = report.labels or ["each"]
    slices: Sequence[str | None] = [gate.slice]
    if _part(report, gate.slice) is None:
        of_column = [part.name for part in report.slices if part.found == "declared" and part.columns == (gate.slice,)]
        slices = of_column or slices
    return [Scope(gate.metric, of, part, facet) for part in slices for of in classes for facet in _facets(gate, report)]


def _facets(gate: Gate, report: EvaluationReport) -> Sequence[str | None]:
    """The facet of a gate; of one on a metric of bias that names none, each that there is."""
    if gate.facet is None and gate.metric.startswith(BIAS):
        return list(report.bias) or [None]
    return [gate.facet]


def _decide(gate: Gate, scope: Scope, report: EvaluationReport, champion: EvaluationReport | None) -> GateOutcome:
    metric, part = _find(report, scope), _part(report, scope.slice)
    other = None if champion is None else _find(champion, scope)
    if metric is None:
        judged = _outcome(gate, scope, None, *_missing(report, scope))
    elif gate.max_worse is None:
        samples = report.data.rows if part is None else part.n
        judged = _outcome(gate, scope, metric, *_result(gate, scope, metric, samples))
    else:
        judged = _against(gate, scope, metric, report, other, _no_champion(report, champion))
    if part is not None and part.small and judged.counts_as in {"fail", "inconclusive"}:
        few = f"{judged.reason}; {part.n} samples are too few to stop a model"
        judged = judged.model_copy(update={"counts_as": "warn", "reason": few})
    if judged.champion is None and other is not None:
        judged = judged.model_copy(update={"champion": other.value})
    return judged


def _decide_drift(gate: Gate, scope: Scope, report: EvaluationReport, drift: Drift | None) -> GateOutcome:
    """A gate on what two explanations have in common: without the champion's it does not apply."""
    if scope.of is not None and report.labels and scope.of not in report.labels:
        return _outcome(gate, scope, None, *_missing(report, scope))
    if drift is None or drift.reason is not None:
        why = "" if drift is None else f": {drift.reason}"
        nothing = f"this model's explanation and a champion's cannot be compared{why or ': one of them is missing'}"
        return _outcome(gate, scope, None, "not applicable", nothing)
    found = drift.of(scope.of)
    if found is None:
        return _outcome(gate, scope, None, "not applicable", f"the champion has no output {scope.of!r} to compare with")
    metric = found.rank_correlation if gate.metric == RANK_CORRELATION else found.top_overlap
    if metric.value is None:
        return _outcome(gate, scope, metric, "not applicable", f"{scope} has no value: {metric.reason}")
    return _outcome(gate, scope, metric, *_result(gate, scope, metric, drift.rows))


def _outcome(gate: Gate, scope: Scope, metric: Metric | None, result: GateResult, reason: str) -> GateOutcome:
    counts_as: Counted
    if result == "not applicable":
        counts_as = "pass"
    elif result == "inconclusive" and gate.on_inconclusive is not None:
        counts_as = gate.on_inconclusive
    else:
        counts_as = result
    known = metric or Metric(reason="not measured")
    return GateOutcome(
        gate=gate,
        metric=scope.metric,
        of=scope.of,
        slice=scope.slice,
        facet=scope.facet,
        value=known.value,
        low=known.low,
        high=known.high,
        limit=limit_in_words(gate),
        result=result,
        counts_as=counts_as,
        reason=reason,
    )


def _part(report: EvaluationReport, name: str | None) -> Slice | None:
    return next((part for part in report.slices if part.name == name), None)


def _find(report: EvaluationReport, scope: Scope) -> Metric | None:
    if scope.metric.startswith(BIAS) or scope.facet is not None:
        return report.bias.get(scope.facet or "", {}).get(scope.metric.removeprefix(BIAS))
    whole: EvaluationReport | Slice | None = report if scope.slice is None else _part(report, scope.slice)
    if whole is None:
        return None
    return whole.metrics.get(scope.metric) if scope.of is None else whole.per_class.get(scope.metric, {}).get(scope.of)


def _missing(report: EvaluationReport, scope: Scope) -> tuple[GateResult, str]:
    """Why there is no such number, and which ones there are."""
    if scope.metric.startswith(BIAS) or scope.facet is not None:
        if scope.facet not in report.bias:
            facets = _few(list(report.bias)) if report.bias else "none: say bias.facets in the policy"
            named = "facet" if scope.facet is None else f"facet {scope.facet!r}"
            return "fail", f"no {named}; measured are {facets}"
        names = sorted(report.bias[scope.facet])
        meant = _near(scope.metric.removeprefix(BIAS), names)
        return "fail", f"{scope} is not measured{meant}; measured are {_few(names)}"
    whole: EvaluationReport | Slice | None = report if scope.slice is None else _part(report, scope.slice)
    if whole is None:
        return "fail", f"no slice {scope.slice!r}; measured are {_few([part.name for part in report.slices])}"
    if scope.of is not None and scope.of not in report.labels:
        return "fail", f"no class {scope.of!r}{_near(scope.of, report.labels)}; the classes are {_few(report.labels)}"
    measured = sorted(whole.metrics if scope.of is None else whole.per_class)
    return "fail", f"{scope} is not measured{_near(scope.metric, measured)}; measured are {_few(measured)}"


def _result(gate: Gate, scope: Scope, metric: Metric, samples: int) -> tuple[GateResult, str]:
    """Against a limit of its own."""
    if metric.value is None:
        return "fail", f"{scope} has no value: {metric.reason}"
    interval = judged_interval(gate, metric)
    if interval is None:
        return "inconclusive", f"{scope} is {metric.value:.4g}, but has no interval: set `judge: estimate`"
    low, high = interval
    if gate.max_abs is not None:
        low, high = (0.0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))
    floor = -math.inf if gate.min is None else gate.min
    ceiling = min(math.inf if limit is None else limit for limit in (gate.max, gate.max_abs))
    sentence = f"{scope} is {_with_interval(metric, interval)}, must be {limit_in_words(gate)}"
    if low >= floor and high <= ceiling:
        return "pass", sentence
    if high < floor or low > ceiling:
        return "fail", sentence
    return "inconclusive", sentence + f": {samples:,} samples do not decide it"


def _no_champion(report: EvaluationReport, champion: EvaluationReport | None) -> str | None:
    """Why this model is compared with none."""
    compared = report.comparison
    if compared is None:
        return "there is no champion to compare with" if champion is None else None
    if compared.refused is not None and (champion is None or compared.archive_sha256 == report.model.archive_sha256):
        return f"nothing to compare with: {compared.refused}"
    return None


def _difference(report: EvaluationReport, scope: Scope) -> Difference | None:
    """From the champion on the same samples; None where that was not measured."""
    compared = report.comparison
    if compared is None or (scope.slice is not None and scope.of is not None):
        return None
    if scope.slice is not None:
        found = compared.slices.get(scope.slice, {}).get(scope.metric)
    elif scope.of is not None:
        found = compared.per_class.get(scope.metric, {}).get(scope.of)
    else:
        found = compared.metrics.get(scope.metric)
    return None if found is None or found.value is None else found


def _against(
    gate: Gate,
    scope: Scope,
    metric: Metric,
    report: EvaluationReport,
    other: Metric | None,
    no_champion: str | None,
) -> GateOutcome:
    """How much worse than the champion: by the difference on the same samples, else by the two reports."""
    if no_champion is not None:
        return _outcome(gate, scope, metric, "not applicable", no_champion)
    if metric.value is None:
        return _outcome(gate, scope, metric, "fail", f"{scope} has no value: {metric.reason}")
    paired = _difference(report, scope)
    found = paired or _of_two_reports(metric, other)
    if found is None or found.champion is None or found.value is None:
        return _outcome(gate, scope, metric, "not applicable", f"the champion has no value for {scope}")
    if metric.higher_is_better is None:
        neither = f"{scope} is neither better nor worse when it grows: use min, max or max_abs"
        return _outcome(gate, scope, metric, "fail", neither)
    limit = gate.max_worse
    assert limit is not None
    allowed = limit.relative * abs(found.champion) if isinstance(limit, RelativeLimit) else limit
    difference = FromChampion(
        value=found.value,
        low=found.low,
        high=found.high,
        bound=0.0 - allowed if metric.higher_is_better else allowed,
        paired=paired is not None,
    )
    sentence = f"{scope} is {metric.value:.4g}, must be {limit_in_words(gate)}'s {found.champion:.4g}"
    judged = _outcome(gate, scope, metric, *_worse(gate, metric, difference, sentence))
    return judged.model_copy(update={"champion": found.champion, "difference": difference})


def _worse(gate: Gate, metric: Metric, difference: FromChampion, sentence: str) -> tuple[GateResult, str]:
    allowed = -difference.bound if metric.higher_is_better else difference.bound  # below zero: it has to be better
    interval = judged_interval(gate, difference)
    if interval is None:
        return "inconclusive", sentence + "; one of them has no interval: set `judge: estimate`"
    low, high = interval
    if low < high:
        sentence += f" (difference {low:+.4g} to {high:+.4g})"
    least, most = (-high, -low) if metric.higher_is_better else (low, high)
    if most <= allowed + _ROUNDING:
        return "pass", sentence
    if least > allowed + _ROUNDING:
        return "fail", sentence
    return "inconclusive", sentence + ", which does not decide it"


def _of_two_reports(metric: Metric, other: Metric | None) -> Difference | None:
    """The intervals are combined as if of independent samples.

    Both were measured on the same samples, mostly, so this overstates the uncertainty and never decides too early.
    """
    if other is None or metric.value is None or other.value is None:
        return None
    value = metric.value - other.value
    bounds = (metric.low, metric.high, other.low, other.high)
    if None in bounds:
        return Difference(ours=metric.value, champion=other.value, value=value)
    low, high, their_low, their_high = (bound or 0.0 for bound in bounds)
    half = math.hypot((high - low) / 2, (their_high - their_low) / 2)
    return Difference(ours=metric.value, champion=other.value, value=value, low=value - half, high=value + half)


def judged_interval(gate: Gate, metric: Metric | FromChampion) -> tuple[float, float] | None:
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


def _near(name: str, names: Iterable[str]) -> str:
    """The one of these names that was probably meant, where it is another."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {near[0]}?)" if near and near[0] != name else ""


def _few(names: Sequence[str]) -> str:
    return "none" if not names else ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
