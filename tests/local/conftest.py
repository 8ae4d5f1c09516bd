"""A small application of its own stands for the real one: each test sees one part of the embedded AWS at work."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assay_local import cli
from assay_local.cloud import Cloud

APPLICATION = Path(__file__).with_name("application")

Ran = tuple[int, str, str]
Assay = Callable[..., Ran]


@pytest.fixture
def assay(capsys: pytest.CaptureFixture[str]) -> Assay:
    """The command in this process: exit code, standard output, standard error."""

    def call(*arguments: object) -> Ran:
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as ended:  # argparse's own way
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """Shared by a module's tests: each uses names of its own."""
    with Cloud(APPLICATION / "template.yaml", programs={"double": "double"}, schedules=False) as cloud:
        yield cloud


@pytest.fixture
def variant(tmp_path: Path) -> Callable[..., Path]:
    """The application's template with some of its text replaced."""

    def make(*replacements: tuple[str, str]) -> Path:
        copy = shutil.copytree(APPLICATION, tmp_path / "application", ignore=shutil.ignore_patterns("__pycache__"))
        template = copy / "template.yaml"
        text = template.read_text()
        for old, new in replacements:
            assert old in text, f"the template does not say {old!r}"
            text = text.replace(old, new)
        template.write_text(text)
        return template

    return make
