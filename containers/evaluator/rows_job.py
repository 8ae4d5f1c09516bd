"""A job on rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadModel, BadPolicy
from assay.evaluation import (
    EvaluationReport,
    Explainable,
    ExplainSample,
    ExplainSamples,
    Finding,
    Metric,
    ModelFacts,
    Speed,
)
from assay.policy import Policy
from evaluator import checks, model_quality, plots, regression
from evaluator.choose import (
    REPRESENTATIVE_ROWS,
    check_only,
    combine,
    eligible,
    representative,
    worst_classified,
    worst_predicted,
)
from evaluator.classified import (
    Source,
    check_outputs,
    classified_of,
    classified_report,
    data_facts,
    describe,
    output_names,
)
from evaluator.comparison import compare_predicted
from evaluator.facets import bias_of, check_bias, columns_of
from evaluator.labels import check_labels, unknown_labels
from evaluator.outputs import classified_columns, predicted_columns
from evaluator.request import Request
from evaluator.rows_data import Asked, ask_about, columns_at, look_through, probe, rows_of, score_rows
from evaluator.scored import Samples, Scored, Unreadable
from evaluator.slices import (
    SLICE_ROWS,
    check_slices,
    column_of,
    discovery_findings,
    measured_slices,
    parts_of,
)
from evaluator.speed import speed_of
from model.endpoint import Endpoint
from model.load import Model
from model.tables import Table


@dataclass(frozen=True)
class _Evaluated:
    """A table, and what came of asking the model about it."""

    table: Table
    scored: Scored
    used: tuple[str, ...]
    """The columns that the model sees."""
    unreadable: Unreadable
    model: ModelFacts
    findings: tuple[Finding, ...]
    speed: Speed


def evaluate_rows(request: Request) -> EvaluationReport:
    """Score and measure; what can be wrong with the table as such is found before the model is loaded."""
    table = _open(request, request.policy.evaluate.max_unreadable)
    evaluated = _evaluate(request, table)
    if request.policy.task == "tabular_regression":
        return _regression(request, evaluated)
    return _classification(request, evaluated)


def score(request: Request) -> Scored:
    """The model's answers alone, about the rows in `request.only` where it names some."""
    table = _open(request, None)
    with request.predictor() as (model, _):
        asked = _ask(table, model, request.policy)
        # whoever asks again has been told what cannot be read
        unreadable = Unreadable(table.survey.rows)
        unknown = _unknown(table, request.policy)
        return score_rows(table, asked, _kept(request.policy), unreadable, request.progress, request.only, unknown)


def _open(request: Request, max_unreadable: int | None) -> Table:
    """The table, looked through; `max_unreadable` rows may be none of it, None: any number."""
    policy = request.policy
    table = rows_of(request.dataset, policy)
    check_only(policy.explain.chosen, table.header)
    with request.timed("survey"):
        survey = table.survey if max_unreadable is None else look_through(table, max_unreadable)
    check_slices(policy.evaluate.slices, survey.types)
    check_bias(policy.bias, survey.types)
    for name in policy.explain.pdp:
        if name not in table.features:
            raise BadPolicy(f"explain.pdp: no feature {name!r}; the model sees {', '.join(table.features)}")
    if policy.task != "tabular_regression":
        (check_labels if max_unreadable == 0 else unknown_labels)(policy.data, survey.labels)
    return table


def _kept(policy: Policy) -> set[str]:
    return {*policy.explain.chosen.only, *map(column_of, policy.evaluate.slices), *columns_of(policy.bias)}


def _names(table: Table, policy: Policy) -> dict[str, str]:
    unknown = _unknown(table, policy)
    return {label: label for label in table.survey.labels if label not in unknown}


def _unknown(table: Table, policy: Policy) -> dict[str, str]:
    return {} if policy.task == "tabular_regression" else unknown_labels(policy.data, table.survey.labels)


def _ask(table: Table, model: Model | Endpoint, policy: Policy) -> Asked:
    """Raises BadModel or BadPolicy for what the signature shows, before hours of asking."""
    asked = ask_about(table, model, policy.model)
    if policy.task != "tabular_regression":
        check_outputs(model, _names(table, policy), policy.data)
    elif model.width not in (None, 1):
        raise BadModel(f"the model has {model.width} outputs, a regression needs 1")
    return asked


def _evaluate(request: Request, table: Table) -> _Evaluated:
    policy = request.policy
    unreadable = Unreadable(policy.evaluate.max_unreadable)
    with request.predictor() as (model, folder):
        facts = request.facts(model, folder)
        asked = _ask(table, model, policy)
        with request.timed("score"):
            unknown = _unknown(table, policy)
            scored = score_rows(table, asked, _kept(policy), unreadable, request.progress, request.only, unknown)
        with request.timed("probe"):
            probed = probe(table, asked, request.only)
            unit: Literal["rows", "texts"] = "texts" if policy.task == "text_classification" else "rows"
            speed = speed_of(unit, len(scored), request.seconds["score"], probed.ask_one)
    findings = [*checks.of_answers(probed.together, probed.again, probed.alone)]
    samples = scored.samples
    findings += checks.of_data(samples.fingerprints, samples.labels, lambda place: f"row {samples[place].id}", unit)
    findings += checks.of_endpoint(policy.model)
    if asked.unused:
        text = f"No input of the model takes {', '.join(asked.unused)}. See model.inputs, data.exclude."
        findings.append(Finding(severity="info", title="Columns that the model does not see", text=text))
    return _Evaluated(table, scored, asked.used, unreadable, facts, tuple(findings), speed)


def _classification(request: Request, evaluated: _Evaluated) -> EvaluationReport:
    policy, scored = request.policy, evaluated.scored
    found = classified_of(scored, _names(evaluated.table, policy), policy.data, policy.evaluate.threshold)
    request.outputs.table("predictions.parquet", classified_columns(scored, found))
    positive = None if found.positive is None else found.labels[found.positive]

    def explain(champion: NDArray[np.int64] | None) -> Explainable | None:
        asked = policy.explain.chosen
        chosen = worst_classified(found, eligible(scored.samples, found.answered, asked), asked.samples, champion)
        samples = combine(_drawn(request, scored, found.answered), chosen, describe(scored, found, champion))
        return _explain(request, evaluated, samples, output_names(scored, found), positive)

    source = Source(_names(evaluated.table, policy), _columns(evaluated), score)
    report = classified_report(request, scored, found, evaluated.unreadable, evaluated.model, source, explain)
    bias: dict[str, dict[str, Metric]] = {}
    said: list[Finding] = []
    if policy.bias is not None:
        with request.timed("bias"):
            bias, said = bias_of(policy.bias, scored.samples, found, _columns(evaluated), evaluated.used)
    findings = (*report.findings, *evaluated.findings, *said)
    return report.model_copy(
        update={"speed": evaluated.speed, "bias": bias, "findings": findings, "seconds": dict(request.seconds)}
    )


def _regression(request: Request, evaluated: _Evaluated) -> EvaluationReport:
    policy, scored = request.policy, evaluated.scored
    if scored.scores.shape[1] != 1:
        raise BadModel(f"the model has {scored.scores.shape[1]} outputs, a regression needs 1")
    true, predicted = scored.samples.labels, scored.scores[:, 0]
    answered = np.isfinite(predicted)
    with request.timed("measure"):
        estimates = regression.estimate(true, predicted, scored.samples.weights)
        metrics = {name: found.metric() for name, found in estimates.items()}
    with request.timed("slices"):
        losses = np.abs(predicted - true)
        parts, left_out = parts_of(policy.evaluate.slices, scored.samples, losses, _columns(evaluated))
        slices = measured_slices(parts, lambda places: (_measured(scored.samples, predicted, places), {}))
    with request.timed("compare"):
        comparison, of_comparison, champion = compare_predicted(
            request, evaluated.model.archive_sha256, scored, estimates, parts, score
        )
    request.outputs.json("evaluation.json", model_quality.regression(estimates))
    request.outputs.table("predictions.parquet", predicted_columns(scored, true, predicted))
    drawn: tuple[str, ...] = ()
    if answered.all():
        with request.timed("plots"):
            pictures = {
                "residuals": plots.residuals_svg(true, predicted, evaluated.table.label),
                "slices": plots.slices_svg(slices, "mae", metrics["mae"]),
            }
            drawn = request.outputs.plots(pictures)
    places = eligible(scored.samples, answered, policy.explain.chosen)
    chosen = worst_predicted(true, predicted, places, policy.explain.chosen.samples, champion)

    def describe_value(place: int) -> ExplainSample:
        sample, value = scored.samples[place], float(predicted[place])
        theirs = math.nan if champion is None else float(champion[place])
        return ExplainSample(
            id=sample.id,
            row=sample.row,
            sample=(),
            reason="",
            true=sample.label,
            predicted=f"{value:.6g}",
            champion=None if math.isnan(theirs) else f"{theirs:.6g}",
            score=value,
            fingerprint=sample.fingerprint,
        )

    samples = combine(_drawn(request, scored, answered), chosen, describe_value)
    explain = _explain(request, evaluated, samples, (evaluated.table.label,), None)
    return EvaluationReport(
        task=policy.task,
        metrics=metrics,
        model=evaluated.model,
        data=data_facts(scored, evaluated.unreadable),
        speed=evaluated.speed,
        slices=slices,
        comparison=comparison,
        findings=(
            *checks.of_regressor(predicted, metrics),
            *left_out,
            *discovery_findings(slices, "mae"),
            *of_comparison,
            *evaluated.findings,
        ),
        explain=explain,
        plots=drawn,
        seconds=dict(request.seconds),
    )


def _columns(evaluated: _Evaluated) -> Callable[[NDArray[np.int64]], dict[str, NDArray[Any]]]:
    return lambda places: columns_at(evaluated.table, evaluated.scored.samples.rows[places])


def _measured(samples: Samples, predicted: NDArray[np.float64], places: NDArray[np.int64]) -> dict[str, Metric]:
    weights = None if samples.weights is None else samples.weights[places]
    return regression.measure(samples.labels[places], predicted[places], weights, SLICE_ROWS)


def _drawn(request: Request, scored: Scored, answered: NDArray[np.bool_]) -> list[int]:
    explain = request.policy.explain
    asked = explain.representative.samples
    return representative(scored.samples, answered, REPRESENTATIVE_ROWS if asked is None else asked, explain.seed)


def _explain(
    request: Request,
    evaluated: _Evaluated,
    samples: Sequence[tuple[int, ExplainSample]],
    outputs: tuple[str, ...],
    positive: str | None,
) -> Explainable | None:
    """Write the rows to explain; None when there are none."""
    if not samples:
        return None
    table, columns = evaluated.table, evaluated.used
    cells = table.cells([sample.row for _, sample in samples])
    rows = [(sample.id, cells[sample.row]) for _, sample in samples]
    request.outputs.explain_rows(columns, table.label, rows)
    request.outputs.record("explain/samples.json", ExplainSamples(samples=tuple(sample for _, sample in samples)))
    return Explainable(
        kind="rows",
        samples=len(samples),
        headers=(*columns, table.label, "assay_id"),
        types={name: table.types[name] for name in columns},
        label=table.label,
        label_headers=outputs,
        positive=positive,
    )
