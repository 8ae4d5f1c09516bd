import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from assay.drift import Drift
from assay.evaluation import DataFacts, Flip, Metric, Slice, Speed, Tensor
from assay.failure import Failure
from assay.layout import RunFolder
from assay.summary import (
    Certainty,
    Change,
    FaithfulnessAreas,
    Flips,
    Importance,
    JobTime,
    Mistake,
    OfChampion,
    PartialDependence,
    Summary,
)
from assay.verdict import FromChampion
from assay_aws.run_store import RunStore
from publish_summary import pictures
from publish_summary.page import cell, digest, inline, markdown, page

from .conftest import BUCKET, IMAGES, Aws, report
from .test_notice import FAILED, NOT_APPLICABLE, OPEN, PASSED, RUN, WARNED, summary

FOLDER_PAGE = f"https://console.aws.amazon.com/s3/buckets/{BUCKET}?prefix=runs%2Fdigits%2F{RUN}%2F"
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
    html = page(full(), report(per_class={"recall": {"cat": Metric(value=0.5, low=0.41, high=0.59)}}), STORE)
    elements(html)
    assert "0.41 to 0.59" in html
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert titles == [
        "Gates",
        "Worth knowing",
        "Beside the champion",
        "Mistakes, explained",
        "What the model goes by",
        "Metrics",
        "By class",
        "Slices",
        "This run",
    ]
    assert ">-0<" not in html  # zero means zero
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
    assert elements(html).count("script") == 1  # our own, at the end
    assert "&lt;script&gt;alert(1)" in html
    assert "{{ 7 * 7 }}" in html
    assert "\u202e" not in html
    text = markdown(full(EVIL), BUCKET)
    assert "\\<script\\>" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    # tables of importance, then metrics, then gates, then all others
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3, 4, 7, 6}


def test_the_page_needs_nothing_beside_it_and_knows_the_dark(aws: Aws) -> None:
    aws.put(STORE.folder.evaluation + "plots/confusion.svg", "<svg/>")
    drawn = report().model_copy(update={"plots": ("plots/confusion.svg", "plots/gone.svg")})
    html = page(full(), drawn, STORE)
    assert not re.search(r"""src=["'](?!data:)""", html)
    assert "link" not in elements(html)
    # what it leads to lies beside it, or is a part of it; the page itself loads nothing
    leads_to = {address for address in re.findall(r"""href=["'](.*?)["']""", html) if not address.startswith("#")}
    assert leads_to == {
        *(
            "evaluation/flips.csv",
            "evaluation/report.json",
            "evaluation/plots/confusion.svg",
            "explanation/report.html",
        ),
        *("summary.json", "summary.md", "junit.xml", FOLDER_PAGE, FOLDER_PAGE + "evaluation%2F"),
    }
    assert "data:image/svg+xml;base64,PHN2Zy8+" in html
    assert "prefers-color-scheme: dark" in html


def test_nothing_runs_in_the_page_but_our_style_and_our_script(aws: Aws) -> None:
    html = page(full(EVIL), report(), STORE)
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="(.*?)">', html)
    directives = dict(part.strip().split(" ", 1) for part in policy.replace("&#39;", "'").split(";"))
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert directives == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": digest(style),
        "script-src": digest(script),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert (style, script) == (inline("summary.css"), inline("summary.js"))
    assert not re.search(r"""<[^>]*\s(style|on\w+)=""", html.replace(style, "").replace(script, ""))


def heat_maps(aws: Aws, number: int) -> tuple[str, ...]:
    """Full pictures of 10 bytes, and thumbnails of 4."""
    keys = tuple(f"{STORE.folder.explanation}explanations_shap/{n}.jpeg" for n in range(number))
    for n, key in enumerate(keys):
        aws.put(key, b"full pixel")
        aws.put(f"{STORE.folder.explanation}assay/thumbnails/{n}.webp", b"tiny")
    return keys


def test_the_first_pictures_are_whole_the_others_thumbnails_and_the_rest_is_said(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "SHARP", 2)
    monkeypatch.setattr(pictures, "ROOM", 10 + 10 + 4 + 4 + 3)
    pictured = Mistake(id="a", true="3", predicted="8", reason="mistake", heat_maps=heat_maps(aws, 6))
    html = page(full(mistakes=(pictured,)), None, STORE)
    assert html.count("data:image/jpeg;base64,ZnVsbCBwaXhlbA==") == 2
    assert html.count("data:image/webp;base64,dGlueQ==") == 2
    assert "2 more pictures lie in the run's folder" in " ".join(html.split())
    # whether the page carries it or not, each leads to the whole picture beside it
    linked = re.findall(r'href="(explanation/explanations_shap/\d.jpeg)"', html)
    assert linked == [f"explanation/explanations_shap/{n}.jpeg" for n in range(6)]


def test_why_mistakes_are_not_explained_stands_with_them(aws: Aws) -> None:
    html = page(full(explanation="failed", explanation_failure="out of <memory>"), report(), STORE)
    mistakes = html.split('<section id="mistakes">')[1].split("</section>")[0]
    assert "not explained" in mistakes and "out of &lt;memory&gt;" in mistakes
    assert "<h2>Mistakes</h2>" in html


def test_what_is_left_out_is_said_too_when_all_mistakes_are_new(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "ROOM", 5)
    broken = Mistake(id="a", true="3", predicted="8", reason="mistake", heat_maps=heat_maps(aws, 2), broken=True)
    html = page(full(mistakes=(broken,)), report(explain=IMAGES), STORE)
    assert html.count("2 more pictures lie in the run") == 1
    assert html.count("what spoke for the class in its title") == 1


def test_of_an_engine_that_writes_no_thumbnails_whole_pictures_are_shown(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "SHARP", 0)
    key = STORE.folder.explanation + "explanations_shap/a.jpeg"
    aws.put(key, b"full pixel")
    pictured = Mistake(id="a", true="3", predicted="8", reason="mistake", heat_maps=(key, key.replace("a.", "gone.")))
    html = page(full(mistakes=(pictured,)), None, STORE)
    assert html.count("data:image/jpeg") == 1
    assert "gone.jpeg" not in html


def test_what_was_broken_stands_with_the_champion_and_its_explanation_beside(aws: Aws) -> None:
    said = OfChampion(predicted="three", score=0.93, attributions={"hours": 0.25})
    broken = Mistake(id="row 7", true="three", predicted="eight", reason="mistake", broken=True, champion=said)
    other = Mistake(id="row 9", true="one", predicted="two", reason="mistake")
    html = " ".join(page(full(mistakes=(broken, other)), report(), STORE).split())
    beside, others = html.split('<section id="mistakes">')
    assert "What was broken, explained" in beside and "Other mistakes, explained" in others
    assert "The champion said <b>three</b> with 0.93" in beside and "+0.25" in beside
    assert ">row 7<" in beside and ">row 9<" in others and ">row 7<" not in others


def test_partial_dependence_is_drawn_of_numbers_and_listed_of_categories(aws: Aws) -> None:
    curve = {"curves": [{"label": "high", "scores": [0.1, 0.5, 1e308]}], "shares": [0.5, 0.25, 0.25]}
    drawn = (
        PartialDependence.model_validate({"feature": "age", "values": [20, 30.5, 80], **curve}),
        PartialDependence.model_validate({"feature": "town", "values": ["", "Ulm", "Bonn"], **curve}),
        PartialDependence(feature="job", error="one value only"),
    )
    html = " ".join(page(full(dependence=drawn), report(), STORE).split())
    elements(html)
    assert 'd="M4.0 112.0L' in html and "316.0 8.0" in html
    for said in ("(empty)", "Ulm", "25 %", "1e+308", "one value only"):
        assert said in html


def test_drift_from_the_champions_reasons_is_told_with_what_turned_round(aws: Aws) -> None:
    measured = {"value": 0.4, "low": 0.3, "high": 0.5}
    one = {"rank_correlation": measured, "top_overlap": {"value": 0.25}, "moved": {"reason": "no importance at all"}}
    turned = [{"feature": "age", "value": 0.5, "champion": -0.25}]
    drift = Drift.model_validate(
        {
            "rows": 200,
            "features": 13,
            "top": 6,
            "only_here": ["shoe size"],
            "outputs": [{**one, "sign_changes": turned}, {**one, "label": "high"}],
        }
    )
    html = " ".join(page(full(drift=drift), report(), STORE).split())
    for said in ("all together", "Top 6 in common", 'age <span class="soft">-0.25 → +0.5', "no importance at all"):
        assert said in html
    assert "The champion does not have shoe size." in html
    assert "rank correlation 0.4, 0.25 of the top 6 in common" in markdown(full(drift=drift), BUCKET)
    refused = page(full(drift=Drift(reason="both were explained on 3 rows")), report(), STORE)
    assert "both were explained on 3 rows" in refused


def test_how_sure_the_explanations_are_is_said_on_page_and_in_markdown(aws: Aws) -> None:
    sure = Certainty(
        explained=40,
        failed=1,
        model_calls=1234,
        exact=False,
        half_width=0.012,
        rank_correlations={"a": 0.98, "b": 0.91},
        left_out=22,
        left_out_rows=("row 3", "row 5"),
        faithfulness=FaithfulnessAreas(explained=12, deletion=0.1, insertion=0.8, random=0.4),
    )
    made = full(certainty=sure, max_additivity_gap=1e-7)
    html = " ".join(page(made, report(), STORE).replace("&#39;", "'").split())
    for said in (
        "within 1e-07",
        "± 0.012",
        "a correlation of 0.91, the least of 2 outputs (b)",
        "an area of 0.8 under the score's curve, an order by chance 0.4; taken away first it leaves 0.1",
        "22 rows that the time budget was too short for: row 3, row 5 and 20 more",
        "1 samples that could not be read",
        "40 explained, the model asked about 1,234",
    ):
        assert said in html
        assert cell(said) in markdown(made, BUCKET)


def test_facts_of_model_and_data_are_told(aws: Aws) -> None:
    tensor = Tensor(name="pixels", shape=(None, 8, 8), dtype="float32")
    facts = report().model.model_copy(update={"archive_sha256": "abc123", "inputs": (tensor,)})
    data = DataFacts(rows=100, unreadable=22, unreadable_names=("a.png: cut short",), sha256="def456")
    html = page(full(model_facts=facts, data=data), report(), STORE)
    for said in (
        "abc123",
        "def456",
        "float32 ? × 8 × 8",
        "22 that could not be read",
        "a.png: cut short",
        "and 21 more",
    ):
        assert said in html


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
    html = page(full(model_facts=model, data=found.data, speed=speed), found, STORE)
    assert "ONNX Runtime 1" in html and "its scores are &lt;the same&gt;" in html
    assert "1,234 images a second; a single one 4.57 ms, of 100 the slowest five 9 ms or more" in html


def test_each_job_leads_to_its_console_page_its_log_and_its_folder(aws: Aws) -> None:
    job = full().jobs[0]
    real = job.model_copy(update={"arn": f"arn:aws:sagemaker:eu-west-1:111122223333:processing-job/{job.name}"})
    html = page(full(jobs=(real,)), report(), STORE).replace("&amp;", "&")
    console = "https://eu-west-1.console.aws.amazon.com"
    streams = "$252Faws$252Fsagemaker$252FProcessingJobs$3FlogStreamNameFilter$3D"
    for address in (
        f"{console}/sagemaker/home?region=eu-west-1#/processing-jobs/{job.name}",
        f"{console}/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/{streams}{job.name}$252F",
        f"{console}/s3/buckets/{BUCKET}?region=eu-west-1&prefix=runs%2Fdigits%2F{RUN}%2Fevaluation%2F",
    ):
        assert f'href="{address}"' in html
    assert f"s3://{BUCKET}/runs/digits/{RUN}/evaluation/" in html
    # an AWS on a laptop has no console
    local = job.model_copy(update={"arn": f"arn:aws:sagemaker:us-east-1:123456789012:processing-job/{job.name}"})
    assert "console.aws" not in page(full(jobs=(local,)), report(), STORE)


def test_a_gate_beside_the_champion_shows_the_difference_and_draws_it() -> None:
    apart = FromChampion(value=-0.02, low=-0.05, high=0.01, bound=-0.03, paired=True)
    limit = {"min": None, "max": None, "max_abs": None, "max_worse": 0.03}
    gate = OPEN.model_copy(update={"gate": OPEN.gate.model_copy(update=limit), "difference": apart, "champion": 0.9})
    made = summary("inconclusive", gates=(gate,))
    html = page(made, report(), STORE)
    elements(html)
    assert "difference -0.05 to +0.01" in html
    assert html.count('class="champion" d="M') == 2  # the row's and the key's
    assert "the difference from it" in html
    assert "(difference -0.05 to +0.01)" in markdown(made, BUCKET)
    without = page(summary("fail", gates=(FAILED,)), report(), STORE)
    assert "difference" not in without[without.index('<section id="gates">') : without.index('<section id="run">')]
