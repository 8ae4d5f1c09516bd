"""Lambda on a laptop: each execution environment is a child process, kept warm, with the function's own environment."""

import json
import logging
import os
import secrets
import subprocess
import sys
import sysconfig
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

from assay_local import credentials
from assay_local.credentials import Roles
from assay_local.stack import Function, Stack

logger = logging.getLogger(__name__)

WORKER = Path(__file__).with_name("lambda_worker.py")
INIT_SECONDS = 10.0  # Lambda's own limit for what happens at import


class FunctionError(Exception):
    """The handler raised, could not be imported, exited or ran out of time."""

    def __init__(self, function: str, error: Mapping[str, Any]) -> None:
        super().__init__(f"{function}: {error.get('errorType')}: {error.get('errorMessage')}")
        self.error = error


@dataclass(frozen=True)
class Invocation:
    function: str
    event: Any
    result: Any
    error: Mapping[str, Any] | None
    started: float
    """epoch seconds"""
    seconds: float


class Worker:
    """One warm execution environment; used by one invocation at a time."""

    def __init__(self, function: Function, environment: Mapping[str, str], log: Path, log_stream: str) -> None:
        self.function = function
        self._connection, child = Pipe()
        configuration = {
            "name": function.name,
            "arn": function.arn,
            "memory": function.memory,
            "handler": function.handler,
            "path": [str(function.code), *map(str, function.layers)],
            "packages": packages(),
            "log_group": function.log_group,
            "log_stream": log_stream,
        }
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(WORKER), str(child.fileno()), json.dumps(configuration)],
                env=dict(environment),
                cwd=function.code,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[child.fileno()],
                start_new_session=True,
            )
        child.close()

    def wait_until_ready(self) -> None:
        answer = self._receive(max(INIT_SECONDS, self.function.timeout))
        if "error" in answer:
            self.kill()
            raise FunctionError(self.function.logical_id, answer["error"])

    def invoke(self, request_id: str, event: Any) -> Any:
        deadline = time.time() + self.function.timeout
        trace = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=1"
        request = {"id": request_id, "event": event, "deadline": deadline, "trace": trace}
        self._connection.send_bytes(json.dumps(request).encode())
        answer = self._receive(self.function.timeout)
        if "error" in answer:
            raise FunctionError(self.function.logical_id, answer["error"])
        return answer["result"]

    def _receive(self, seconds: float) -> dict[str, Any]:
        try:
            if self._connection.poll(seconds):
                return dict(json.loads(self._connection.recv_bytes()))
            error = {"errorType": "Sandbox.Timedout", "errorMessage": f"Task timed out after {seconds:.2f} seconds"}
        except (EOFError, ConnectionError):
            status = self._process.wait()
            error = {"errorType": "Runtime.ExitError", "errorMessage": f"Runtime exited with status {status}"}
        self.kill()
        return {"error": error}

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """With everything it started: the worker leads its own process group.

        The connection stays open: an invocation that waits on it in another thread sees its end there.
        """
        if self.alive:
            os.killpg(self._process.pid, 9)
        self._process.wait()


class LambdaService:
    def __init__(self, stack: Stack, roles: Roles, endpoint: str, folder: Path) -> None:
        self._stack = stack
        self._roles = roles
        self._endpoint = endpoint
        self._folder = folder
        self._lock = threading.Lock()
        self._idle: dict[str, list[Worker]] = {id: [] for id in stack.functions}
        self._workers: set[Worker] = set()
        self._running: list[str] = []
        self._closed = threading.Event()
        self.invocations: list[Invocation] = []

    def invoke(self, logical_id: str, event: Any) -> Any:
        """Run the handler to its end and return its result; raise FunctionError when there is none."""
        if logical_id not in self._stack.functions:
            raise KeyError(f"{logical_id}: no such function, expected one of {sorted(self._stack.functions)}")
        started = time.time()
        result, error = None, None
        with self._lock:
            self._running.append(logical_id)
        try:
            result = self._run(self._stack.functions[logical_id], event)
            return result
        except FunctionError as raised:
            error = raised.error
            raise
        finally:
            with self._lock:
                self._running.remove(logical_id)
                self.invocations.append(Invocation(logical_id, event, result, error, started, time.time() - started))

    def running(self) -> str | None:
        """Functions that are being invoked, in words; None when there are none."""
        with self._lock:
            return f"functions {', '.join(self._running)}" if self._running else None

    def log(self, logical_id: str) -> str:
        """Everything the function has printed."""
        path = self._log(logical_id)
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self) -> None:
        with self._lock:
            self._closed.set()
            workers, self._workers = self._workers, set()
        for worker in workers:
            worker.kill()

    def _run(self, function: Function, event: Any) -> Any:
        worker = self._take(function)
        try:
            return worker.invoke(str(uuid.uuid4()), event)
        finally:
            self._give_back(worker)

    def _take(self, function: Function) -> Worker:
        with self._lock:
            if self._closed.is_set():
                raise FunctionError(function.logical_id, {"errorType": "Sandbox.Shutdown", "errorMessage": "shut down"})
            while self._idle[function.logical_id]:
                worker = self._idle[function.logical_id].pop()
                if worker.alive:
                    return worker
                self._workers.discard(worker)
        log_stream = f"{time.strftime('%Y/%m/%d')}/[$LATEST]{uuid.uuid4().hex}"
        worker = Worker(function, self.environment(function, log_stream), self._log(function.logical_id), log_stream)
        with self._lock:
            self._workers.add(worker)
        if self._closed.is_set():  # while it started
            worker.kill()
        worker.wait_until_ready()
        return worker

    def _give_back(self, worker: Worker) -> None:
        with self._lock:
            if worker.alive and not self._closed.is_set():
                self._idle[worker.function.logical_id].append(worker)
            else:
                self._workers.discard(worker)

    def _log(self, logical_id: str) -> Path:
        return self._folder / f"{logical_id}.log"

    def environment(self, function: Function, log_stream: str) -> dict[str, str]:
        """The template's variables and what Lambda itself sets, and nothing of this process."""
        keys = self._roles.assume(function.role_arn, "lambda.amazonaws.com", function.logical_id)
        return {
            **function.environment,
            **credentials.environment(keys, self._endpoint, self._stack.region),
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
            "LAMBDA_TASK_ROOT": str(function.code),
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TZ": ":UTC",
            "_HANDLER": function.handler,
        }


def packages() -> list[str]:
    """The environment's site-packages: stands in for what the layers' requirements install."""
    paths = sysconfig.get_paths()
    return list(dict.fromkeys([paths["purelib"], paths["platlib"]]))
