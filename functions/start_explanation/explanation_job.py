"""The explanation job as data: on our explainer, or on AWS's Clarify image exactly as its contract asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.errors import BadModel, BadPolicy
from assay.evaluation import EvaluationReport, Explainable
from assay.names import JobName
from assay.policy import Blur
from assay.run import Run
from assay_aws.attempts import Attempt
from assay_aws.job_request import folder_input, processing_job
from assay_aws.locations import resolved
from assay_aws.settings import ExplanationSettings

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import CreateProcessingJobRequestTypeDef


def explanation_job(
    run: Run, explain: Explainable, attempt: Attempt, settings: ExplanationSettings, *, resumes: bool
) -> CreateProcessingJobRequestTypeDef:
    """The two inputs and the one output of Clarify's contract; for our engine the archive and the run beside them.

    With `resumes` also what the last attempt left behind. All attempts write into the same folder: what one has begun
    the next goes on with, and in the end it holds the last one's results.

    No network, since a model is a program; a job that asks an endpoint has one, and gets no model.
    """
    bucket, folder = f"s3://{settings.bucket_name}/", run.folder
    dataset = folder.explain_images if explain.kind == "images" else folder.explain_rows
    inputs = [
        folder_input("analysis_config", bucket + folder.analysis_config, "config"),
        folder_input("dataset", bucket + dataset, "data"),
    ]
    ours = settings.explainer_engine == "assay"
    if ours:
        if not asks_endpoint(run):
            inputs.append(folder_input("model", bucket + folder.archive, "model"))
        inputs += [
            folder_input("run", bucket + folder.run_json, "run"),
            folder_input("samples", bucket + folder.samples, "samples"),
        ]
        if (baseline := baseline_address(run)) is not None:
            inputs.append(folder_input("baseline", baseline, "baseline"))
        if resumes:
            inputs.append(folder_input("resume", bucket + folder.explanation_parts, "resume/assay/parts"))
    return processing_job(
        name=str(JobName(settings.prefix, run.id, attempt.number, "explanation")),
        image=settings.explainer_image_uri,
        instance_type=attempt.instance_type,
        inputs=inputs,
        output=("analysis_result", bucket + folder.explanation),
        isolated=ours and not asks_endpoint(run),  # Clarify refuses isolation: it always asks an endpoint
        settings=settings,
    )


def baseline_address(run: Run) -> str | None:
    """Where the baseline lies, if the policy says where. Clarify fetches it by itself; ours may have no network."""
    if run.policy is None or run.policy_source is None or run.policy.explain.baseline_address is None:
        return None
    return resolved(run.policy.explain.baseline_address, run.policy_source)


def asks_endpoint(run: Run) -> bool:
    """Whether the policy has the model asked through an endpoint, whatever the engine."""
    return run.policy is not None and run.policy.model.predictor == "endpoint"


def check_clarify_can(run: Run, report: EvaluationReport, settings: ExplanationSettings) -> None:
    """Raises BadModel, BadPolicy when Clarify would fail: minutes later, in one opaque line.

    TensorFlow Serving's container takes JSON and CSV; to anything else it answers 415 unless the archive brings a
    handler: https://github.com/aws/sagemaker-tensorflow-serving-container
    """
    images = report.explain is not None and report.explain.kind == "images"
    if settings.explainer_engine != "clarify" or not images:
        return
    if run.policy is not None and isinstance(run.policy.explain.baseline, Blur | tuple):
        raise BadPolicy(
            "explain.baseline: Clarify knows noise and the address of a picture, found "
            f"{run.policy.explain.baseline!r:.60}; blur and colours are of ExplainerEngine=assay"
        )
    answered = report.model.format == "endpoint"  # and so will it again
    if not (report.model.handler or answered):
        raise BadModel(
            "Clarify asks the model for pictures through TensorFlow Serving, which takes none without a handler: "
            "expected code/inference.py in the archive, found none; add one, or deploy with ExplainerEngine=assay"
        )
