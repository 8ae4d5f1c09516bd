"""Names that uploaders give, through everything that people and programs get: shown literally, and never obeyed."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from assay.evaluation import DataFacts, Explainable, ExplainSample, ExplainSamples, Finding, Metric, Slice
from assay.outcome import Outcome
from assay.summary import Summary
from publish_summary.handler import handler, logger
from start_evaluation.handler import start_evaluation
from start_explanation.handler import start_explanation

from .conftest import Aws, Context, Uploaded, land, messages, report
from .test_page import WellFormed

NAMES = {
    "script": "<script>alert(1)</script>",
    "attribute": '"><img src=x onerror=alert(1)>',
    "other quotes": "' onmouseover='alert(1)",
    "right to left": "invoice\u202efdp.exe\u200f\u2066\u2069",
    "long": "x" * 300,
    "emoji": "🧪👩‍👩‍👧‍👦 naïve",
    "lines": "two\nlines\r\n# a heading\n- [x] done",
    "template": "{{ 7 * 7 }}{% raise %}{# gone #}",
    "formula": '=HYPERLINK("http://evil.example")',
    "markdown": "](javascript:alert(1)) | `x` **b** ![i](http://evil.example/x.png)",
    "terminal": "red \x1b[31m\x07\x00 bell",
    "percent": "100% %s %(x)s $(reboot) `id`",
}


class Seen(HTMLParser):
    """The text of a page, and what in it could act."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.acting = "", list[str]()
        self.feed(html)

    def handle_data(self, data: str) -> None:
        if self.get_starttag_text() not in ("<script>", "<style>"):
            self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            address = name in ("src", "href") and not re.match(r"data:image/|https://\S+\Z|#|[\w./%-]+\Z", value or "")
            if name.startswith("on") or name in ("style", "srcdoc", "action") or address:
                self.acting.append(f"{tag} {name}={value}")


def visible(name: str) -> str:
    """What is left to see of a name: on one line, without what hides or reorders text; its beginning."""
    return "".join(c for c in " ".join(name.split()) if unicodedata.category(c)[0] != "C")[:60]


def folder_name(name: str) -> str:
    """As much of a name as a model's folder takes: a key is at most 1,024 bytes of what XML can carry."""
    return "".join(c for c in name if c >= " " or c in "\n\r").replace("/", "_").encode()[:200].decode(errors="ignore")


def finished(aws: Aws, name: str) -> Uploaded:
    """A run in which everything has this name: model, class, columns, rows, slice, facet."""
    policy = {
        "task": "tabular_classification",
        "data": {"source": "test.csv", "label": "income"},
        "gates": [{"metric": "recall", "class": name, "min": 0.99}],
    }
    uploaded = land(aws, policy=json.dumps(policy, ensure_ascii=False), key=f"models/{folder_name(name)}/model.tar.gz")
    start_evaluation(uploaded.event)
    explain = Explainable(
        kind="rows",
        samples=1,
        headers=(name, "hours", "income", "assay_id"),
        label="income",
        label_headers=(name, "high"),
    )
    half = Metric(value=0.5, low=0.4, high=0.6, n=10, higher_is_better=True)
    evaluated = report(
        explain=explain,
        task="tabular_classification",
        labels=(name, "high"),
        metrics={"accuracy": half, name: Metric(reason=name)},
        per_class={"recall": {name: half}},
        slices=(Slice(name=name, columns=(name,), found="declared", n=10, metrics={"accuracy": half}),),
        bias={name: {"DPL": half}},
        data=DataFacts(rows=10, unreadable=1, unreadable_names=(f"{name}: cut short",), sha256="da"),
        findings=(Finding(severity="warning", title=name, text=name),),
    )
    sample = ExplainSample(
        id=name, row=0, sample=("representative", "chosen"), reason=f"mistake: {name}", true="high", predicted=name
    )
    aws.put(uploaded.folder.report, evaluated.to_json())
    aws.put(uploaded.folder.samples, ExplainSamples(samples=(sample,)).to_json())
    aws.sagemaker.end(uploaded.job("evaluation"))
    start_explanation(uploaded.changed("evaluation"))
    pdp = {"feature_name": name, "feature_values": [name], "model_predictions": [[0.5]], "label_headers": [name]}
    attributions = {"exact": False, "explained": 1, "left_out": 1, "left_out_rows": [name]}
    attributions |= {"half_width": 0.1, "rank_correlations": {name: 0.5}}
    analysis = {"explanations": {"pdp": [pdp]}, "assay": {"samples": 1, "attributions": attributions}}
    aws.put(uploaded.folder.analysis, json.dumps(analysis))
    table = io.StringIO()
    header = [f"{feature}_{label}" for label in explain.label_headers for feature in explain.headers[:2]]
    csv.writer(table).writerows([[*header, "assay_id"], [1, -2, 3, -4, name]])
    aws.put(uploaded.folder.explanation + "explanations_shap/out.csv", table.getvalue())
    aws.sagemaker.end(uploaded.job("explanation"))
    return uploaded


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the step logs."""
    stream = logger.registered_handler
    assert isinstance(stream, logging.StreamHandler)
    before, written = stream.stream, io.StringIO()
    stream.setStream(written)
    yield written
    stream.setStream(before)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_is_shown_and_never_obeyed(aws: Aws, log: io.StringIO, name: str) -> None:
    uploaded = finished(aws, name)
    handler(messages(json.dumps(uploaded.due)), Context())
    (event,), (sent,) = aws.finished(), aws.notices()
    found = Summary.model_validate_json(aws.get(uploaded.folder.summary_json))
    assert (found.verdict, found.explanation, found.explanation_failure) == ("fail", "done", None)
    assert found.mistakes[0].id == name  # for programs names stay as they are

    html = aws.get(uploaded.folder.summary_html)
    parser = WellFormed()
    parser.feed(html)
    seen = Seen(html)
    assert (parser.open, parser.seen.count("script"), seen.acting) == ([], 1, [])
    assert seen.text.count(visible(name)) >= 15
    check_is_plain(html)
    check_markdown(aws.get(uploaded.folder.summary_md))
    suite = ET.fromstring(aws.get(uploaded.folder.junit_xml))
    assert [case.get("name", "").startswith(f"recall of {visible(name)}") for case in suite.iter("testcase")] == [True]

    check_notice(sent, Outcome.model_validate(event["detail"]))
    (mail,) = aws.mails()
    check_is_plain(mail)
    assert visible(folder_name(name)) in mail

    lines = [
        json.loads(line) for line in log.getvalue().splitlines()
    ]  # each line is one record, whatever the names hold
    (ended,) = [line for line in lines if line.get("message") == "run ended"]
    assert ended["model"] == folder_name(name)


def check_is_plain(text: str) -> None:
    """Nothing in it hides or reorders what is around it, or speaks to a terminal."""
    assert {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn")} <= {"\n"}


def check_markdown(text: str) -> None:
    check_is_plain(text)
    ours = {"## " + title for title in ("Gates", "Worth knowing", "Mistakes", "Metrics", "Slices", "Bias", "This run")}
    ours |= {"## What the model goes by", "## How sure the explanations are"}
    first, *headings = [line for line in text.splitlines() if line.startswith("#")]
    assert first.startswith("# FAIL: ") and set(headings) == ours
    console = r"\[(job|log)\]\(https://us-east-1\.console\.aws\.amazon\.com/[^()\s]+\)"
    unescaped = re.sub(r"\\.", "", re.sub(console, "", text))
    assert not re.search(r"[<`]|\]\(|!\[|\{\{\s*\d", unescaped.replace("{{ 7", ""))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1


def check_notice(sent: dict[str, Any], outcome: Outcome) -> None:
    subject = sent["Subject"]
    assert subject.isascii() and subject.isprintable() and len(subject) < 100
    assert Outcome.model_validate_json(sent["Message"]) == outcome
    values = [attribute["Value"] for attribute in sent["MessageAttributes"].values()]
    assert all(value and value.isprintable() and len(value) <= 256 for value in values)
