"""`assay rerun`: the same archive once more, with the data and the policy of today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from botocore.exceptions import ClientError

from assay.events import Upload
from assay.layout import ARCHIVE_NAME, MODELS_PREFIX
from assay.names import model_name, run_id
from assay.run import Run
from assay_aws import event_bus
from assay_aws.clients import s3
from assay_aws.locations import bucket_and_key
from assay_aws.refusals import is_not_found
from assay_local.console import Console
from assay_local.deployed import Deployed
from assay_local.place import as_problems, record_in
from assay_local.problem import Problem
from assay_local.results import Results
from assay_local.run import Engine, Explainer, Options, run
from assay_local.runs import Runs
from assay_local.runs_table import printed
from assay_local.upload_story import Again

SOURCE = "assay.command"
"""Of the event: who asked, for whoever looks at the bus."""


@dataclass(frozen=True)
class Here:
    """What a run on this machine needs beside the archive, as for `assay run`."""

    policy: Path
    engine: Engine
    explainer: Explainer
    folders: Mapping[str, Path]
    endpoints: Mapping[str, str]
    timeout: float
    """seconds"""


def rerun_here(results: Results, text: str, request: str, here: Here, console: Console) -> tuple[int, Path]:
    """Run a run's frozen archive again, into the same results folder; the exit code, and the report's file.

    Raises:
        Problem, AssayError: there is no such run, or as `assay run`.
    """
    folder = Runs(results).find(text)
    archive = results.path(folder.archive)
    if not archive.is_file():
        raise Problem(f"run {folder.run} of {folder.model} has no archive here: {archive} does not exist")
    old = record_in(results.read, folder.run_json, Run, results.address(folder.run_json))
    if old is None or old.archive is None:
        raise Problem(f"run {folder.run} of {folder.model} judged no archive: upload it again with `assay run`")
    console.say(f"The archive of run {folder.run}, by {here.policy}; request: {request}")
    options = Options(
        model=archive,
        policy=here.policy,
        name=folder.model,
        results=results.folder,
        engine=here.engine,
        explainer=here.explainer,
        folders=here.folders,
        endpoints=here.endpoints,
        timeout=here.timeout,
        again=Again(request, old.archive.uploaded_at),
    )
    return run(options, console)


def rerun_there(stack: Deployed, text: str, request: str, console: Console) -> int:
    """Ask the stack for a run; Problem when there is no such archive, or the request was made before."""
    upload = archive_meant(stack, text).model_copy(update={"request": request})
    run = run_id(upload.bucket, upload.key, upload.version, upload.request)
    runs = Runs(stack)
    model = model_name(upload.key)
    before = next((folder for folder in runs.folders(model) if folder.run == run), None)
    if before is not None:
        raise Problem(f"request {request!r} was made before, and is run {run}: give another one with --request")
    address = stack.address(upload.key)
    try:
        with as_problems("events:PutEvents", "the default event bus"):
            event_bus.request_run(upload, SOURCE)
    except event_bus.NotPut as error:
        raise Problem(str(error)) from error
    console.say(f"Asked {stack.name} for a run of {printed(model)}", "bold green")
    console.say(f"  archive  {address} (version {upload.version})")
    console.say(f"  request  {request}")
    console.say(f"  run      {run}")
    console.say(f"  follow   assay show {run}{stack.option}")
    return 0


def archive_meant(stack: Deployed, text: str) -> Upload:
    """The exact version of an archive: a key or its address, a model's newest upload, or what a run judged."""
    if text.startswith("s3://"):
        bucket, key = bucket_and_key(text)
        if bucket != stack.bucket:
            raise Problem(f"{text}: {stack.name} judges what lies in its own bucket, {stack.bucket}")
        return newest_version(stack, key)
    if text.startswith(MODELS_PREFIX):
        return newest_version(stack, text)
    newest = newest_upload(stack, text)
    if newest is not None:
        return newest_version(stack, newest)
    runs = Runs(stack)
    folder = runs.find(text)
    run = record_in(stack.read, folder.run_json, Run, stack.address(folder.run_json))
    if run is None or run.archive is None:
        raise Problem(f"run {folder.run} of {folder.model} judged no archive: upload it again")
    return Upload(bucket=run.upload.bucket, key=run.upload.key, version=run.archive.version)


def newest_upload(stack: Deployed, model: str) -> str | None:
    """The key of a model's newest archive; None: there is none of this name."""
    prefix = f"{MODELS_PREFIX}{model}/"
    found: list[tuple[datetime, str]] = []
    with as_problems("s3:ListBucket", stack.address(prefix)):
        for page in s3().get_paginator("list_objects_v2").paginate(Bucket=stack.bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                key = entry["Key"]
                if key.endswith(f"/{ARCHIVE_NAME}") and model_name(key) == model:
                    found.append((entry["LastModified"], key))
    return max(found)[1] if found else None


def newest_version(stack: Deployed, key: str) -> Upload:
    """Its newest version, so that the run is known before it begins."""
    try:
        model_name(key)
    except ValueError as error:
        raise Problem(str(error)) from error
    address = stack.address(key)
    with as_problems("s3:GetObject", address):
        try:
            head = s3().head_object(Bucket=stack.bucket, Key=key)
        except ClientError as error:
            if is_not_found(error):
                raise Problem(f"{address} does not exist; expected an archive that was uploaded") from error
            raise
    return Upload(bucket=stack.bucket, key=key, version=head.get("VersionId", ""))


def time_based() -> str:
    """A request of its own, where none is given."""
    return f"rerun {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
