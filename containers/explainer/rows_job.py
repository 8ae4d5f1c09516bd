"""A job on rows: the table in, attributions, partial dependence and bias out."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import AssayError, BadPolicy
from assay.explanation import AssayAnalysis, Attributions, BiasInterval
from bias.selection import as_numbers, equal_to, kind_of, within
from explainer.analyses import Analyses
from explainer.analysis import ENGINE, Results, analysis_json
from explainer.analysis_config import AnalysisConfig
from explainer.baseline import row_baseline
from explainer.bias_job import (
    BiasFound,
    Outcomes,
    bias_after,
    bias_before,
    check_predicted,
    outcomes_of,
    predicted_labels,
)
from explainer.coding import Coding, Columns, coding_of, content_of
from explainer.dependence_job import (
    Dependences,
    FeatureDependence,
    NoDependence,
    by_importance,
    features_of,
    individual_csv,
)
from explainer.outputs import output_columns, output_names
from explainer.pages import write_report
from explainer.predictor import (
    LabelsBeside,
    answered_labels,
    answers_label,
    asks,
    labels_beside,
    named_beside,
    open_predictor,
    predicted_of,
)
from explainer.report import rows_report
from explainer.request import Request, unexplainable
from explainer.rows import Place, RowsExplained, explain_table, write_baseline, write_local_values, write_rows
from explainer.samples import read_samples, representative, why_chosen
from explainer.shapley import Predict, default_samples, too_few
from explainer.table import Table, read_table
from explainer.text.columns import with_texts
from explainer.text.explained import DATA_TYPES, TextsExplained, explain_texts
from explainer.text.game import Ask
from explainer.text.outputs import write_local_texts
from explainer.text.units import segmenter
from model.endpoint import Endpoint
from model.load import Model
from model.transform import output_transform

logger = logging.getLogger(__name__)

SCORED_AT_ONCE = 8192
"""Rows in one call of the model."""
MOST_LEFT_OUT = 100
"""Rows that analysis.json names; `assay/rows.csv` has them all."""


@dataclass(frozen=True)
class RowsModel:
    """The model as rows meet it."""

    predict: Predict
    """(rows, features), coded → (rows, outputs)."""
    ask: Ask
    """The same of columns, whatever values they hold."""
    labels: tuple[str, ...]
    """A name for each output."""
    is_endpoint: bool = False
    """Each call is a request."""
    may_answer_label: bool = False
    """Its one number may be the predicted label itself."""
    labels_beside: LabelsBeside | None = None


def explain_rows(request: Request) -> None:
    """All analyses that are asked for; one that fails says so in its place, and the job fails when none succeeds.

    The model is loaded only when one of them asks it.
    """
    config, methods = request.config, request.config.methods
    table = read_rows(request)
    analyses = Analyses()
    before = after = None
    if methods.pre_training_bias is not None:
        before = analyses.attempt("pre_training_bias", lambda: bias_before(request, table))
    if methods.post_training_bias is not None and _brings_predictions(config):
        after = analyses.attempt("post_training_bias", lambda: _after_by_data(request, table))
    asked = [name for name in ("shap", "pdp") if getattr(methods, name) is not None]
    if methods.post_training_bias is not None and not _brings_predictions(config):
        asked.append("post_training_bias")
    found = Results(before=before, after=after)
    if asked:
        found = _ask_model(request, table, analyses, asked, found)
    analyses.check()
    found = replace(found, failures=analyses.failures)
    _write(request, table, found)


def read_rows(request: Request) -> Table:
    """The job's table, with the types of its columns."""
    said = None if request.policy is None else request.policy.data
    table = read_table(request.dataset, request.config, said)
    shap = request.config.methods.shap
    if shap is None or shap.text_config is None:
        return table
    declared = {name for name, kind in request.config.column_types.items() if kind == "text"}
    return with_texts(table, declared or (() if said is None else said.text))


def _brings_predictions(config: AnalysisConfig) -> bool:
    return config.predicted_label is not None or config.predicted_label_dataset_uri is not None


def _after_by_data(request: Request, table: Table) -> BiasFound:
    outcomes = outcomes_of(request.config, table, predicted_labels(request, table))
    return bias_after(request, table, outcomes)


def _ask_model(request: Request, table: Table, analyses: Analyses, asked: list[str], found: Results) -> Results:
    """The analyses that need the model; what none of them can do without fails them all."""
    config, methods = request.config, request.config.methods
    with ExitStack() as stack:
        try:
            if config.predictor is None:
                raise BadPolicy(f"predictor: missing; {' and '.join(asked)} have to ask the model")
            baseline = None if methods.shap is None else row_baseline(config, methods.shap, table, request.resolve)
            coding = coding_of(table.features, table.types, table.columns, *([] if baseline is None else [baseline]))
            loaded = stack.enter_context(open_predictor(request, table))
            model = rows_model(loaded, table, coding, request)
        except AssayError as error:
            analyses.fail(asked, error)
            return found
        rows: RowsExplained | None = None
        texts: TextsExplained | None = None
        if baseline is not None and request.shap.text_config is not None:
            texts = analyses.attempt("shap", lambda: _texts(request, table, baseline, model))
        elif baseline is not None:
            rows = analyses.attempt("shap", lambda: _attributions(request, table, coding, baseline, model))
        found = replace(found, rows=rows, texts=texts, labels=model.labels)
        if methods.pdp is not None:
            found = _depend(request, table, coding, model, analyses, found)
        if "post_training_bias" in asked:
            after = analyses.attempt(
                "post_training_bias",
                lambda: bias_after(request, table, outcomes_by_model(config, table, coding, model)),
            )
            found = replace(found, after=after)
    return found


def _attributions(request: Request, table: Table, coding: Coding, baseline: Columns, model: RowsModel) -> RowsExplained:
    samples, total = read_samples(request.samples_file), len(table)
    counted = representative(samples, total)

    def advance(done: int) -> None:
        request.progress.report("explaining", done, total, "rows")

    with unexplainable():
        explained = explain_table(
            table,
            coding,
            coding.encode(baseline),
            model.predict,
            model.labels,
            request.shap,
            representative=counted,
            surrogate=uses_surrogate(request, model),
            place=Place(request.parts(content_of(table.columns, baseline)), advance),
        )
    write_baseline(request.shap_folder / "baseline.csv", table.features, baseline)
    request.assay_folder.mkdir(exist_ok=True)
    write_rows(request.assay_folder / "rows.csv", explained.labels, explained.facts(), table)
    if request.shap.save_local_shap_values:
        write_local_values(request.shap_folder, request.assay_folder, explained, table)
    return explained


def _texts(request: Request, table: Table, baseline: Columns, model: RowsModel) -> TextsExplained:
    asked, total = request.shap.text_config, len(table)
    assert asked is not None
    found = segmenter(asked.granularity, asked.language)
    if found.instead_of:
        logger.warning("%s; texts are cut by %s instead", found.instead_of, found.how)
    counted = representative(read_samples(request.samples_file), total)

    def advance(done: int) -> None:
        request.progress.report("explaining", done, total, "rows")

    with unexplainable():
        explained = explain_texts(
            table,
            {name: DATA_TYPES[table.types[name]] for name in table.features},
            baseline,
            model.ask,
            model.labels,
            request.shap,
            found,
            representative=counted,
            surrogate=uses_surrogate(request, model),
            place=Place(request.parts(content_of(table.columns, baseline) + found.how), advance),
        )
    write_baseline(request.shap_folder / "baseline.csv", table.features, baseline)
    request.assay_folder.mkdir(exist_ok=True)
    write_rows(request.assay_folder / "rows.csv", explained.labels, explained.rows.facts(), table)
    if request.shap.save_local_shap_values:
        write_local_texts(request.shap_folder, request.assay_folder, explained)
    return explained


def uses_surrogate(request: Request, model: RowsModel) -> bool:
    asked = request.shap.surrogate
    return model.is_endpoint if asked == "auto" else asked


def _depend(
    request: Request, table: Table, coding: Coding, model: RowsModel, analyses: Analyses, found: Results
) -> Results:
    pdp = request.config.methods.pdp
    assert pdp is not None
    important = None if found.rows is None else by_importance(found.rows.features, found.rows.importance)
    if found.texts is not None:
        important = by_importance(found.texts.rows.others, found.texts.totals.importance)
        # of a text there is no curve: it has as many values as rows
        others = tuple(name for name in table.features if table.types[name] != "text")
        table = replace(table, meaning=replace(table.meaning, features=others))
    names = features_of(pdp, table, important)

    def all_of_them() -> list[FeatureDependence | NoDependence]:
        dependences = Dependences(pdp, table, coding, model.predict)
        result: list[FeatureDependence | NoDependence] = []
        failed: list[AssayError] = []
        for name in names:
            try:
                with unexplainable():
                    result.append(dependences.of(name))
            except AssayError as error:
                logger.error("pdp of %s: %s", name, error)
                failed.append(error)
                result.append(NoDependence(str(name), str(error)))
            request.progress.report("measuring dependence", len(result), len(names), "features")
        if len(failed) == len(names) > 0:
            raise failed[0]
        return result

    return replace(found, dependence=analyses.attempt("pdp", all_of_them) or (), dependence_features=names)


def outcomes_by_model(config: AnalysisConfig, table: Table, coding: Coding, model: RowsModel) -> Outcomes:
    """What the model itself predicts of every row.

    One score of a category is compared with `probability_threshold`; of several, the label of the highest counts.
    """
    outcomes = outcomes_of(config, table, None)
    assert table.meaning.label is not None
    labels = table.columns[table.meaning.label]
    given = config.label_values_or_threshold or []
    parts = []
    for start in range(0, len(table), SCORED_AT_ONCE):
        portion = {name: table.columns[name][start : start + SCORED_AT_ONCE] for name in table.features}
        with unexplainable():
            parts.append(np.asarray(model.predict(coding.encode(portion)), dtype=np.float64))
    scores = np.concatenate(parts)
    if model.labels_beside is not None:
        return outcomes_of(config, table, predicted_of(model.labels_beside(None), scores))
    answered = f"scores from {scores.min():.6g} to {scores.max():.6g}"
    if scores.shape[1] > 1:
        highest = scores.argmax(axis=1)
        predicted = equal_to(np.array(model.labels, dtype=object)[highest], given)
        answered = ", ".join(model.labels[place] for place in np.unique(highest)[:10].tolist())
        if config.label_headers is None:
            answered += "; predictor.label_headers says what the model's outputs are called in the data"
    elif kind_of(labels, given) == "continuous":
        both = np.concatenate([labels.astype(np.float64), scores[:, 0]])
        predicted = within(scores[:, 0], given, both, "label_values_or_threshold").rows
    elif model.may_answer_label and _are_labels(scores[:, 0], labels):
        predicted = equal_to(scores[:, 0], given)
    else:
        predicted = scores[:, 0] > config.probability_threshold
        answered += f", probability_threshold is {config.probability_threshold}"
    check_predicted(predicted, outcomes.name, answered)
    return replace(outcomes, predicted=predicted)


def _are_labels(answers: NDArray[np.float64], labels: NDArray[Any]) -> bool:
    known = as_numbers(labels)
    return known is not None and bool(np.isin(answers, known).all())


def rows_model(model: Model | Endpoint, table: Table, coding: Coding, request: Request) -> RowsModel:
    """The model as rows meet it; it is asked about the first one, to see how many outputs there are.

    Raises:
        BadModel: the model takes other features than the data has.
        BadPolicy: `model.inputs` names a column or an input that there is not, or the configuration an output.
    """
    answers, of_matrix = asks(model, table, request)
    transform = output_transform(request.model_options.output_transform)

    def all_outputs(columns: Columns) -> NDArray[np.float64]:
        return transform(answers(columns))

    outputs = all_outputs({name: table.columns[name][:1] for name in table.features}).shape[1]
    # of an endpoint `probability` says where in its answer the scores stand
    shown = slice(0, outputs) if isinstance(model, Endpoint) else output_columns(outputs, request.config)

    def ask(columns: Columns) -> NDArray[np.float64]:
        return all_outputs(columns)[:, shown]

    def predict(coded: NDArray[Any]) -> NDArray[np.float64]:
        if of_matrix is None or not coding.is_numeric:
            return ask(coding.decode(coded))
        return transform(of_matrix(coded))[:, shown]  # taking columns apart is a third of a small model's time

    if not isinstance(model, Endpoint):
        return RowsModel(predict, ask, output_names(request.config, table.meaning.label_name, shown.stop - shown.start))
    beside = labels_beside(model, table, request)
    labels = answered_labels(request.config, table) or named_beside(beside, request.config, outputs)
    labels = labels or output_names(request.config, table.meaning.label_name, outputs)
    return RowsModel(predict, ask, labels, True, answers_label(request.config), beside)


def _write(request: Request, table: Table, found: Results) -> None:
    """analysis.json and the report: last, so that whoever finds them finds all the rest."""
    config, rows = request.config, found.texts or found.rows
    assay = AssayAnalysis(
        engine=ENGINE,
        samples=len(table),
        model_calls=None if rows is None else rows.model_calls,
        max_additivity_gap=None if rows is None else rows.max_gap,
        attributions=_summary(found.rows, found.texts),
        bias=_intervals(found.before, found.after),
    )
    if found.dependence:
        request.assay_folder.mkdir(exist_ok=True)
        request.write_text("assay/individual.csv", individual_csv(found.dependence, found.labels))
    request.write_text("analysis.json", analysis_json(config, found, assay))
    report = config.methods.report
    chosen = why_chosen(read_samples(request.samples_file))
    shown = rows_report(report.title, facts(request, table, found), found, table.columns, chosen)
    write_report(request, shown)
    if found.rows is not None:
        found.rows.found.parts.forget()
    if found.texts is not None:
        found.texts.rows.parts.forget()


def _summary(rows: RowsExplained | None, texts: TextsExplained | None) -> Attributions | None:
    if texts is not None:
        left_out, totals = texts.rows.left_out, texts.totals
        return Attributions(
            exact=totals.exact,
            explained=len(texts.rows.parts),
            left_out=len(left_out),
            left_out_rows=tuple(left_out[:MOST_LEFT_OUT]),
            half_width=totals.half_width,
            surrogate=texts.surrogate,
            rank_correlations=totals.rank_correlations,
        )
    if rows is None:
        return None
    left_out = rows.left_out
    return Attributions(
        exact=rows.exact,
        explained=len(rows.found.parts),
        left_out=len(left_out),
        left_out_rows=tuple(left_out[:MOST_LEFT_OUT]),
        half_width=rows.half_width,
        surrogate=rows.surrogate,
        rank_correlations=rows.rank_correlations,
    )


def _intervals(*found: BiasFound | None) -> dict[str, dict[str, BiasInterval]]:
    result: dict[str, dict[str, BiasInterval]] = {}
    for bias in found:
        for column, facets in ({} if bias is None else bias.facets).items():
            for value, metrics in facets:
                known = result.setdefault(f"{column}={value}", {})
                for one in metrics:
                    if one.value is not None and one.low is not None and one.high is not None:
                        known[one.name] = BiasInterval(value=one.value, low=one.low, high=one.high)
    return result


def facts(request: Request, table: Table, found: Results) -> tuple[tuple[str, str], ...]:
    """What stands above the report."""
    rows = found.texts or found.rows
    common = (("Rows", f"{len(table):,}"), ("Features", f"{len(table.features):,}"))
    if rows is None:
        return common
    one = rows.baseline_rows == 1
    given = request.shap.baseline is not None
    kind = f"given row{'' if one else 's'}" if given else f"cluster{'' if one else 's'} of the data"
    if found.texts is not None and request.shap.baseline is None:
        kind = f"{kind}, absent text is dropped" if found.texts.rows.others else "empty text: what is absent is dropped"
    return (
        *common,
        *(
            ()
            if found.texts is None
            else (("Texts", f"by {found.texts.granularity}: {found.texts.rows.segmenter.how}"),)
        ),
        ("Baseline", f"{rows.baseline_rows} {kind}"),
        ("Attributions", "exact" if rows.exact else _estimated(request, found.rows)),
        ("Model calls", f"{rows.model_calls:,}"),
        ("Largest additivity gap", f"{rows.max_gap:.1g}"),
    )


def _estimated(request: Request, rows: RowsExplained | None) -> str:
    """How the values were come by, and what the budget that was asked for did not suffice for."""
    if rows is None:  # texts: each has players of its own number
        return "estimated"
    features = len(rows.features)
    lacking = too_few(features, request.shap.num_samples or default_samples(features))
    return "estimated" if lacking is None else f"estimated; num_samples: {lacking}"
