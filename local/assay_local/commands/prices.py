"""`assay prices`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assay_local.commands.arguments import RAW, debug

if TYPE_CHECKING:
    from assay_local.commands.arguments import Commands

TABLE = Path("layers/aws/assay_aws/prices.json")

DESCRIPTION = """\
Writes the table of prices by which each run's jobs are costed: on-demand prices of SageMaker's processing instances, as
AWS's Price List has them today. Without it runs tell their time, and no dollars. It asks with your AWS credentials,
which need pricing:GetProducts.
"""

EXAMPLES = """\
exit codes: 0 written, 2 not

examples:
  assay prices                                          of the region that you work in
  assay prices --region eu-west-1 --region us-east-1
  assay prices --region eu-west-1 --output -            print it
"""


def register(commands: Commands) -> None:
    parser = commands.add_parser(
        "prices",
        help="read AWS's prices, by which runs are costed",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        **RAW,
    )
    parser.add_argument(
        "--region",
        action="append",
        default=[],
        metavar="R",
        help="whose prices; may be given several times (that of your AWS configuration)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=TABLE, metavar="FILE", help="what is written (%(default)s)"
    )
    debug(parser)
    parser.set_defaults(action=prices)


def prices(options: argparse.Namespace) -> int:
    from assay_local.console import Console
    from assay_local.prices import write_prices

    return write_prices(options.region, options.output, Console())
