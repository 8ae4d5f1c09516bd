"""No key of a configuration is ignored in silence: it is honoured, refused, or said to be without effect."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import explainer
from assay.problems import models_below
from explainer.analysis_config import (
    AnalysisConfig,
    AsymmetricShapleyValue,
    Segment,
    TimeSeriesBaseline,
    TimeSeriesData,
    TimeSeriesPredictor,
    parse_analysis_config,
)
from explainer.passed_over import passed_over

SOURCES = [path for path in Path(explainer.__path__[0]).rglob("*.py") if path.name != "analysis_config.py"]

ROWS: dict[str, Any] = {
    "dataset_type": "text/csv",
    "headers": ["age", "hours", "income"],
    "label": "income",
    "methods": {"shap": {"baseline": [[40, 38.5]]}, "pdp": {"features": ["age"], "grid_resolution": 15}},
    "predictor": {"model_name": "census", "content_type": "text/csv"},
}
BIAS: dict[str, Any] = {
    "facet": [{"name_or_index": "age", "value_or_threshold": [40]}],
    "label_values_or_threshold": [1],
    "group_variable": "hours",
}


def names_used() -> set[str]:
    """All attributes and texts in the explainer's code, but for the configuration's own module."""
    nodes = [node for path in SOURCES for node in ast.walk(ast.parse(path.read_text()))]
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return attributes | {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def fields() -> list[tuple[type[BaseModel], str]]:
    models: set[type[BaseModel]] = {AnalysisConfig, *models_below(AnalysisConfig)}
    models -= {
        AsymmetricShapleyValue,
        Segment,
        TimeSeriesBaseline,
        TimeSeriesData,
        TimeSeriesPredictor,
    }  # refused whole
    return [(model, name) for model in sorted(models, key=lambda one: one.__name__) for name in model.model_fields]


def test_each_key_that_is_read_is_looked_at() -> None:
    used = names_used()
    forgotten = [f"{model.__name__}.{name}" for model, name in fields() if name not in used]
    # picking pictures has the only method there is
    assert forgotten == ["ImageConfig.feature_extraction_method"]


def said(changes: dict[str, Any]) -> list[str]:
    return list(passed_over(parse_analysis_config(json.dumps(ROWS | changes))))


def test_what_has_an_effect_is_not_named() -> None:
    assert said({}) == []
    assert said(BIAS | {"methods": {"pre_training_bias": {"methods": "all"}}}) == []


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"version": "2.0"}, "version: '2.0'"),
        ({"segment_config": [{"name_or_index": "age", "segments": [["[0, 40]"]]}]}, "segment_config: not yet"),
        ({"features": "x"}, "features: a path into JSON"),
        ({"facet_headers": ["a"]}, "facet_headers: there is no facet_dataset_uri"),
        ({"predicted_label_headers": ["a"]}, "predicted_label_headers: there is no predicted_label_dataset_uri"),
        ({"facet": BIAS["facet"]}, "facet: neither"),
        ({"label_values_or_threshold": [1]}, "label_values_or_threshold: neither"),
        ({"predicted_label_dataset_uri": "s3://b/k"}, "predicted_label_dataset_uri: post_training_bias is not"),
        (BIAS | {"methods": {"pre_training_bias": {"methods": ["CI"]}}}, "group_variable: only CDDL and CDDPL"),
        ({"methods": {"shap": {"baseline": [[1, 2]], "num_clusters": 3}}}, "methods.shap.num_clusters: only"),
        ({"methods": {"pdp": {"features": ["age", "hours"], "top_k_features": 1}}}, "methods.pdp.top_k_features: 1"),
        ({"predictor": {"model_name": "a", "endpoint_name": "b"}}, "predictor.model_name: a; predictor.endpoint_name"),
        ({"predictor": {"model_name": "a", "accelerator_type": "ml.eia2.medium"}}, "predictor.accelerator_type"),
        ({"predictor": {"model_name": "a", "content_template": "$features"}}, "predictor.content_template"),
        ({"predictor": {"model_name": "a", "record_template": "$features"}}, "predictor.record_template"),
    ],
)
def test_what_has_none_is_named(changes: dict[str, Any], key: str) -> None:
    (only,) = said(changes)
    assert only.startswith(key), only


def test_of_pictures_all_that_rows_have_is_named() -> None:
    config = {
        "dataset_type": "application/x-image",
        "headers": ["a", "b"],
        "label": "a",
        "excluded_columns": ["b"],
        "methods": {"shap": {"agg_method": "median", "image_config": {}}},
        "predictor": {"model_name": "birds", "label_headers": ["tit"]},
    }
    keys = [one.partition(":")[0] for one in passed_over(parse_analysis_config(json.dumps(config)))]
    assert keys == ["headers", "label", "excluded_columns", "methods.shap.agg_method"]


def test_the_log_of_the_job_says_it(job: Any, caplog: pytest.LogCaptureFixture) -> None:
    (job.data / "rows.csv").write_text("1,2,0\n3,4,1\n")
    assert job.run(ROWS | {"methods": {"pre_training_bias": {"methods": ["CI"]}}, "facet_headers": ["x"]} | BIAS) == 0
    assert "without effect: facet_headers: there is no facet_dataset_uri" in caplog.text


def test_what_says_how_an_endpoint_is_asked_is_named_where_there_is_none(
    job: Any, give_model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (job.data / "rows.csv").write_text("1,2,0\n3,4,1\n")
    give_model(lambda batch: batch[:, :1], 2)
    predictor = {"model_name": "census", "content_type": "text/csv", "custom_attributes": "a=b"}
    assert job.run(ROWS | {"methods": {"pdp": {"features": ["age"]}}, "predictor": predictor}) == 0, job.message
    assert (
        "the job's archive is loaded in this process, without endpoint; without effect: predictor.custom_attributes, "
        "predictor.content_type"
    ) in caplog.text
