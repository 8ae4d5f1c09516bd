"""`python3 tools/environment.py`: made once, renewed when the lock changes, never half, never at another's expense."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tools.environment import (
    ROOT,
    CannotMake,
    ensure,
    ensure_packages,
    find_interpreter,
    fingerprint,
    is_current,
    main,
    problem_with,
)

DEBIAN = {"version": [3, 11], "platform": "Linux x86_64", "libc": "glibc", "has_pip": True}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose `sam` environment holds one small package, and which has the real uv already."""
    ensure("uv")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    (tmp_path / "requirements").mkdir()
    shutil.copy(ROOT / "requirements" / "uv.txt", tmp_path / "requirements")
    (tmp_path / ".envs").mkdir()
    (tmp_path / ".envs" / "uv").symlink_to(ROOT / ".envs" / "uv")
    lock(tmp_path, "1.0")
    return tmp_path


def lock(root: Path, version: str) -> None:
    """Pins the package `grain`, whose one module says its version, in a wheel made here."""
    wheel = root / f"grain-{version}-py3-none-any.whl"
    metadata = f"grain-{version}.dist-info"
    files = {
        "grain.py": f"version = {version!r}\n",
        f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: grain\nVersion: {version}\n",
        f"{metadata}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        record = "".join(f"{name},{record_hash(text)},{len(text)}\n" for name, text in files.items())
        archive.writestr(f"{metadata}/RECORD", f"{record}{metadata}/RECORD,,\n")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (root / "requirements" / "sam.txt").write_text(f"grain @ {wheel.as_uri()} --hash=sha256:{digest}\n")


def record_hash(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def version_in(root: Path) -> str:
    program = [str(root / ".envs" / "sam" / "bin" / "python"), "-c", "import grain; print(grain.version)"]
    return subprocess.check_output(program, text=True).strip()


def test_an_environment_is_made_from_its_lock_with_bytecode(root: Path) -> None:
    ensure("sam", root)
    assert list((root / ".envs" / "sam").glob("lib/*/site-packages/__pycache__/grain.*.pyc"))
    assert version_in(root) == "1.0"


def test_a_second_call_does_nothing(root: Path) -> None:
    ensure("sam", root)
    (root / ".envs" / "uv").unlink()  # with nothing to install by, doing anything would fail
    ensure("sam", root)
    assert version_in(root) == "1.0"


def test_a_new_lock_renews_it_in_place(root: Path) -> None:
    ensure("sam", root)
    stays = root / ".envs" / "sam" / "bin" / "a-tool-of-mine"
    stays.touch()
    lock(root, "2.0.1")
    ensure("sam", root)
    assert version_in(root) == "2.0.1"
    assert stays.exists()


def test_what_was_interrupted_is_made_from_nothing(root: Path) -> None:
    good = (root / "requirements" / "sam.txt").read_text()
    (root / "requirements" / "sam.txt").write_text(good.split("sha256:")[0] + "sha256:" + "0" * 64)
    with pytest.raises(CannotMake, match=r"\.envs/sam: installing requirements/sam\.txt did not work"):
        ensure("sam", root)
    assert not is_current("sam", root)
    half = root / ".envs" / "sam" / "half-written"
    half.touch()
    (root / "requirements" / "sam.txt").write_text(good)
    ensure("sam", root)
    assert version_in(root) == "1.0"
    assert not half.exists()


def test_an_environment_from_elsewhere_is_adopted(root: Path) -> None:
    venv.create(root / ".envs" / "sam", symlinks=True)
    stays = root / ".envs" / "sam" / "bin" / "a-tool-of-mine"
    stays.touch()
    ensure("sam", root)
    assert version_in(root) == "1.0"
    assert stays.exists()


def test_an_environment_whose_python_is_gone_is_made_again(root: Path) -> None:
    ensure("sam", root)
    python = root / ".envs" / "sam" / "bin" / "python"
    python.unlink()
    python.symlink_to(root / "removed-by-an-upgrade")
    ensure("sam", root)
    assert version_in(root) == "1.0"


def test_the_demo_runs_in_the_larger_environment_too(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    for name in ("requirements/assay.txt", "requirements/dev.txt", "pyproject.toml"):
        (tmp_path / name).write_text(name)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (tmp_path / ".venv" / "made-from").write_text(fingerprint("dev", tmp_path))
    assert is_current("assay", tmp_path)
    (tmp_path / ".venv" / "made-from").write_text(fingerprint("assay", tmp_path))
    assert is_current("assay", tmp_path)
    assert not is_current("dev", tmp_path)


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An npm that packs one small package, and how that is pinned."""
    source, packed = tmp_path / "package" / "axe.min.js", tmp_path / "axe-core-1.0.tgz"
    source.parent.mkdir()
    source.write_text("axe")
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(source, "package/axe.min.js")
    command = tmp_path / "bin" / "npm"
    command.parent.mkdir()
    # npm pack --silent --ignore-scripts --pack-destination FOLDER NAME@VERSION
    command.write_text(f'#!/bin/sh\n[ "$6" = axe-core@1.0 ] && cp {packed} "$5"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:/bin:/usr/bin")
    (tmp_path / "requirements").mkdir()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
    return {"version": "1.0", "integrity": integrity}


def test_a_package_of_npm_is_fetched_once_and_held_against_its_pin(tmp_path: Path, npm: dict[str, str]) -> None:
    lock, file = tmp_path / "requirements" / "browser.json", tmp_path / ".envs" / "browser" / "axe-core" / "axe.min.js"
    lock.write_text(json.dumps({"axe-core": npm}))
    ensure_packages("browser", tmp_path)
    assert file.read_text() == "axe"
    (tmp_path / "bin" / "npm").write_text("#!/bin/sh\nexit 1\n")  # with it, fetching anything fails
    ensure_packages("browser", tmp_path)
    lock.write_text(json.dumps({"axe-core": npm | {"integrity": "sha512-other"}}))
    with pytest.raises(CannotMake, match=r"fetching axe-core 1\.0 did not work"):
        ensure_packages("browser", tmp_path)
    assert file.read_text() == "axe"


def test_a_package_that_is_not_the_pinned_one_is_refused(tmp_path: Path, npm: dict[str, str]) -> None:
    (tmp_path / "requirements" / "browser.json").write_text(json.dumps({"axe-core": npm | {"integrity": "sha512-x"}}))
    with pytest.raises(CannotMake, match=r"axe-core 1\.0: expected sha512-x, found sha512-"):
        ensure_packages("browser", tmp_path)
    assert not (tmp_path / ".envs" / "browser").exists()


@pytest.mark.parametrize("facts", [DEBIAN, DEBIAN | {"platform": "Darwin arm64", "libc": "", "version": [3, 13]}])
def test_a_python_that_tensorflow_serves_suits(facts: dict[str, Any]) -> None:
    assert problem_with(facts) == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": [3, 14]}, "TensorFlow does not serve Python 3.14: install one of 3.11, 3.12, 3.13"),
        ({"version": [3, 10]}, "TensorFlow does not serve Python 3.10: install"),
        ({"platform": "Darwin x86_64"}, "TensorFlow has no build for Darwin x86_64: use one of Linux x86_64,"),
        ({"platform": "Linux riscv64"}, "TensorFlow has no build for Linux riscv64: use one of Linux x86_64,"),
        ({"libc": ""}, "a Linux without glibc"),
        ({"has_pip": False}, "Python 3.11 is without venv and pip: install them (Debian and Ubuntu: apt install"),
    ],
)
def test_what_does_not_suit_gets_one_sentence(change: dict[str, Any], says: str) -> None:
    sentence = problem_with(DEBIAN | change)
    assert says in sentence
    assert "\n" not in sentence


def fake_python(path: Path, facts: dict[str, Any]) -> str:
    path.write_text(f"#!/bin/sh\necho '{json.dumps(facts)}'\n")
    path.chmod(0o755)
    return str(path)


def test_another_python_on_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", fake_python(tmp_path / "python3", DEBIAN | {"version": [3, 14]}))
    fake_python(tmp_path / "python3.13", DEBIAN | {"has_pip": False, "version": [3, 13]})
    fake_python(tmp_path / "python3.12", DEBIAN | {"version": [3, 12]})
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert find_interpreter() == "python3.12"


def test_without_a_suitable_python_the_running_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", fake_python(tmp_path / "python3", DEBIAN | {"version": [3, 14]}))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotMake, match=r"python3: TensorFlow does not serve Python 3\.14"):
        find_interpreter()


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 2
    names = "assay, dev, sam, sagemaker, sagemaker2, peers, uv, browser"
    assert capsys.readouterr().err == f"expected names out of {names}; found demo\n"
