"""A server on loopback that answers as SageMaker's runtime or a model's container does, and keeps what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest


class Asked(NamedTuple):
    path: str
    content_type: str
    accept: str
    content: bytes
    custom_attributes: str | None = None
    target_model: str | None = None

    @property
    def text(self) -> str:
        return self.content.decode()


class Answer(NamedTuple):
    content: str | bytes
    content_type: str = "application/json"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class StandIn:
    """`answer` says what it answers; a test may change it at any time."""

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        outer = self

        class Server(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = Asked(
                    self.path,
                    self.headers["Content-Type"],
                    self.headers["Accept"],
                    self.rfile.read(int(self.headers["Content-Length"])),
                    self.headers["X-Amzn-SageMaker-Custom-Attributes"],
                    self.headers["X-Amzn-SageMaker-Target-Model"],
                )
                outer.asked.append(asked)
                answer = outer.answer(asked)
                content = answer.content.encode() if isinstance(answer.content, str) else answer.content
                self.send_response(answer.status)
                for name, value in (("Content-Type", answer.content_type), *answer.headers):
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def standing_in(answer: Callable[[Asked], Answer]) -> Iterator[StandIn]:
    made = StandIn(answer)
    try:
        yield made
    finally:
        made.close()


def point_boto3_at(there: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of the runtime that are made from now on ask it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", there.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-a-test")
