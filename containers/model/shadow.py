"""A shadow endpoint: serves the archive for as long as a job asks it, and is deleted at the job's end."""

from __future__ import annotations

import logging
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from assay.errors import AssayError, BadModel, BadSettings, JobFailed

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

logger = logging.getLogger(__name__)

POLL_SECONDS = 10.0  # at most, between two looks
START_SECONDS = 3600  # its instance, its image and a large model are fetched in them
_DENIED = {"AccessDenied", "AccessDeniedException"}
_LIMIT = re.compile(r"service limit '(?P<quota>[^']+)' is (?P<limit>\d+)")


class Shadow(NamedTuple):
    """What is to be made."""

    name: str
    """Of the endpoint and its configuration."""
    model: str
    """The SageMaker Model that it serves."""
    instance_type: str
    instances: int = 1


@contextmanager
def shadow_endpoint(
    shadow: Shadow,
    client: SageMakerClient,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[str]:
    """An endpoint in service; it is deleted however the block ends, on SIGTERM too, which a stopped job gets.

    What kills the job at once leaves it behind: the sweep deletes it, which knows by its name whose it was.

    Args:
        shadow: what is to be made; there is a SageMaker Model of that name already.
        client: of `sagemaker`.
        sleep: between two looks.

    Raises:
        BadModel: the model is not served: its handler fails.
        BadSettings: a quota, a permission or the Model is missing.
        JobFailed: there is no capacity, or it takes too long.
    """
    with _sigterm_as_exit():
        try:
            _create(shadow, client)
            _wait(shadow.name, client, sleep)
            yield shadow.name
        finally:
            delete(shadow.name, client)


def _create(shadow: Shadow, client: SageMakerClient) -> None:
    name = shadow.name
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": shadow.model,
        "InitialInstanceCount": shadow.instances,
        "InstanceType": shadow.instance_type,
    }
    tags = [{"Key": "assay:job", "Value": name}]
    _made(
        "sagemaker:CreateEndpointConfig",
        lambda: client.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[variant],  # type: ignore[list-item]  # a policy may name any instance type
            Tags=tags,  # type: ignore[arg-type]
        ),
    )
    _made(
        "sagemaker:CreateEndpoint",
        lambda: client.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags),  # type: ignore[arg-type]
    )
    logger.info("endpoint %s on %s: creating, which takes some minutes", name, shadow.instance_type)


def _made(action: str, create: Callable[[], object]) -> None:
    """Create; that it was made before is success: the client tries again when an answer is lost."""
    from botocore.exceptions import ClientError

    try:
        create()
    except ClientError as error:
        if "already exist" not in str(error):
            raise _refused(action, error.response["Error"]["Code"], error.response["Error"]["Message"]) from error


def _refused(action: str, code: str, text: str) -> AssayError:
    text = " ".join(text.split())
    if code in _DENIED:
        return BadSettings(f"the job's role may not {action}: deploy with AllowEndpointPredictor=true ({text})")
    if code == "ResourceLimitExceeded":
        limit = _LIMIT.search(text)
        quota = f"quota '{limit['quota']}' is {limit['limit']}" if limit else text
        return BadSettings(
            f"{action}: {quota}: request an increase in Service Quotas, delete an endpoint that nobody needs, or name "
            "another type with model.instance_type"
        )
    return BadSettings(f"{action} was refused: {text}")


def _wait(name: str, client: SageMakerClient, sleep: Callable[[float], None]) -> None:
    """Until the endpoint answers."""
    began, pause = time.monotonic(), 1.0
    while True:
        described = client.describe_endpoint(EndpointName=name)
        status = described["EndpointStatus"]
        if status == "InService":
            logger.info("endpoint %s: in service after %.0f s", name, time.monotonic() - began)
            return
        if status not in {"Creating", "Updating", "SystemUpdating"}:
            reason = described.get("FailureReason") or f"status {status}"
            if "capacity" in reason.lower():
                raise JobFailed(f"endpoint {name}: {reason}; name another type with model.instance_type, or try later")
            raise BadModel(
                f"endpoint {name}: the model cannot be served: {reason} (its log: /aws/sagemaker/Endpoints/{name})"
            )
        if time.monotonic() - began > START_SECONDS:
            raise JobFailed(f"endpoint {name}: still {status} after {START_SECONDS // 60} minutes")
        sleep(pause)
        pause = min(2 * pause, POLL_SECONDS)


def delete(name: str, client: SageMakerClient) -> None:
    """Delete the endpoint and its configuration; what cannot be deleted now is left to the sweep."""
    from botocore.exceptions import BotoCoreError, ClientError

    def gone(remove: Callable[[], object]) -> None:
        try:
            remove()
        except (ClientError, BotoCoreError) as error:
            if "Could not find" not in str(error):
                logger.warning("%s is left to the sweep: %s", name, error)

    gone(lambda: client.delete_endpoint(EndpointName=name))
    gone(lambda: client.delete_endpoint_config(EndpointConfigName=name))


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """A stopped job gets SIGTERM, and two minutes; by default Python ends at once, and no `finally` runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def sagemaker_client(region: str | None = None) -> SageMakerClient:
    import boto3  # half a second, and only for shadow endpoints
    from botocore.config import Config

    config = Config(retries={"mode": "standard", "total_max_attempts": 8}, connect_timeout=5, read_timeout=20)
    return boto3.client("sagemaker", region_name=region, config=config)
