"""One run of a processing job's container: inputs laid out under its root, the program, outputs uploaded.

The root is what the container sees as /opt/ml. The program runs as a child process by default, in Docker if asked.
"""

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from botocore.exceptions import ClientError

from assay_local import credentials
from assay_local.clients import client
from assay_local.credentials import CannotAssumeRole, Roles

logger = logging.getLogger(__name__)

Json = dict[str, Any]

GUARD = Path(__file__).with_name("program_guard.py")
OPT_ML = PurePosixPath("/opt/ml")
MESSAGE_BYTES = 1024
POLL_SECONDS = 0.05
SCAN_SECONDS = 0.5  # between two looks at a continuous output
GRACE_SECONDS = 5.0  # between SIGTERM and SIGKILL; SageMaker gives two minutes


@dataclass(frozen=True)
class Program:
    """A job's program that runs."""

    process: "subprocess.Popen[bytes]"
    send_signal: Callable[[int], object]


class Engine(Protocol):
    def start(self, job: Json, root: Path, environment: Mapping[str, str], log: Path) -> Program:
        """Start the job's program on a root that is laid out."""


@dataclass(frozen=True)
class Outcome:
    status: str
    exit_message: str | None = None
    failure_reason: str | None = None


class DataError(Exception):
    """An input could not be laid out; the text becomes the job's FailureReason."""


class ImageError(Exception):
    """No program runs this image here."""


class ProcessingRun:
    """What becomes of one CreateProcessingJob, in `folder`."""

    def __init__(self, job: Json, folder: Path, roles: Roles, endpoint: str, region: str) -> None:
        self._job = job
        self._root = folder / "ml"
        self._log = folder / "log"
        self._roles = roles
        self._endpoint = endpoint
        self._region = region
        self._stop = threading.Event()
        self._killed = False
        self._last_progress: Mapping[str, Any] | None = None

    def carry_out(self, engine: Engine) -> Outcome:
        """From inputs to outputs. Whatever goes wrong becomes the outcome: a job never just vanishes."""
        try:
            keys = self._roles.assume(self._job["RoleArn"], "sagemaker.amazonaws.com", self._job["ProcessingJobName"])
            s3 = client("s3", self._endpoint, self._region, keys)
            self._lay_out(s3)
            role = credentials.environment(keys, self._endpoint, self._region)
            return self._run(engine, s3, environment_of(self._job, role))
        except (DataError, ImageError, CannotAssumeRole, ClientError) as error:
            return Outcome("Failed", failure_reason=f"ClientError: {error}"[:MESSAGE_BYTES])
        except Exception:
            logger.exception("processing job failed: job=%s", self._job["ProcessingJobName"])
            return Outcome(
                "Failed",
                # Two spaces: AWS's own wording.
                failure_reason="InternalServerError: We encountered an internal error.  Please try again.",
            )
        finally:
            self._last_progress = self.progress()
            shutil.rmtree(self._root, ignore_errors=True)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after a while."""
        self._stop.set()

    def kill(self) -> None:
        self._killed = True
        self._stop.set()

    def progress(self) -> Mapping[str, Any] | None:
        try:
            return dict(json.loads((self._root / "output" / "progress.json").read_bytes()))
        except (OSError, ValueError):
            return self._last_progress

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _lay_out(self, s3: Any) -> None:
        for folder in ("config", "processing/input", "processing/output", "output"):
            (self._root / folder).mkdir(parents=True, exist_ok=True)
        for name, content in (("processingjobconfig", config(self._job)), ("resourceconfig", RESOURCES)):
            (self._root / "config" / f"{name}.json").write_text(json.dumps(content))
        for entry in self._job.get("ProcessingInputs", []):
            if "S3Input" not in entry:
                raise DataError(f"input {entry['InputName']}: only S3 inputs are served on a laptop")
            download(s3, entry["S3Input"], under(self._root, entry["S3Input"]["LocalPath"]), self._job["RoleArn"])
        for output in outputs(self._job):
            under(self._root, output["LocalPath"]).mkdir(parents=True, exist_ok=True)

    def _run(self, engine: Engine, s3: Any, environment: Mapping[str, str]) -> Outcome:
        uploads = [Upload(s3, output["S3Uri"], under(self._root, output["LocalPath"])) for output in outputs(self._job)]
        continuous = [u for u, o in zip(uploads, outputs(self._job), strict=True) if o["S3UploadMode"] == "Continuous"]
        deadline = time.monotonic() + self._job["StoppingCondition"]["MaxRuntimeInSeconds"]
        if self._stop.is_set():
            return Outcome("Stopped")
        program = engine.start(self._job, self._root, environment, self._log)
        try:
            stopped = self._watch(program, continuous, deadline)
        finally:
            program.send_signal(signal.SIGKILL)  # a container ends whole: with what its program has left running
            program.process.wait()
            if program.process.stdin:
                program.process.stdin.close()
        succeeded = program.process.returncode == 0 and not stopped
        # What a continuous output holds at the end is kept, however the job ended; the other kind only if it worked.
        if not self._killed:
            for upload in uploads if succeeded else continuous:
                upload.rest()
        message = exit_message(self._root)
        if stopped:
            return Outcome("Stopped", message)
        if succeeded:
            return Outcome("Completed", message)
        return Outcome("Failed", message, f"AlgorithmError: , exit code: {exit_code(program.process.returncode)}")

    def _watch(self, program: Program, continuous: list["Upload"], deadline: float) -> bool:
        """Wait for the program's end, uploading meanwhile; True when it was stopped."""
        scanned = time.monotonic()
        while program.process.poll() is None:
            if self._stop.wait(POLL_SECONDS) or time.monotonic() > deadline:
                self._terminate(program)
                return True
            if time.monotonic() - scanned > SCAN_SECONDS:
                for upload in continuous:
                    upload.settled()
                scanned = time.monotonic()
        return False

    def _terminate(self, program: Program) -> None:
        """Give the program time to end by itself."""
        program.send_signal(signal.SIGTERM)
        until = time.monotonic() + GRACE_SECONDS
        while program.process.poll() is None and time.monotonic() < until and not self._killed:
            time.sleep(POLL_SECONDS)


# Engines

PROGRAMS = {"evaluator": "evaluator", "explainer": "explainer", "sagemaker-clarify-processing": "explainer"}
"""Which program stands in for an image whose repository name contains the key."""


def program_of(image: str, programs: Mapping[str, str]) -> str:
    repository = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    for part, program in programs.items():
        if part in repository:
            return program
    raise ImageError(f"image {image}: no program for it, expected a repository named like {', '.join(programs)}")


@dataclass(frozen=True)
class ProcessEngine:
    """Runs `python -m <program> <root>` in the image's place."""

    programs: Mapping[str, str]
    python_path: tuple[Path, ...]

    def start(self, job: Json, root: Path, environment: Mapping[str, str], log: Path) -> Program:
        program = program_of(job["AppSpecification"]["ImageUri"], self.programs)
        process = start_program(program, root, environment, log, self.python_path)
        return Program(process, lambda number: signal_group(process.pid, number))


def start_program(
    program: str, root: Path, environment: Mapping[str, str], log: Path, python_path: Iterable[Path]
) -> "subprocess.Popen[bytes]":
    """`python -m <program> <root>`, with nothing of this process's environment; it ends with this process."""
    scratch = root / "tmp"
    scratch.mkdir()
    own = {
        "HOME": str(scratch),
        "LANG": "C.UTF-8",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
        "PYTHONPATH": os.pathsep.join(map(str, python_path)),
        "TMPDIR": str(scratch),
    }
    with log.open("ab") as output:
        return subprocess.Popen(
            # -P: the guard's folder is no place to import from.
            [sys.executable, "-P", "-s", str(GUARD), program, str(root)],
            env={**own, **environment},
            cwd=root,
            stdin=subprocess.PIPE,  # its lifeline
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that it ends with all that it started
        )


def signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


@dataclass(frozen=True)
class DockerEngine:
    """Runs the image itself, with the root mounted at /opt/ml."""

    def start(self, job: Json, root: Path, environment: Mapping[str, str], log: Path) -> Program:
        name = job["ProcessingJobName"]
        with log.open("ab") as output:
            process = subprocess.Popen(
                docker_command(job, root, environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        # docker's client has no part in the container's signals once it is gone: ask the engine.
        kill = ["docker", "kill", "--signal"]
        return Program(
            process, lambda number: subprocess.run([*kill, str(number), name], capture_output=True, check=False)
        )


def docker_command(job: Json, root: Path, environment: Mapping[str, str]) -> list[str]:
    specification = job["AppSpecification"]
    # The embedded AWS listens on loopback, which a container shares only on the host's network.
    network = "none" if is_isolated(job) else "host"
    command = ["docker", "run", "--rm", "--name", job["ProcessingJobName"], "--network", network]
    command += ["--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{root}:{OPT_ML}"]
    for name, value in environment.items():
        command += ["--env", f"{name}={value}"]
    entrypoint = specification.get("ContainerEntrypoint", [])
    if entrypoint:
        command += ["--entrypoint", entrypoint[0]]
    return [*command, specification["ImageUri"], *entrypoint[1:], *specification.get("ContainerArguments", [])]


def environment_of(job: Json, role: Mapping[str, str]) -> dict[str, str]:
    """The request's Environment; the role's credentials too, unless the job has no network."""
    return {**({} if is_isolated(job) else role), **job.get("Environment", {})}


def is_isolated(job: Json) -> bool:
    return bool(job.get("NetworkConfig", {}).get("EnableNetworkIsolation", False))


# Inputs

RESOURCES = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}
CONFIG_FIELDS = (
    "ProcessingJobArn",
    "ProcessingJobName",
    "AppSpecification",
    "Environment",
    "ProcessingInputs",
    "ProcessingOutputConfig",
    "ProcessingResources",
    "NetworkConfig",
    "RoleArn",
    "StoppingCondition",
)


def config(job: Json) -> Json:
    """processingjobconfig.json"""
    return {name: job[name] for name in CONFIG_FIELDS if name in job}


def under(root: Path, local_path: str) -> Path:
    """A container's /opt/ml/… below the root; nothing of a job lies elsewhere."""
    path = PurePosixPath(local_path)
    if not path.is_relative_to(OPT_ML) or ".." in path.parts:
        raise DataError(f"LocalPath {local_path}: expected a folder below {OPT_ML}/")
    return root / path.relative_to(OPT_ML)


def download(s3: Any, source: Json, into: Path, role_arn: str) -> None:
    into.mkdir(parents=True, exist_ok=True)
    bucket, prefix = bucket_and_key(source["S3Uri"])
    try:
        if source.get("S3DataType") == "ManifestFile":
            manifest = json.loads(s3.get_object(Bucket=bucket, Key=prefix)["Body"].read())
            files = list(manifest_files(manifest))
        else:
            files = [(bucket, key, relative(key, prefix)) for key in listed(s3, bucket, prefix)]
        if not files:
            raise DataError(
                f'Data download failed:No S3 objects found under S3 URL "{source["S3Uri"]}" given in input data '
                "source. Please ensure that the bucket exists in the selected region, that objects exist under that "
                f'S3 prefix, and that the role "{role_arn}" has "s3:ListBucket" permissions on bucket "{bucket}".'
            )
        for file_bucket, key, name in files:
            fetch(s3, file_bucket, key, into, name)
    except ClientError as error:
        raise DataError(f"Data download failed:{source['S3Uri']}: {error}") from error


def fetch(s3: Any, bucket: str, key: str, into: Path, name: str) -> None:
    if ".." in PurePosixPath(name).parts:
        raise DataError(f"Data download failed:key {key!r} would lie outside its folder")
    path = into / name
    if name.endswith("/"):
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    with path.open("wb") as file:
        shutil.copyfileobj(body, file, 1 << 20)


def listed(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    for listing in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in listing.get("Contents", []):
            yield str(entry["Key"])


def relative(key: str, prefix: str) -> str:
    """Where an object of a prefix lies below the input's folder.

    A prefix is text, not a folder: `test.csv` also fetches `test.csv.bak`, and each keeps its name.
    """
    folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    if key.startswith(folder) and key != folder:
        return key[len(folder) :]
    return key[prefix.rfind("/") + 1 :]


def manifest_files(manifest: Any) -> Iterator[tuple[str, str, str]]:
    """Bucket, key and name of each file: the first entry is the prefix, the others are names below it."""
    if (
        not isinstance(manifest, list)
        or not manifest
        or not isinstance(manifest[0], dict)
        or "prefix" not in manifest[0]
    ):
        raise DataError('Data download failed:a manifest is a list that begins with {"prefix": "s3://…"}')
    bucket, prefix = bucket_and_key(manifest[0]["prefix"])
    for name in manifest[1:]:
        yield bucket, prefix + name, name


def bucket_and_key(uri: str) -> tuple[str, str]:
    """A key is not URL-encoded in an S3 address, and may hold ? and #."""
    if not uri.startswith("s3://"):
        raise DataError(f"Data download failed:{uri}: expected an address that begins with s3://")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


# Outputs


def outputs(job: Json) -> list[Json]:
    return [o["S3Output"] for o in job.get("ProcessingOutputConfig", {}).get("Outputs", []) if "S3Output" in o]


class Upload:
    """An output's folder on its way to S3."""

    def __init__(self, s3: Any, uri: str, folder: Path) -> None:
        self._s3 = s3
        self._bucket, prefix = bucket_and_key(uri)
        self._prefix = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
        self._folder = folder
        self._seen: dict[Path, Version] = {}
        self._uploaded: dict[Path, Version] = {}

    def settled(self) -> None:
        """Upload what has not changed since the last look: a file that is being written is left alone."""
        now = dict(files(self._folder))
        self._upload((path, version) for path, version in now.items() if self._seen.get(path) == version)
        self._seen = now

    def rest(self) -> None:
        """Upload everything that is not uploaded as it is now; the program has ended."""
        self._upload(files(self._folder))

    def _upload(self, found: Iterable[tuple[Path, "Version"]]) -> None:
        for path, version in found:
            if self._uploaded.get(path) == version:
                continue
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue  # renamed or removed since
            if version_of(path) == version:
                key = self._prefix + path.relative_to(self._folder).as_posix()
                self._s3.put_object(Bucket=self._bucket, Key=key, Body=content)
                self._uploaded[path] = version


Version = tuple[int, int, int]


def files(folder: Path) -> Iterator[tuple[Path, Version]]:
    """Regular files; symbolic links are not uploaded, as on SageMaker."""
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(parent, name)
            version = version_of(path)
            if version is not None:
                yield path, version


def version_of(path: Path) -> Version | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    is_file = (status.st_mode & 0o170000) == 0o100000
    return (status.st_ino, status.st_size, status.st_mtime_ns) if is_file else None


def exit_message(root: Path) -> str | None:
    try:
        content = (root / "output" / "message").read_bytes()[:MESSAGE_BYTES]
    except OSError:
        return None
    return content.decode(errors="ignore").strip() or None


def exit_code(returncode: int) -> int:
    """A shell's convention for a program that a signal ended."""
    return 128 - returncode if returncode < 0 else returncode
