"""`junit.xml`: the verdict as CI systems read test results; each gate is a test case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC
from typing import Literal, NamedTuple
from xml.etree import ElementTree as ET

from assay.summary import Summary
from assay.verdict import GateOutcome
from publish_summary.headline import name_of, one_line
from publish_summary.notice import printable

NAME_MAX = 250
"""Characters of a name."""


class Case(NamedTuple):
    name: str
    ended: Literal["pass", "failure", "error", "skipped"]
    kind: str
    """Of a failure or an error: `fail`, `inconclusive`, `BadModel`."""
    said: str


def junit(summary: Summary) -> str:
    """One suite. What is not green in it stops a build: a gate that failed, or that the data did not decide."""
    cases = list(numbered(cases_of(summary)))
    ended = Counter(case.ended for case in cases)
    counts = {
        "tests": str(len(cases)),
        "failures": str(ended["failure"]),
        "errors": str(ended["error"]),
        "skipped": str(ended["skipped"]),
        "time": f"{0.0 if summary.costs is None else summary.costs.total.seconds:.3f}",
    }
    root = ET.Element("testsuites", {"name": "assay", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": plain(summary.model), **counts, **timestamp(summary)})
    properties = ET.SubElement(suite, "properties")
    upload = summary.upload
    for name, value in (
        ("verdict", summary.verdict),
        ("run", summary.run),
        ("archive", f"s3://{upload.bucket}/{upload.key}"),
        ("version", upload.version),
    ):
        ET.SubElement(properties, "property", {"name": name, "value": plain(value)})
    for case in cases:
        add(suite, case, plain(summary.model))
    ET.SubElement(suite, "system-out").text = "\n".join(said_of_all(summary))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def cases_of(summary: Summary) -> Iterator[Case]:
    if summary.verdict == "error":
        failure = summary.failure
        details = () if failure is None else failure.details
        kind = "error" if failure is None else failure.error
        yield Case("the run", "error", kind, "\n".join((summary.headline, *details, *summary.to_mend)))
    for gate in summary.gates:
        yield Case(f"{name_of(gate)}: {gate.limit}", how_ended(gate), gate.counts_as, gate.reason)
    if summary.verdict == "not judged" and not summary.gates:
        yield Case("gates", "skipped", "", summary.headline)


def how_ended(gate: GateOutcome) -> Literal["pass", "failure", "skipped"]:
    if gate.result == "not applicable":
        return "skipped"
    return "failure" if gate.counts_as in ("fail", "inconclusive") else "pass"


def numbered(cases: Iterator[Case]) -> Iterator[Case]:
    """Names that occur once: of two test cases with the same one some systems show the last only."""
    seen: Counter[str] = Counter()
    for case in cases:
        name = plain(case.name)[:NAME_MAX]
        seen[name] += 1
        yield case._replace(name=name if seen[name] == 1 else f"{name} ({seen[name]})")


def add(suite: ET.Element, case: Case, model: str) -> None:
    element = ET.SubElement(suite, "testcase", {"classname": model, "name": case.name, "time": "0"})
    if case.ended == "pass":
        ET.SubElement(element, "system-out").text = printable(case.said)
        return
    attributes = {"message": plain(case.said)} | ({"type": plain(case.kind)} if case.kind else {})
    # the sentence twice: of a failure some systems show the message only, others the text only
    ET.SubElement(element, case.ended, attributes).text = None if case.ended == "skipped" else printable(case.said)


def said_of_all(summary: Summary) -> Iterator[str]:
    yield plain(f"{summary.verdict.upper()}: {summary.headline}")
    if summary.explanation_failure is not None:
        yield plain(f"the explanation failed: {summary.explanation_failure}")
    for finding in summary.findings:
        yield plain(f"{finding.severity}: {finding.title}: {finding.text}")


def timestamp(summary: Summary) -> dict[str, str]:
    """When the first job began; a run without one has no clock."""
    began = min((job.started_at for job in summary.jobs if job.started_at is not None), default=None)
    return {} if began is None else {"timestamp": began.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")}


def plain(text: str) -> str:
    return one_line(printable(text))
