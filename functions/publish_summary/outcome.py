"""A run's summary in short, for programs: a pure function of the summary, and never too large to be sent."""

from __future__ import annotations

import json
from typing import TypeVar

from assay.layout import RunFolder
from assay.outcome import GateInShort, Outcome, Problem, Severity
from assay.run import Registration
from assay.summary import Summary
from assay.verdict import GateOutcome
from publish_summary.headline import is_long, shortened
from publish_summary.notice import failing_first

OUTCOME_MAX = 48_000
"""Bytes as a string within JSON. SNS takes 256 KiB for four copies of it, the text for people and the attributes;
EventBridge takes 256 KB for one."""

Item = TypeVar("Item")


def outcome(summary: Summary, bucket: str, registration: Registration | None = None) -> Outcome:
    """As much of the summary as can be sent; what decided it comes first, so that it stays longest."""
    failure = summary.failure
    whole = Outcome(
        run=summary.run,
        model=summary.model,
        task=summary.task,
        verdict=summary.verdict,
        severity=severity(summary, registration),
        headline=shortened(summary.headline),
        failure=None if failure is None else Problem(error=failure.error, message=shortened(failure.message)),
        to_mend=summary.to_mend,
        upload=summary.upload,
        bucket=bucket,
        folder=RunFolder(summary.model, summary.run).prefix,
        champion=summary.champion,
        rows=summary.rows,
        gates=tuple(map(in_short, failing_first(summary.gates))),
        metrics={name: metric.value for name, metric in summary.metrics.items() if metric.value is not None},
        findings=tuple(
            one.model_copy(update={"title": shortened(one.title), "text": shortened(one.text)})
            for one in summary.findings
        ),
        explanation=summary.explanation,
        seconds=None if summary.costs is None else summary.costs.total.seconds,
        usd=None if summary.costs is None else summary.costs.total.usd,
        registration=registration,
        complete=not any(is_long(text) for text in texts(summary)),
    )
    return fitting(whole)


def severity(summary: Summary, registration: Registration | None = None) -> Severity:
    """How much a person has to do about the run."""
    if summary.verdict in ("fail", "error"):
        return "serious"
    calm = (
        summary.verdict != "inconclusive"
        and summary.explanation != "failed"
        and (registration is None or registration.failure is None)
        and all(gate.counts_as != "warn" for gate in summary.gates)
        and all(finding.severity == "info" for finding in summary.findings)
    )
    return "info" if calm else "warning"


def in_short(gate: GateOutcome) -> GateInShort:
    return GateInShort(
        metric=shortened(gate.metric),
        of=None if gate.of is None else shortened(gate.of),
        slice=None if gate.slice is None else shortened(gate.slice),
        facet=None if gate.facet is None else shortened(gate.facet),
        value=gate.value,
        low=gate.low,
        high=gate.high,
        champion=gate.champion,
        difference=gate.difference,
        limit=gate.limit,
        result=gate.result,
        counts_as=gate.counts_as,
    )


def texts(summary: Summary) -> list[str]:
    """What may be cut."""
    failure = [] if summary.failure is None else [summary.failure.message]
    of_gates = [text for gate in summary.gates for text in (gate.metric, gate.of, gate.slice, gate.facet)]
    of_findings = [text for one in summary.findings for text in (one.title, one.text)]
    return [summary.headline, *failure, *(text for text in of_gates if text is not None), *of_findings]


def fitting(whole: Outcome, most: int = OUTCOME_MAX) -> Outcome:
    """With the second half of its lists cut away, again and again, until it can be sent."""
    while sent_size(whole) > most and (whole.gates or whole.metrics or whole.findings):
        whole = whole.model_copy(
            update={
                "gates": half(whole.gates),
                "metrics": dict(half(tuple(whole.metrics.items()))),
                "findings": half(whole.findings),
                "complete": False,
            }
        )
    # a name of a thousand bytes is in each command, and may be six times as long in ASCII
    return whole if sent_size(whole) <= most else whole.model_copy(update={"to_mend": (), "complete": False})


def half(items: tuple[Item, ...]) -> tuple[Item, ...]:
    return items[: len(items) // 2]


def sent_size(one: Outcome) -> int:
    return len(json.dumps(one.as_message()))
