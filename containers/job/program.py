"""The edge of a container's program: how a job ends, well or badly."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from assay.errors import AssayError
from assay.failure import MESSAGE_MAX, OUT_OF_MEMORY, Failure
from job.folders import Folders
from job.progress import Progress

logger = logging.getLogger(__name__)


def run_program(name: str, work: Callable[[Folders, Progress], None], root: Path) -> int:
    """Do the job that lies under `root`; returns the exit code, which tells SageMaker whether it succeeded.

    On failure `/opt/ml/output/message` says why in a sentence and `failure.json`, among the outputs, holds the whole.
    """
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format=f"%(asctime)s {name} %(levelname)s %(message)s")
    folders = Folders(root)
    folders.output.mkdir(parents=True, exist_ok=True)
    try:
        work(folders, Progress(folders.progress))
    except AssayError as error:
        logger.error("%s", error)
        _write_failure(folders, Failure(error=type(error).__name__, message=str(error)))
        return 1
    except Exception as error:  # the program's one edge: whatever it is, the run must end with a reason
        logger.exception("this is a bug, or the machine failed")
        _write_failure(folders, _of_bug(error))
        return 1
    return 0


def _of_bug(error: Exception) -> Failure:
    kind = type(error).__name__
    if isinstance(error, MemoryError):
        message = OUT_OF_MEMORY
    else:
        message = f"unexpected {kind}: {error}"
    return Failure(error=kind, message=message, details=tuple(traceback.format_exception(error)))


def _write_failure(folders: Folders, failure: Failure) -> None:
    part = folders.output / ".failure.json.part"
    part.write_text(failure.to_json(), encoding="utf-8")
    part.replace(folders.output / "failure.json")
    folders.message.parent.mkdir(parents=True, exist_ok=True)
    folders.message.write_bytes(_cut(failure.message))


def _cut(message: str) -> bytes:
    """At most what SageMaker keeps, and never half a character."""
    return message.encode()[:MESSAGE_MAX].decode(errors="ignore").encode()
