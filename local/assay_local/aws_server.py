"""moto's server in this process, behind a guard: without it any web page could read and wipe the store."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]


class QuietHandler(MotoRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Requests are in the access log."""


class AwsServer:
    """Serves on one address, loopback unless told otherwise (a container engine's bridge)."""

    def __init__(self, host: str) -> None:
        self._server: BaseWSGIServer = make_server(
            host, 0, self._application, threaded=True, request_handler=QuietHandler
        )
        self._guarded = guard(DomainDispatcherApplication(create_backend_app), self.authorities)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="aws", daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://{self._server.host}:{self._server.port}"

    @property
    def authorities(self) -> frozenset[str]:
        """What a client that means this server writes into Host."""
        return frozenset({f"{self._server.host}:{self._server.port}", f"localhost:{self._server.port}"})

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _application(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        return self._guarded(environ, start_response)


def guard(application: Application, authorities: frozenset[str]) -> Application:
    def guarded(environ: Environ, start_response: Any) -> Iterable[bytes]:
        reason = refused(environ, authorities)
        if reason is None:
            return application(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [reason.encode()]

    return guarded


def refused(environ: Environ, authorities: frozenset[str]) -> str | None:
    """Why a request is not for us, or None."""
    host, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")
    if host not in authorities:
        return f"Host {host!r} is not this server"  # a name that was pointed at us: DNS rebinding
    if origin is not None and origin.partition("://")[2] not in authorities:
        return f"Origin {origin!r} may not call this server"
    if environ.get("HTTP_SEC_FETCH_SITE") in ("cross-site", "same-site"):
        return "another site's page may not call this server"
    path = environ.get("PATH_INFO", "")
    if path.lstrip("/").startswith("moto-api"):
        return "moto's own interface is closed"
    return None
