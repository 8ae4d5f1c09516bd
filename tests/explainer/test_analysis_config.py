"""The configuration: all that Clarify's schema says is read, and a mistake is said where it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay.errors import BadPolicy, NotYet
from explainer.analysis_config import parse_analysis_config, read_analysis_config
from explainer.not_yet import check_is_built

ROWS: dict[str, Any] = {
    "dataset_type": "text/csv",
    "headers": ["age", "hours", "income"],
    "label": "income",
    "methods": {"shap": {"baseline": [[40, 38.5]], "num_samples": 100, "agg_method": "mean_abs"}},
    "predictor": {"model_name": "census", "label_headers": ["rich"]},
}
IMAGES: dict[str, Any] = {
    "dataset_type": "application/x-image",
    "methods": {"shap": {"image_config": {"model_type": "IMAGE_CLASSIFICATION", "num_segments": 20}}},
    "predictor": {"model_name": "birds", "label_headers": ["sparrow", "cardinal"]},
}

TEXT = {"granularity": "token", "language": "en"}

EVERYTHING: dict[str, Any] = {
    "version": "1.0",
    "dataset_type": "application/JSONLines",
    "dataset_uri": "s3://bucket/data.jsonl",
    "headers": ["text", "category", "stars", "predicted"],
    "label": "label",
    "predicted_label": "predicted",
    "features": "features",
    "label_values_or_threshold": [5, "4"],
    "probability_threshold": 0.7,
    "segment_config": [{"name_or_index": "category", "segments": [["a", "b"]], "display_aliases": ["ab"]}],
    "facet": [{"name_or_index": 1, "value_or_threshold": ["a"]}],
    "facet_dataset_uri": "s3://bucket/facet.csv",
    "facet_headers": ["sex"],
    "predicted_label_dataset_uri": "s3://bucket/predictions.csv",
    "predicted_label_headers": ["predicted"],
    "excluded_columns": ["id", 4],
    "joinsource_name_or_index": 0,
    "group_variable": "category",
    "time_series_data_config": {
        "target_time_series": 1,
        "item_id": 0,
        "timestamp": 2,
        "related_time_series": [3],
        "dataset_format": "item_records",
    },
    "methods": {
        "shap": {
            "baseline": [{"features": ["ok", "books"]}],
            "num_clusters": 3,
            "use_logit": True,
            "num_samples": 100,
            "agg_method": "MEDIAN",
            "save_local_shap_values": False,
            "text_config": {"granularity": "Token", "language": "english", "max_top_tokens": 10},
            "seed": 7,
            "features_to_explain": ["text", 1],
        },
        "pre_training_bias": {"methods": "all"},
        "post_training_bias": {"methods": ["DPPL", "GE"]},
        "pdp": {"features": ["category"], "grid_resolution": 10, "top_k_features": 5},
        "report": {"name": "mine", "title": "Mine"},
        "asymmetric_shapley_value": {"direction": "chronological", "granularity": "timewise", "num_samples": 10},
    },
    "predictor": {
        "endpoint_name": "reviews",
        "endpoint_name_prefix": "shadow",
        "model_name": "reviews",
        "target_model": "one",
        "instance_type": "ml.m5.xlarge",
        "initial_instance_count": 1,
        "accelerator_type": "ml.eia1.medium",
        "content_type": "application/jsonlines",
        "accept_type": "application/jsonlines",
        "label": "label",
        "probability": "score",
        "label_headers": [1, 2, "3"],
        "content_template": '{"features":$features}',
        "record_template": "$features_kvp",
        "custom_attributes": "a=b",
        "time_series_predictor_config": {"forecast": "forecast"},
    },
}


def changed(base: dict[str, Any], path: str, value: object) -> str:
    """The configuration as text, with one thing said otherwise; `...` for not at all."""
    content = json.loads(json.dumps(base))
    *parents, last = path.split(".")
    part = content
    for key in parents:
        part = part.setdefault(key, {})
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return json.dumps(content)


def test_all_that_clarifys_schema_knows_is_read() -> None:
    config = parse_analysis_config(json.dumps(EVERYTHING))
    assert config.dataset_type == "application/jsonlines"
    assert config.methods.asked == [
        "shap",
        "pre_training_bias",
        "post_training_bias",
        "pdp",
        "asymmetric_shapley_value",
    ]
    assert config.methods.shap is not None
    assert config.methods.shap.agg_method == "median"
    assert config.label_headers == ("1", "2", "3")


def test_what_is_left_out_has_clarifys_defaults() -> None:
    shap = parse_analysis_config(changed(IMAGES, "methods.shap.image_config", {})).methods.shap
    assert shap is not None
    assert shap.image_config is not None
    assert (shap.image_config.num_segments, shap.image_config.segment_compactness) == (20, 5)
    assert (shap.agg_method, shap.use_logit, shap.save_local_shap_values) == ("mean_abs", False, True)
    assert (shap.num_samples, shap.seed) == (None, 0)


@pytest.mark.parametrize(
    ("base", "path", "value", "says"),
    [
        (ROWS, "methods.shap.num_sample", 5, r"methods\.shap\.num_sample: unknown key; did you mean `num_samples`\?"),
        (ROWS, "dataset_typ", 5, r"dataset_typ: unknown key; did you mean `dataset_type`\?"),
        (ROWS, "dataset_type", ..., "dataset_type: missing"),
        (ROWS, "dataset_type", "image/jpg", "dataset_type: input should be 'text/csv'.*found 'image/jpg'"),
        (ROWS, "methods.shap.num_samples", "100", r"num_samples: input should be a valid integer, found '100'"),
        (ROWS, "methods.shap.num_samples", 99.5, "num_samples: input should be a valid integer.*found 99.5"),
        (ROWS, "methods.shap.num_samples", 0, "num_samples: .*greater than or equal to 1, found 0"),
        (ROWS, "methods.shap.agg_method", "mean", "agg_method: .*'mean_abs', 'median' or 'mean_sq', found 'mean'"),
        (ROWS, "methods.shap.baseline", [1, 2], r"baseline: expected an S3 address, a list of rows \[\[…\], …\]"),
        (ROWS, "methods.shap.baseline", [], "baseline: expected an S3 address"),
        (ROWS, "methods.shap", ..., "methods: no analysis is asked for"),
        (ROWS, "methods.report", {"name": "../evil"}, r"methods\.report\.name: "),
        (ROWS, "predictor", ..., "predictor: missing; shap has to ask the model"),
        (ROWS, "label", True, "label: expected a name or a 0-based index"),
        (ROWS, "headers", ["age", "age", "income"], "headers: 'age' stands there more than once"),
        (ROWS, "predictor.label_headers", ["a", "b", "a"], r"label_headers: 'a' stands there more than once"),
        (ROWS, "methods.shap.image_config", {}, "image_config: only for dataset_type application/x-image"),
        (ROWS, "facet", [{"name": "sex"}], r"facet\.0\.name_or_index: missing; facet\.0\.name: unknown key"),
        (IMAGES, "predictor.label_headers", ..., r"predictor\.label_headers: missing; images need a name for each"),
        (ROWS, "methods.shap.text_config", TEXT | {"granularity": "word"}, "granularity: .*'paragraph', found 'word'"),
        (ROWS, "methods.shap.text_config", TEXT | {"language": "Englsh"}, "language: .*did you mean 'english'"),
        (ROWS, "methods.shap.text_config", TEXT | {"max_top_tokens": 0}, "max_top_tokens: .*greater than or equal"),
        (IMAGES, "methods.shap.text_config", TEXT, "text_config: not for dataset_type application/x-image"),
    ],
)
def test_a_mistake_is_named_with_its_place(base: dict[str, Any], path: str, value: object, says: str) -> None:
    with pytest.raises(BadPolicy, match=f"^Analysis configuration schema validation error. .*{says}"):
        parse_analysis_config(changed(base, path, value))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", r"expected an object with keys such as dataset_type, methods, version, .*; found a list$"),
        ("{}", r"dataset_type: missing; expected one of 'text/csv', 'application/jsonlines', .*; methods: missing$"),
        (
            '{"dataset_type": "text/csv", "methods": ["shap"]}',
            r"methods: expected an object with keys such as shap, .*list",
        ),
        (
            '{"dataset_type": "text/csv", "methods": {"shap": true}}',
            r"methods\.shap: expected an object .*; found True$",
        ),
    ],
)
def test_another_shape_is_told_with_the_right_one(text: str, says: str) -> None:
    with pytest.raises(BadPolicy, match=f"^Analysis configuration schema validation error. {says}"):
        parse_analysis_config(text)


def test_all_mistakes_are_named_at_once() -> None:
    content = json.loads(changed(ROWS, "methods.shap.seeed", 1)) | {"label": [], "probability_threshold": "high"}
    with pytest.raises(BadPolicy, match=r"seeed: .*label: .*probability_threshold: |label: .*seeed"):
        parse_analysis_config(json.dumps(content))


def test_a_label_that_is_no_header_is_said_in_clarifys_words() -> None:
    with pytest.raises(BadPolicy, match=r"^Headers must contain label\. Found no 'wage' among age, hours, income$"):
        parse_analysis_config(changed(ROWS, "label", "wage"))


def test_broken_json_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "analysis_config.json"
    path.write_text('{"version": "1.0",\n  "methods": {,}}')
    with pytest.raises(
        BadPolicy, match=r"^Unable to load analysis configuration as JSON\. .*json, line 2, column 15: "
    ):
        read_analysis_config(path)


@pytest.mark.parametrize("text", ['{"methods": {"report": {"title": "\\ud800"}}}', '{"\\udfff": 1}'])
def test_half_of_a_surrogate_pair_is_no_text(text: str) -> None:
    with pytest.raises(BadPolicy, match=r"half of a surrogate pair, which is no character, stands in ….*\\ud"):
        parse_analysis_config(text)


def test_what_is_too_deep_is_no_configuration() -> None:
    with pytest.raises(BadPolicy, match=r"^Unable to load analysis configuration as JSON\. .*: too deep to be read"):
        parse_analysis_config("[" * 100_000)


@pytest.mark.parametrize("name", ["My report", "Bericht über 2026", "report.v2"])
def test_any_file_name_names_the_report(name: str) -> None:
    assert parse_analysis_config(changed(ROWS, "methods.report", {"name": name})).methods.report.name == name


@pytest.mark.parametrize("name", ["", "..", "a/b", "../up", "a\\b", "a\nb", "x" * 201])
def test_a_report_is_named_by_no_folder(name: str) -> None:
    with pytest.raises(BadPolicy, match=r"methods\.report\.name: expected a file's name"):
        parse_analysis_config(changed(ROWS, "methods.report", {"name": name}))


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadPolicy, match=r"^Unable to load analysis configuration as JSON\. There is no .*config\.json"):
        read_analysis_config(tmp_path / "analysis_config.json")


@pytest.mark.parametrize(
    ("base", "path", "value", "says"),
    [
        (
            ROWS,
            "dataset_type",
            "application/sagemakercapturejson",
            "dataset_type application/sagemakercapturejson; supported are text/csv, application",
        ),
        (
            ROWS,
            "methods",
            {"asymmetric_shapley_value": {}},
            "^not yet: asymmetric_shapley_value; supported are shap, pdp",
        ),
        (IMAGES, "methods", {"pdp": {}}, "^not yet: pdp of images; supported is shap"),
    ],
)
def test_what_is_not_built_yet_says_so_and_what_is(base: dict[str, Any], path: str, value: object, says: str) -> None:
    with pytest.raises(NotYet, match=says):
        check_is_built(parse_analysis_config(changed(base, path, value)))


def test_analyses_that_are_not_built_do_not_stop_one_that_is() -> None:
    check_is_built(parse_analysis_config(changed(ROWS, "methods.pdp", {"features": ["age"]})))
