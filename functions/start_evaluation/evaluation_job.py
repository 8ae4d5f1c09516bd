"""The evaluation job as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assay.names import JobName
from assay.run import Run
from assay_aws.attempts import Attempt
from assay_aws.job_request import folder_input, manifest_below, manifest_input, manifest_of, processing_job
from assay_aws.objects import exists
from assay_aws.settings import EvaluationSettings
from start_evaluation.data_sources import DataSource, data_sources
from start_evaluation.endpoint import asks_endpoint

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import CreateProcessingJobRequestTypeDef


CHAMPION = "champion"
"""The input that holds what the champion left behind."""


def evaluation_job(
    run: Run, champion: Sequence[str], attempt: Attempt, settings: EvaluationSettings
) -> CreateProcessingJobRequestTypeDef:
    """Inputs: the run, the frozen archive, the data, the champion; output: `evaluation/`.

    No network, since a model is a program; a job that asks an endpoint has one, and loads no model.
    """
    bucket, folder = f"s3://{settings.bucket_name}/", run.folder
    inputs = [
        # Nothing else in the run's folder begins with these two names, so a prefix is exact.
        folder_input("run", bucket + folder.run_json, "run"),
        folder_input("model", bucket + folder.archive, "model"),
    ]
    for source in sources(run, settings):
        if source.is_folder:
            inputs.append(folder_input(source.name, source.address, source.name))
        else:
            inputs.append(manifest_input(source.name, bucket + folder.manifest(source.name), source.name))
    if champion:
        inputs.append(manifest_input(CHAMPION, bucket + folder.manifest(CHAMPION), CHAMPION))
    return processing_job(
        name=str(JobName(settings.prefix, run.id, attempt.number, "evaluation")),
        image=settings.evaluator_image_uri,
        instance_type=attempt.instance_type,
        inputs=inputs,
        output=("evaluation", bucket + folder.evaluation),
        isolated=not asks_endpoint(run.policy),
        settings=settings,
    )


def manifests(run: Run, champion: Sequence[str], settings: EvaluationSettings) -> dict[str, str]:
    """Key and text of the manifests that the job's inputs need."""
    found = {
        run.folder.manifest(source.name): manifest_of(source.address)
        for source in sources(run, settings)
        if not source.is_folder
    }
    if run.champion is not None and champion:
        folder = f"s3://{settings.bucket_name}/{run.champion.folder.prefix}"
        found[run.folder.manifest(CHAMPION)] = manifest_below(folder, champion)
    return found


def champion_files(run: Run, bucket: str) -> list[str]:
    """What is there of the champion's archive, run and answers, below its folder: people may have deleted any of it."""
    if run.champion is None:
        return []
    folder = run.champion.folder
    keys = (folder.run_json, folder.archive, folder.report, folder.predictions)
    return [key.removeprefix(folder.prefix) for key in keys if exists(bucket, key)]


def sources(run: Run, settings: EvaluationSettings) -> list[DataSource]:
    if run.policy is None or run.policy_source is None:
        raise ValueError(f"run {run.id} has no policy, so nothing to evaluate on")
    return data_sources(run.policy, run.policy_source, settings)
