"""`assay open`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from assay_local.commands.arguments import RAW, debug, place_of, where, which_run

if TYPE_CHECKING:
    from assay_local.commands.arguments import Commands

DESCRIPTION = """\
Opens a run's report in a browser. Of a stack's run by a link that is signed with your credentials: whoever has the
link can read the report until it ends.
"""

EXAMPLES = """\
examples:
  assay open latest
  assay open birds --stack assay --print
"""


def register(commands: Commands) -> None:
    parser = commands.add_parser(
        "open", help="open a run's report in a browser", description=DESCRIPTION, epilog=EXAMPLES, **RAW
    )
    which_run(parser)
    parser.add_argument("--print", action="store_true", help="say where it is, and open nothing")
    where(parser)
    debug(parser)
    parser.set_defaults(action=open_report)


def open_report(options: argparse.Namespace) -> int:
    from assay_local.console import Console
    from assay_local.report import open_report

    return open_report(place_of(options), options.run, Console(), only_print=options.print)
