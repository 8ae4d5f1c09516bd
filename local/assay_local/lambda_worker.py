"""One execution environment of one function: a process of its own that imports the handler and answers invocations.

Run as a script by `python -I -S`, with nothing of this package importable. Standard library only.
    lambda_worker.py <file descriptor> <configuration as JSON>
"""

import importlib
import json
import os
import sys
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any


class LambdaContext:
    def __init__(self, function: dict[str, Any], request: dict[str, Any]) -> None:
        self.function_name = function["name"]
        self.function_version = "$LATEST"
        self.invoked_function_arn = function["arn"]
        self.memory_limit_in_mb = str(function["memory"])
        self.aws_request_id = request["id"]
        self.log_group_name = function["log_group"]
        self.log_stream_name = function["log_stream"]
        self.identity = None
        self.client_context = None
        self._deadline = request["deadline"]

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.time()) * 1000))


def main(descriptor: str, configuration: str) -> None:
    connection = Connection(int(descriptor))
    function = json.loads(configuration)
    # Exactly what the function has on AWS: its code, its layers, then the packages.
    sys.path[:0] = function["path"]
    sys.path += function["packages"]
    try:
        handler = load(function["handler"])
    except BaseException as error:  # noqa: BLE001 - whatever the import raises is the function's answer
        connection.send_bytes(json.dumps({"error": described(error, "Runtime.ImportModuleError")}).encode())
        return
    connection.send_bytes(b'{"ready": true}')
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            return
        connection.send_bytes(answer(handler, function, request))
        sys.stdout.flush()
        sys.stderr.flush()


def load(handler: str) -> Any:
    module, _, name = handler.rpartition(".")
    found = getattr(importlib.import_module(module.replace("/", ".")), name, None)
    if found is None:
        raise AttributeError(f"Handler '{name}' missing on module '{module}'")
    return found


def answer(handler: Any, function: dict[str, Any], request: dict[str, Any]) -> bytes:
    os.environ["_X_AMZN_TRACE_ID"] = request["trace"]  # Lambda's runtime does so for each invocation
    try:
        result = handler(request["event"], LambdaContext(function, request))
        return json.dumps({"result": result}).encode()
    except Exception as error:  # noqa: BLE001 - and so is what the handler raises
        return json.dumps({"error": described(error, type(error).__name__)}).encode()


def described(error: BaseException, kind: str) -> dict[str, Any]:
    traceback.print_exception(error)
    return {
        "errorMessage": str(error),
        "errorType": kind,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
