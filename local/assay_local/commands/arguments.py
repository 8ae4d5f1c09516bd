"""What several commands are asked: their arguments, and how their texts become values."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

RAW: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}


def debug(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--debug", action="store_true", help="show logs and tracebacks")


def results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--results", type=Path, default=Path("assay-results"), metavar="DIR", help="where the results go (%(default)s)"
    )


def how_to_run(parser: argparse.ArgumentParser) -> None:
    """Of what runs the whole chain."""
    results(parser)
    parser.add_argument(
        "--engine",
        choices=("process", "docker"),
        default="process",
        help="what runs the jobs: child processes, or the images in Docker (%(default)s)",
    )
    parser.add_argument(
        "--explainer",
        choices=("assay", "clarify"),
        default="assay",
        help="clarify drives the chain as with SageMaker Clarify; assay's explainer runs in its place (%(default)s)",
    )
    parser.add_argument("--open", action="store_true", help="open the report in a browser, where there is a display")
    debug(parser)


def data_and_endpoints(parser: argparse.ArgumentParser) -> None:
    """Of what reads a policy's data and asks its model."""
    copies(parser, "where a copy of an s3:// address of the policy lies on this machine; may be given several times")
    endpoints(parser, "where the SageMaker endpoint that the policy names answers here: its container's /invocations")
    parser.add_argument(
        "--timeout", type=minutes, default=60.0, metavar="MINUTES", help="give up after this time (%(default)g)"
    )


def copies(parser: argparse.ArgumentParser, help: str) -> None:
    parser.add_argument("--map", type=mapping, action="append", default=[], metavar="S3=PATH", help=help)


def endpoints(parser: argparse.ArgumentParser, help: str) -> None:
    parser.add_argument("--endpoint", type=endpoint, action="append", default=[], metavar="NAME=URL", help=help)


def mapping(text: str) -> tuple[str, Path]:
    address, equals, place = text.partition("=")
    if not (address.startswith("s3://") and equals and place):
        raise argparse.ArgumentTypeError(f"{text!r}: expected s3://bucket/prefix=path")
    return address, Path(place).expanduser().resolve()


def endpoint(text: str) -> tuple[str, str]:
    name, equals, address = text.partition("=")
    if not (name and equals and address.startswith(("http://", "https://"))):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=http://localhost:8080/invocations")
    return name, address


def minutes(text: str) -> float:
    return above_0(text, "a number of minutes above 0")


def price(text: str) -> float:
    return above_0(text, "dollars an hour above 0, such as 0.23")


def above_0(text: str, expected: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}")
    return number


def open_in_browser(page: Path) -> None:
    if has_display():
        webbrowser.open(page.as_uri())
    else:
        print(f"no display to open it on: {page}", file=sys.stderr)


def has_display() -> bool:
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
