"""`assay rejudge`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assay_local.commands.arguments import RAW, debug

if TYPE_CHECKING:
    from assay_local.commands.arguments import Commands

DESCRIPTION = """\
Decides a run again from the numbers that it left behind: no job, no model, no data. For a gate that was set too high
or too low, or a policy that is being thought about.

A run in S3 is read with your own AWS credentials, and nothing is written there.
"""

EXAMPLES = """\
exit codes: 0 passed or not judged, 1 failed, 2 no such run or no numbers, 3 inconclusive

examples:
  assay rejudge assay-results/runs/birds/<run> --policy stricter.yaml
  assay rejudge s3://archives/runs/birds/<run>/ --json
"""


def register(commands: Commands) -> None:
    parser = commands.add_parser(
        "rejudge", help="decide a run again, by another policy", description=DESCRIPTION, epilog=EXAMPLES, **RAW
    )
    parser.add_argument(
        "run", metavar="RUN", help="a run's folder: in the results folder, or s3://…/runs/<model>/<run>/"
    )
    parser.add_argument("--policy", type=Path, metavar="FILE", help="what decides; by default what decided then")
    parser.add_argument("--json", action="store_true", help="verdict and gates as JSON")
    debug(parser)
    parser.set_defaults(action=rejudge)


def rejudge(options: argparse.Namespace) -> int:
    from assay_local.console import Console
    from assay_local.rejudge import rejudge

    return rejudge(options.run, options.policy, Console(), as_json=options.json)
