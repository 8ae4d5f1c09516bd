"""`assay compare`: two runs side by side."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.text import Text

from assay.base import Record
from assay.evaluation import EvaluationReport, Metric
from assay.layout import RunFolder
from assay.summary import Flips, Spent, Summary
from assay.verdict import Counted, GateOutcome, GateResult, Scope, Verdict
from assay_local import application
from assay_local.console import VERDICT_STYLES, Column, Console
from assay_local.place import Place, record_in
from assay_local.problem import Problem
from assay_local.runs import Runs, decided
from assay_local.runs_table import moment, printed

WORSE = 1
"""The exit code."""
MOST_GATES = 40
MOST_METRICS = 40
VERDICTS: tuple[Verdict, ...] = ("pass", "not judged", "inconclusive", "fail", "error")
"""The best first."""
COUNTED: tuple[Counted, ...] = ("pass", "warn", "inconclusive", "fail")


class Side(Record):
    run: str
    model: str
    uploaded_at: datetime | None
    verdict: Verdict
    decided: str
    rows: int | None
    data_sha256: str | None
    seconds: float | None
    usd: float | None


class MetricPair(Record):
    metric: str
    a: Metric | None
    b: Metric | None
    difference: float | None
    """`b - a`."""
    better: bool | None
    """None: the same, or neither is better."""
    overlap: bool | None
    """Whether their intervals do, so that it may be chance; None: one has none."""


class GatePair(Record):
    gate: str
    """What it is about: `recall of dog`."""
    limit: str
    """B's."""
    a: GateResult | None
    """None: A had no such gate."""
    b: GateResult
    a_value: float | None
    b_value: float | None
    worse: bool


class Compared(Record):
    a: Side
    b: Side
    same_data: bool | None
    """By the digest of all that was read; None: one of them left none."""
    worse: bool
    """Whether B's verdict, or a gate of it, is worse than A's."""
    gates: tuple[GatePair, ...]
    """B's; those that changed first."""
    metrics: tuple[MetricPair, ...]
    flips: Flips | None
    """Sample by sample, where A was the champion that B was held against."""


def compare(place: Place, one: str, other: str, console: Console, *, as_json: bool = False) -> int:
    """Say how B differs from A; Problem when one is not there, or has not ended."""
    runs = Runs(place)
    (a, a_data), (b, b_data) = (ended(runs, runs.find(text)) for text in (one, other))
    if a.run == b.run:
        raise Problem(f"{one} and {other} are one run, {a.run}: there is nothing to compare")
    compared = comparison(a, a_data, b, b_data)
    if as_json:
        print(compared.to_json(), end="")
    else:
        tell(compared, console)
    return WORSE if compared.worse else 0


def ended(runs: Runs, folder: RunFolder) -> tuple[Summary, str | None]:
    """A run's summary, and the digest of its data."""
    summary = runs.summary(folder)
    if summary is None:
        raise Problem(f"run {folder.run} of {folder.model} has no summary yet: {runs.stage(folder)}")
    report = record_in(runs.place.read, folder.report, EvaluationReport, runs.place.address(folder.report))
    return summary, None if report is None else report.data.sha256


def comparison(a: Summary, a_data: str | None, b: Summary, b_data: str | None) -> Compared:
    gates = sorted(gate_pairs(a, b), key=lambda pair: (not pair.worse, pair.a == pair.b))
    return Compared(
        a=side(a, a_data),
        b=side(b, b_data),
        same_data=None if a_data is None or b_data is None else a_data == b_data,
        worse=VERDICTS.index(b.verdict) > VERDICTS.index(a.verdict) or any(pair.worse for pair in gates),
        gates=tuple(gates),
        metrics=tuple(metric_pairs(a.metrics, b.metrics)),
        flips=b.flips if b.champion == a.run else None,
    )


def side(summary: Summary, data_sha256: str | None) -> Side:
    return Side(
        run=summary.run,
        model=summary.model,
        uploaded_at=summary.uploaded_at,
        verdict=summary.verdict,
        decided=decided(summary),
        rows=summary.rows,
        data_sha256=data_sha256,
        seconds=None if summary.costs is None else summary.costs.total.seconds,
        usd=None if summary.costs is None else summary.costs.total.usd,
    )


def gate_pairs(a: Summary, b: Summary) -> Iterator[GatePair]:
    """Each gate of B beside A's on the same number and of the same kind; the limit may have moved."""
    before = {same_gate(gate): gate for gate in a.gates}
    for gate in b.gates:
        old = before.get(same_gate(gate))
        yield GatePair(
            gate=str(Scope(gate.metric, gate.of, gate.slice, gate.facet)),
            limit=gate.limit,
            a=None if old is None else old.result,
            b=gate.result,
            a_value=None if old is None else old.value,
            b_value=gate.value,
            worse=old is not None and COUNTED.index(gate.counts_as) > COUNTED.index(old.counts_as),
        )


def same_gate(outcome: GateOutcome) -> tuple[object, ...]:
    limits = (outcome.gate.min, outcome.gate.max, outcome.gate.max_abs, outcome.gate.max_worse)
    kind = tuple(limit is not None for limit in limits)
    return (outcome.metric, outcome.of, outcome.slice, outcome.facet, kind)


def metric_pairs(a: dict[str, Metric], b: dict[str, Metric]) -> Iterator[MetricPair]:
    for name in dict.fromkeys([*a, *b]):
        one, other = a.get(name), b.get(name)
        first, second = (None if metric is None else metric.value for metric in (one, other))
        difference = None if first is None or second is None else second - first
        higher = next((metric.higher_is_better for metric in (one, other) if metric is not None), None)
        yield MetricPair(
            metric=name,
            a=one,
            b=other,
            difference=difference,
            better=None if not difference or higher is None else (difference > 0) == higher,
            overlap=overlap(one, other),
        )


def overlap(one: Metric | None, other: Metric | None) -> bool | None:
    if one is None or other is None:
        return None
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return None
    return one.low <= other.high and other.low <= one.high


def tell(compared: Compared, console: Console) -> None:
    application.make_importable("functions")
    from publish_summary.headline import flips_in_words, number

    tell_sides(compared, console)
    if compared.flips is not None:
        console.prose(f"\n{flips_in_words(compared.flips)}")
    if compared.gates:
        console.say("\nGates", "bold")
        console.table(
            [Column("  gate", gives=True), Column("A"), Column("B"), Column("asked of B", gives=True)],
            [
                [
                    f"  {printed(pair.gate)}",
                    Text.assemble(f"{number(pair.a_value)} ", result(pair.a)),
                    Text.assemble(f"{number(pair.b_value)} ", result(pair.b)),
                    pair.limit,
                ]
                for pair in compared.gates[:MOST_GATES]
            ],
        )
        more(len(compared.gates) - MOST_GATES, console)
    if compared.metrics:
        console.say("\nMetrics", "bold")
        console.table(
            [Column("  metric", gives=True), Column("A"), Column("B"), Column("B - A"), Column("")],
            [
                [
                    f"  {printed(pair.metric)}",
                    number(None if pair.a is None else pair.a.value),
                    number(None if pair.b is None else pair.b.value),
                    "-" if pair.difference is None else f"{pair.difference:+.4g}",
                    in_words(pair),
                ]
                for pair in compared.metrics[:MOST_METRICS]
            ],
        )
        more(len(compared.metrics) - MOST_METRICS, console)


def more(left_out: int, console: Console) -> None:
    if left_out > 0:
        console.say(f"  and {left_out} more: --json has them", "dim")


def tell_sides(compared: Compared, console: Console) -> None:
    application.make_importable("functions")
    from publish_summary.notice import spent_in_words

    console.table(
        [Column(""), Column("run"), Column("model", gives=True), Column("uploaded"), Column("verdict"), Column("took")],
        [
            [
                name,
                one.run,
                printed(one.model),
                "" if one.uploaded_at is None else moment(one.uploaded_at, in_full=console.width is None),
                Text(one.verdict, style=VERDICT_STYLES[one.verdict]),
                "" if one.seconds is None else spent_in_words(Spent(seconds=one.seconds, usd=one.usd)),
            ]
            for name, one in (("A", compared.a), ("B", compared.b))
        ],
    )
    rows = [f"{one.rows:,}" if one.rows is not None else "no" for one in (compared.a, compared.b)]
    if compared.same_data:
        console.say(f"\nBoth saw the same data: {rows[0]} samples.")
    elif compared.same_data is None:
        console.say("\nWhether they saw the same data is not known: one of them left no report.", "yellow")
    else:
        text = f"They saw other data: A {rows[0]} samples, B {rows[1]}. What differs may be the data's."
        console.say(f"\n{text}", "yellow")


def result(of: GateResult | None) -> tuple[str, str]:
    return (of or "not asked", VERDICT_STYLES.get(of or "", "dim"))


def in_words(pair: MetricPair) -> Text:
    if pair.better is None:
        return Text("")
    chance = ", may be chance" if pair.overlap else ""
    style = "" if pair.overlap else "green" if pair.better else "red"
    return Text(("better" if pair.better else "worse") + chance, style=style)
