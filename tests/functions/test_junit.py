"""`junit.xml` as a CI system reads it: what stops a build, what was skipped, and whatever things are called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest

from assay.evaluation import Finding
from assay.failure import Failure
from assay.summary import JobTime, Summary
from assay_aws.prices import NO_PRICES
from publish_summary.costs import costs
from publish_summary.junit import junit

from .test_notice import FAILED, NOT_APPLICABLE, OPEN, PASSED, WARNED, summary
from .test_outcome import HOSTILE


def suite(made: Summary) -> ET.Element:
    root = ET.fromstring(junit(made))
    assert root.tag == "testsuites"
    (found,) = root
    for name in ("tests", "failures", "errors", "skipped"):
        assert root.attrib[name] == found.attrib[name]
    cases = found.findall("testcase")
    assert int(found.attrib["tests"]) == len(cases)
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(found.attrib[name]) == len(found.findall(f"testcase/{tag}"))
    assert len({case.attrib["name"] for case in cases}) == len(cases)
    return found


def test_each_gate_is_a_test_case() -> None:
    found = suite(summary("fail", gates=(PASSED, FAILED, OPEN, WARNED, NOT_APPLICABLE)))
    read = [(case.attrib["name"], [child.tag for child in case]) for case in found.findall("testcase")]
    assert read == [
        ("accuracy: at least 0.9", ["system-out"]),
        ("accuracy: at least 0.9 (2)", ["failure"]),
        ("accuracy: at least 0.9 (3)", ["failure"]),
        ("accuracy: at least 0.9 (4)", ["system-out"]),
        ("accuracy: at least 0.9 (5)", ["skipped"]),
    ]
    failed, undecided = found.findall("testcase/failure")
    assert (failed.attrib, failed.text) == ({"message": FAILED.reason, "type": "fail"}, FAILED.reason)
    assert undecided.attrib["type"] == "inconclusive"
    assert found.findall("testcase/system-out")[1].text == WARNED.reason
    assert found.findall("testcase/skipped")[0].attrib["message"] == NOT_APPLICABLE.reason
    assert {case.attrib["classname"] for case in found.findall("testcase")} == {"digits"}


def test_a_run_without_a_verdict_is_an_error() -> None:
    failure = Failure(error="BadPolicy", message="two problems", details=("a: missing", "b: unknown"))
    (error,) = suite(summary("error", failure=failure, to_mend=("assay init",))).findall("testcase/error")
    assert error.attrib["type"] == "BadPolicy"
    assert error.attrib["message"].startswith("digits could not be judged: two problems")
    assert error.text == "digits could not be judged: two problems\na: missing\nb: unknown\nassay init"


def test_a_policy_without_gates_is_skipped() -> None:
    found = suite(summary("not judged"))
    (skipped,) = found.findall("testcase/skipped")
    assert skipped.attrib["message"].startswith("digits was not judged")


def test_findings_and_a_failed_explanation_are_the_suites_output() -> None:
    finding = Finding(severity="serious", title="Constant", text="the model always\nsays 8")
    made = summary("pass", gates=(PASSED,), findings=(finding,), explanation="failed", explanation_failure="no memory")
    assert (suite(made).findtext("system-out") or "").split("\n") == [
        "PASS: digits passed 1 gate: accuracy 0.95 (at least 0.9)",
        "the explanation failed: no memory",
        "serious: Constant: the model always says 8",
    ]


def test_the_suite_says_when_and_how_long() -> None:
    began = datetime(2026, 11, 12, 9, 20, tzinfo=UTC)
    job = JobTime(
        name="j",
        stage="evaluation",
        status="Completed",
        instance_type="ml.m5.xlarge",
        started_at=began,
        ended_at=began + timedelta(seconds=90),
    )
    made = summary("pass", gates=(PASSED,), jobs=(job,), costs=costs((job,), (), (), "", NO_PRICES))
    assert (suite(made).attrib["timestamp"], suite(made).attrib["time"]) == ("2026-11-12T09:20:00", "90.000")
    assert "timestamp" not in suite(summary("error")).attrib


@pytest.mark.parametrize("name", [*HOSTILE, "]]>&<!--", "\x1b[31m\x08"])
def test_a_hostile_name_stays_text(name: str) -> None:
    gates = (FAILED.model_copy(update={"of": name, "reason": name}), FAILED.model_copy(update={"of": name}))
    finding = Finding(severity="info", title=name, text=name)
    made = summary("fail", name, gates=gates, findings=(finding,))
    text = junit(made)
    found = suite(made)
    assert [child.tag for child in found] == ["properties", "testcase", "testcase", "system-out"]
    assert all(len(case.attrib["name"]) < 260 for case in found.findall("testcase"))
    assert all(c.isprintable() or c == "\n" for c in text)
