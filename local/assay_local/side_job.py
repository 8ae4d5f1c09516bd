"""A program with a job's code and folders, run beside the chain: for `assay validate`, `init` and `explain`."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from assay.errors import RESULTS
from assay.events import Upload
from assay.failure import Failure
from assay.layout import ARCHIVE_NAME
from assay.policy import Policy
from assay.run import Run
from assay_local import application
from assay_local.problem import Problem
from assay_local.processing_run import ProcessEngine, exit_code
from assay_local.steps import Task

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05
LAST_LINES = 5


class SideJob:
    """Folders like a job's, in a temporary place; files are linked, not copied."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put_policy(self, policy: Policy) -> None:
        run = Run(
            id="rehearsal",
            model="rehearsal",
            upload=Upload(bucket="rehearsal", key=f"models/rehearsal/{ARCHIVE_NAME}"),
            opened_at=datetime.now(UTC),
            policy=policy,
        )
        file = self.root / "processing/input/run/run.json"
        file.parent.mkdir(parents=True)
        file.write_text(run.to_json(), encoding="utf-8")

    def put(self, name: str, place: Path) -> None:
        """An input: a folder, or a single file."""
        folder = self.root / "processing/input" / name
        if place.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.symlink_to(place.resolve(), target_is_directory=True)
        else:
            folder.mkdir(parents=True)
            (folder / place.name).symlink_to(place.resolve())

    def put_archive(self, archive: Path) -> None:
        folder = self.root / "processing/input/model"
        folder.mkdir(parents=True)
        (folder / ARCHIVE_NAME).symlink_to(archive.resolve())

    def run(self, program: str, task: Task, environment: Mapping[str, str] | None = None) -> None:
        """Run `python -m <program> ROOT` to its end, its progress told in the task.

        Of this process's environment the program gets nothing, but what is given.

        Raises:
            AssayError: what the program says is wrong.
            Problem: it ended without a word.
        """
        here = application.root()
        path = (here / "containers", here / "layers/contracts", Path(__file__).resolve().parents[1])
        log = self.root / "log"
        engine = ProcessEngine({"": program}, path)
        started = engine.start({"AppSpecification": {"ImageUri": program}}, self.root, environment or {}, log)
        try:
            while started.process.poll() is None:
                self._tell(task)
                time.sleep(POLL_SECONDS)
        finally:
            started.send_signal(signal.SIGKILL)
            started.process.wait()
            assert started.process.stdin is not None  # its lifeline
            started.process.stdin.close()
        if started.process.returncode:
            self._raise(started.process.returncode, log)

    def _tell(self, task: Task) -> None:
        try:
            told = json.loads((self.root / "output/progress.json").read_bytes())
            task.detail = f"{told['stage']}: {told['done']:,} of {told['total']:,} {told['unit']}"
            task.share = told["done"] / max(told["total"], 1)
        except (OSError, ValueError, KeyError):
            pass  # it has told nothing yet

    def _raise(self, returncode: int, log: Path) -> None:
        try:
            failure = Failure.model_validate_json((self.root / "processing/output/failure.json").read_bytes())
        except (OSError, ValueError):
            said = log.read_text(errors="replace").strip().splitlines()[-LAST_LINES:] if log.exists() else []
            raise Problem(
                f"the program ended with exit code {exit_code(returncode)} and no reason"
                + (" (137: out of memory?)" if returncode == -signal.SIGKILL else "")
                + (f"; its last words: {' / '.join(said)}" if said else "")
            ) from None
        if failure.error in RESULTS:
            raise RESULTS[failure.error](failure.message)
        logger.debug("%s", "".join(failure.details))
        raise Problem(f"{' '.join(failure.message.split())} (--debug shows where)")


@contextmanager
def side_job() -> Iterator[SideJob]:
    folder = Path(tempfile.mkdtemp(prefix="assay-"))
    try:
        yield SideJob(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
