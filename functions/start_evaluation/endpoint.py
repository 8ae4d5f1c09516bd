"""Whether a policy's endpoint may be asked, and whether the job makes one of its own."""

from __future__ import annotations

import re

from assay.errors import BadPolicy, BadSettings
from assay.policy import Policy
from assay_aws.settings import EvaluationSettings
from start_evaluation.data_sources import as_regex


def asks_endpoint(policy: Policy | None) -> bool:
    """Whether the job needs a network, and credentials; it loads no model then."""
    return policy is not None and policy.model.predictor == "endpoint"


def makes_endpoint(policy: Policy | None) -> bool:
    """Whether the job has the archive served, for as long as it runs."""
    return policy is not None and asks_endpoint(policy) and policy.model.endpoint_name is None


def check_endpoint(policy: Policy, settings: EvaluationSettings) -> None:
    """Whether the deployer allows what the policy asks for.

    Raises:
        BadPolicy: no endpoint may be asked, or not this one; names the parameter.
        BadSettings: nothing says what serves the archive.
    """
    if not asks_endpoint(policy):
        return
    if not settings.allow_endpoint_predictor:
        raise BadPolicy(
            "model.predictor endpoint: not allowed here, since such a job has a network and credentials; the deployer "
            "allows it with AllowEndpointPredictor=true"
        )
    name = policy.model.endpoint_name
    if name is None:
        if not settings.serving_image_uri:
            raise BadSettings(
                "model.predictor endpoint without model.endpoint_name: the archive has to be served, and "
                "ServingImageUri is empty; expected the image that does it"
            )
        return
    # SageMaker writes names into ARNs in lower case
    allowed = [arn.rpartition("endpoint/")[2].lower() for arn in settings.endpoint_arns]
    if not any(re.fullmatch(as_regex(pattern), name.lower()) for pattern in allowed):
        raise BadPolicy(f"model.endpoint_name {name}: not allowed; EndpointArns allows {', '.join(allowed) or 'none'}")
