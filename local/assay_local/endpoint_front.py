"""SageMaker's runtime on loopback, in front of containers that somebody has running: for `assay explain`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from assay_local.endpoints import EndpointService

REGION = "us-east-1"


@contextmanager
def runtime_in_front_of(addresses: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yields the environment of a program whose InvokeEndpoint goes there.

    Args:
        addresses: an endpoint's name → its container's /invocations.
    """
    service = EndpointService(addresses, endpoint="", region=REGION, folder=Path())
    server = ThreadingHTTPServer(("127.0.0.1", 0), _requests(service))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="endpoints", daemon=True)
    thread.start()
    try:
        yield {
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": f"http://127.0.0.1:{server.server_port}",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "of-this-machine",
            "AWS_SECRET_ACCESS_KEY": "of-this-machine",
        }
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _requests(service: EndpointService) -> type[BaseHTTPRequestHandler]:
    class Requests(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = self.path.split("/")  # /endpoints/<name>/invocations
            name = parts[2] if len(parts) == 4 else ""
            asked, accepted = self.headers.get("Content-Type", ""), self.headers.get("Accept", "")
            status, headers, answer = service.invoke(name, body, asked, accepted)
            content = answer.encode() if isinstance(answer, str) else answer
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """The program itself says what goes wrong."""

    return Requests
