"""What several commands are asked: their arguments, and how their texts become values."""

from __future__ import annotations

import argparse
import os
import re
import sys
import webbrowser
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay_local.problem import Problem

if TYPE_CHECKING:
    from assay_local.place import Place

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

RAW: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}


def debug(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--debug", action="store_true", help="show logs and tracebacks")


def results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--results", type=Path, default=Path("assay-results"), metavar="DIR", help="where the results go (%(default)s)"
    )


def where(parser: argparse.ArgumentParser) -> None:
    """Of what looks at runs: a folder, or a stack."""
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--results",
        type=Path,
        default=Path("assay-results"),
        metavar="DIR",
        help="the results folder on this machine (%(default)s)",
    )
    place.add_argument(
        "--stack",
        metavar="NAME",
        help="a stack in your AWS account instead; region and credentials as for the AWS CLI (AWS_PROFILE, …)",
    )


def place_of(options: argparse.Namespace) -> Place:
    """Where the runs lie that are asked about."""
    if options.stack is not None:
        from assay_local.deployed import Deployed

        return Deployed(options.stack)
    from assay_local.results import Results

    if not options.results.is_dir():
        raise Problem(
            f"results folder {options.results}: does not exist; `assay run` makes it, --results names another, "
            "--stack a stack in your AWS account"
        )
    return Results(options.results)


def how_to_run(parser: argparse.ArgumentParser) -> None:
    """Of what runs the whole chain."""
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


def which_run(parser: argparse.ArgumentParser, name: str = "run") -> None:
    parser.add_argument(
        name, metavar=name.upper(), help="a run's id or its beginning, a model's name (its newest run), or `latest`"
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


def moment(text: str) -> datetime:
    """A date or time by the clock of this machine, or so long ago: 2026-11-12, 2026-11-12T08:00, 7d, 12h."""
    ago = re.fullmatch(r"(\d{1,5})([dh])", text)
    try:
        if ago is not None:
            return datetime.now().astimezone() - timedelta(**{{"d": "days", "h": "hours"}[ago[2]]: int(ago[1])})
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a date such as 2026-11-12, or 7d or 12h") from None
    return at if at.tzinfo else at.astimezone()


def count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 0 for all")
    return int(text)


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
