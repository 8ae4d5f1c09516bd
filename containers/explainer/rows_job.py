"""A job on rows: the table in, attributions out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.explanation import AssayAnalysis
from explainer.analysis import ENGINE, analysis_json
from explainer.baseline import row_baseline
from explainer.coding import Coding, coding_of
from explainer.outputs import explained_outputs, output_names
from explainer.report import rows_report
from explainer.request import Request, unexplainable
from explainer.rows import RowsExplained, explain_table, write_baseline, write_local_values
from explainer.samples import read_samples, representative, why_chosen
from explainer.shapley import Predict
from explainer.table import Table, read_table
from model.features import Features
from model.load import Model


def explain_rows(request: Request) -> None:
    config, shap = request.config, request.shap
    table = read_table(request.dataset, config)
    baseline = row_baseline(config, shap, table, request.resolve)
    coding = coding_of(table.features, table.types, table.columns, baseline)
    coded_baseline = coding.encode(baseline)
    total = len(table)
    samples = read_samples(request.samples_file)
    counted = representative(samples, total)
    with request.model() as (model, _):
        predict, outputs = explained_outputs(scores_of(model, table, coding), coded_baseline[:1], config)
        labels = output_names(config, table.meaning.label_name, outputs)

        def advance(done: int) -> None:
            request.progress.report("explaining", done, total, "rows")

        with unexplainable():
            explained = explain_table(
                table, coding, coded_baseline, predict, labels, shap, representative=counted, advance=advance
            )

    write_baseline(request.shap_folder / "baseline.csv", table.features, baseline)
    if shap.save_local_shap_values:
        write_local_values(request.shap_folder / "out.csv", explained, table.meaning.joinsource, table.joinsource)
    assay = AssayAnalysis(
        engine=ENGINE, samples=total, model_calls=explained.model_calls, max_additivity_gap=explained.max_gap
    )
    request.write_text("analysis.json", analysis_json(config, table.features, explained, assay))
    baseline_kind = "clusters of the data" if shap.baseline is None else "given rows"
    above = facts(explained, f"{len(coded_baseline)} {baseline_kind}")
    report = config.methods.report
    request.write_text(f"{report.name}.html", rows_report(report.title, above, explained, why_chosen(samples)))


def scores_of(model: Model, table: Table, coding: Coding) -> Predict:
    """The model as a function of coded rows, (rows, features) → (rows, outputs).

    Raises:
        BadModel: the model takes other features than the data has.
    """
    features = Features(model.inputs, table.features, table.types, {})
    if features.is_matrix and coding.is_numeric:
        return model.predict  # a third of the time of a small model would go into taking columns apart

    def predict(coded: NDArray[Any]) -> NDArray[np.float64]:
        return model.predict(features.arrange(coding.decode(coded)))

    return predict


def facts(explained: RowsExplained, baseline: str) -> tuple[tuple[str, str], ...]:
    """What stands above the report."""
    return (
        ("Rows", f"{len(explained.values):,}"),
        ("Features", f"{len(explained.features):,}"),
        ("Baseline", baseline),
        ("Attributions", "exact" if explained.exact else "estimated"),
        ("Model calls", f"{explained.model_calls:,}"),
        ("Largest additivity gap", f"{explained.max_gap:.1g}"),
    )
