"""What we take although AWS's own schema refuses it: for the log, so that a configuration can go to Clarify too.

That schema is sagemaker-core's ANALYSIS_CONFIG_SCHEMA_V1_0. It tells 1 from 1.0, which JSON and our reader do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from assay.languages import NOT_CLARIFYS, language_code
from explainer.analysis_config import AnalysisConfig, AsymmetricShapleyValue, ImageConfig, Pdp, Report, Shap

OWN: dict[type[BaseModel], tuple[str, ...]] = {
    AnalysisConfig: ("column_types",),
    Shap: ("tolerance", "time_budget", "surrogate"),
}
WANTED: dict[type[BaseModel], tuple[str, ...]] = {
    Report: ("name",),
    Pdp: ("grid_resolution",),
    AsymmetricShapleyValue: ("direction", "granularity"),
}
INTEGERS = {(ImageConfig, "segment_compactness")}
"""Integers there, although the guide suggests 0.01."""


def refused_by_aws(content: dict[str, Any]) -> Iterator[str]:
    """Each difference, with its place; of a configuration that can be read here."""
    yield from _differences(content, AnalysisConfig, "")
    predictor = content.get("predictor") or {}
    if any(isinstance(header, float) for header in predictor.get("label_headers") or ()):
        yield "predictor.label_headers: a number with a point (AWS's own schema wants strings and integers)"
    shap = content["methods"].get("shap") or {}
    if isinstance(shap.get("baseline"), dict) and "blur" in shap["baseline"]:
        yield "methods.shap.baseline: a blurred picture is Assay's own (AWS's own schema takes it, Clarify does not)"
    language = (shap.get("text_config") or {}).get("language")
    if isinstance(language, str) and language_code(language) in NOT_CLARIFYS:
        yield f"methods.shap.text_config.language: {language!r} (AWS's own schema does not know it)"


def _differences(content: dict[str, Any], model: type[BaseModel], path: str) -> Iterator[str]:
    for name in WANTED.get(model, ()):
        if name not in content:
            yield f"{path}{name}: missing (AWS's own schema wants it)"
    for name, value in content.items():
        where = f"{path}{name}"
        types = set(_types(model.model_fields[name].annotation))
        below = [one for one in types if issubclass(one, BaseModel)]
        if name in OWN.get(model, ()):
            yield f"{where}: Assay's own key"
        elif value is None:
            yield f"{where}: null (AWS's own schema wants it left out)"
        elif type(value) is float and (types <= {int, type(None)} or (model, name) in INTEGERS):
            yield f"{where}: {value!r} (AWS's own schema wants an integer)"
        elif type(value) is int and types <= {float, type(None)} and (model, name) not in INTEGERS:
            yield f"{where}: {value!r} (AWS's own schema wants a float)"
        elif below:
            for place, part in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(part, dict):
                    yield from _differences(part, below[0], f"{where}." if place is None else f"{where}[{place}].")


def _types(annotation: Any) -> Iterator[type]:
    """The classes that an annotation is made of."""
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for argument in get_args(annotation):
        yield from _types(argument)
