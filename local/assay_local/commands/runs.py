"""`assay runs`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from assay_local.commands.arguments import RAW, count, debug, moment, place_of, where

if TYPE_CHECKING:
    from assay_local.commands.arguments import Commands

VERDICTS = ("pass", "fail", "inconclusive", "not judged", "error")

DESCRIPTION = """\
Lists runs, the newest first: the model, when it was uploaded, the verdict or how far the run is, and what decided it.
★ marks a model's champion.
"""

EXAMPLES = """\
examples:
  assay runs
  assay runs --model birds --verdict fail --since 7d
  assay runs --stack assay --limit 0 --json
"""


def register(commands: Commands) -> None:
    parser = commands.add_parser("runs", help="list runs", description=DESCRIPTION, epilog=EXAMPLES, **RAW)
    parser.add_argument("--model", metavar="M", help="only this model's")
    parser.add_argument(
        "--verdict",
        type=lambda text: text.replace("-", " "),
        choices=VERDICTS,
        help="only those that ended so: pass, fail, inconclusive, not-judged, error",
        metavar="V",
    )
    parser.add_argument(
        "--since", type=moment, metavar="DATE", help="only those begun since: 2026-11-12, 2026-11-12T08:00, 7d, 12h"
    )
    parser.add_argument("--limit", type=count, default=20, metavar="N", help="at most so many, 0 for all (%(default)s)")
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    where(parser)
    debug(parser)
    parser.set_defaults(action=runs)


def runs(options: argparse.Namespace) -> int:
    from assay_local.console import Console
    from assay_local.runs_table import Asked, show_runs

    asked = Asked(options.model, options.verdict, options.since, options.limit)
    return show_runs(place_of(options), asked, Console(), as_json=options.json)
