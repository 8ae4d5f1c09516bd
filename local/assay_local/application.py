"""Where the application lies: the folder of template.yaml, functions/, layers/ and containers/."""

from pathlib import Path

HERE = Path(__file__).resolve().parent


def root() -> Path:
    """The application's folder: inside the package when installed from a wheel, else the checkout."""
    packaged = HERE / "application"
    return packaged if packaged.is_dir() else HERE.parents[1]
