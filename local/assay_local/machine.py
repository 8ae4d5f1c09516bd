"""Whether this machine can run the application: asked first, so that a person reads a sentence and no crash."""

import importlib.util
import platform
import sys
from pathlib import Path

from assay_local.problem import Problem

VERSIONS = ((3, 11), (3, 12), (3, 13))
"""The Pythons that TensorFlow has wheels for."""
CPUINFO = Path("/proc/cpuinfo")


def check() -> None:
    """Raises Problem when TensorFlow does not serve this Python or this processor."""
    if sys.version_info[:2] not in VERSIONS:
        known = ", ".join(f"{major}.{minor}" for major, minor in VERSIONS)
        raise Problem(
            f"Python {platform.python_version()} is not served by TensorFlow: install assay with one of {known}"
        )
    if platform.machine().lower() in ("x86_64", "amd64") and lacks_avx(CPUINFO):
        raise Problem(
            "this processor has no AVX instructions, which TensorFlow's builds need: use a machine with a processor "
            "of 2012 or later, and a virtual machine with the host's CPU model"
        )
    if importlib.util.find_spec("tensorflow") is None:
        raise Problem(
            f"TensorFlow is not installed for {sys.executable}: set up with `make demo` in a checkout, or install "
            "assay anew"
        )


def lacks_avx(cpuinfo: Path) -> bool:
    """Only where Linux says so: macOS and Windows do not run on such processors any more."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), None)
    return flags is not None and "avx" not in flags
