"""Where the job's inputs lie: its folders, and what S3 address each of them came from."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from assay.base import Foreign
from assay.errors import BadModel, BadSettings

logger = logging.getLogger(__name__)


class _S3Input(Foreign):
    address: str = Field(alias="S3Uri")
    local_path: str = Field(alias="LocalPath")
    distribution: str = Field(default="FullyReplicated", alias="S3DataDistributionType")


class _Input(Foreign):
    name: str = Field(alias="InputName")
    s3: _S3Input | None = Field(default=None, alias="S3Input")


class _Network(Foreign):
    isolated: bool = Field(default=False, alias="EnableNetworkIsolation")


class JobConfig(Foreign):
    """`config/processingjobconfig.json`: CreateProcessingJob's request, as SageMaker lays it into the container."""

    arn: str | None = Field(default=None, alias="ProcessingJobArn")
    inputs: tuple[_Input, ...] = Field(default=(), alias="ProcessingInputs")
    network: _Network = Field(default=_Network(), alias="NetworkConfig")

    @property
    def has_network(self) -> bool:
        """A job that a notebook starts has one; where the program runs by itself there is no job, and no role."""
        return self.arn is not None and not self.network.isolated


def read_job_config(path: Path) -> JobConfig:
    """The job's configuration; one without inputs where the program runs by itself and there is none."""
    return JobConfig.model_validate_json(path.read_bytes()) if path.exists() else JobConfig()


def local_path(address: str, job: JobConfig, root: Path) -> Path:
    """Where what lies at an S3 address lies in this job: in an input, or, where the job has a network, fetched.

    Clarify's own jobs fetch it; SageMaker's SDK makes only the data an input.

    Raises:
        BadSettings: no input of the job brings it, and it cannot be fetched.
    """
    inputs = [(given.s3.address, given.s3.local_path) for given in job.inputs if given.s3 is not None]
    for source, folder in inputs:
        if address == source or address.startswith(source.rstrip("/") + "/"):
            below = address[len(source) :].strip("/")
            place = under(root, folder) / below
            # An input that is one object lies in its folder by its own name.
            return place if below or not (place / Path(address).name).is_file() else place / Path(address).name
    if job.has_network and address.startswith("s3://"):
        return fetch_objects(address, root / "fetched" / hashlib.sha256(address.encode()).hexdigest()[:16])
    raise BadSettings(
        f"{address} is not among the job's inputs; expected one of them to bring it: "
        + (", ".join(source for source, _ in inputs) or "there are none")
    )


def fetch_objects(address: str, into: Path) -> Path:
    """Fetch the object of an S3 address, or all below it; returns the file, or the folder.

    Raises:
        BadSettings: there is none, or the job's role may not read it.
    """
    import boto3  # only a job with a network gets here
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key = address.removeprefix("s3://").partition("/")
    logger.info("fetching %s, which no input of the job brings", address)
    try:
        s3 = boto3.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        folder = f"{key.rstrip('/')}/"
        keys = [found for found in keys if found == key or found.startswith(folder)]
        keys = [found for found in keys if not found.endswith("/")]
        if not keys:
            raise BadSettings(f"{address}: nothing lies there")
        for number, found in enumerate(keys):
            place = into / f"{number:06}" / found.rpartition("/")[2]  # by number: a key may hold ../
            place.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, found, str(place))
    except (BotoCoreError, ClientError) as error:
        raise BadSettings(f"{address}: cannot be fetched: {error}") from error
    return place if keys == [key] else into


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


def _archive_of(containers: Sequence[Any]) -> str | None:
    for container in containers:
        source = container.get("ModelDataSource", {}).get("S3DataSource", {})
        address = container.get("ModelDataUrl") or source.get("S3Uri")
        if isinstance(address, str) and address.endswith(".tar.gz"):
            return address
    return None
