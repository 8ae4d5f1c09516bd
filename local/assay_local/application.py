"""Where the application lies: the folder of template.yaml, functions/, layers/ and containers/."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def root() -> Path:
    """The application's folder: inside the package when installed from a wheel, else the checkout."""
    packaged = HERE / "application"
    return packaged if packaged.is_dir() else HERE.parents[1]


def make_importable(folder: str) -> None:
    """Let this process import what runs in the cloud from its folder there, `functions` or `containers`."""
    path = str(root() / folder)
    if path not in sys.path:
        sys.path.append(path)
