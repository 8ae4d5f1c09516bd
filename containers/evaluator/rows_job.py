"""A job on rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadModel
from assay.evaluation import EvaluationReport, Explainable, ExplainSample, ExplainSamples, ModelFacts
from evaluator import checks, model_quality, regression
from evaluator.choose import (
    REPRESENTATIVE_ROWS,
    check_only,
    combine,
    eligible,
    representative,
    worst_classified,
    worst_predicted,
)
from evaluator.classified import check_outputs, classified_of, classified_report, data_facts, describe, output_names
from evaluator.labels import check_labels
from evaluator.outputs import classified_columns, predicted_columns
from evaluator.request import Request
from evaluator.rows_data import Table, check_fits, look_through, open_table, score_rows
from evaluator.scored import Scored, Unreadable


def evaluate_rows(request: Request) -> EvaluationReport:
    """Score and measure; what can be wrong with the table as such is found before the model is loaded."""
    policy, regresses = request.policy, request.policy.task == "tabular_regression"
    table = open_table(request.dataset, policy.data, numbers=regresses)
    check_only(policy.explain.chosen, table.file.header)
    overview = look_through(table, policy.evaluate.max_unreadable)
    names = {label: label for label in overview.labels}
    if not regresses:
        check_labels(policy.data, overview.labels)
    unreadable = Unreadable(policy.evaluate.max_unreadable)
    with request.model() as (model, folder):
        facts = request.facts(model, folder)
        check_fits(table, model)
        if not regresses:
            check_outputs(model, names, policy.data)
        elif model.width not in (None, 1):
            raise BadModel(f"the model has {model.width} outputs, a regression needs 1")
        with request.timed("score"):
            only = policy.explain.chosen.only
            scored = score_rows(table, overview.rows, only, model, unreadable, request.progress)
    if regresses:
        return _regression(request, table, scored, unreadable, facts)
    found = classified_of(scored, names, policy.data, policy.evaluate.threshold)
    request.outputs.table("predictions.parquet", classified_columns(scored, found))
    chosen = worst_classified(
        found, eligible(scored.samples, found.answered, policy.explain.chosen), policy.explain.chosen.samples
    )
    samples = combine(_drawn(request, scored, found.answered), chosen, describe(scored, found))
    positive = None if found.positive is None else found.labels[found.positive]
    explain = _write(request, table, scored, samples, output_names(scored, found), positive)
    return classified_report(request, scored, found, unreadable, facts, explain)


def _regression(
    request: Request, table: Table, scored: Scored, unreadable: Unreadable, model: ModelFacts
) -> EvaluationReport:
    if scored.scores.shape[1] != 1:
        raise BadModel(f"the model has {scored.scores.shape[1]} outputs, a regression needs 1")
    policy = request.policy
    true = np.array([float(sample.label) for sample in scored.samples])
    predicted = scored.scores[:, 0]
    answered = np.isfinite(predicted)
    with request.timed("measure"):
        estimates = regression.estimate(true, predicted)
        metrics = {name: found.metric() for name, found in estimates.items()}
    request.outputs.json("evaluation.json", model_quality.regression(estimates))
    request.outputs.table("predictions.parquet", predicted_columns(scored, true, predicted))
    chosen = worst_predicted(
        true, predicted, eligible(scored.samples, answered, policy.explain.chosen), policy.explain.chosen.samples
    )

    def describe_value(place: int) -> ExplainSample:
        sample, value = scored.samples[place], float(predicted[place])
        return ExplainSample(
            id=sample.id,
            row=sample.row,
            sample=(),
            reason="",
            true=sample.label,
            predicted=f"{value:.6g}",
            score=value,
        )

    samples = combine(_drawn(request, scored, answered), chosen, describe_value)
    return EvaluationReport(
        task=policy.task,
        metrics=metrics,
        model=model,
        data=data_facts(scored, unreadable),
        findings=tuple(checks.of_regressor(predicted, metrics)),
        explain=_write(request, table, scored, samples, (table.label_name,), None),
        seconds=dict(request.seconds),
    )


def _drawn(request: Request, scored: Scored, answered: NDArray[np.bool_]) -> list[int]:
    explain = request.policy.explain
    asked = explain.representative.samples
    return representative(scored.samples, answered, REPRESENTATIVE_ROWS if asked is None else asked, explain.seed)


def _write(
    request: Request,
    table: Table,
    scored: Scored,
    samples: list[tuple[int, ExplainSample]],
    outputs: tuple[str, ...],
    positive: str | None,
) -> Explainable | None:
    """Write the rows to explain; None when there are none."""
    if not samples:
        return None
    headers = request.outputs.explain_rows(table, [scored.samples[place] for place, _ in samples])
    request.outputs.record("explain/samples.json", ExplainSamples(samples=tuple(sample for _, sample in samples)))
    return Explainable(
        kind="rows",
        samples=len(samples),
        headers=headers,
        label=table.label_name,
        label_headers=outputs,
        positive=positive,
    )
