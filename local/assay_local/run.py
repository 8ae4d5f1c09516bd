"""`assay run`: one's own model and data through the whole chain, and the verdict as an exit code."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from assay.layout import ARCHIVE_NAME, MODELS_PREFIX, POLICY_NAME
from assay.policy import ModelOptions
from assay.verdict import Verdict
from assay_local import local_policy
from assay_local.console import Console
from assay_local.packing import is_archive, pack
from assay_local.problem import Problem
from assay_local.results import Results
from assay_local.steps import Task
from assay_local.upload_story import Again, Ended, UploadStory, size

if TYPE_CHECKING:
    from assay_local.cloud import Cloud, Job

Engine = Literal["process", "docker"]
Explainer = Literal["assay", "clarify"]

EXIT_CODES: Mapping[Verdict, int] = {"pass": 0, "not judged": 0, "fail": 1, "error": 2, "inconclusive": 3}
LOG_LINES = 20
BY_PARTS = 8 << 20
"""Bytes from which a file is uploaded by parts."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
VERSION = re.compile(r"v?\d[\d._-]*", re.IGNORECASE)

IMAGES = ("assay-evaluator", "assay-explainer")
"""As `make images` tags them."""
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
SERVING = f"{REGISTRY}/tensorflow-inference:2.20-cpu"


@dataclass(frozen=True)
class Options:
    model: Path
    policy: Path
    name: str | None = None
    results: Path = Path("assay-results")
    engine: Engine = "process"
    explainer: Explainer = "assay"
    folders: Mapping[str, Path] | None = None
    """s3://bucket/prefix → where a copy of it lies."""
    endpoints: Mapping[str, str] | None = None
    """A SageMaker endpoint that the policy names → the address of a container's /invocations."""
    timeout: float = 3600.0
    """seconds"""
    again: Again | None = None
    """None: the archive has not been run before."""


def run(options: Options, console: Console) -> tuple[int, Path]:
    """The exit code, and the report's file.

    Raises:
        Problem, AssayError: there is nothing to run, or the run came to no end.
    """
    name = model_name(options.model) if options.name is None else checked(options.name)
    policy = local_policy.read(options.policy, options.folders or {})
    endpoints = options.endpoints or {}
    allowed = endpoint_parameters(policy.model, endpoints)
    results = Results(options.results)
    with ExitStack() as stack:
        archive = archive_of(options.model, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-"))))
        results.prepare()
        console.title(f"{name}: {options.model}")
        aws, data = Task("embedded AWS"), Task("policy and data")
        with console.following(lambda: [*aws.steps(), *data.steps()]):
            with aws:
                cloud = stack.enter_context(start_cloud(options.engine, options.explainer, allowed, endpoints))
                aws.detail = cloud.endpoint
            s3, bucket, folder = cloud.client("s3"), cloud.outputs["BucketName"], f"{MODELS_PREFIX}{name}/"
            with data:
                champion = results.put_back(s3, bucket, name)
                upload(s3, bucket, folder, policy.files, data)
                s3.put_object(Bucket=bucket, Key=folder + POLICY_NAME, Body=policy.text.encode())
                data.detail += "" if champion is None else f"; champion {champion.run}"
        ended = judge(cloud, archive, folder + ARCHIVE_NAME, results, console, options.timeout, options.again)
    return EXIT_CODES[ended.summary.verdict], results.path(ended.folder.summary_html)


def start_cloud(
    engine: Engine = "process",
    explainer: Explainer = "assay",
    more: Mapping[str, str] | None = None,
    endpoints: Mapping[str, str] | None = None,
) -> Cloud:
    """`more`: parameters of the template beside those of engine and explainer."""
    if engine == "docker":
        check_docker()
    from assay_local.cloud import Cloud  # takes a second or two, and `assay --help` needs none of it

    return Cloud(parameters={**parameters(engine, explainer), **(more or {})}, engine=engine, endpoints=endpoints)


def parameters(engine: Engine, explainer: Explainer) -> dict[str, str]:
    """The template's."""
    images: dict[str, str] = {}
    if engine == "docker":
        images = dict(zip(("EvaluatorImageUri", "ExplainerImageUri"), IMAGES, strict=True))
    if explainer == "clarify":
        # The template asks for both of AWS's images; here our explainer runs in the first one's place.
        clarify = images.get("ExplainerImageUri", f"{REGISTRY}/sagemaker-clarify-processing:1.0")
        images |= {"ExplainerEngine": "clarify", "ClarifyImageUri": clarify, "ServingImageUri": SERVING}
    return images


def endpoint_parameters(model: ModelOptions, endpoints: Mapping[str, str]) -> dict[str, str]:
    """The template's that let the policy's endpoint be asked: here its owner is the deployer.

    Raises:
        Problem: nothing says where the endpoint answers.
    """
    if model.predictor == "in_process":
        return {}
    allowed = {"AllowEndpointPredictor": "true", "ServingImageUri": SERVING}
    name = model.endpoint_name
    if name is None:
        return allowed
    if name not in endpoints:
        raise Problem(
            f"model.endpoint_name {name}: there is no AWS on this machine; say where it answers with "
            f"--endpoint {name}=http://localhost:8080/invocations"
        )
    return allowed | {"EndpointArns": f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{name.lower()}"}


def check_docker() -> None:
    """Raises Problem unless Docker answers and has the images."""
    if shutil.which("docker") is None:
        raise Problem("--engine docker: there is no `docker` command on the PATH")
    for image in IMAGES:
        asked = subprocess.run(["docker", "image", "inspect", image], capture_output=True, text=True, check=False)
        if asked.returncode != 0:
            said = (asked.stderr.strip().splitlines() or ["no answer"])[-1]
            raise Problem(f"--engine docker: image {image}: {said}; `make images` in a checkout builds it")


def upload(s3: Any, bucket: str, folder: str, files: Sequence[tuple[str, Path]], task: Task) -> None:
    """Upload files below a folder of the bucket."""
    total = sum(path.stat().st_size for _, path in files)
    for number, (name, path) in enumerate(files, start=1):
        if path.stat().st_size < BY_PARTS:
            s3.put_object(Bucket=bucket, Key=folder + name, Body=path.read_bytes())  # in half the time
        else:
            s3.upload_file(str(path), bucket, folder + name)
        task.share, task.detail = number / len(files), f"{number:,} of {len(files):,} files"
    task.detail = f"{len(files):,} {'file' if len(files) == 1 else 'files'}, {size(total)}"


def judge(
    cloud: Cloud,
    archive: Path,
    key: str,
    results: Results,
    console: Console,
    timeout: float,
    again: Again | None = None,
) -> Ended:
    """Upload an archive, show what comes of it, and keep the results."""
    story = UploadStory(cloud, archive, key, again)
    try:
        with console.following(story.steps):
            ended = story.tell(timeout)
    except Problem:
        for job in cloud.jobs():
            if job.status != "Completed":
                show_log(job, console)
        raise
    results.save(cloud.client("s3"), cloud.outputs["BucketName"], ended.folder)
    for job in ended.jobs:
        if job.status != "Completed":
            show_log(job, console)
    console.notice(ended.notice)
    console.verdict(ended.summary.verdict)
    console.places(list(places(ended, results)))
    return ended


def show_log(job: Job, console: Console) -> None:
    lines = job.log.splitlines()
    if lines:
        console.excerpt(f"The last lines of {job.name}", lines[-LOG_LINES:])


def places(ended: Ended, results: Results) -> Iterable[tuple[str, Path]]:
    """What a person opens, of what there is."""
    folder = ended.folder
    for name, key in (
        ("report", folder.summary_html),
        ("explanations", folder.explanation + "report.html"),
        ("all results", folder.prefix),
    ):
        if results.path(key).exists():
            yield name, results.path(key)


def archive_of(model: Path, folder: Path) -> Path:
    """The archive to upload: the file itself, or one that is packed into `folder`."""
    if not model.exists():
        raise Problem(
            f"{model} does not exist; expected a model.tar.gz, a SavedModel's folder, or a .keras or .h5 file"
        )
    if is_archive(model):
        return model
    packed = folder / ARCHIVE_NAME
    pack(model, packed)
    return packed


def checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise Problem(f"--name {name!r}: expected up to 100 letters, digits, dots, hyphens and underscores")
    return name


def model_name(model: Path) -> str:
    """What a model is called by its place: the file's own name, or the nearest folder's that says more."""
    resolved = model.resolve()
    own = resolved.name
    for ending in (".tar.gz", ".tgz", ".keras", ".h5", ".hdf5"):
        own = own.removesuffix(ending)
    for candidate in (own, *(folder.name for folder in resolved.parents)):
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", candidate).lstrip("._-")[:100]
        if plain and plain != "model" and not VERSION.fullmatch(plain):
            return plain
    return "model"
