"""From a run's files: its explanation beside the champion's, in summary, verdict, notice and page."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from assay.evaluation import Explainable, ExplainSamples
from assay.layout import RunFolder
from assay.summary import Summary
from publish_summary.handler import publish_summary
from start_evaluation.handler import start_evaluation
from start_explanation.handler import start_explanation

from .conftest import Aws, Uploaded, land, report
from .test_drift import model, sample

FEATURES = ("age", "hours", "gain", "loss", "sex", "race")
ROWS = 40
EXPLAIN = Explainable(
    kind="rows",
    samples=ROWS,
    headers=(*FEATURES, "income", "assay_id"),
    label="income",
    label_headers=("high",),
)
POLICY = """
task: tabular_classification
data: {source: test.csv, label: income}
gates:
  - {metric: accuracy, min: 0.8}
  - {metric: explanation_rank_correlation, min: 0.6}
"""
AGE_DECIDES, RACE_DECIDES = [3.0, 2.0, 1.0, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 1.0, 2.0, 3.0]


def put_explanation(aws: Aws, folder: RunFolder, weights: list[float]) -> None:
    of = model(weights)
    lines = [",".join([*(str(of(r, f, 0)) for f in range(len(FEATURES))), f"row {r}"]) for r in range(ROWS)]
    header = ",".join([*(f"{name}_high" for name in FEATURES), "assay_id"])
    aws.put(folder.explanation + "explanations_shap/out.csv", "\n".join([header, *lines]) + "\n")
    aws.put(folder.analysis, json.dumps({"version": "1.0", "explanations": {}}))


def judged(aws: Aws, weights: list[float], policy: str = POLICY, *, fails: bool = False) -> Uploaded:
    """A run to its end; each upload has its own version, and a run that passed is the champion of the next."""
    aws.put("models/test.csv", b"age,income\n")
    uploaded = land(aws, policy=policy, archive=json.dumps(weights).encode())
    aws.put("models/test.csv", b"age,income\n")
    start_evaluation(uploaded.event)
    facts = report().model.model_copy(update={"archive_sha256": str(weights)})
    found = report(explain=EXPLAIN, task="tabular_classification", labels=("low", "high"), model=facts)
    aws.put(uploaded.folder.report, found.to_json())
    samples = ExplainSamples(samples=tuple(sample(f"row {r}", f"content {r}") for r in range(ROWS)))
    aws.put(uploaded.folder.samples, samples.to_json())
    aws.sagemaker.end(uploaded.job("evaluation"))
    start_explanation(uploaded.changed("evaluation"))
    put_explanation(aws, uploaded.folder, weights)
    aws.sagemaker.end(uploaded.job("explanation"), "Failed" if fails else "Completed", ExitMessage="a bad day")
    publish_summary(uploaded.due)
    return uploaded


def summary(aws: Aws, uploaded: Uploaded) -> Summary:
    return Summary.model_validate_json(aws.get(uploaded.folder.summary_json))


def results(found: Summary) -> Sequence[str]:
    return [gate.result for gate in found.gates]


def test_the_first_model_has_nobody_to_differ_from(aws: Aws) -> None:
    found = summary(aws, judged(aws, AGE_DECIDES))
    assert (found.verdict, found.drift, results(found)) == ("pass", None, ["pass", "not applicable"])


def test_the_same_accuracy_for_other_reasons_fails_a_gate_and_is_told(aws: Aws) -> None:
    champion = judged(aws, AGE_DECIDES)
    second = judged(aws, RACE_DECIDES)
    found = summary(aws, second)
    assert found.champion == champion.folder.run
    assert found.drift is not None
    assert (found.drift.rows, found.drift.features, found.drift.top) == (ROWS, 6, 3)
    assert (found.verdict, results(found)) == ("fail", ["pass", "fail"])
    (warning,) = [one for one in found.findings if "reasons" in one.title]
    assert found.headline.startswith("digits failed 1 gate: explanation_rank_correlation is -1")
    assert f"  {warning.title}: {warning.text}" in aws.mails()[-1]


def test_the_same_reasons_pass(aws: Aws) -> None:
    judged(aws, AGE_DECIDES)
    found = summary(aws, judged(aws, [2.9, 2.1, 1.0, 0.25, 0.2, 0.12]))
    assert (found.verdict, results(found)) == ("pass", ["pass", "pass"])
    assert [one for one in found.findings if "champion" in one.title.lower() and "reasons" in one.title] == []


@pytest.mark.parametrize("ours", [True, False])
def test_where_one_explanation_is_missing_the_gate_does_not_apply(aws: Aws, ours: bool) -> None:
    champion = judged(aws, AGE_DECIDES)
    if not ours:
        aws.put(champion.folder.analysis, "{")
    found = summary(aws, judged(aws, RACE_DECIDES, fails=ours))
    assert found.champion == champion.folder.run
    assert (found.verdict, found.drift, results(found)) == ("pass", None, ["pass", "not applicable"])
    assert found.gates[1].reason.endswith("cannot be compared: one of them is missing")


def test_another_baseline_answers_another_question(aws: Aws) -> None:
    judged(aws, AGE_DECIDES)
    found = summary(aws, judged(aws, RACE_DECIDES, POLICY + "explain: {baseline: {clusters: 2}}\n"))
    assert found.drift is not None
    assert found.drift.reason == "the champion was explained against another baseline: the policy has changed"
    assert results(found) == ["pass", "not applicable"]
