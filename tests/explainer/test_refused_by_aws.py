"""sagemaker-core's own schema is the oracle: what it takes we take, and what we take in spite of it is named."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from assay.errors import BadPolicy
from explainer.analysis_config import parse_analysis_config
from explainer.refused_by_aws import refused_by_aws

Json = dict[str, Any]

EVERYTHING: Json = {
    "version": "1.0",
    "dataset_type": "application/JSONLines",
    "dataset_uri": "s3://bucket/data.jsonl",
    "headers": ["text", "category", "stars", "predicted"],
    "label": "label",
    "predicted_label": "predicted",
    "features": "features",
    "label_values_or_threshold": [5, "4"],
    "probability_threshold": 0.7,
    "segment_config": [
        {"name_or_index": "category", "segments": [["a", "b"]], "config_name": "c", "display_aliases": ["ab"]}
    ],
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
        "static_covariates": [4],
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
        "asymmetric_shapley_value": {
            "direction": "chronological",
            "granularity": "timewise",
            "num_samples": 10,
            "baseline": {
                "target_time_series": "zero",
                "related_time_series": "mean",
                "static_covariates": {"item": [1, "a", 0.5]},
            },
        },
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
PICTURES: Json = {
    "dataset_type": "application/x-image",
    "methods": {
        "shap": {
            "image_config": {
                "model_type": "OBJECT_DETECTION",
                "num_segments": 20,
                "segment_compactness": 5,
                "feature_extraction_method": "segmentation",
                "max_objects": 3,
                "iou_threshold": 0.5,
                "context": 1.0,
                "debug": {"image_names": ["a"], "class_ids": [1], "sample_from": 0, "sample_to": 5},
            }
        }
    },
    "predictor": {"model_name": "birds", "label_headers": ["sparrow", "cardinal"], "content_template": {"a": "b"}},
}
VALUES: tuple[Any, ...] = (..., None, 1, 1.0, 1.5, "x", True, [], {}, ["x"], [1.5])
"""What is put in the place of each key, one at a time; `...`: the key is left out."""

STRICTER = {
    "methods": "nothing is asked for",
    "methods.shap": "nothing is asked for",
    "methods.shap.baseline": "an empty one",
    "methods.shap.baseline.0": "an empty one",
    "methods.shap.features_to_explain": "none",
    "methods.shap.image_config.model_type": "there are two",
    "methods.shap.image_config.feature_extraction_method": "there is one",
    "methods.shap.image_config.iou_threshold": "a share is at most 1",
    "methods.shap.image_config.context": "a share is at most 1",
    "methods.pre_training_bias.methods": "a metric that there is not",
    "methods.post_training_bias.methods": "a metric that there is not",
    "methods.post_training_bias.methods.0": "a metric that there is not",
    "methods.post_training_bias.methods.1": "a metric that there is not",
    "predictor": "shap without a model; pictures without label_headers",
    "predictor.label_headers": "pictures without",
    "predictor.label_headers.1": "one name twice",
    "predictor.label_headers.2": "one name twice",
    "predictor.content_template": "an empty one",
}
"""What AWS's schema takes and Clarify could not do: where, and what we refuse there."""

AWS_PYTHON = Path(__file__).parents[2] / ".envs/sagemaker/bin/python"
ASK_AWS = """
import json, sys
from sagemaker.core.clarify import ANALYSIS_CONFIG_SCHEMA_V1_0 as schema

def takes(config):
    try:
        schema.validate(config)
    except Exception:
        return False
    return True

print(json.dumps([takes(config) for config in json.load(sys.stdin)]))
"""


class Changed(NamedTuple):
    path: str
    value: object
    content: Json

    @property
    def taken(self) -> bool:
        try:
            parse_analysis_config(json.dumps(self.content))
        except BadPolicy:
            return False
        return True


def places(content: Any, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield (*before, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*before, key))


def changed(base: Json) -> Iterator[Changed]:
    for place in places(base):
        for value in VALUES:
            content = copy.deepcopy(base)
            part: Any = content
            for key in place[:-1]:
                part = part[key]
            if value is ...:
                del part[place[-1]]
            else:
                part[place[-1]] = value
            yield Changed(".".join(map(str, place)), value, content)


def named(content: Json) -> list[str]:
    return list(refused_by_aws(content))


@pytest.mark.skipif(not AWS_PYTHON.exists(), reason="sagemaker-core is not set up: `make test` does it")
def test_every_key_changed_in_every_way_is_read_as_awss_own_schema_reads_it() -> None:
    cases = [Changed("", None, base) for base in (EVERYTHING, PICTURES)]
    cases += [one for base in (EVERYTHING, PICTURES) for one in changed(base)]
    answer = subprocess.run(
        [AWS_PYTHON, "-W", "ignore", "-c", ASK_AWS],
        input=json.dumps([one.content for one in cases]),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    by_aws = json.loads(answer.stdout.splitlines()[-1])
    assert by_aws[:2] == [True, True]
    both = [(one, aws, one.taken) for one, aws in zip(cases, by_aws, strict=True)]
    assert not [(one.path, one.value) for one, aws, ours in both if ours and not aws and not named(one.content)]
    assert not [(one.path, named(one.content)) for one, aws, ours in both if ours and aws and named(one.content)]
    assert {one.path for one, aws, ours in both if aws and not ours} <= STRICTER.keys()


def test_each_difference_is_named_with_its_place() -> None:
    content = copy.deepcopy(PICTURES)
    content["methods"]["shap"]["image_config"] |= {"segment_compactness": 0.01, "context": 1}
    content["methods"]["shap"] |= {"tolerance": 0.1, "text_config": {"granularity": "token", "language": "Korean"}}
    content["methods"] |= {"pdp": {}, "report": {}}
    content |= {"label": None, "column_types": {}, "facet": [{"name_or_index": "a", "value_or_threshold": None}]}
    content["predictor"]["label_headers"] = [1.5]
    assert named(content) == [
        "methods.shap.image_config.segment_compactness: 0.01 (AWS's own schema wants an integer)",
        "methods.shap.image_config.context: 1 (AWS's own schema wants a float)",
        "methods.shap.tolerance: Assay's own key",
        "methods.pdp.grid_resolution: missing (AWS's own schema wants it)",
        "methods.report.name: missing (AWS's own schema wants it)",
        "label: null (AWS's own schema wants it left out)",
        "column_types: Assay's own key",
        "facet[0].value_or_threshold: null (AWS's own schema wants it left out)",
        "predictor.label_headers: a number with a point (AWS's own schema wants strings and integers)",
        "methods.shap.text_config.language: 'Korean' (AWS's own schema does not know it)",
    ]
