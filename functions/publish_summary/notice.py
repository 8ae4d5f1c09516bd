"""The notice that subscribers get: a pure function of the summary. People get a text, programs the outcome as JSON."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import quote

from assay.layout import RunFolder
from assay.outcome import Outcome
from assay.run import Registration
from assay.summary import Change, Costs, Spent, Summary
from assay.verdict import GateOutcome
from publish_summary.headline import briefly, flips_in_words, name_of, number, one_line, shortened

SUBJECT_MAX = 99  # SNS wants fewer than 100 ASCII characters
TEXT_MAX = 16_000  # bytes of what people get; with four times an outcome far below SNS's 256 KiB
ATTRIBUTE_MAX = 256  # characters of an attribute, far below SNS's limit: filters compare whole values
MOST = 5  # lines of each list
CLASSES_TOGETHER = 3  # that passed the same gate, from which on they share a line
APPROVALS = {"Approved": "approved", "PendingManualApproval": "waits for approval", "Rejected": "rejected"}
PROGRAMS = ("sqs", "lambda", "http", "https")
"""The protocols by which programs subscribe."""


@dataclass(frozen=True)
class Notice:
    subject: str
    text: str
    """For people."""
    outcome: str
    """For programs: JSON."""
    attributes: dict[str, str]

    @property
    def message(self) -> str:
        """A body for each protocol, as SNS takes them with the message structure `json`."""
        bodies = {"default": self.text, **dict.fromkeys(PROGRAMS, self.outcome)}
        return json.dumps(bodies, ensure_ascii=False)


def notice(summary: Summary, outcome: Outcome, bucket: str) -> Notice:
    return Notice(
        subject=subject(summary),
        text=text(summary, bucket, outcome.registration),
        outcome=outcome.as_message(),
        attributes=attributes(outcome),
    )


def attributes(outcome: Outcome) -> dict[str, str]:
    """What a subscription's filter policy may ask about. A run without a policy has no task."""
    task = {} if outcome.task is None else {"task": outcome.task}
    return {
        "verdict": outcome.verdict,
        "severity": outcome.severity,
        "model": one_line(printable(outcome.model))[:ATTRIBUTE_MAX] or "-",  # SNS refuses an empty one
        **task,
        "run": outcome.run,
        "schema_version": str(outcome.schema_version),
    }


def text(summary: Summary, bucket: str, registration: Registration | None = None) -> str:
    """What a person reads, the verdict first, where a mail program shows it beside the subject."""
    *told, last = ("\n".join(part) for part in parts(summary, bucket, registration) if part)
    return cut(printable("\n\n".join(told)), TEXT_MAX) + "\n\n" + printable(last) + "\n"


def subject(summary: Summary) -> str:
    """`FAIL: digits: recall of three 0 (at least 0.7)`, in plain ASCII, on one line."""
    text = f"{summary.verdict.upper()}: {ascii_of(summary.model)}: "
    deciding = [gate for gate in summary.gates if gate.counts_as == summary.verdict and gate.result != "not applicable"]
    if deciding and len(text) < SUBJECT_MAX // 2:
        text += ascii_of(briefly(deciding, room=SUBJECT_MAX - len(text)))
    else:
        text = f"{summary.verdict.upper()}: {ascii_of(summary.headline)}"
    return text if len(text) <= SUBJECT_MAX else text[: SUBJECT_MAX - 3].rstrip() + "..."


def ascii_of(text: str) -> str:
    plain = unicodedata.normalize("NFKD", one_line(printable(text)).replace("→", "->"))
    return plain.encode("ascii", "ignore").decode()


def parts(summary: Summary, bucket: str, registration: Registration | None) -> Iterator[list[str]]:
    yield [f"{summary.verdict.upper()}: {shortened(summary.headline)}"]
    if summary.to_mend:
        yield ["To mend it, with the data that it is to be judged on for test-data/", *indented(summary.to_mend)]
    if summary.failure is not None and summary.failure.details:
        yield listed("Details", indented(summary.failure.details))
    if summary.gates:
        yield listed("What decided it", list(gate_lines(failing_first(summary.gates))))
    if beside := list(beside_the_champion(summary)):
        yield listed("Beside the champion", beside)
    if summary.mistakes:
        yield listed("Mistakes", [f"  {mistake.id}: {mistake.reason}" for mistake in summary.mistakes])
    serious = [finding for finding in summary.findings if finding.severity != "info"]
    if serious:
        yield listed("Worth knowing", [f"  {finding.title}: {one_line(finding.text)}" for finding in serious])
    yield facts(summary, registration)
    yield links(summary, bucket)


def indented(lines: Sequence[str]) -> list[str]:
    return [f"  {one_line(line)}" for line in lines]


def listed(title: str, lines: list[str]) -> list[str]:
    more = [f"  and {len(lines) - MOST} more"] if len(lines) > MOST else []
    return [title, *lines[:MOST], *more]


def failing_first(gates: Sequence[GateOutcome]) -> list[GateOutcome]:
    order = ("fail", "inconclusive", "warn", "pass")
    return sorted(gates, key=lambda gate: order.index(gate.counts_as))


def gate_lines(gates: list[GateOutcome]) -> Iterator[str]:
    """A line a gate; of one that each class passed, a line for all of them."""
    for of_one, outcomes in groupby(gates, key=lambda gate: (gate.gate, gate.result, gate.counts_as)):
        together = list(outcomes)
        asked, result, _ = of_one
        values = [gate.value for gate in together if gate.value is not None]
        if (
            asked.class_ != "each"
            or asked.slice is not None
            or result != "pass"
            or len(together) < CLASSES_TOGETHER
            or not values
        ):
            yield from map(gate_line, together)
            continue
        span = f"{number(min(values))} to {number(max(values))}"
        yield f"  [pass] {asked.metric} of {len(together)} classes is {span}, each must be {together[0].limit}"


def gate_line(gate: GateOutcome) -> str:
    if gate.result == "not applicable":
        return f"  [not applicable] {name_of(gate)}, {gate.limit}: {gate.reason}"
    result = gate.result if gate.result == gate.counts_as else f"{gate.result}, counts as {gate.counts_as}"
    return f"  [{result}] {gate.reason}"


def beside_the_champion(summary: Summary) -> Iterator[str]:
    if summary.not_compared is not None:
        yield f"  {one_line(summary.not_compared)}"
    if summary.flips is not None:
        yield f"  {flips_in_words(summary.flips)}"
    yield from map(change_line, summary.changes)


def change_line(change: Change) -> str:
    better = "better" if change.better else "worse"
    sure = ""
    if change.low is not None and change.high is not None:
        chance = ", which may be chance" if change.by_chance else ""
        sure = f" by {change.low:+.4g} to {change.high:+.4g}{chance}"
    return f"  {name_of(change)}: {number(change.champion)} → {number(change.value)}, {better}{sure}"


def facts(summary: Summary, registration: Registration | None) -> list[str]:
    upload = summary.upload
    version = f" (version {upload.version})" if upload.version else ""
    lines = [f"Archive      s3://{upload.bucket}/{upload.key}{version}"]
    if upload.request:
        lines.append(f"Request      {upload.request}")
    if summary.rows is not None:
        lines.append(f"Samples      {summary.rows:,}")
    why = "" if summary.explanation_failure is None else f": {one_line(summary.explanation_failure)}"
    lines.append(f"Explanation  {summary.explanation}{why}")
    if summary.costs is not None:
        lines.append(f"Jobs         {costs_in_words(summary.costs, summary)}")
    if registration is not None:
        lines.append(f"Registered   {registered_in_words(registration)}")
    lines.append(f"Run          {summary.run}")
    return lines


def registered_in_words(registration: Registration) -> str:
    if registration.failure is not None:
        return f"no: {one_line(registration.failure.message)}"
    return f"{APPROVALS[registration.approval]}: {registration.package}"


def costs_in_words(costs: Costs, summary: Summary) -> str:
    """`12 min, $0.046 (evaluation $0.031, explanation $0.015); the champion's run 11 min, $0.042`."""
    stages = (("evaluation", costs.evaluation), ("explanation", costs.explanation))
    each = [f"{stage} {dollars(spent.usd)}" for stage, spent in stages if spent is not None and spent.usd is not None]
    total = spent_in_words(costs.total) + (f" ({', '.join(each)})" if len(each) > 1 else "")
    # nobody who keeps no table of prices is told so in each mail
    is_gap = costs.unpriced and costs.prices_of is not None
    unknown = f"; no price is known of {' and '.join(costs.unpriced)}" if is_gap else ""
    return "; ".join([total, *other_runs(costs, summary)]) + unknown


def other_runs(costs: Costs, summary: Summary) -> list[str]:
    """What the last run and the champion's took, each once."""
    if costs.champion is not None and summary.previous == summary.champion:
        return [f"the last run, which is the champion's, {spent_in_words(costs.champion)}"]
    runs = (("the last run", costs.previous), ("the champion's run", costs.champion))
    return [f"{name} {spent_in_words(spent)}" for name, spent in runs if spent is not None]


def spent_in_words(spent: Spent) -> str:
    return duration(spent.seconds) + ("" if spent.usd is None else f", {dollars(spent.usd)}")


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    minutes = round(seconds / 60)
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def dollars(usd: float | None) -> str:
    """To a tenth of a cent below a dollar; a small sum is never said to be nothing."""
    if usd is None:
        return "-"
    return "below $0.001" if 0 < usd < 0.001 else f"${usd:.3f}" if usd < 1 else f"${usd:,.2f}"


def links(summary: Summary, bucket: str) -> list[str]:
    """Addresses that last: a presigned one would die with the session that signed it."""
    key = RunFolder(summary.model, summary.run).summary_html
    return [
        f"Report       s3://{bucket}/{key}",
        f"             https://console.aws.amazon.com/s3/object/{bucket}?prefix={quote(key, safe='')}",
    ]


def printable(text: str) -> str:
    """Without what would hide or reorder text: control and formatting characters. Line breaks stay."""
    return "".join(c for c in text if c == "\n" or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"})


def cut(text: str, most: int) -> str:
    raw = text.encode()
    if len(raw) <= most:
        return text
    return raw[:most].decode("utf-8", "ignore").rsplit("\n", 1)[0] + "\n(cut: the report has the rest)"
