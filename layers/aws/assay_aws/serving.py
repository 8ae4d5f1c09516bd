"""What serves an archive while a job asks it: a SageMaker Model, and the shadow endpoints that jobs make of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

from assay.names import JobName
from assay.run import RunState
from assay_aws.clients import sagemaker
from assay_aws.jobs import create_model, describe_job
from assay_aws.refusals import code_of, text_of
from assay_aws.run_store import RunStore, find_active
from assay_aws.settings import Settings

logger = Logger(child=True)


def serve_archive(store: RunStore, name: str, image: str, role_arn: str) -> None:
    """A Model of the run's frozen archive, deleted when the run ends. That it was made before is success.

    Raises:
        NoCapacity, BadSettings: as `start_job`.
    """

    def remembered(state: RunState) -> RunState:
        return state.model_copy(update={"serving_model": name})

    store.change(remembered)  # before it is made: so it is deleted whatever happens in between
    create_model(name, image, store.uri(store.folder.archive), role_arn)


class LeftBehind(NamedTuple):
    endpoint: str
    configuration: str


def left_behind(settings: Settings) -> Iterator[LeftBehind]:
    """The shadow endpoints of this stack whose job is over: it was killed before it could delete them."""
    pages = sagemaker().get_paginator("list_endpoints").paginate(NameContains=f"{settings.prefix}-")
    for page in pages:
        for found in page["Endpoints"]:
            name, status = found["EndpointName"], found["EndpointStatus"]
            # one that is being made cannot be deleted, says SageMaker; the next sweep comes in two minutes
            if status not in {"Creating", "Updating", "Deleting"} and _maker_is_over(name, settings):
                described = sagemaker().describe_endpoint(EndpointName=name)
                yield LeftBehind(name, described["EndpointConfigName"])


def _maker_is_over(endpoint: str, settings: Settings) -> bool:
    """Ours has its job's name. Clarify's begins with `<prefix>-<run>`, as its configuration asks."""
    job = endpoint
    if JobName.parse(endpoint, settings.prefix) is None:
        run = re.match(rf"{settings.prefix}-([a-z2-7]{{20}})(?![a-z2-7])", endpoint)
        if run is None:
            return False  # somebody else's, with a name that looks alike
        active = find_active(settings.bucket_name, run[1])
        if active is None:
            return True
        store = RunStore(settings.bucket_name, active.folder)
        job = store.job_name(settings.prefix, "explanation", store.state())
    described = describe_job(job)
    return described is None or described.is_over


def delete_endpoint(found: LeftBehind) -> None:
    """Delete an endpoint and its configuration; that there is none is success."""
    try:
        sagemaker().delete_endpoint(EndpointName=found.endpoint)
    except ClientError as error:
        if not _is_gone(error):
            raise
    try:
        sagemaker().delete_endpoint_config(EndpointConfigName=found.configuration)
    except ClientError as error:
        if not _is_gone(error):
            raise


def _is_gone(error: ClientError) -> bool:
    return code_of(error) == "ResourceNotFound" or "Could not find" in text_of(error)
