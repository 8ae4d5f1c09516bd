"""Who is asked when the policy says `predictor: endpoint`: an endpoint of that name, or one made for this job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from assay.errors import BadPolicy, BadSettings
from assay.policy import ModelOptions
from job.described import described_job
from job.folders import Folders
from model.endpoint import Endpoint, runtime_client
from model.shadow import Shadow, sagemaker_client, shadow_endpoint

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient


class Served(NamedTuple):
    """An endpoint that answers."""

    name: str
    client: SageMakerRuntimeClient


@contextmanager
def served(options: ModelOptions, folders: Folders) -> Iterator[Served]:
    """The endpoint that the policy names, or one made for this job, which is deleted at the end of the block.

    Args:
        options: the policy's.
        folders: of the job, which a shadow endpoint is named for.

    Raises:
        BadPolicy: nothing says what a shadow endpoint runs on.
        BadSettings: one is needed, and this is no SageMaker job; or nothing says in which region.
    """
    job = described_job(folders)
    if options.endpoint_name is not None:
        yield Served(options.endpoint_name, runtime_client(None if job is None else job.region))
        return
    if job is None:
        raise BadSettings(f"no {folders.config}: only a SageMaker job makes an endpoint; say model.endpoint_name")
    instance_type = options.instance_type or job.instance_type
    if instance_type is None:
        raise BadPolicy("say model.instance_type: the job has several to choose from, its endpoint needs one")
    shadow = Shadow(name=job.name, model=job.name, instance_type=instance_type)
    with shadow_endpoint(shadow, sagemaker_client(job.region)) as name:
        yield Served(name, runtime_client(job.region))


@contextmanager
def open_endpoint(options: ModelOptions, labels: Mapping[str, int] | None, folders: Folders) -> Iterator[Endpoint]:
    """An endpoint that is asked about rows; raises what `served` does.

    Args:
        options: the policy's.
        labels: a label as it is answered → its class; None for a regression.
        folders: of the job.
    """
    with served(options, folders) as endpoint:
        yield Endpoint(endpoint.name, options, labels, endpoint.client)
