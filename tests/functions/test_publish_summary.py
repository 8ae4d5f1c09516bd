import json
from datetime import UTC, date, datetime
from typing import Any

import boto3
import pytest

from assay.errors import BadModel
from assay.evaluation import Comparison, Difference, Explainable, ExplainSamples, Flip, Metric, Slice
from assay.layout import active_key, champion_key, last_run_key
from assay.outcome import Outcome
from assay.run import ActiveRun, LastRun
from assay.summary import Spent, Summary
from assay_aws.event_bus import NotPut
from assay_aws.prices import Prices
from assay_aws.run_store import RunStore
from publish_summary.handler import handler, publish_summary
from start_evaluation.handler import start_evaluation
from start_explanation.handler import start_explanation

from .conftest import (
    BUCKET,
    IMAGES,
    KEY,
    POLICY,
    ROWS,
    SAMPLES,
    Aws,
    Context,
    Uploaded,
    Wire,
    champion,
    land,
    lost_answer,
    messages,
    refused_with,
    report,
)

ROWS_POLICY = "{task: tabular_classification, data: {source: test.csv, label: income}}"
OUT_CSV = """age_low,hours_low,age_high,hours_high,assay_id
1,-2,-1,2,a
3,-4,-3,4,b
100,100,-100,-100,c
"""
ANALYSIS = {
    "version": "1.0",
    "explanations": {},
    "assay": {
        "engine": "assay",
        "max_additivity_gap": 1e-9,
        "images": [{"image": "b.png", "heat_maps": {"high": "shap_b_high.jpeg", "low": "shap_b_low.jpeg"}}],
    },
}


def evaluated(aws: Aws, explain: Explainable | None = None, *, policy: str = POLICY, **fields: Any) -> Uploaded:
    """A run whose evaluation is complete and was seen."""
    uploaded = land(aws, policy=policy)
    start_evaluation(uploaded.event)
    aws.put(uploaded.folder.report, report(explain=explain, **fields).to_json())
    aws.put(uploaded.folder.samples, SAMPLES.to_json())
    aws.sagemaker.end(uploaded.job("evaluation"))
    start_explanation(uploaded.changed("evaluation"))
    aws.queued("publish-summary")
    return uploaded


def explained(aws: Aws, explain: Explainable = ROWS, **options: Any) -> Uploaded:
    """A run that has all its results."""
    uploaded = evaluated(aws, explain, **options)
    aws.put(uploaded.folder.analysis, json.dumps(ANALYSIS))
    if explain.kind == "rows":
        aws.put(uploaded.folder.explanation + "explanations_shap/out.csv", OUT_CSV)
    aws.sagemaker.end(uploaded.job("explanation"))
    return uploaded


def summary(aws: Aws, uploaded: Uploaded) -> Summary:
    return Summary.model_validate_json(aws.get(uploaded.folder.summary_json))


def test_a_run_that_passed_is_summed_up_announced_and_crowned(aws: Aws) -> None:
    uploaded = explained(aws)
    publish_summary(uploaded.changed("explanation"))
    found = summary(aws, uploaded)
    assert (found.verdict, found.explanation, found.rows) == ("pass", "done", 100)
    assert [job.stage for job in found.jobs] == ["evaluation", "explanation"]
    (notice,) = aws.notices()
    attributes = {name: value["Value"] for name, value in notice["MessageAttributes"].items()}
    assert attributes == {
        "verdict": "pass",
        "severity": "info",
        "model": "digits",
        "task": "image_classification",
        "run": uploaded.folder.run,
        "schema_version": "1",
    }
    assert aws.mails()[0].startswith("PASS: digits passed 1 gate: accuracy 0.9 (at least 0.8)\n")
    (event,) = aws.finished()
    assert event["detail"] == json.loads(notice["Message"])
    assert Outcome.model_validate(event["detail"]).folder == uploaded.folder.prefix
    assert notice["Subject"] == "PASS: digits: accuracy 0.9 (at least 0.8)"
    crowned = aws.champion()
    assert (crowned.run, crowned.version) == (uploaded.folder.run, uploaded.version)
    assert aws.keys("active/") == []
    assert aws.state(uploaded.folder).progress == "ended"
    assert "<!doctype html>" in aws.get(uploaded.folder.summary_html)
    assert "# PASS: digits" in aws.get(uploaded.folder.summary_md)


def test_what_comes_again_announces_nothing_again(aws: Aws) -> None:
    uploaded = explained(aws)
    active = aws.get(f"active/{uploaded.folder.run}")
    publish_summary(uploaded.changed("explanation"))
    before = aws.get(uploaded.folder.summary_json)
    publish_summary(uploaded.changed("explanation"))
    aws.put(f"active/{uploaded.folder.run}", active)  # as if the function had died before its last line
    publish_summary(uploaded.due)
    assert (len(aws.notices()), len(aws.finished())) == (1, 1)
    assert aws.get(uploaded.folder.summary_json) == before
    assert aws.keys("active/") == []


def test_while_the_topic_is_away_the_run_has_ended_and_the_notice_waits(aws: Aws, wire: Wire) -> None:
    uploaded = explained(aws)
    wire.next("POST", *[refused_with(503)] * 6)
    with pytest.raises(Exception, match="503"):
        publish_summary(uploaded.changed("explanation"))
    assert aws.state(uploaded.folder).progress == "ended"
    assert aws.keys("active/") == [f"active/{uploaded.folder.run}"]
    publish_summary(uploaded.due)
    assert aws.notices() == []
    forget_lease(uploaded)
    publish_summary(uploaded.due)
    assert len(aws.notices()) == 1
    assert aws.keys("active/") == []


def forget_lease(uploaded: Uploaded, what: str = "notice") -> None:
    """Let the time pass that a dead holder keeps its claim."""

    def expired(state: Any) -> Any:
        claim = state.claims[what].model_copy(update={"until": datetime(2026, 1, 1, tzinfo=UTC)})
        return state.model_copy(update={"claims": {**state.claims, what: claim}})

    RunStore(BUCKET, uploaded.folder).change(expired)


def test_while_the_topic_is_away_the_bus_is_told_once(aws: Aws, wire: Wire) -> None:
    uploaded = explained(aws)
    wire.next("POST", *[refused_with(503)] * 6)
    with pytest.raises(Exception, match="503"):
        publish_summary(uploaded.changed("explanation"))
    assert len(aws.finished()) == 1
    forget_lease(uploaded)
    publish_summary(uploaded.due)
    assert (len(aws.finished()), len(aws.notices())) == (0, 1)


def not_taken(carry_out: Any) -> Any:
    """EventBridge answers 200, and says of the entry that it failed."""
    failed = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "busy"}]}
    return 200, {}, json.dumps(failed)


def test_an_event_that_the_bus_did_not_take_comes_again(aws: Aws, wire: Wire) -> None:
    uploaded = explained(aws)
    wire.next("PutEvents", not_taken)
    with pytest.raises(NotPut, match="Assay Run Finished: InternalFailure: busy"):
        publish_summary(uploaded.changed("explanation"))
    assert aws.keys("active/") == [f"active/{uploaded.folder.run}"]
    publish_summary(uploaded.due)  # too early: whoever has the claim may still be at it
    assert (len(aws.finished()), len(aws.notices())) == (0, 0)
    forget_lease(uploaded, "event")
    publish_summary(uploaded.due)
    assert (len(aws.finished()), len(aws.notices())) == (1, 1)
    assert aws.keys("active/") == []


def test_a_death_between_sending_and_marking_sends_the_same_again(aws: Aws) -> None:
    uploaded = explained(aws)
    active = aws.get(f"active/{uploaded.folder.run}")
    publish_summary(uploaded.changed("explanation"))
    aws.put(f"active/{uploaded.folder.run}", active)

    def unmarked(state: Any) -> Any:
        return state.model_copy(
            update={
                "claims": {what: claim.model_copy(update={"done_at": None}) for what, claim in state.claims.items()}
            }
        )

    RunStore(BUCKET, uploaded.folder).change(unmarked)
    for what in ("event", "notice"):
        forget_lease(uploaded, what)
    publish_summary(uploaded.due)
    first, second = aws.finished()
    assert first["detail"] == second["detail"]
    first, second = aws.notices()
    assert first["Message"] == second["Message"]
    publish_summary(uploaded.due)
    assert (aws.finished(), aws.notices()) == ([], [])


def test_time_and_cost_stand_beside_the_champions(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Prices(as_of=date(2026, 11, 1), source="a test", usd_per_hour={"us-east-1": {"ml.m5.xlarge": 3.6}})
    monkeypatch.setattr("publish_summary.handler.known_prices", lambda: table)
    first = evaluated(aws)
    publish_summary(first.due)
    costs = summary(aws, first).costs
    assert costs is not None
    assert (costs.total, costs.champion) == (Spent(seconds=60, usd=0.06), None)
    second = evaluated(aws)
    aws.sagemaker.end(second.job("evaluation"), seconds=90)
    publish_summary(second.due)
    costs = summary(aws, second).costs
    assert costs is not None
    assert (costs.total, costs.champion) == (Spent(seconds=90, usd=0.09), Spent(seconds=60, usd=0.06))
    assert "Jobs         2 min, $0.090; the last run, which is the champion's, 1 min, $0.060\n" in aws.mails()[-1]


def test_time_and_cost_stand_beside_the_last_runs_which_may_have_failed(aws: Aws) -> None:
    champions = evaluated(aws)
    publish_summary(champions.due)
    failed = evaluated(aws, metrics={"accuracy": Metric(value=0.1, low=0.05, high=0.15, higher_is_better=True)})
    aws.sagemaker.end(failed.job("evaluation"), seconds=1200)
    publish_summary(failed.due)
    third = evaluated(aws)
    aws.sagemaker.end(third.job("evaluation"), seconds=1800)
    publish_summary(third.due)
    found = summary(aws, third)
    assert summary(aws, failed).verdict == "fail"
    assert (found.previous, found.champion) == (failed.folder.run, champions.folder.run)
    assert found.costs is not None
    assert found.costs.previous is not None
    assert (found.costs.previous.seconds, found.costs.total.seconds) == (1200, 1800)
    said = "30 min; the last run 20 min; the champion's run 1 min"
    assert f"Jobs         {said}\n" in aws.mails()[-1]
    assert said in aws.get(third.folder.summary_md)
    assert "the last run 20 min · the champion&#39;s run 1 min" in aws.get(third.folder.summary_html)


def test_a_run_without_numbers_tells_what_it_took_beside_the_others(aws: Aws) -> None:
    first = evaluated(aws)
    publish_summary(first.due)
    second = evaluated(aws)
    aws.sagemaker.end(second.job("evaluation"), "Failed", seconds=1200, ExitMessage="BadModel: no model")
    publish_summary(second.due)
    assert summary(aws, second).verdict == "error"
    assert "Jobs         20 min; the last run, which is the champion's, 1 min\n" in aws.mails()[-1]


def test_told_again_of_an_earlier_run_the_last_one_stays_and_nothing_is_another(aws: Aws) -> None:
    first = evaluated(aws)
    publish_summary(first.due)
    second = evaluated(aws)
    aws.sagemaker.end(second.job("evaluation"), seconds=90)
    publish_summary(second.due)
    written = aws.get(second.folder.summary_json)
    for one in (first, second):
        run = aws.run(one.folder)
        aws.put(active_key(run.id), ActiveRun(upload=run.upload, opened_at=run.opened_at).to_json())
        publish_summary(one.due)
        last = LastRun.model_validate_json(aws.get(last_run_key("digits")))
        assert last.run == second.folder.run
    assert aws.get(second.folder.summary_json) == written
    assert summary(aws, second).previous == first.folder.run


def test_a_run_that_needed_no_job_is_not_the_last_one(aws: Aws) -> None:
    first = evaluated(aws)
    publish_summary(first.due)
    rejected = land(aws, policy="{}")
    start_evaluation(rejected.event)
    publish_summary(rejected.due)
    assert summary(aws, rejected).verdict == "error"
    assert LastRun.model_validate_json(aws.get(last_run_key("digits"))).run == first.folder.run


def test_a_champion_whose_summary_is_gone_has_no_cost(aws: Aws) -> None:
    first = evaluated(aws)
    publish_summary(first.due)
    aws.put(first.folder.summary_json, "{")
    second = evaluated(aws)
    publish_summary(second.due)
    costs = summary(aws, second).costs
    assert costs is not None
    assert costs.champion is None


def test_a_runs_folder_holds_its_verdict_for_ci(aws: Aws) -> None:
    uploaded = evaluated(aws)
    publish_summary(uploaded.due)
    assert '<testcase classname="digits" name="accuracy: at least 0.8"' in aws.get(uploaded.folder.junit_xml)


@pytest.mark.parametrize("before", range(8))
def test_a_lost_answer_ends_the_run_all_the_same(aws: Aws, wire: Wire, before: int) -> None:
    uploaded = explained(aws)
    wire.next("PutObject", *[lambda carry_out: carry_out()] * before, lost_answer)
    publish_summary(uploaded.changed("explanation"))
    assert len(aws.notices()) == 1
    assert aws.champion().run == uploaded.folder.run
    assert aws.keys("active/") == []


def test_what_is_still_to_come_is_waited_for(aws: Aws) -> None:
    uploaded = land(aws)
    start_evaluation(uploaded.event)
    publish_summary(uploaded.changed("explanation"))
    publish_summary(uploaded.changed("evaluation", "Failed"))
    aws.sagemaker.end(uploaded.job("evaluation"))
    aws.put(uploaded.folder.report, report(explain=ROWS).to_json())
    aws.put(uploaded.folder.samples, SAMPLES.to_json())
    publish_summary(uploaded.due)
    start_explanation(uploaded.changed("evaluation"))
    publish_summary(uploaded.changed("explanation"))
    assert aws.notices() == []
    assert aws.keys("active/") == [f"active/{uploaded.folder.run}"]


def test_a_rejected_upload_ends_in_an_error_and_one_notice(aws: Aws) -> None:
    uploaded = land(aws, policy=None)
    start_evaluation(uploaded.event)
    publish_summary(uploaded.due)
    publish_summary(uploaded.due)
    found = summary(aws, uploaded)
    assert found.verdict == "error"
    assert found.failure is not None
    assert "no policy" in found.failure.message
    (notice,) = aws.notices()
    assert notice["Subject"].startswith("ERROR: digits could not be judged: no policy")
    assert "assay init model.tar.gz test-data/" in found.to_mend
    assert all(command in aws.mails()[0] for command in found.to_mend)
    assert json.loads(notice["Message"])["to_mend"] == list(found.to_mend)
    assert len(aws.finished()) == 1
    assert aws.keys("champions/") == []


@pytest.mark.parametrize(
    ("status", "fields", "failure_json", "said"),
    [
        (
            "Failed",
            {"ExitMessage": "no saved_model.pb; seen", "FailureReason": "AlgorithmError: , exit code: 1"},
            {"error": "BadModel", "message": "no saved_model.pb; seen: a.txt"},
            "no saved_model.pb; seen: a.txt",
        ),
        (
            "Failed",
            {"ExitMessage": "no rows", "FailureReason": "AlgorithmError: , exit code: 1"},
            None,
            "failed: no rows",
        ),
        (
            "Failed",
            {"FailureReason": "ClientError: Data download failed:  s3://archives/x (AccessDenied)"},
            {"error": "BadModel", "message": "another attempt's"},
            "failed: ClientError: Data download failed: s3://archives/x (AccessDenied)",
        ),
        ("Stopped", {}, None, "was stopped before it was done, by a person or a program"),
        ("Stopped", {"seconds": 14400}, None, "was stopped at its time limit of 4:00:00"),
    ],
)
def test_a_job_that_failed_ends_in_an_error_that_says_why(
    aws: Aws, status: str, fields: dict[str, Any], failure_json: dict[str, str] | None, said: str
) -> None:
    uploaded = land(aws)
    start_evaluation(uploaded.event)
    if failure_json is not None:
        aws.put(uploaded.folder.evaluation + "failure.json", json.dumps(failure_json))
    aws.sagemaker.end(uploaded.job("evaluation"), status, **fields)
    publish_summary(uploaded.changed("evaluation", status))
    found = summary(aws, uploaded)
    assert found.verdict == "error"
    assert found.failure is not None
    assert said in found.failure.message
    assert len(aws.notices()) == 1
    assert aws.keys("active/") == []


@pytest.mark.parametrize("broken", [None, "{", '{"task": "x"}'])
def test_a_completed_job_without_results_ends_in_an_error_that_names_the_file(aws: Aws, broken: str | None) -> None:
    uploaded = land(aws)
    start_evaluation(uploaded.event)
    if broken is not None:
        aws.put(uploaded.folder.report, broken)
    aws.sagemaker.end(uploaded.job("evaluation"))
    publish_summary(uploaded.due)
    failure = summary(aws, uploaded).failure
    assert failure is not None
    assert f"s3://{BUCKET}/{uploaded.folder.report} is" in failure.message


def test_when_only_the_explanation_fails_the_evaluation_still_decides(aws: Aws) -> None:
    uploaded = evaluated(aws, ROWS)
    aws.sagemaker.end(uploaded.job("explanation"), "Failed", ExitMessage="out of memory")
    publish_summary(uploaded.changed("explanation", "Failed"))
    found = summary(aws, uploaded)
    assert (found.verdict, found.explanation) == ("pass", "failed")
    assert "out of memory" in (found.explanation_failure or "")
    (mail,) = aws.mails()
    assert "Explanation  failed: job" in mail


def test_an_explanation_that_could_not_start_is_a_failed_one(aws: Aws) -> None:
    uploaded = evaluated(aws)
    RunStore(BUCKET, uploaded.folder).fail("explanation", BadModel("no"))
    aws.put(uploaded.folder.report, report(explain=ROWS).to_json())
    publish_summary(uploaded.due)
    assert (summary(aws, uploaded).explanation, summary(aws, uploaded).explanation_failure) == ("failed", "no")


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "out.csv is missing"), ("a,b\n", "2 columns, expected 5"), ("a,b,c,d,e\nx,1,1,1,a\n", "float")],
)
def test_an_explanation_without_its_values_is_a_failed_one(aws: Aws, content: str | None, said: str) -> None:
    uploaded = explained(aws)
    key = uploaded.folder.explanation + "explanations_shap/out.csv"
    aws.s3.delete_object(Bucket=BUCKET, Key=key) if content is None else aws.put(key, content)
    publish_summary(uploaded.due)
    assert said in (summary(aws, uploaded).explanation_failure or "")


def test_where_nothing_was_to_be_explained_there_is_no_explanation(aws: Aws) -> None:
    uploaded = evaluated(aws)
    publish_summary(uploaded.due)
    assert summary(aws, uploaded).explanation == "not asked"


def test_global_importance_counts_the_representative_rows_only(aws: Aws) -> None:
    uploaded = explained(aws)
    publish_summary(uploaded.due)
    low, high = summary(aws, uploaded).importance
    assert (low.label, low.features) == ("low", {"hours": 3.0, "age": 2.0})
    assert (high.label, high.features) == ("high", {"hours": 3.0, "age": 2.0})


def test_a_mistake_names_what_moved_its_prediction_most(aws: Aws) -> None:
    uploaded = explained(aws)
    publish_summary(uploaded.due)
    (mistake,) = summary(aws, uploaded).mistakes
    assert (mistake.id, mistake.true, mistake.predicted) == ("b", "low", "high")
    assert list(mistake.attributions.items()) == [("hours", 4.0), ("age", -3.0)]


def test_a_mistaken_picture_comes_with_its_heat_maps(aws: Aws) -> None:
    uploaded = evaluated(aws, IMAGES)
    sample = SAMPLES.samples[1].model_copy(update={"id": "b.png", "file": "b.png"})
    aws.put(uploaded.folder.samples, SAMPLES.model_copy(update={"samples": (sample,)}).to_json())
    aws.put(uploaded.folder.analysis, json.dumps(ANALYSIS))
    folder = uploaded.folder.explanation + "explanations_shap/"
    aws.put(folder + "shap_b_high.jpeg", b"\xff\xd8jpeg")
    aws.sagemaker.end(uploaded.job("explanation"))
    publish_summary(uploaded.due)
    (mistake,) = summary(aws, uploaded).mistakes
    assert mistake.heat_maps == (folder + "shap_b_high.jpeg", folder + "shap_b_low.jpeg")
    assert aws.get(uploaded.folder.summary_html).count("data:image/jpeg;base64,") == 1


def with_champion(aws: Aws, accuracy: float, **fields: Any) -> None:
    old = champion()
    aws.put(champion_key("digits"), old.to_json())
    aws.put(old.folder.report, report(accuracy, **fields).to_json())


def marked(mark: str | None, **fields: Any) -> ExplainSamples:
    """One mistake, whose content has this fingerprint."""
    sample = SAMPLES.samples[1].model_copy(update={"fingerprint": mark, **fields})
    return ExplainSamples(samples=(sample,))


@pytest.mark.parametrize(
    ("ours", "theirs", "beside"), [("f", "f", True), ("f", "another", False), ("f", None, False), (None, None, False)]
)
def test_the_champions_reasons_stand_beside_ours_only_for_the_same_row(
    aws: Aws, ours: str | None, theirs: str | None, beside: bool
) -> None:
    with_champion(aws, 0.9, explain=ROWS)
    old = champion().folder
    # in the champion's data the row had another place, and so another id
    aws.put(old.samples, marked(theirs, id="c", predicted="low", score=0.6).to_json())
    aws.put(old.analysis, json.dumps(ANALYSIS))
    aws.put(old.explanation + "explanations_shap/out.csv", OUT_CSV)
    uploaded = explained(aws)
    aws.put(uploaded.folder.samples, marked(ours).to_json())
    publish_summary(uploaded.due)
    (mistake,) = summary(aws, uploaded).mistakes
    assert list(mistake.attributions.items()) == [("hours", 4.0), ("age", -3.0)]
    assert (mistake.champion is not None) == beside
    assert mistake.broken == beside  # the champion said what is true
    assert ("The champion said <b>low</b> with 0.60" in aws.get(uploaded.folder.summary_html)) == beside
    if mistake.champion is not None:
        assert mistake.champion.attributions == {"age": 100.0, "hours": 100.0}


TEXTS = ROWS.model_copy(
    update={
        "headers": ("review", "kind", "stars", "assay_id"),
        "label": "stars",
        "types": {"review": "text", "kind": "categorical"},
    }
)


def out_jsonl(identified: bool, *texts: list[tuple[str, int, list[float]]]) -> str:
    """Explanations of rows a, b, c: the same texts, and a kind that speaks for the first label."""
    parts = [
        {"attribution": v, "description": {"partial_text": t, "start_idx": at}} for text in texts for t, at, v in text
    ]
    line: dict[str, Any] = {
        "explanations": [
            {"feature_name": "review", "data_type": "free_text", "attributions": parts},
            {"feature_name": "kind", "data_type": "categorical", "attributions": [{"attribution": [0.25, -0.25]}]},
        ]
    }
    return "".join(json.dumps(line | ({"assay_id": row} if identified else {})) + "\n" for row in "abc")


HOSTILE = [
    ("</span><script>alert(1)</script>", 0, [0.0, -0.5]),
    ("worse\u2028", 40, [-1.0, 2.0]),
    ("!", 45, [0.0, 0.0]),
]


@pytest.mark.parametrize("identified", [True, False])
def test_texts_of_mistakes_are_highlighted_and_sum_up(aws: Aws, identified: bool) -> None:
    uploaded = explained(aws, TEXTS)
    aws.put(uploaded.folder.explanation + "explanations_shap/out.jsonl", out_jsonl(identified, HOSTILE))
    publish_summary(uploaded.due)
    found = summary(aws, uploaded)
    assert found.explanation == "done", found.explanation_failure
    (mistake,) = found.mistakes
    assert mistake.attributions == {"review": 1.5, "kind": -0.25}
    passages = [(one.text, one.value, one.apart) for one in mistake.texts["review"]]
    assert passages == [(HOSTILE[0][0], -0.5, False), ("worse\u2028", 2.0, True), ("!", 0.0, False)]
    assert found.importance[0].features == {"review": 1.0, "kind": 0.25}
    page = aws.get(uploaded.folder.summary_html)
    assert "<script>alert" not in page
    assert '<span class="raises k9" title="+2">worse' in page
    assert '<span class="lowers k2" title="-0.5">&lt;/span&gt;&lt;script&gt;' in page


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "out.jsonl is missing"),
        ("{", "out.jsonl is broken"),
        ('{"explanations": []}', "line 1: explains , expected review, kind"),
        (out_jsonl(True, [("a", 0, [1.0])]), "expected 2 values of each attribution"),
        (out_jsonl(True) * 2, "line 4: "),
    ],
)
def test_broken_explanations_of_texts_are_the_explanations_failure(aws: Aws, content: str | None, says: str) -> None:
    uploaded = explained(aws, TEXTS)
    if content is not None:
        aws.put(uploaded.folder.explanation + "explanations_shap/out.jsonl", content)
    publish_summary(uploaded.due)
    found = summary(aws, uploaded)
    assert (found.verdict, found.explanation) == ("pass", "failed")
    assert says in (found.explanation_failure or "")


@pytest.mark.parametrize("gone", ["samples", "analysis"])
def test_a_champion_whose_explanation_is_gone_leaves_ours_as_it_is(aws: Aws, gone: str) -> None:
    with_champion(aws, 0.9, explain=ROWS)
    old = champion().folder
    for name, content in (("samples", marked("f").to_json()), ("analysis", json.dumps(ANALYSIS))):
        if name != gone:
            aws.put(getattr(old, name), content)
    uploaded = explained(aws)
    aws.put(uploaded.folder.samples, marked("f").to_json())
    publish_summary(uploaded.due)
    found = summary(aws, uploaded)
    assert (found.explanation, found.mistakes[0].champion) == ("done", None)


def recalls(**values: float) -> dict[str, dict[str, Metric]]:
    return {"recall": {name: Metric(value=value, higher_is_better=True) for name, value in values.items()}}


def test_a_fall_is_said_beside_the_champion(aws: Aws) -> None:
    with_champion(aws, 0.97, per_class=recalls(cat=0.98, dog=0.9))
    policy = POLICY + "  - {metric: accuracy, max_worse: 0.02}\n"
    uploaded = evaluated(aws, policy=policy, accuracy=0.41, per_class=recalls(cat=0.12, dog=0.91))
    publish_summary(uploaded.due)
    found = summary(aws, uploaded)
    assert found.verdict == "fail"
    assert found.headline == (
        "digits failed 2 gates: accuracy is 0.41 (0.36 to 0.46), must be at least 0.8; accuracy is 0.41, must "
        "be at most 0.02 worse than the champion's 0.97 (difference -0.6307 to -0.4893) (worst: "
        "recall of cat 0.98 → 0.12)"
    )
    assert [(change.metric, change.of, change.better) for change in found.changes] == [
        ("recall", "cat", False),
        ("accuracy", None, False),
        ("recall", "dog", True),
    ]
    assert aws.champion() == champion()


def test_other_data_and_a_lost_report_of_the_champion_are_said(aws: Aws) -> None:
    with_champion(aws, 0.9, data={"rows": 50, "sha256": "other"})
    uploaded = evaluated(aws)
    publish_summary(uploaded.due)
    assert [finding.title for finding in summary(aws, uploaded).findings] == [
        "The champion was evaluated on other data"
    ]
    aws.s3.delete_object(Bucket=BUCKET, Key=champion().folder.report)
    second = evaluated(aws)
    aws.put(second.folder.run_json, aws.run(second.folder).model_copy(update={"champion": champion()}).to_json())
    publish_summary(second.due)
    assert [finding.title for finding in summary(aws, second).findings] == ["The champion's report is missing"]


def compared(**fields: Any) -> Comparison:
    return Comparison(champion="c" * 20, archive_sha256="other", **fields)


def differs(ours: float, theirs: float, half: float) -> Difference:
    value = ours - theirs
    return Difference(
        ours=ours, champion=theirs, value=value, low=value - half, high=value + half, n=100, higher_is_better=True
    )


def test_what_changed_on_the_same_rows_is_told_the_sure_changes_first(aws: Aws) -> None:
    with_champion(aws, 0.99)
    flips = (Flip(id="7.png", row=7, true="cat", predicted="dog", champion="cat"),)
    comparison = compared(
        rows=100,
        rescored=10,
        metrics={"accuracy": differs(0.9, 0.8, 0.05), "f1_macro": differs(0.2, 0.8, 0.7)},
        per_class={"recall": {"cat": differs(0.7, 0.95, 0.05), "dog": differs(0.9, 0.9, 0.0)}},
        slices={"sex=Female": {"accuracy": differs(0.5, 0.55, 0.01)}},
        mended=12,
        broken=1,
        mcnemar_p=0.003,
        flips=flips,
    )
    part = Slice(
        name="sex=Female",
        columns=("sex",),
        found="declared",
        n=40,
        metrics={name: Metric(value=0.5) for name in ("accuracy", "mcc", "recall", "kappa")},
    )
    policy = POLICY + "  - {metric: mcc, slice: sex, min: 0.1, judge: estimate}\n"
    uploaded = evaluated(aws, policy=policy, comparison=comparison, slices=[part.model_dump()])
    publish_summary(uploaded.due)
    found = summary(aws, uploaded)
    assert [(change.metric, change.of, change.slice, change.by_chance) for change in found.changes] == [
        ("recall", "cat", None, False),
        ("accuracy", None, None, False),
        ("accuracy", None, "sex=Female", False),
        ("f1_macro", None, None, True),
    ]
    assert found.flips is not None
    assert (found.flips.mended, found.flips.broken, found.flips.first) == (12, 1, flips)
    assert list(found.slices[0].metrics) == ["accuracy", "recall", "mcc"]
    assert "where sex=Female" in aws.get(uploaded.folder.summary_html)
    assert "12 samples mended and 1 broken of 100: hardly by chance" in aws.get(uploaded.folder.summary_md)
    # the evaluation compared on the same rows, so that the reports' own data differ says nothing
    assert [finding.title for finding in found.findings] == []


def test_the_champions_own_archive_is_beside_nothing(aws: Aws) -> None:
    with_champion(aws, 0.99)
    same = Comparison(champion="c" * 20, archive_sha256="00", refused="it is the champion's own archive")
    uploaded = evaluated(aws, comparison=same)
    publish_summary(uploaded.due)
    found = summary(aws, uploaded)
    assert (found.changes, found.not_compared) == ((), same.refused)


def test_a_champion_that_could_not_be_asked_is_compared_by_its_report(aws: Aws) -> None:
    with_champion(aws, 0.99)
    uploaded = evaluated(aws, comparison=compared(refused="its archive is gone"))
    publish_summary(uploaded.due)
    found = summary(aws, uploaded)
    assert [(change.metric, change.champion, change.low) for change in found.changes] == [("accuracy", 0.99, None)]
    assert found.not_compared == "its archive is gone"


def test_an_older_upload_that_passes_later_does_not_take_the_crown(aws: Aws) -> None:
    first = evaluated(aws)
    second = evaluated(aws)
    publish_summary(second.due)
    publish_summary(first.due)
    assert aws.champion().version == second.version
    assert len(aws.notices()) == 2


@pytest.mark.parametrize("status", ["Completed", "Failed"])
def test_the_model_that_clarify_asked_is_deleted_however_the_run_ended(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    monkeypatch.setenv("EXPLAINER_ENGINE", "clarify")
    uploaded = explained(aws)
    aws.sagemaker.end(uploaded.job("explanation"), status)
    assert len(boto3.client("sagemaker").list_models()["Models"]) == 1
    publish_summary(uploaded.changed("explanation", status))
    assert boto3.client("sagemaker").list_models()["Models"] == []
    assert len(aws.notices()) == 1


def test_a_runs_end_wakes_who_waits_longest(aws: Aws) -> None:
    uploaded = evaluated(aws)
    waits = [land(aws, key=f"models/{name}/model.tar.gz") for name in ("b", "a")]
    aws.sagemaker.refusals = [("ResourceLimitExceeded", "The account-level service limit 'x' is 2 Instances")] * 2
    for other in waits:
        start_evaluation(other.event)
    publish_summary(uploaded.due)
    assert aws.due("start-evaluation") == [waits[0].folder.run]


def test_settings_that_are_to_blame_are_counted_for_an_alarm(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    uploaded = land(aws)
    aws.sagemaker.refusals = [("ResourceLimitExceeded", "The account-level service limit 'x' is 0 Instances")]
    start_evaluation(uploaded.event)
    handler(messages(json.dumps(uploaded.due)), Context())
    blobs = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "CloudWatchMetrics" in line]
    (counted,) = [blob for blob in blobs if "BadSettings" in blob]
    assert counted["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]
    assert KEY in aws.get(uploaded.folder.summary_md)
