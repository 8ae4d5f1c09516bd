"""Clarify's `analysis_config.json` for a run, valid by AWS's own schema, whichever engine reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from assay.errors import BadPolicy
from assay.evaluation import Explainable
from assay.languages import MANY
from assay.policy import Blur, Clusters, Explain, ModelOptions
from assay.run import Run
from assay_aws.attempts import instance_types
from assay_aws.settings import ExplanationSettings
from start_explanation.explanation_job import asks_endpoint, baseline_address

GRID_RESOLUTION = 15
"""Values of a number that partial dependence tries: Clarify's own default, which AWS's schema wants said."""
WHICHEVER = ("predicted", "true")
CLARIFYS_PICTURES = ("image/jpeg", "image/png", "application/x-npy")
IMAGE_COALITIONS = 500
"""By default for images: Clarify's own default, min(2F + 2048, 2^F − 2), takes a minute and more for each of them."""


def analysis_config(
    run: Run,
    explain: Explainable,
    model_name: str,
    settings: ExplanationSettings,
    time_budget: float | None = None,
) -> dict[str, Any]:
    """What is to be explained, and how.

    Args:
        run: with the policy that asks for it.
        explain: what the evaluation says about the samples.
        model_name: of the SageMaker Model that Clarify asks. Our own engine has the archive as an input and makes
            none; the name stands there all the same, because Clarify's schema knows no predictor without a model.
        settings: of the function.
        time_budget: seconds after which no further sample is begun; Clarify knows none.
    """
    if run.policy is None:
        raise ValueError(f"run {run.id} has no policy, so nothing to explain")
    asked, model = run.policy.explain, run.policy.model
    images = explain.kind == "images"
    objects = run.policy.task == "object_detection"
    config: dict[str, Any] = {
        "version": "1.0",
        "dataset_type": "application/x-image" if images else "text/csv",
        "methods": {
            "shap": shap_of_images(asked, explain.label_headers, objects=objects)
            if images
            else shap_of_rows(asked, explain, run.policy.data.language),
            "report": {"name": "report", "title": f"{run.model}: run {run.id}"},
        },
        "predictor": {
            **whom(run, model, model_name, settings),
            **(of_endpoint(model, images=images) if asks_endpoint(run) else predictor(model, images=images)),
            "label_headers": list(explain.label_headers),
        },
    }
    if (baseline := baseline_address(run)) is not None:
        config["methods"]["shap"]["baseline"] = baseline
    if time_budget is not None and settings.explainer_engine == "assay":
        config["methods"]["shap"]["time_budget"] = time_budget
    if objects:
        config["probability_threshold"] = float(run.policy.evaluate.score_threshold)
    if not images:
        if asked.pdp:
            config["methods"]["pdp"] = {"features": list(asked.pdp), "grid_resolution": GRID_RESOLUTION}
        config["headers"] = list(explain.headers)
        config["label"] = explain.label
        config["joinsource_name_or_index"] = explain.headers[-1]
        if settings.explainer_engine == "assay" and explain.types:
            config["column_types"] = explain.types  # Clarify guesses, and refuses what it does not know
    return config


def as_json(config: Mapping[str, Any]) -> str:
    return json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def whom(run: Run, model: ModelOptions, model_name: str, settings: ExplanationSettings) -> dict[str, Any]:
    """An endpoint that is there, or the Model that one is made of."""
    if model.endpoint_name is not None:
        return {"endpoint_name": model.endpoint_name}
    return {
        "model_name": model_name,
        "instance_type": model.instance_type or instance_types(run, "explanation", settings)[0],
        "initial_instance_count": 1,
        # The job's role may make endpoints of this prefix only.
        "endpoint_name_prefix": f"{settings.prefix}-{run.id}",
    }


def of_endpoint(model: ModelOptions, *, images: bool) -> dict[str, Any]:
    """How the policy's endpoint is asked: as the evaluation asked it.

    AWS's schema has no name for whole files as they are; our own engine asks as the run's policy says.
    """
    content_type, accept_type = model.content_type or "text/csv", model.accept_type
    if images:
        content_type = model.content_type if model.content_type in CLARIFYS_PICTURES else "image/jpeg"
        accept_type = model.accept_type or "application/json"
    asked = {
        "content_type": content_type,
        "accept_type": accept_type,
        "content_template": model.content_template,
        "record_template": model.record_template,
        "custom_attributes": model.custom_attributes,
        "target_model": model.target_model,
        "label": model.predicted_label,
        "probability": model.probability,
    }
    return {key: value for key, value in asked.items() if value is not None}


def predictor(model: ModelOptions, *, images: bool) -> dict[str, Any]:
    """How the served model is asked: TensorFlow Serving answers JSON, `{"predictions": [[…], …]}`."""
    return {
        "content_type": model.content_type or ("image/jpeg" if images else "text/csv"),
        "accept_type": model.accept_type or "application/json",
        "probability": "predictions" if model.probability is None else model.probability,
    }


def shap_of_rows(asked: Explain, explain: Explainable, language: str | None) -> dict[str, Any]:
    """Without a baseline in the policy there is none here: both engines then drop what is absent from a text."""
    shap: dict[str, Any] = {"agg_method": "mean_abs", "use_logit": False, "save_local_shap_values": True}
    shap["seed"] = asked.seed
    if asked.num_samples is not None:
        shap["num_samples"] = asked.num_samples
    if isinstance(asked.baseline, Clusters):
        shap["num_clusters"] = asked.baseline.clusters
    elif isinstance(asked.baseline, tuple):
        shap["baseline"] = baseline_rows(asked.baseline, feature_names(explain))
    if explain.texts:
        shap["text_config"] = {"granularity": asked.granularity, "language": language or MANY}
    return shap


def feature_names(explain: Explainable) -> list[str]:
    """The columns that are neither the label nor the last one, which joins results to samples."""
    return [header for header in explain.headers[:-1] if header != explain.label]


def baseline_rows(rows: Sequence[Any], names: Sequence[str]) -> list[list[Any]]:
    """The baseline's rows in the order of the features, however the policy gives them.

    Raises:
        BadPolicy: a row has not exactly these features.
    """
    ordered = []
    for number, row in enumerate(rows, start=1):
        if isinstance(row, Mapping):
            if set(row) != set(names):
                raise BadPolicy(f"explain.baseline, row {number}: has {', '.join(row)}, expected {', '.join(names)}")
            ordered.append([row[name] for name in names])
        elif len(row) != len(names):
            raise BadPolicy(
                f"explain.baseline, row {number}: {len(row)} values, expected {len(names)}: {', '.join(names)}"
            )
        else:
            ordered.append(list(row))
    return ordered


def shap_of_images(asked: Explain, labels: Sequence[str], *, objects: bool) -> dict[str, Any]:
    """A colour or blur as the baseline is ours alone; without one both engines take white noise.

    Raises:
        BadPolicy: `explain.classes` names none of the labels.
    """
    compactness = float(asked.segment_compactness)
    shap: dict[str, Any] = {
        "num_samples": asked.num_samples or IMAGE_COALITIONS,
        "agg_method": "mean_abs",
        "use_logit": False,
        "save_local_shap_values": True,
        "seed": asked.seed,
        "image_config": {
            "model_type": "OBJECT_DETECTION" if objects else "IMAGE_CLASSIFICATION",
            "num_segments": asked.num_segments,
            # AWS's schema refuses 5.0, though its guide suggests 0.01.
            "segment_compactness": int(compactness) if compactness.is_integer() else compactness,
            "feature_extraction_method": "segmentation",
        },
    }
    if objects:
        shap["image_config"] |= {
            "max_objects": asked.max_objects,
            "iou_threshold": float(asked.iou_threshold),  # AWS's schema refuses integers
            "context": float(asked.context),
        }
    if (places := class_ids(asked.classes, labels)) is not None:
        shap["image_config"]["debug"] = {"class_ids": places}
    if isinstance(asked.baseline, tuple):
        shap["baseline"] = [list(row) for row in asked.baseline]
    elif isinstance(asked.baseline, Blur):
        shap["baseline"] = {"blur": asked.baseline.blur}
    return shap


def class_ids(classes: Sequence[str], labels: Sequence[str]) -> list[int] | None:
    """The places of the classes that are asked for; None where the predicted or the true one is among them.

    Clarify's configuration has no word for those: our own engine reads the run's policy too.
    """
    for name in classes:
        if name not in (*WHICHEVER, *labels):
            known = ", ".join([*labels[:20], *(["…"] if len(labels) > 20 else [])])
            raise BadPolicy(f"explain.classes: {name!r} is neither predicted nor true nor one of the classes {known}")
    if not classes or set(classes) & set(WHICHEVER):
        return None
    return [labels.index(name) for name in classes]
