"""A job on rows: the table in, attributions out."""

from __future__ import annotations

from assay.explanation import AssayAnalysis
from explainer.analysis import ENGINE, analysis_json
from explainer.baseline import row_baseline
from explainer.outputs import check_features, explained_outputs, output_names
from explainer.report import rows_report
from explainer.request import Request, unexplainable
from explainer.rows import RowsExplained, explain_table, write_baseline, write_local_values
from explainer.samples import read_samples, representative, why_chosen
from explainer.table import read_table


def explain_rows(request: Request) -> None:
    config, shap = request.config, request.shap
    table = read_table(request.dataset, config)
    columns = table.columns
    baseline = row_baseline(shap, table, request.resolve)
    total = len(table.features)
    samples = read_samples(request.samples_file)
    counted = representative(samples, total)
    with request.model() as (model, _):
        check_features(model.inputs[0].shape[-1], columns.feature_names)
        predict, outputs = explained_outputs(model.predict, baseline[:1], config)
        labels = output_names(config, columns.label, outputs)

        def advance(done: int) -> None:
            request.progress.report("explaining", done, total, "rows")

        with unexplainable():
            explained = explain_table(table, baseline, predict, labels, shap, representative=counted, advance=advance)

    write_baseline(request.shap_folder / "baseline.csv", columns.feature_names, baseline)
    if shap.save_local_shap_values:
        joinsource = None if columns.joinsource is None else columns.headers[columns.joinsource]
        write_local_values(request.shap_folder / "out.csv", explained, joinsource, table.joinsource)
    assay = AssayAnalysis(
        engine=ENGINE, samples=total, model_calls=explained.model_calls, max_additivity_gap=explained.max_gap
    )
    request.write_text("analysis.json", analysis_json(config, columns.feature_names, explained, assay))
    baseline_kind = "clusters of the data" if shap.baseline is None else "given rows"
    above = facts(explained, f"{len(baseline)} {baseline_kind}")
    report = config.methods.report
    request.write_text(f"{report.name}.html", rows_report(report.title, above, explained, why_chosen(samples)))


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
