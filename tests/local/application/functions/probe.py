"""Does as the event says, and tells what it has."""

import importlib.util
import os
import sys
import time
from typing import Any

STARTED = time.time()


def handler(event: dict[str, Any], context: Any) -> Any:
    match event["do"]:
        case "tell":
            return {
                "pid": os.getpid(),
                "environment": dict(os.environ),
                "path": sys.path,
                "importable": {name: importlib.util.find_spec(name) is not None for name in event["modules"]},
                "remaining": context.get_remaining_time_in_millis(),
                "request": context.aws_request_id,
                "arn": context.invoked_function_arn,
            }
        case "raise":
            raise RuntimeError("as told")
        case "exit":
            os._exit(3)
        case "sleep":
            time.sleep(60)
        case "unserialisable":
            return {1, 2}
    raise ValueError(event["do"])
