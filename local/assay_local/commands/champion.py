"""`assay promote` and `assay demote`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from assay_local.commands.arguments import RAW, debug, place_of, where, which_run

if TYPE_CHECKING:
    from assay_local.commands.arguments import Commands

LONGEST_REASON = 500

PROMOTE = """\
Makes a run its model's champion: what newer models are compared with. So the first champion often comes, from a run
that its data did not decide. Who did it, when and why stands in champions/<model>.json.

It holds until a newer upload passes: newer than the promoted one, and than every champion before it.
"""

PROMOTE_EXAMPLES = """\
A run with the verdict error, or without a report, cannot be champion; one that failed only with --even-failed.

exit codes: 0 it is champion, 2 it is not

examples:
  assay promote latest --reason "the first one: 40 samples are all there is"
  assay promote k3vq --stack assay --reason "better in the field, ticket 12"
"""

DEMOTE = """\
Takes the title from a model's champion: the one before it is champion again, or there is none. It does not come back by
itself; the next champion is a newer upload that passes, or what somebody promotes.
"""

DEMOTE_EXAMPLES = """\
exit codes: 0 done, 2 not

examples:
  assay demote birds --reason "takes every wren for a robin"
  assay demote k3vq --stack assay --reason "trained on test data"     only if this run is the champion
"""


def register(commands: Commands) -> None:
    up = commands.add_parser(
        "promote", help="make a run its model's champion", description=PROMOTE, epilog=PROMOTE_EXAMPLES, **RAW
    )
    which_run(up)
    up.add_argument("--even-failed", action="store_true", help="also a run that failed")
    why_and_where(up)
    up.set_defaults(action=promote)
    down = commands.add_parser(
        "demote", help="take the title from a champion", description=DEMOTE, epilog=DEMOTE_EXAMPLES, **RAW
    )
    down.add_argument("champion", metavar="MODEL|RUN", help="a model's name, or its champion's id or its beginning")
    why_and_where(down)
    down.set_defaults(action=demote)


def why_and_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", type=reason, required=True, metavar="TEXT", help="why, for whoever asks later")
    where(parser)
    debug(parser)


def reason(text: str) -> str:
    plain = " ".join(text.split())
    if not 0 < len(plain) <= LONGEST_REASON:
        raise argparse.ArgumentTypeError(f"expected a sentence of at most {LONGEST_REASON} characters")
    return plain


def promote(options: argparse.Namespace) -> int:
    from assay_local.champion import promote
    from assay_local.console import Console

    return promote(place_of(options), options.run, options.reason, Console(), even_failed=options.even_failed)


def demote(options: argparse.Namespace) -> int:
    from assay_local.champion import demote
    from assay_local.console import Console

    return demote(place_of(options), options.champion, options.reason, Console())
