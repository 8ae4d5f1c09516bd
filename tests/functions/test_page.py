import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from assay.evaluation import Flip, Metric, Slice, Speed
from assay.failure import Failure
from assay.layout import RunFolder
from assay.summary import Change, Flips, Importance, JobTime, Mistake, OfChampion, Summary
from assay_aws.run_store import RunStore
from publish_summary import page as page_module
from publish_summary.page import markdown, page

from .conftest import BUCKET, Aws, report
from .test_notice import FAILED, NOT_APPLICABLE, OPEN, PASSED, RUN, WARNED, summary

STORE = RunStore(BUCKET, RunFolder("digits", RUN))
EVIL = "<script>alert(1)</script>{{ 7 * 7 }}\"'=HYPERLINK(0)|\u202e"
VOID = {"meta", "img", "br", "link", "input"}


class WellFormed(HTMLParser):
    """Every element is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def elements(html: str) -> list[str]:
    parser = WellFormed()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser.seen


def part(name: str, n: int = 100, found: str = "declared", **metrics: Any) -> Slice:
    own = {key: metrics.pop(key) for key in ("small", "p_value") if key in metrics}
    return Slice.model_validate({"name": name, "columns": ("c",), "n": n, "found": found, "metrics": metrics, **own})


def full(text: str = "plain", **fields: Any) -> Summary:
    now = datetime(2026, 11, 12, 8, 20, tzinfo=UTC)
    return summary(
        "fail",
        **{
            "gates": (PASSED, FAILED.model_copy(update={"reason": text, "of": text}), OPEN, WARNED, NOT_APPLICABLE),
            "metrics": {
                text: Metric(value=-0.0),
                "auc": Metric(reason=text),
                "big": Metric(value=1e308, low=0, high=1),
            },
            "changes": (
                Change(metric="recall", of=text, value=0.1, champion=0.9, better=False, low=-0.9, high=-0.7),
                Change(metric="f1", slice=text, value=0.8, champion=0.9, better=False, low=-0.3, high=0.1),
            ),
            "champion": "c" * 20,
            "flips": Flips(
                samples=1297,
                mended=3,
                broken=12,
                mcnemar_p=0.035,
                first=(
                    Flip(id=text, row=7, true=text, predicted="8", champion=text),
                    Flip(id="mended", row=9, true="8", predicted="8", champion=text),
                ),
            ),
            "slices": (
                part(text, accuracy=Metric(value=0.5, low=0.4, high=0.6), f1=Metric(reason=text)),
                part("small", n=7, small=True, accuracy=Metric(value=0.1)),
                part("age > 40", found="discovered", p_value=1e-9, accuracy=Metric(value=0.2)),
            ),
            "rows": 1297,
            "findings": ({"severity": "serious", "title": text, "text": text},),
            "explanation": "done",
            "max_additivity_gap": 1e-7,
            "importance": (Importance(label=text, features={text: 0.5, "zero": 0.0}),),
            "mistakes": (
                Mistake(
                    id=text,
                    true=text,
                    predicted=text,
                    reason=text,
                    attributions={text: -1.0},
                    champion=OfChampion(predicted=text, score=0.5, attributions={text: 1.0}),
                ),
            ),
            "jobs": (
                JobTime(
                    name="assay-x-01-evaluation",
                    stage="evaluation",
                    status="Completed",
                    instance_type="ml.m5.xlarge",
                    started_at=now,
                    ended_at=now.replace(minute=22),
                ),
            ),
            **fields,
        },
    )


def test_the_page_has_a_part_for_everything_that_is_known(aws: Aws) -> None:
    html = page(full(), report(per_class={"recall": {"cat": Metric(value=0.5)}}), STORE)
    elements(html)
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert titles == [
        "Gates",
        "Worth knowing",
        "Beside the champion",
        "Mistakes, explained",
        "What the model goes by",
        "Slices",
        "Metrics",
        "By class",
        "This run",
    ]
    for part in ("1e+308", "120 s", "-0.8", "▼ worse", "1,297 samples", "within 1e-07"):
        assert part in html


def test_page_and_markdown_say_what_changed_and_how_sure_that_is(aws: Aws) -> None:
    text = "Female"
    html, plain = page(full(text), report(), STORE), markdown(full(text), BUCKET)
    words = "3 samples mended and 12 broken of 1,297: hardly by chance (McNemar's test, p = 0.035)"
    assert words in html.replace("&#39;", "'")
    assert words in plain
    for said in ("-0.9 to -0.7", "f1 where Female", "may be chance", "p = below 0.001", "too few to stop a model"):
        assert said in html
        assert said in plain
    assert 'href="evaluation/flips.csv"' in html
    assert "runs/digits/" + RUN + "/evaluation/flips.csv" in html
    assert "▲ mended" in html
    assert "▼ broken" in html


def test_a_champion_that_was_not_compared_with_is_said_with_the_reason(aws: Aws) -> None:
    made = full(changes=(), flips=None, not_compared="it is the champion's own archive")
    for said in (page(made, report(), STORE), markdown(made, BUCKET)):
        assert "Beside the champion" in said
        assert "own archive" in said


def test_a_page_of_an_error_says_what_went_wrong(aws: Aws) -> None:
    failed = summary("error", failure={"error": "BadModel", "message": "no model", "details": ["seen: a.txt"]})
    html = page(failed, None, STORE)
    elements(html)
    assert re.findall(r"<h2>(.*?)</h2>", html) == ["What went wrong", "This run"]
    assert "seen: a.txt" in html
    assert "- seen: a.txt" in markdown(failed, BUCKET)


def test_markup_in_names_is_shown_and_not_run(aws: Aws) -> None:
    names = report(labels=(EVIL,), per_class={EVIL: {EVIL: Metric(value=0.5)}})
    html = page(full(EVIL), names, STORE)
    assert "script" not in elements(html)
    assert "&lt;script&gt;alert(1)" in html
    assert "{{ 7 * 7 }}" in html
    assert "\u202e" not in html
    text = markdown(full(EVIL), BUCKET)
    assert "\\<script\\>" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    # metrics; gates; changes, flips and slices
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4, 7, 6}


def test_the_page_needs_nothing_beside_it_and_knows_the_dark(aws: Aws) -> None:
    aws.put(STORE.folder.evaluation + "plots/confusion.svg", "<svg/>")
    drawn = report().model_copy(update={"plots": ("plots/confusion.svg", "plots/gone.svg")})
    html = page(full(), drawn, STORE)
    assert not re.search(r"""src=["'](?!data:)""", html)
    assert "link" not in elements(html)
    # what it leads to lies beside it; the page itself loads nothing
    assert re.findall(r"""href=["'](.*?)["']""", html) == ["evaluation/flips.csv", "summary.json", "junit.xml"]
    assert "data:image/svg+xml;base64,PHN2Zy8+" in html
    assert "prefers-color-scheme: dark" in html


def test_pictures_are_embedded_up_to_a_size_and_the_rest_is_said(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "PICTURES_MAX", 25)
    keys = tuple(f"{STORE.folder.explanation}{n}.jpeg" for n in range(4))
    for key in keys:
        aws.put(key, b"0123456789")
    pictured = Mistake(id="a", true="3", predicted="8", reason="mistake", heat_maps=keys)
    html = page(full(mistakes=(pictured,)), None, STORE)
    assert html.count("data:image/jpeg") == 2
    assert "2 more pictures lie in the run's folder" in " ".join(html.split())


def test_ten_thousand_classes_and_features_give_a_page_that_opens(aws: Aws) -> None:
    names = [f"class {n}" for n in range(10_000)]
    classes = report(labels=tuple(names), per_class={"recall": {name: Metric(value=0.5) for name in names}})
    gates = tuple(FAILED.model_copy(update={"of": name}) for name in names)
    metrics = {name: Metric(value=0.5) for name in names}
    html = page(full(gates=gates, metrics=metrics), classes, STORE)
    elements(html)
    assert len(html) < 1_000_000
    assert "and 9800 more in" in html


def test_a_run_without_a_policy_shows_the_commands_that_mend_it(aws: Aws) -> None:
    failure = Failure(error="NoPolicy", message="no assay.yaml at or above models/birds/")
    commands = ("assay init model.tar.gz photos/ -o 'a b.yaml'", "aws s3 cp assay.yaml s3://b/models/birds/assay.yaml")
    html = page(full().model_copy(update={"failure": failure, "to_mend": commands}), None, STORE)
    assert "What mends it" in html
    assert "aws s3 cp assay.yaml s3://b/models/birds/assay.yaml" in html


def test_twelve_mistakes_are_seen_at_once_and_the_others_are_folded_away(aws: Aws) -> None:
    several = tuple(Mistake(id=f"row {n}", true="a", predicted="b", reason="mistake") for n in range(15))
    html = page(full(mistakes=several), None, STORE)
    seen, folded = html.split("<summary>3 more</summary>")
    assert [n for n in range(15) if f">row {n}<" in seen] == list(range(12))
    assert [n for n in range(15) if f">row {n}<" in folded] == [12, 13, 14]


def test_how_fast_the_model_answered_and_by_which_runtime_is_told(aws: Aws) -> None:
    found = report()
    model = found.model.model_copy(update={"runtime": "ONNX Runtime 1", "runtime_reason": "its scores are <the same>"})
    speed = Speed(per_second=1234.5, unit="images", latency_p50_ms=4.5678, latency_p95_ms=9)
    html = page(full(), found.model_copy(update={"model": model, "speed": speed}), STORE)
    assert "ONNX Runtime 1" in html and "its scores are &lt;the same&gt;" in html
    assert "1,234 images a second; a single one 4.57 ms, of 100 the slowest five 9 ms or more" in html
