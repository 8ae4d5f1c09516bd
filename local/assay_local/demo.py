"""`assay demo`: a model passes, a spoiled version of it fails; from each upload on nothing but events drives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

from assay.layout import MODELS_PREFIX, POLICY_NAME
from assay.verdict import Verdict
from assay_local import local_policy
from assay_local.console import Console
from assay_local.problem import Problem
from assay_local.results import Results
from assay_local.run import Engine, Explainer, judge, start_cloud, upload
from assay_local.steps import Step, Task
from assay_local.upload_story import Ended

FOLDER = f"{MODELS_PREFIX}digits/"
TIMEOUT = 600.0
"""Seconds for each act."""


class Act(NamedTuple):
    title: str
    archive: str
    """Below the training's folder, and below the model's folder in the bucket."""
    expected: Verdict


ACTS = (
    Act("Act 1: a classifier of handwritten digits lands in S3", "1/model.tar.gz", "pass"),
    Act("Act 2: a newer version lands, and somebody has spoiled it", "2/model.tar.gz", "fail"),
)


class Training:
    """The child process that makes data, policy and archives in a folder; `with` sees to its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._task = Task("training")
        self._has_data = threading.Event()

    def __enter__(self) -> Self:
        self._task.__enter__()
        self._said = tempfile.TemporaryFile()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "assay_local.digits", str(self._folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # a Ctrl-C is ours to handle
        )
        self._reader = threading.Thread(target=self._read, name="training", daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._child.kill()
        self._child.wait()
        self._reader.join()
        self._said.close()

    def steps(self) -> list[Step]:
        return self._task.steps()

    def wait_for_data(self) -> None:
        """Until the test set and the policy lie in the folder."""
        self._has_data.wait()
        if not (self._folder / POLICY_NAME).exists():
            self.wait()

    def wait(self) -> None:
        """Until both archives lie in the folder; Problem when they never will."""
        self._reader.join()
        if self._child.wait() != 0:
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip().splitlines() or ["no word"]
            raise Problem(f"training ended with exit code {self._child.returncode}: {said[-1]}")

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                told = json.loads(line)
                self._task.detail, self._task.share = told["detail"], told["share"]
                self._has_data.set()
        failed = self._child.wait() != 0
        self._task.__exit__(Problem if failed else None)
        self._has_data.set()


def demo(
    results_folder: Path, console: Console, engine: Engine = "process", explainer: Explainer = "assay"
) -> tuple[int, list[Ended]]:
    """Play both acts; the exit code is 0 when they went as told."""
    results = Results(results_folder)
    results.prepare()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-")))
        training = stack.enter_context(Training(folder))
        aws, data = Task("embedded AWS"), Task("policy and data")
        console.title("Before the curtain: an AWS of one's own, and a model")
        with console.following(lambda: [*aws.steps(), *training.steps(), *data.steps()]):
            with aws:
                cloud = stack.enter_context(start_cloud(engine, explainer))
                aws.detail = cloud.endpoint
            training.wait_for_data()
            with data:
                policy = local_policy.read(folder / POLICY_NAME, {})
                s3, bucket = cloud.client("s3"), cloud.outputs["BucketName"]
                upload(s3, bucket, FOLDER, policy.files, data)
                s3.put_object(Bucket=bucket, Key=FOLDER + POLICY_NAME, Body=policy.text.encode())
            training.wait()
        ended: list[Ended] = []
        for act in ACTS:
            console.title(act.title)
            ended.append(judge(cloud, folder / act.archive, FOLDER + act.archive, results, console, TIMEOUT))
    return close(ended, results, console), ended


def close(ended: list[Ended], results: Results, console: Console) -> int:
    """What to read, what to do next, and whether it went as told."""
    otherwise = [
        f"{act.archive}: expected {act.expected}, found {end.summary.verdict}: {end.summary.headline}"
        for act, end in zip(ACTS, ended, strict=True)
        if end.summary.verdict != act.expected
    ]
    console.title("The end")
    console.places(
        [(f"report, act {n}", results.path(end.folder.summary_html)) for n, end in enumerate(ended, start=1)]
        + [("all results", results.folder)]
    )
    console.say()
    console.say("These runs again, and the report in a browser:")
    console.say(f"  {command()} runs", style="bold")
    console.say(f"  {command()} open latest", style="bold")
    console.say("Your own model, by a policy that the first of these writes (see README.md):")
    console.say(f"  {command()} init path/to/model.tar.gz path/to/data/", style="bold")
    console.say(f"  {command()} run path/to/model.tar.gz", style="bold")
    for line in otherwise:
        console.say(f"Not as told: {line}", style="bold red")
    return 1 if otherwise else 0


def command() -> str:
    """How this very command is called again: by its name where that is found, else by its path."""
    own = Path(sys.argv[0])
    on_path = any((Path(folder) / "assay").exists() for folder in os.environ.get("PATH", "").split(os.pathsep))
    if own.name != "assay" or on_path:
        return "assay"
    return os.path.relpath(own)
