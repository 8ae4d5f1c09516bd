"""Who called what: each API call that reaches the embedded AWS, with the role that made it."""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from botocore.credentials import Credentials


@dataclass(frozen=True)
class Caller:
    """A function (`StartEvaluationFunction`) or a job that acts with a role's credentials."""

    name: str
    role_arn: str


@dataclass(frozen=True)
class Call:
    """One API call, as an IAM policy would be asked about it."""

    caller: Caller
    service: str
    """The signing name: `s3`, `sqs`, `sagemaker`."""
    action: str
    """The API's name: `CreateProcessingJob`; for S3 the permission that it needs: `ListBucket`, `GetObjectVersion`."""
    resource: str
    """The object or bucket for S3; `*` where the resource is named by `parameters` only."""
    parameters: Mapping[str, Any]
    """The request's fields; for S3 its query and its `x-amz-…` headers."""


SIGNED_AS = {"sagemaker-runtime": "sagemaker"}
"""Services whose calls are signed, and allowed, under another's name."""


class AccessLog:
    """Calls by callers with a role's credentials, oldest first; others (a user's own) are not kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callers: dict[str, Caller] = {}
        self._calls: list[Call] = []

    def know(self, credentials: Credentials, caller: Caller) -> None:
        with self._lock:
            self._callers[credentials.access_key] = caller

    def calls(self) -> list[Call]:
        with self._lock:
            return list(self._calls)

    def record(self, response: Any, resource: str) -> None:
        """Called by moto's response object before it acts."""
        with self._lock:
            caller = self._callers.get(response.access_key)
            if caller is None:
                return
            parameters = parameters_of(response)
            service = SIGNED_AS.get(response.service_name, response.service_name)
            call = Call(caller, service, response._get_action(), resource, parameters)
            self._calls += [versioned(call), *copied(call)]


def versioned(call: Call) -> Call:
    """A read of a version needs a permission of its own."""
    if call.service == "s3" and call.action == "GetObject" and "versionId" in call.parameters:
        return replace(call, action="GetObjectVersion")
    return call


def copied(call: Call) -> Iterator[Call]:
    """A copy also reads its source."""
    source = call.parameters.get("x-amz-copy-source")
    if source is not None:
        path, _, version = source.partition("?versionId=")
        action = "GetObjectVersion" if version else "GetObject"
        yield Call(call.caller, "s3", action, f"arn:aws:s3:::{unquote(path).lstrip('/')}", {})


def parameters_of(response: Any) -> dict[str, Any]:
    headers = response.headers
    if "X-Amz-Target" in headers:
        body = json.loads(response.body or "{}")
        return body if isinstance(body, dict) else {}
    if response.service_name == "s3":
        query = {k: v[0] for k, v in response.querystring.items() if k != "Action" and isinstance(v, list)}
        if not response.parsed_url.query:
            query = {}  # without a query moto fills in the headers
        return query | {k.lower(): v for k, v in headers.items() if k.lower().startswith("x-amz-")}
    if response.service_name == "sagemaker-runtime":
        return {"EndpointName": endpoint_of(response.path)}
    return {k: v[0] for k, v in response.querystring.items() if k not in ("Action", "Version")}


def endpoint_of(path: str) -> str:
    """The endpoint's name in `/endpoints/<name>/invocations`."""
    return unquote(path.split("/")[2])
