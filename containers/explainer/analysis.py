"""`analysis.json`: Clarify's own shape, and under the key `assay` what Clarify does not give."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assay.errors import AssayError
from assay.explanation import AssayAnalysis
from bias.metrics import FLIP_TEST, POST_TRAINING, PRE_TRAINING, Metric
from explainer.analysis_config import AnalysisConfig
from explainer.bias_job import BiasFound
from explainer.dependence_job import FeatureDependence, NoDependence
from explainer.not_yet import reason
from explainer.rows import RowsExplained
from explainer.text.explained import TextsExplained

ENGINE = "assay"


@dataclass(frozen=True)
class Results:
    """What the analyses of a job came to; None, or nothing: it was not asked for, or failed."""

    rows: RowsExplained | None = None
    """KernelSHAP of rows; of images there is none: Clarify has no place for them here."""
    texts: TextsExplained | None = None
    """The same of rows with texts."""
    dependence: Sequence[FeatureDependence | NoDependence] = ()
    dependence_features: Sequence[str | int] = ()
    """Of which features it was asked for."""
    labels: Sequence[str] = ()
    """Names of the model's outputs."""
    before: BiasFound | None = None
    after: BiasFound | None = None
    failures: Mapping[str, AssayError] = field(default_factory=dict)


def analysis_json(config: AnalysisConfig, found: Results, assay: AssayAnalysis) -> str:
    """The file's text: an analysis that failed says why in its place."""
    methods = config.methods
    explanations: dict[str, Any] = {}
    if found.rows is not None:
        explanations["kernel_shap"] = _kernel_shap(found.rows)
    elif found.texts is not None:
        explanations["kernel_shap"] = found.texts.to_clarify()
    elif "shap" in found.failures:
        explanations["error"] = str(found.failures["shap"])
    if methods.pdp is not None:
        explanations["pdp"] = _pdp(found)
    if methods.asymmetric_shapley_value is not None:
        explanations["asymmetric_shapley_value"] = {"error": reason("asymmetric_shapley_value")}
    content: dict[str, Any] = {"version": "1.0"}
    if methods.shap is not None or explanations:
        content["explanations"] = explanations
    if methods.pre_training_bias is not None:
        before: Sequence[str] | str = methods.pre_training_bias.methods
        names = list(PRE_TRAINING) if before == "all" else before
        content["pre_training_bias_metrics"] = _bias(config, found, "pre_training_bias", found.before, names)
    if methods.post_training_bias is not None:
        after: Sequence[str] | str = methods.post_training_bias.methods
        names = [*POST_TRAINING, FLIP_TEST[0]] if after == "all" else after
        content["post_training_bias_metrics"] = _bias(config, found, "post_training_bias", found.after, names)
    # sagemaker.model_card reads bias from whatever object stands at the top, and raises where one has no facets
    content["assay"] = {"facets": {}} | assay.model_dump(mode="json", exclude_none=True)
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _kernel_shap(rows: RowsExplained) -> dict[str, Any]:
    return {
        label: {
            "global_shap_values": dict(zip(rows.features, rows.importance[:, output].tolist(), strict=True)),
            "expected_value": float(rows.expected[output]),
        }
        for output, label in enumerate(rows.labels)
    }


def _pdp(found: Results) -> list[dict[str, Any]]:
    if "pdp" in found.failures:
        error = str(found.failures["pdp"])
        return [NoDependence(str(name), error).to_clarify(()) for name in found.dependence_features or [""]]
    return [one.to_clarify(found.labels) for one in found.dependence]


def _bias(
    config: AnalysisConfig, found: Results, method: str, bias: BiasFound | None, names: Sequence[str]
) -> dict[str, Any]:
    """Without a result, the metrics' names with the reason."""
    if bias is not None:
        return bias.to_clarify()
    error = str(found.failures.get(method, ""))
    metrics = [
        {"name": name, "description": _description(name), "value": None, "error": error} for name in sorted(names)
    ]
    facets = {
        str(facet.name_or_index): [
            {"value_or_threshold": ",".join(map(str, facet.value_or_threshold or ())), "metrics": metrics}
        ]
        for facet in config.facet
    }
    positive = ",".join(map(str, config.label_values_or_threshold or ()))
    return {"label": str(config.label), "label_value_or_threshold": positive, "facets": facets}


def _description(name: str) -> str:
    if name == FLIP_TEST[0]:
        return FLIP_TEST[1]
    metrics: Mapping[str, Metric] = {**PRE_TRAINING, **POST_TRAINING}
    return metrics[name].description
