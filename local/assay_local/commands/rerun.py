"""`assay rerun`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assay_local.commands.arguments import RAW, data_and_endpoints, how_to_run, open_in_browser, place_of, where
from assay_local.problem import Problem

if TYPE_CHECKING:
    from assay_local.commands.arguments import Commands

LONGEST_REQUEST = 256

DESCRIPTION = """\
Judges an archive once more, by the policy and the data of today. Its upload stays what it was: one more run makes no
newer model of it.

Of a stack it asks for the run with the event `Assay Run Requested`, and says which one it will be. On this machine it
runs the archive that was frozen, as `assay run` would, into the same results folder; the exit codes are those of
`assay run`.
"""

EXAMPLES = """\
examples:
  assay rerun birds --policy birds/assay.yaml                        the newest run of birds, on this machine
  assay rerun birds --stack assay --request "ticket 12"              its newest upload
  assay rerun models/birds/7/model.tar.gz --stack assay
"""


def register(commands: Commands) -> None:
    parser = commands.add_parser(
        "rerun", help="judge an archive once more", description=DESCRIPTION, epilog=EXAMPLES, **RAW
    )
    parser.add_argument(
        "what",
        metavar="MODEL|RUN|KEY",
        help="a model's name (its newest), a run's id or its beginning; of a stack also an archive's key",
    )
    parser.add_argument(
        "--request",
        type=request,
        metavar="TEXT",
        help="what tells this run from others of the archive (the time); to a stack the same one is the same run",
    )
    parser.add_argument("--policy", type=Path, metavar="FILE", help="on this machine: what decides (assay.yaml)")
    where(parser)
    how_to_run(parser)
    data_and_endpoints(parser)
    parser.set_defaults(action=rerun)


def request(text: str) -> str:
    if not 0 < len(text.strip()) <= LONGEST_REQUEST:
        raise argparse.ArgumentTypeError(f"expected a text of at most {LONGEST_REQUEST} characters")
    return text.strip()


def check_nothing_of_here(options: argparse.Namespace) -> None:
    """A stack judges by what lies in its bucket: what would be left out silently is refused."""
    given = [name for name in ("policy", "map", "endpoint", "open") if getattr(options, name)]
    if given:
        raise Problem(
            f"--{given[0]} is for a run on this machine: a stack judges by the policy and the data in its bucket, "
            "and tells when it is done; assay open shows the report then"
        )


def rerun(options: argparse.Namespace) -> int:
    from assay_local.console import Console
    from assay_local.deployed import Deployed
    from assay_local.rerun import Here, rerun_here, rerun_there, time_based
    from assay_local.results import Results

    asked = options.request or time_based()
    place = place_of(options)
    if isinstance(place, Deployed):
        check_nothing_of_here(options)
        return rerun_there(place, options.what, asked, Console())
    assert isinstance(place, Results)
    here = Here(
        policy=options.policy or Path("assay.yaml"),
        engine=options.engine,
        explainer=options.explainer,
        folders=dict(options.map),
        endpoints=dict(options.endpoint),
        timeout=options.timeout * 60,
    )
    code, report = rerun_here(place, options.what, asked, here, Console())
    if options.open:
        open_in_browser(report)
    return code
