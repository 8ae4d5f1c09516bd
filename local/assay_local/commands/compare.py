"""`assay compare`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from assay_local.commands.arguments import RAW, debug, place_of, where, which_run

if TYPE_CHECKING:
    from assay_local.commands.arguments import Commands

DESCRIPTION = """\
Holds two runs side by side: verdicts, gates, metrics, time and money, and whether both saw the same data. The runs may
be of two models.
"""

EXAMPLES = """\
exit codes: 0 nothing that was decided is worse in B than in A; 1 the verdict or a gate is; 2 not to be compared

examples:
  assay compare birds k3vq          the newest run of birds, and the one whose id begins so
  assay compare k3vq m2xa --stack assay --json
"""


def register(commands: Commands) -> None:
    parser = commands.add_parser(
        "compare", help="hold two runs side by side", description=DESCRIPTION, epilog=EXAMPLES, **RAW
    )
    which_run(parser, "a")
    which_run(parser, "b")
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    where(parser)
    debug(parser)
    parser.set_defaults(action=compare)


def compare(options: argparse.Namespace) -> int:
    from assay_local.compare import compare
    from assay_local.console import Console

    return compare(place_of(options), options.a, options.b, Console(), as_json=options.json)
