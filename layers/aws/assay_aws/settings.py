"""What the template tells the functions: their environment as typed models, one for each function."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from assay.errors import BadSettings


def _split(value: object) -> object:
    return tuple(part for part in value.split(",") if part) if isinstance(value, str) else value


CommaSeparated = Annotated[tuple[str, ...], BeforeValidator(_split)]


class Settings(BaseModel):
    """What all functions need. A field's variable is its name in capitals."""

    model_config = ConfigDict(frozen=True)

    prefix: str
    """What the names of this stack's jobs begin with."""
    bucket_name: str
    evaluation_instance_types: CommaSeparated
    """What the evaluation runs on, the next one where there is no capacity; unless the policy names others."""
    explanation_instance_types: CommaSeparated
    start_evaluation_queue_url: str
    start_explanation_queue_url: str
    publish_summary_queue_url: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Raises BadSettings, naming the variables that are missing or wrong."""
        values: dict[str, Any] = {
            name: environment[name.upper()] for name in cls.model_fields if name.upper() in environment
        }
        try:
            return cls(**values)
        except ValidationError as error:
            problems = (f"{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors(include_url=False))
            raise BadSettings("environment variables: " + "; ".join(problems)) from error


class JobSettings(Settings):
    """What a function that starts jobs needs."""

    job_role_arn: str
    job_time_limit_seconds: int
    job_volume_gb: int


class EvaluationSettings(JobSettings):
    evaluator_image_uri: str
    data_object_arns: CommaSeparated = ()
    """Where a policy's data may lie beside the bucket: patterns of object ARNs."""
    allow_endpoint_predictor: bool = False
    endpoint_arns: CommaSeparated = ()
    """The endpoints that a policy may name: patterns of ARNs."""
    serving_image_uri: str = ""
    """What serves the archive behind a shadow endpoint."""


class ExplanationSettings(JobSettings):
    explainer_engine: Literal["assay", "clarify"]
    explainer_image_uri: str
    """AWS's Clarify image with the engine `clarify`."""
    serving_image_uri: str
    """TensorFlow Serving's SageMaker image, for the Model that Clarify asks. Empty with the engine `assay`."""


class SummarySettings(Settings):
    topic_arn: str
    serving_image_uri: str = ""
    """What serves a registered model."""


class SweepSettings(Settings):
    shadow_endpoints: bool = False
    """Whether jobs may make endpoints, so that one may be left behind."""
