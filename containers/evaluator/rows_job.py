"""A job on rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData, BadModel
from assay.evaluation import EvaluationReport, Explainable, ExplainSample, ExplainSamples, ModelFacts
from evaluator import model_quality, regression
from evaluator.choose import (
    REPRESENTATIVE_ROWS,
    combine,
    eligible,
    representative,
    worst_classified,
    worst_predicted,
)
from evaluator.classified import classified_of, classified_report, data_facts, describe, positive_class
from evaluator.outputs import classified_columns, predicted_columns
from evaluator.request import Request
from evaluator.rows_data import Table, check_fits, open_table, score_rows
from evaluator.scored import Scored, Unreadable


def evaluate_rows(request: Request) -> EvaluationReport:
    """Score and measure; what can be wrong with the file as such is found before the model is loaded."""
    policy = request.policy
    table = open_table(request.dataset, policy.data)
    unreadable = Unreadable(policy.evaluate.max_unreadable)
    with request.model() as (model, _):
        check_fits(table, model)
        with request.timed("score"):
            scored = score_rows(table, model, unreadable, request.progress)
    if policy.task == "tabular_regression":
        return _regression(request, table, scored, unreadable, request.facts(model))
    found = classified_of(scored, {sample.label: sample.label for sample in scored.samples}, policy)
    request.outputs.table("predictions.parquet", classified_columns(scored, found))
    chosen = worst_classified(found, eligible(scored.samples, policy.explain.chosen), policy.explain.chosen.samples)
    samples = combine(_drawn(request, scored), chosen, describe(scored, found))
    positive = found.labels[positive_class(found.labels, policy)] if len(found.labels) == 2 else None
    # a model with one output says the positive class's score
    outputs = found.labels if scored.scores.shape[1] > 1 or positive is None else (positive,)
    explain = _write(request, table, scored, samples, outputs, positive)
    return classified_report(request, scored, found, unreadable, request.facts(model), explain)


def _regression(
    request: Request, table: Table, scored: Scored, unreadable: Unreadable, model: ModelFacts
) -> EvaluationReport:
    if scored.scores.shape[1] != 1:
        raise BadModel(f"the model has {scored.scores.shape[1]} outputs, a regression needs 1")
    policy = request.policy
    true, predicted = _true_values(scored, table), scored.scores[:, 0]
    with request.timed("measure"):
        metrics = regression.measure(true, predicted)
    request.outputs.json("evaluation.json", model_quality.regression(metrics))
    request.outputs.table("predictions.parquet", predicted_columns(scored, true, predicted))
    chosen = worst_predicted(
        true, predicted, eligible(scored.samples, policy.explain.chosen), policy.explain.chosen.samples
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
            score=value if np.isfinite(value) else None,
        )

    samples = combine(_drawn(request, scored), chosen, describe_value)
    return EvaluationReport(
        task=policy.task,
        metrics=metrics,
        model=model,
        data=data_facts(scored, unreadable),
        explain=_write(request, table, scored, samples, (table.label_name,), None),
        seconds=dict(request.seconds),
    )


def _true_values(scored: Scored, table: Table) -> NDArray[np.float64]:
    values = np.empty(len(scored))
    for place, sample in enumerate(scored.samples):
        try:
            values[place] = float(sample.label)
        except ValueError:
            values[place] = np.nan
        if not np.isfinite(values[place]):
            raise BadData(f"row {sample.id}: {table.label_name} is {sample.label!r}, expected a number")
    return values


def _drawn(request: Request, scored: Scored) -> list[int]:
    explain = request.policy.explain
    asked = explain.representative.samples
    return representative(scored.samples, REPRESENTATIVE_ROWS if asked is None else asked, explain.seed)


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
