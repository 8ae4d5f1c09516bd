"""What a configuration says without any effect on its job: for the log, so that nothing is ignored in silence."""

from __future__ import annotations

from collections.abc import Iterator

from explainer.analysis_config import IMAGES, AnalysisConfig, Predictor, Shap

CONDITIONAL = {"CDDL", "CDDPL"}
"""Metrics that compare within the groups of `group_variable`."""


def passed_over(config: AnalysisConfig) -> Iterator[str]:
    """A sentence for each key: which one, and why nothing comes of it."""
    if config.version not in (None, "1.0"):
        yield f"version: {config.version!r} is read as 1.0, the only one there is"
    if config.segment_config is not None:
        yield "segment_config: not yet; bias is measured over all rows, whatever their segment"
    if config.time_series_data_config is not None:
        yield "time_series_data_config: only time series have one, which are not yet explained"
    if config.dataset_type == IMAGES:
        yield from _of_images(config)
    elif config.features is not None and config.dataset_type not in ("application/jsonlines", "application/json"):
        yield f"features: a path into JSON, and dataset_type is {config.dataset_type}; see excluded_columns"
    yield from _of_bias(config)
    if config.methods.shap is not None:
        yield from _of_shap(config.methods.shap)
    pdp = config.methods.pdp
    if pdp is not None and pdp.features is not None and len(pdp.features) > pdp.top_k_features:
        yield f"methods.pdp.top_k_features: {pdp.top_k_features}, but all {len(pdp.features)} features named are done"
    if config.predictor is not None:
        yield from _of_predictor(config.predictor, config)


def of_an_endpoint(predictor: Predictor) -> str:
    """The keys that say how an endpoint is made and asked: a model in this process has no use for them."""
    keys = (
        *("instance_type", "initial_instance_count", "endpoint_name_prefix", "target_model", "custom_attributes"),
        *("content_type", "accept_type", "content_template", "record_template", "label"),
    )
    return ", ".join(f"predictor.{key}" for key in keys if getattr(predictor, key) is not None)


def _of_shap(shap: Shap) -> Iterator[str]:
    if shap.num_clusters is not None and (shap.baseline is not None or shap.image_config is not None):
        yield "methods.shap.num_clusters: only where there is no baseline the data is clustered for one"


def _of_images(config: AnalysisConfig) -> Iterator[str]:
    of_rows = ("headers", "label", "features", "excluded_columns", "joinsource_name_or_index", "column_types")
    for key in of_rows:
        if getattr(config, key):
            yield f"{key}: rows have one, and dataset_type is {config.dataset_type}"
    shap = config.methods.shap
    for key in ("agg_method", "save_local_shap_values"):
        if shap is not None and getattr(shap, key) != type(shap).model_fields[key].default:
            yield f"methods.shap.{key}: pictures have heat maps and no global values"


def _of_bias(config: AnalysisConfig) -> Iterator[str]:
    before, after = config.methods.pre_training_bias, config.methods.post_training_bias
    beside = {
        "facet_headers": "facet_dataset_uri",
        "predicted_label_headers": "predicted_label_dataset_uri",
    }
    for key, of in beside.items():
        if getattr(config, key) is not None and getattr(config, of) is None:
            yield f"{key}: there is no {of} whose columns they would name"
    if before is None and after is None:
        for key in ("facet", "facet_dataset_uri", "group_variable", "label_values_or_threshold"):
            if getattr(config, key):
                yield f"{key}: neither pre_training_bias nor post_training_bias is asked for"
    elif config.group_variable is not None:
        asked = [method.methods for method in (before, after) if method is not None]
        if not any(methods == "all" or CONDITIONAL & set(methods) for methods in asked):
            yield "group_variable: only CDDL and CDDPL compare within groups, and neither is asked for"
    if config.predicted_label_dataset_uri is not None and after is None:
        yield "predicted_label_dataset_uri: post_training_bias is not asked for"


def _of_predictor(predictor: Predictor, config: AnalysisConfig) -> Iterator[str]:
    if predictor.endpoint_name is not None and predictor.model_name is not None:
        yield f"predictor.model_name: {predictor.model_name}; predictor.endpoint_name is asked"
    if predictor.accelerator_type is not None:
        yield f"predictor.accelerator_type: {predictor.accelerator_type}; SageMaker's Elastic Inference has ended"
    sent_as = predictor.content_type or config.dataset_type
    if predictor.content_template is not None and sent_as == "text/csv":
        yield "predictor.content_template: rows are sent as text/csv, which has none"
    if predictor.record_template is not None and sent_as != "application/json":
        yield f"predictor.record_template: rows are sent as {sent_as}; only application/json has one"
