"""Makes the project's environments from their locks: `python3 tools/environment.py NAME…`.

It needs nothing but the standard library, and starts under any `python3`, so that whoever has an older or a newer one
than the project takes reads a sentence, not a traceback.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Environment:
    folder: str
    lock: str
    has_project: bool = False
    """Holds the project too, as an editable install with its command."""


ENVIRONMENTS = {
    "assay": Environment(".venv", "requirements/assay.txt", has_project=True),
    "dev": Environment(".venv", "requirements/dev.txt", has_project=True),
    "sam": Environment(".envs/sam", "requirements/sam.txt"),
    "sagemaker": Environment(".envs/sagemaker", "requirements/sagemaker.txt"),
    "sagemaker2": Environment(".envs/sagemaker2", "requirements/sagemaker2.txt"),
    "peers": Environment(".envs/peers", "requirements/peers.txt"),
    "uv": Environment(".envs/uv", "requirements/uv.txt"),
}
HOLDS_ALL_OF = {"assay": "dev"}
PACKAGES = {"browser": Environment(".envs/browser", "requirements/browser.json")}
"""Of npm, which runs none of them: files that tests read."""

VERSIONS = ((3, 11), (3, 12), (3, 13))
PLATFORMS = ("Linux x86_64", "Linux aarch64", "Darwin arm64")
"""Where TensorFlow has wheels, with VERSIONS."""

PROBE = """
import importlib.util, json, platform, sys
print(json.dumps({
    "version": sys.version_info[:2],
    "platform": platform.system() + " " + platform.machine(),
    "libc": platform.libc_ver()[0],
    "has_pip": all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")),
}))
"""


class CannotMake(Exception):
    """Its text says what to do."""


def main(names: list[str]) -> int:
    known = {**ENVIRONMENTS, **PACKAGES}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        print(f"expected names out of {', '.join(known)}; found {', '.join(unknown) or 'none'}", file=sys.stderr)
        return 2
    try:
        for name in names:
            if name in PACKAGES:
                ensure_packages(name)
            else:
                ensure(name)
    except CannotMake as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: the next call begins anew", file=sys.stderr)
        return 130
    return 0


def ensure(name: str, root: Path = ROOT) -> None:
    """Makes the environment unless it is there and current."""
    if is_current(name, root):
        return
    if name != "uv":
        ensure("uv", root)
    with alone(root):
        if not is_current(name, root):  # another call may have made it meanwhile
            make(name, root)


def is_current(name: str, root: Path = ROOT) -> bool:
    folder = root / ENVIRONMENTS[name].folder
    try:
        stamp = (folder / "made-from").read_text()
    except OSError:
        return False
    # The interpreter is a link, which an upgrade of the system's Python may have cut.
    runs = os.access(str(folder / "bin" / "python"), os.X_OK)
    return runs and stamp in (fingerprint(name, root), fingerprint(HOLDS_ALL_OF.get(name, name), root))


def fingerprint(name: str, root: Path = ROOT) -> str:
    """What an environment is made from, as its stamp says it."""
    environment = ENVIRONMENTS[name]
    content = (root / environment.lock).read_bytes()
    if environment.has_project:
        content += (root / "pyproject.toml").read_bytes()
    return f"{environment.lock} {hashlib.sha256(content).hexdigest()}\n"


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """One at a time: two terminals may well call `make` at once."""
    (root / ".envs").mkdir(exist_ok=True)
    with (root / ".envs" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(name: str, root: Path = ROOT) -> None:
    """Brings the environment's folder to what its lock says.

    A marker stands in the folder from the first change to the last, and then becomes the stamp. So what was interrupted
    shows, and is made from nothing; a folder with neither came from elsewhere and is adopted.
    """
    environment = ENVIRONMENTS[name]
    folder = root / environment.folder
    python = folder / "bin" / "python"
    uv = root / ENVIRONMENTS["uv"].folder / "bin" / "uv"
    stamp, unfinished = folder / "made-from", folder / "unfinished"
    started = time.monotonic()

    if unfinished.exists() or problem_with(facts_of(str(python))):
        doing = f"{environment.folder}: making it"
        interpreter = find_interpreter()
        if name == "uv":
            run(doing, interpreter, "-m", "venv", "--clear", folder)
        else:
            fresh = ("--clear", "--no-project", "--no-python-downloads")
            run(doing, uv, "venv", *fresh, "--python", interpreter, folder)
    if stamp.exists():
        stamp.unlink()
    unfinished.touch()
    doing = f"{environment.folder}: installing {environment.lock}"
    lock = root / environment.lock
    if name == "uv":
        locked = ("--disable-pip-version-check", "--only-binary", ":all:", "--require-hashes")
        run(doing, python, "-m", "pip", "install", *locked, "--requirement", lock)
    else:
        # With bytecode TensorFlow is imported in 2.9 s, without in 7.3 s; and each job imports it anew.
        run(doing, uv, "pip", "sync", "--python", python, "--require-hashes", "--compile-bytecode", lock)
    if environment.has_project:
        doing = f"{environment.folder}: installing the project"
        editable = ("--no-deps", "--build-constraints", root / ENVIRONMENTS["dev"].lock, "--editable", root)
        run(doing, uv, "pip", "install", "--python", python, *editable)
    unfinished.write_text(fingerprint(name, root))
    unfinished.rename(stamp)
    print(f"{environment.folder} is ready: {environment.lock}, {time.monotonic() - started:.0f} s", flush=True)


def ensure_packages(name: str, root: Path = ROOT) -> None:
    """Fetches npm packages, each unpacked into a folder of its name, unless they are there and current."""
    folder, lock = (root / path for path in (PACKAGES[name].folder, PACKAGES[name].lock))
    stamp = f"{PACKAGES[name].lock} {hashlib.sha256(lock.read_bytes()).hexdigest()}\n"
    with alone(root):
        if not (folder / "made-from").is_file() or (folder / "made-from").read_text() != stamp:
            with tempfile.TemporaryDirectory(dir=root / ".envs") as made:
                for package, pinned in json.loads(lock.read_bytes()).items():
                    fetch_package(Path(made), package, pinned["version"], pinned["integrity"])
                Path(made, "made-from").write_text(stamp)
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(made, folder)


def fetch_package(folder: Path, name: str, version: str, integrity: str) -> None:
    """One package, by npm, from where npm is set to fetch from; raises CannotMake when it is not the pinned one."""
    if shutil.which("npm") is None:
        raise CannotMake(f"npm is missing, which fetches {name} (Debian and Ubuntu: apt install npm)")
    with tempfile.TemporaryDirectory(dir=folder) as fetched:
        pack = ("npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", fetched, f"{name}@{version}")
        run(f"fetching {name} {version}", *pack)
        (archive,) = Path(fetched).iterdir()
        found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != integrity:
            raise CannotMake(f"{name} {version}: expected {integrity}, found {found}")
        with tarfile.open(archive) as tar:
            members = [member for member in tar.getmembers() if member.isfile()]
            for member in members:
                path = folder / name / member.name.partition("/")[2]
                path.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member)
                assert content is not None
                path.write_bytes(content.read())


def find_interpreter() -> str:
    """The running interpreter when it suits, else one on the PATH that does."""
    for candidate in (sys.executable, *(f"python{major}.{minor}" for major, minor in reversed(VERSIONS))):
        if not problem_with(facts_of(candidate)):
            return candidate
    raise CannotMake(f"{sys.executable}: {problem_with(facts_of(sys.executable))}")


def facts_of(interpreter: str) -> dict[str, Any] | None:
    try:
        answer = subprocess.run(
            [interpreter, "-c", PROBE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    facts: dict[str, Any] = json.loads(answer.stdout)
    return facts


def problem_with(facts: dict[str, Any] | None) -> str:
    """Why an interpreter does not suit, and what to do; empty when it suits."""
    if facts is None:
        return "it does not start"
    if facts["platform"] not in PLATFORMS:
        return f"TensorFlow has no build for {facts['platform']}: use one of {', '.join(PLATFORMS)}"
    if facts["platform"].startswith("Linux") and facts["libc"] != "glibc":
        return "TensorFlow has no build for a Linux without glibc, such as Alpine: use Debian, Ubuntu, Fedora, …"
    version = "{}.{}".format(*facts["version"])
    if tuple(facts["version"]) not in VERSIONS:
        known = ", ".join(f"{major}.{minor}" for major, minor in VERSIONS)
        return f"TensorFlow does not serve Python {version}: install one of {known}; it is found on the PATH by itself"
    if not facts["has_pip"]:
        return f"Python {version} is without venv and pip: install them (Debian and Ubuntu: apt install python3-venv)"
    return ""


def run(doing: str, *command: object) -> None:
    """Runs a command that takes a while, with a clock for a person to watch; what it said is shown if it fails."""
    watched = sys.stdout.isatty()
    print(doing, end="" if watched else "\n", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=said, stderr=said
        ) as child:
            while child.poll() is None:
                time.sleep(0.05)
                if watched:
                    print(f"\r{doing}, {time.monotonic() - started:.0f} s ", end="", flush=True)
        if watched:
            print()
        if child.returncode != 0:
            said.seek(0)
            text = said.read().decode(errors="replace").strip()
            raise CannotMake(
                f"{text}\n{doing} did not work (the command's own words are above); call again when mended"
            )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
