"""`assay show`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from assay_local.commands.arguments import RAW, debug, place_of, where, which_run

if TYPE_CHECKING:
    from assay_local.commands.arguments import Commands

DESCRIPTION = """\
Says how a run ended: verdict, gates, what changed against the champion, metrics, findings, jobs, and where it all lies.
Of a run that has not ended it says how far it is.
"""

EXAMPLES = """\
examples:
  assay show latest
  assay show birds                  the newest run of birds
  assay show k3vq --stack assay     the run whose id begins so
"""


def register(commands: Commands) -> None:
    parser = commands.add_parser("show", help="say how a run ended", description=DESCRIPTION, epilog=EXAMPLES, **RAW)
    which_run(parser)
    where(parser)
    debug(parser)
    parser.set_defaults(action=show)


def show(options: argparse.Namespace) -> int:
    from assay_local.console import Console
    from assay_local.show import show

    return show(place_of(options), options.run, Console())
