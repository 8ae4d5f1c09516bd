"""The notice that subscribers get: a pure function of the summary."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import quote

from assay.layout import RunFolder
from assay.summary import Change, Summary
from assay.verdict import GateOutcome
from publish_summary.headline import briefly, flips_in_words, name_of, number, one_line

SUBJECT_MAX = 99  # SNS wants fewer than 100 ASCII characters
MESSAGE_MAX = 200_000  # bytes; SNS allows 256 KiB, attributes included
ATTRIBUTE_MAX = 256  # characters of an attribute, far below SNS's limit: filters compare whole values
MOST = 10  # lines of each list
CLASSES_TOGETHER = 3  # that passed the same gate, from which on they share a line


@dataclass(frozen=True)
class Notice:
    subject: str
    message: str
    attributes: dict[str, str]


def notice(summary: Summary, bucket: str) -> Notice:
    message = "\n\n".join("\n".join(part) for part in parts(summary, bucket) if part) + "\n"
    return Notice(
        subject=subject(summary),
        message=cut(printable(message), MESSAGE_MAX),
        attributes={
            "verdict": summary.verdict,
            "model": printable(summary.model)[:ATTRIBUTE_MAX],
            "run": summary.run,
        },
    )


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


def parts(summary: Summary, bucket: str) -> Iterator[list[str]]:
    yield [f"{summary.verdict.upper()}: {summary.headline}"]
    if summary.failure is not None and summary.failure.details:
        yield listed("Details", [f"  {one_line(line)}" for line in summary.failure.details])
    if summary.gates:
        yield listed("What decided it", list(gate_lines(failing_first(summary.gates))))
    if beside := list(beside_the_champion(summary)):
        yield listed("Beside the champion", beside)
    if summary.mistakes:
        yield listed("Mistakes", [f"  {mistake.id}: {mistake.reason}" for mistake in summary.mistakes])
    serious = [finding for finding in summary.findings if finding.severity != "info"]
    if serious:
        yield listed("Worth knowing", [f"  {finding.title}: {one_line(finding.text)}" for finding in serious])
    yield facts(summary)
    yield links(summary, bucket)


def listed(title: str, lines: list[str]) -> list[str]:
    more = [f"  and {len(lines) - MOST} more"] if len(lines) > MOST else []
    return [title, *lines[:MOST], *more]


def failing_first(gates: tuple[GateOutcome, ...]) -> list[GateOutcome]:
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
    result = gate.result if gate.result == gate.counts_as else f"{gate.result}, counts as {gate.counts_as}"
    return f"  [{'not applicable' if gate.result == 'not applicable' else result}] {gate.reason}"


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


def facts(summary: Summary) -> list[str]:
    upload = summary.upload
    version = f" (version {upload.version})" if upload.version else ""
    lines = [f"Archive      s3://{upload.bucket}/{upload.key}{version}"]
    if upload.request:
        lines.append(f"Request      {upload.request}")
    if summary.rows is not None:
        lines.append(f"Samples      {summary.rows:,}")
    why = "" if summary.explanation_failure is None else f": {one_line(summary.explanation_failure)}"
    lines.append(f"Explanation  {summary.explanation}{why}")
    lines.append(f"Run          {summary.run}")
    return lines


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
    return raw[:most].decode("utf-8", "ignore").rsplit("\n", 1)[0] + "\n(cut: the report has the rest)\n"
