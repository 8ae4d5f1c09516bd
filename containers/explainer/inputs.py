"""Where the job's inputs lie: its folders, and what S3 address each of them came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from assay.base import Foreign
from assay.errors import BadModel, BadSettings


class _S3Input(Foreign):
    address: str = Field(alias="S3Uri")
    local_path: str = Field(alias="LocalPath")


class _Input(Foreign):
    name: str = Field(alias="InputName")
    s3: _S3Input | None = Field(default=None, alias="S3Input")


class JobConfig(Foreign):
    """`config/processingjobconfig.json`: CreateProcessingJob's request, as SageMaker lays it into the container."""

    inputs: tuple[_Input, ...] = Field(default=(), alias="ProcessingInputs")


def read_job_config(path: Path) -> JobConfig:
    """The job's configuration; one without inputs where the program runs by itself and there is none."""
    return JobConfig.model_validate_json(path.read_bytes()) if path.exists() else JobConfig()


def local_path(address: str, job: JobConfig, root: Path) -> Path:
    """Where what lies at an S3 address lies in this job. A job has no network: each address must be an input.

    Raises:
        BadSettings: no input of the job brings it.
    """
    inputs = [(given.s3.address, given.s3.local_path) for given in job.inputs if given.s3 is not None]
    for source, folder in inputs:
        if address == source or address.startswith(source.rstrip("/") + "/"):
            below = address[len(source) :].strip("/")
            place = under(root, folder) / below
            # An input that is one object lies in its folder by its own name.
            return place if below or not (place / Path(address).name).is_file() else place / Path(address).name
    raise BadSettings(
        f"{address} is not among the job's inputs; expected one of them to bring it: "
        + (", ".join(source for source, _ in inputs) or "there are none")
    )


def under(root: Path, local_path: str) -> Path:
    """A LocalPath of the job, which is absolute below /opt/ml, below this run's root."""
    return root / Path(local_path).relative_to("/opt/ml")


class SageMakerModel(NamedTuple):
    """What DescribeModel says."""

    name: str
    archive: str | None
    """The S3 address of its first archive."""
    containers: int
    program: str | None
    """What its container is told to run, where that is not in the archive."""


def describe_model(name: str) -> SageMakerModel:
    """Raises BadModel when there is no such model, or it may not be looked at."""
    import boto3  # only a job with a network gets here
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        model = boto3.client("sagemaker").describe_model(ModelName=name)
    except (BotoCoreError, ClientError) as error:
        raise BadModel(f"predictor.model_name: cannot fetch the SageMaker Model {name}: {error}") from error
    containers: list[Any] = [*filter(None, [model.get("PrimaryContainer")]), *model.get("Containers", [])]
    programs = (container.get("Environment", {}).get("SAGEMAKER_PROGRAM") for container in containers)
    return SageMakerModel(name, _archive_of(containers), len(containers), next(filter(None, programs), None))


def download_archive(model: SageMakerModel, into: Path) -> Path:
    """Raises BadModel when it names no archive, or that cannot be read."""
    import boto3  # loaded already
    from botocore.exceptions import BotoCoreError, ClientError

    if model.archive is None:
        raise BadModel(f"predictor.model_name: the SageMaker Model {model.name} names no model.tar.gz in S3")
    bucket, _, key = model.archive.removeprefix("s3://").partition("/")
    archive = into / "model.tar.gz"
    try:
        boto3.client("s3").download_file(bucket, key, str(archive))
    except (BotoCoreError, ClientError) as error:
        raise BadModel(f"predictor.model_name: cannot fetch the SageMaker Model {model.name}: {error}") from error
    return archive


def fetch_archive(name: str, into: Path) -> Path:
    """Fetch the archive of a SageMaker Model, which stands in the place of the input `model`."""
    return download_archive(describe_model(name), into)


def _archive_of(containers: Sequence[Any]) -> str | None:
    for container in containers:
        source = container.get("ModelDataSource", {}).get("S3DataSource", {})
        address = container.get("ModelDataUrl") or source.get("S3Uri")
        if isinstance(address, str) and address.endswith(".tar.gz"):
            return address
    return None
