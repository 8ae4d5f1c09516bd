"""The installed command needs no checkout: the wheel holds the application that it deploys."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APPLICATION = ("containers", "events", "functions", "layers", "template.yaml")
PACKAGES = {"local/assay_local": "assay_local", "layers/contracts/assay": "assay", "layers/aws/assay_aws": "assay_aws"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [file] = folder.glob("*.whl")
    zipfile.ZipFile(file).extractall(folder / "unpacked")
    return folder / "unpacked"


def committed(folder: str) -> list[str]:
    names = subprocess.check_output(["git", "ls-files", "-z", "--", folder], cwd=ROOT, text=True).split("\0")[:-1]
    assert names, f"nothing in git under {folder}"
    return names


@pytest.mark.parametrize("part", APPLICATION)
def test_the_wheel_holds_the_application_as_it_was_committed(wheel: Path, part: str) -> None:
    for name in committed(part):
        packed = wheel / "assay_local" / "application" / name
        assert packed.exists(), name
        assert packed.read_bytes() == (ROOT / name).read_bytes(), name


@pytest.mark.parametrize("folder", PACKAGES)
def test_the_wheel_holds_the_packages(wheel: Path, folder: str) -> None:
    for name in committed(folder):
        assert (wheel / name.replace(folder, PACKAGES[folder], 1)).exists(), name


def test_the_wheel_gives_the_command(wheel: Path) -> None:
    [entry_points] = wheel.glob("*.dist-info/entry_points.txt")
    assert "assay = assay_local.cli:main" in entry_points.read_text()


def test_the_wheel_holds_no_bytecode(wheel: Path) -> None:
    assert list(wheel.glob("**/*.pyc")) == []
