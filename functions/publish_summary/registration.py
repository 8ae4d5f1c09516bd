"""The model's version in the Model Registry, with its verdict and what was measured of it."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Literal

from assay.errors import BadSettings
from assay.evaluation import EvaluationReport
from assay.policy import PICTURES, Policy, Registry
from assay.run import Registration
from assay.summary import Summary
from assay.verdict import Verdict
from assay_aws.registry import register_package
from assay_aws.run_store import RunStore, failure_of
from publish_summary.bias_report import bias_report
from publish_summary.evidence import Evidence
from publish_summary.headline import one_line
from publish_summary.notice import printable

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import (
        CreateModelPackageInputTypeDef,
        MetricsSourceTypeDef,
        ModelMetricsTypeDef,
    )

DESCRIPTION_MAX = 1_024
PROPERTY_MAX = 256
_PROPERTY = re.compile(r"[\w\s.:/=+\-@]*")
"""What SageMaker takes as a property's value: letters, digits, separators and these."""


def is_due(evidence: Evidence, summary: Summary) -> bool:
    """Whether the policy names a group, and there is something to register: an error has measured nothing."""
    policy = evidence.run.policy
    return policy is not None and policy.registry is not None and summary.verdict != "error"


def register(store: RunStore, evidence: Evidence, summary: Summary, image: str) -> Registration:
    """Register the frozen archive; what no retry cures is the registration's failure, and holds up nothing.

    Raises what a retry cures, as all steps do. The verdict is in S3 by then; the notice waits, so that it can say it.
    """
    policy, report = evidence.run.policy, evidence.report
    if policy is None or policy.registry is None or report is None:
        raise ValueError(f"run {summary.run} is not to be registered")
    registry = policy.registry
    found = Registration(group=registry.group, approval=approval(summary.verdict, registry))
    if not image:
        missing = BadSettings(
            "a registered model needs an image that serves it, and the stack's ServingImageUri is empty"
        )
        return found.model_copy(update={"failure": failure_of(missing)})
    try:
        package = register_package(model_package(store, summary, policy, report, found, image))
    except BadSettings as error:
        return found.model_copy(update={"failure": failure_of(error)})
    return found.model_copy(update={"package": package})


def approval(verdict: Verdict, registry: Registry) -> Literal["Approved", "PendingManualApproval", "Rejected"]:
    """What the verdict decides; where it decides nothing, a person does."""
    if verdict == "fail":
        return "Rejected"
    return "Approved" if verdict == "pass" and registry.auto_approve else "PendingManualApproval"


def model_package(
    store: RunStore, summary: Summary, policy: Policy, report: EvaluationReport, found: Registration, image: str
) -> CreateModelPackageInputTypeDef:
    """The request: the same for each try, so that its token always means the same."""
    contents, responses = content_types(policy, report)
    request: CreateModelPackageInputTypeDef = {
        "ModelPackageGroupName": found.group,
        "ModelPackageDescription": printable(one_line(summary.headline))[:DESCRIPTION_MAX],
        "InferenceSpecification": {
            "Containers": [{"Image": image, "ModelDataUrl": store.uri(store.folder.archive)}],
            "SupportedContentTypes": list(contents),
            "SupportedResponseMIMETypes": list(responses),
        },
        "ModelApprovalStatus": found.approval,
        "ModelMetrics": model_metrics(store, policy, report),
        "CustomerMetadataProperties": properties(store, summary),
        "ClientToken": f"{summary.run}-registration",
    }
    return request


def content_types(policy: Policy, report: EvaluationReport) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the endpoint takes and answers. TensorFlow Serving takes pictures only where the archive has a handler."""
    registry, model = policy.registry, policy.model
    takes: tuple[str, ...] = ("text/csv", "application/json")
    if policy.task in PICTURES:
        takes = ("image/jpeg", "image/png") if report.model.handler else ("application/json",)
    if model.content_type is not None:
        takes = (model.content_type,)
    answers = (model.accept_type or "application/json",)
    return (
        (takes, answers) if registry is None else (registry.content_types or takes, registry.response_types or answers)
    )


def model_metrics(store: RunStore, policy: Policy, report: EvaluationReport) -> ModelMetricsTypeDef:
    """Quality, bias and explainability, as far as there are any."""
    metrics: ModelMetricsTypeDef = {}
    folder = store.folder
    if (quality := source(store, folder.model_quality)) is not None:
        metrics["ModelQuality"] = {"Statistics": quality}
    if policy.bias is not None and report.bias:
        store.write(folder.bias, bias_report(policy, report), "application/json")
        if (bias := source(store, folder.bias)) is not None:
            metrics["Bias"] = {"Report": bias}
    if (explainability := source(store, folder.analysis)) is not None:
        metrics["Explainability"] = {"Report": explainability}
    return metrics


def source(store: RunStore, key: str) -> MetricsSourceTypeDef | None:
    """A file with the digest of its bytes as they are stored; None when there is none."""
    content = store.read(key)
    if content is None:
        return None
    return {
        "ContentType": "application/json",
        "ContentDigest": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "S3Uri": store.uri(key),
    }


def properties(store: RunStore, summary: Summary) -> dict[str, str]:
    """Where the version comes from; what SageMaker would refuse is left out, since an altered address is none."""
    known = {
        "assay:run": summary.run,
        "assay:model": summary.model,
        "assay:verdict": summary.verdict,
        "assay:summary": store.uri(store.folder.summary_json),
    }
    return {name: value for name, value in known.items() if len(value) <= PROPERTY_MAX and _PROPERTY.fullmatch(value)}
