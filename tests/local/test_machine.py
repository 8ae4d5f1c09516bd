"""A machine that TensorFlow does not serve gets a sentence."""

import importlib.util
import platform
import sys
from pathlib import Path

import pytest

from assay_local import machine
from assay_local.problem import Problem


def test_this_machine_is_served() -> None:
    machine.check()


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_another_python_is_named(monkeypatch: pytest.MonkeyPatch, version: tuple[int, int]) -> None:
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    with pytest.raises(Problem, match=r"not served by TensorFlow: install assay with one of 3\.11, 3\.12, 3\.13"):
        machine.check()


def test_a_processor_without_avx_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu sse sse2\n")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(Problem, match="no AVX instructions"):
        machine.check()


@pytest.mark.parametrize("content", ["flags : fpu avx avx2\n", "Features : fp asimd\n", None])
def test_what_is_not_known_is_not_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "cpuinfo"
    if content is not None:
        file.write_text(content)
    assert not machine.lacks_avx(file)


def test_a_missing_tensorflow_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Problem, match="TensorFlow is not installed"):
        machine.check()
