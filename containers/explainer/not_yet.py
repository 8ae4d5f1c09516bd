"""What a configuration may ask for, rightly, but is not built yet."""

from __future__ import annotations

from collections.abc import Iterator

from assay.errors import NotYet
from explainer.analysis_config import IMAGES, KINDS, AnalysisConfig

DATASET_TYPES = (*KINDS, IMAGES)
ANALYSES = ("shap", "pdp", "pre_training_bias", "post_training_bias")


def check_is_built(config: AnalysisConfig) -> None:
    """Finds all that is asked for and not built, and says what stands in its place.

    An analysis that is not built beside one that is does not stop the job: it says so in its place in analysis.json.

    Raises:
        NotYet: nothing of what is asked for could be done.
    """
    if not set(config.methods.asked) & set(ANALYSES):
        raise NotYet(reason(", ".join(config.methods.asked)))
    missing = list(_missing(config))
    if missing:
        raise NotYet("not yet: " + "; ".join(missing))


def reason(method: str) -> str:
    """What stands in the place of an analysis that is not built."""
    return f"not yet: {method}; supported are {', '.join(ANALYSES)}, report"


def _missing(config: AnalysisConfig) -> Iterator[str]:
    if config.dataset_type not in DATASET_TYPES:
        yield f"dataset_type {config.dataset_type}; supported are {', '.join(DATASET_TYPES)}"
    if config.dataset_type == IMAGES and config.methods.shap is None:
        yield f"{', '.join(config.methods.asked)} of images; supported is shap"
    predictor = config.predictor
    if predictor is not None and predictor.time_series_predictor_config is not None:
        yield "predictor.time_series_predictor_config; supported are rows"
