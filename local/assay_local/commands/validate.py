"""`assay validate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assay_local.commands.arguments import RAW, copies, debug, price

if TYPE_CHECKING:
    from assay_local.commands.arguments import Commands

DESCRIPTION = """\
Checks a policy before anything is spent on it: the policy itself, the data that it names (files, columns, labels), and,
given a model, its signature, and a few samples through the evaluation itself. Says what the data can decide of each
gate, and what an evaluation will take.
"""

EXAMPLES = """\
exit codes: 0 valid, 2 not: the same sentence that a run would end with, or a gate that no model can pass

examples:
  assay validate                                       assay.yaml here, and its data
  assay validate --policy birds/assay.yaml --model birds/7/model.tar.gz
  assay validate --model model.tar.gz --map s3://lake/birds=./copy-of-birds --usd-per-hour 0.23
"""


def register(commands: Commands) -> None:
    parser = commands.add_parser(
        "validate",
        help="check a policy against data and model, without a run",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        **RAW,
    )
    parser.add_argument(
        "--policy", type=Path, default=Path("assay.yaml"), metavar="FILE", help="what is checked (%(default)s)"
    )
    parser.add_argument("--model", type=Path, metavar="ARCHIVE", help="the model, as for `assay run`")
    copies(
        parser, "where a copy of an s3:// address of the policy lies on this machine; without one it is not looked at"
    )
    parser.add_argument(
        "--usd-per-hour", type=price, metavar="PRICE", help="of the jobs' instance: then dollars are told, too"
    )
    debug(parser)
    parser.set_defaults(action=validate)


def validate(options: argparse.Namespace) -> int:
    from assay_local.console import Console
    from assay_local.validate import Options, validate

    return validate(Options(options.policy, options.model, dict(options.map), options.usd_per_hour), Console())
