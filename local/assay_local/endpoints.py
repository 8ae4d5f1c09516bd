"""SageMaker's endpoints on a laptop: those that a user has running, and those that a job makes of an archive."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from assay_local import application
from assay_local.clients import client
from assay_local.processing_run import bucket_and_key, signal_group, start_program

logger = logging.getLogger(__name__)

Handler = Callable[[bytes, str, str], str | bytes]
"""A model's handler: the body, its content type, the one asked for → the answer."""

SERVER = "assay_local.served_model"
BODY_LIMIT = 6 * 1024 * 1024  # bytes
ANSWER_SECONDS = 60
START_SECONDS = 300.0
POLL_SECONDS = 0.05

Response = tuple[int, dict[str, str], str | bytes]


@dataclass(frozen=True)
class _Server:
    process: subprocess.Popen[bytes]
    root: Path


class EndpointService:
    """Asks the endpoints, and runs those that serve an archive: a process each, as a container would.

    registered: name → an address that takes POST, as a container's `/invocations` does, or the handler itself.
    """

    def __init__(
        self,
        registered: Mapping[str, str | Handler],
        *,
        endpoint: str,
        region: str,
        folder: Path,
    ) -> None:
        for name, target in registered.items():
            if isinstance(target, str) and not target.startswith(("http://", "https://")):
                raise ValueError(f"endpoint {name}: expected an address that begins with http://, found {target}")
        self._targets: dict[str, str | Handler] = {name.lower(): target for name, target in registered.items()}
        self._endpoint = endpoint
        self._region = region
        self._folder = folder
        self._lock = threading.Lock()
        self._servers: dict[str, _Server] = {}

    def is_known(self, name: str) -> bool:
        return name.lower() in self._targets

    def serve(self, name: str, archive: str, told: Callable[[str, str | None], None]) -> None:
        """Serve an archive's SavedModel; `told` gets the endpoint's next status, and the reason when it is Failed."""
        threading.Thread(target=self._serve, args=(name, archive, told), name=f"endpoint {name}", daemon=True).start()

    def _serve(self, name: str, archive: str, told: Callable[[str, str | None], None]) -> None:
        root = self._folder / name
        root.mkdir()
        bucket, key = bucket_and_key(archive)
        try:
            client("s3", self._endpoint, self._region).download_file(bucket, key, str(root / "model.tar.gz"))
        except ClientError as error:
            return told("Failed", f"Failed to download model data {archive}: {error}")
        python_path = [application.root() / part for part in ("containers", "layers/contracts")]
        process = start_program(SERVER, root, {}, root / "log", [*python_path, application.HERE.parent])
        with self._lock:
            self._servers[name.lower()] = _Server(process, root)
        until = time.monotonic() + START_SECONDS
        while not (root / "port").exists():
            if process.poll() is not None or time.monotonic() > until:
                return told("Failed", said(root))
            time.sleep(POLL_SECONDS)
        self._targets[name.lower()] = f"http://127.0.0.1:{(root / 'port').read_text()}/invocations"
        return told("InService", None)

    def delete(self, name: str) -> None:
        self._targets.pop(name.lower(), None)
        with self._lock:
            server = self._servers.pop(name.lower(), None)
        if server is not None:
            end(server)

    def close(self) -> None:
        for name in list(self._servers):
            self.delete(name)

    def invoke(self, name: str, body: bytes, content_type: str, accept: str) -> Response:
        """InvokeEndpoint's answer: status, headers, body."""
        target = self._targets.get(name.lower())
        if target is None:
            return refusal(400, "ValidationError", f"Endpoint {name} of account 123456789012 not found.")
        if len(body) > BODY_LIMIT:
            return refusal(413, "RequestEntityTooLarge", f"The body has {len(body)} bytes, at most {BODY_LIMIT} go in")
        if isinstance(target, str):
            return posted(target, body, content_type, accept)
        try:
            return 200, {"Content-Type": accept}, target(body, content_type, accept)
        except Exception as error:  # whatever it is: a container answers 500 then
            logger.exception("endpoint %s", name)
            return of_model(500, f"{type(error).__name__}: {error}")


def end(server: _Server) -> None:
    signal_group(server.process.pid, 9)
    server.process.wait()
    if server.process.stdin:
        server.process.stdin.close()
    shutil.rmtree(server.root, ignore_errors=True)


def said(root: Path) -> str:
    """Why a server did not start: its own sentence, or the end of its log."""
    with contextlib.suppress(OSError):
        return (root / "failed").read_text()
    return "The primary container for production variant AllTraffic did not pass the ping health check. " + (
        (root / "log").read_text(errors="replace")[-300:] if (root / "log").exists() else ""
    )


def posted(url: str, body: bytes, content_type: str, accept: str) -> Response:
    """What a container at an address answers."""
    headers = {"Content-Type": content_type, "Accept": accept}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine, or near it
    try:
        request = urllib.request.Request(url, body, headers)  # noqa: S310  # of http or https, says __init__
        with opener.open(request, timeout=ANSWER_SECONDS) as answer:
            return 200, {"Content-Type": answer.headers.get("Content-Type", accept)}, answer.read()
    except urllib.error.HTTPError as error:
        return of_model(error.code, error.read().decode(errors="replace"))
    except TimeoutError:
        return of_model(0, "Your invocation timed out while waiting for a response from container primary.")
    except OSError as error:
        return refusal(503, "ServiceUnavailable", f"nobody answers at {url}: {error}")


def of_model(status: int, text: str) -> Response:
    """The model's own error, as SageMaker hands it on."""
    kind = "client" if 400 <= status < 500 else "server"
    message = f'Received {kind} error ({status}) from primary with message "{text}"'
    return refusal(424, "ModelError", message, OriginalStatusCode=status, OriginalMessage=text)


def refusal(status: int, code: str, message: str, **fields: Any) -> Response:
    body = json.dumps({"Message": message, **fields})
    return status, {"Content-Type": "application/json", "x-amzn-ErrorType": code}, body
