"""`analysis.json`: Clarify's own shape, and under the key `assay` what Clarify does not give."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from assay.explanation import AssayAnalysis
from explainer import not_yet
from explainer.analysis_config import AnalysisConfig
from explainer.rows import RowsExplained

ENGINE = "assay"
PRE_TRAINING = ("CI", "DPL", "KL", "JS", "LP", "TVD", "KS", "CDDL")
POST_TRAINING = ("DPPL", "DI", "DCA", "DCR", "SD", "RD", "DAR", "DRR", "AD", "TE", "CDDPL", "FT", "GE")


def analysis_json(
    config: AnalysisConfig, features: Sequence[str], rows: RowsExplained | None, assay: AssayAnalysis
) -> str:
    """The file's text.

    Args:
        config: what was asked for; an analysis that is not built says so in its place.
        features: the names of the features; none for images.
        rows: what KernelSHAP found of rows; None for images, for which Clarify has no place here.
        assay: ours.
    """
    explanations: dict[str, Any] = {}
    if rows is not None:
        explanations["kernel_shap"] = _kernel_shap(rows)
    content: dict[str, Any] = {"version": "1.0", "explanations": explanations}
    methods = config.methods
    if methods.pdp is not None:
        asked = methods.pdp.features if methods.pdp.features is not None else features
        explanations["pdp"] = [{"feature_name": str(name), "error": not_yet.reason("pdp")} for name in asked]
    if methods.asymmetric_shapley_value is not None:
        explanations["asymmetric_shapley_value"] = {"error": not_yet.reason("asymmetric_shapley_value")}
    if methods.pre_training_bias is not None:
        asked = methods.pre_training_bias.methods
        content["pre_training_bias_metrics"] = _bias(
            config, "pre_training_bias", PRE_TRAINING if asked == "all" else asked
        )
    if methods.post_training_bias is not None:
        asked = methods.post_training_bias.methods
        content["post_training_bias_metrics"] = _bias(
            config, "post_training_bias", POST_TRAINING if asked == "all" else asked
        )
    content["assay"] = assay.model_dump(mode="json", exclude_none=True)
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _kernel_shap(rows: RowsExplained) -> dict[str, Any]:
    return {
        label: {
            "global_shap_values": dict(zip(rows.features, rows.importance[:, output].tolist(), strict=True)),
            "expected_value": float(rows.expected[output]),
        }
        for output, label in enumerate(rows.labels)
    }


def _bias(config: AnalysisConfig, method: str, metrics: Sequence[str]) -> dict[str, Any]:
    error = not_yet.reason(method)
    unavailable = [{"name": name, "description": name, "value": None, "error": error} for name in metrics]
    return {
        "label": str(config.label),
        "label_value_or_threshold": ",".join(map(str, config.label_values_or_threshold or ())),
        "facets": {
            str(facet.name_or_index): [
                {"value_or_threshold": ",".join(map(str, facet.value_or_threshold or ())), "metrics": unavailable}
            ]
            for facet in config.facet
        },
    }
