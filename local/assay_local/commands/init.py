"""`assay init`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assay_local.commands.arguments import RAW, debug

if TYPE_CHECKING:
    from assay_local.commands.arguments import Commands

DESCRIPTION = """\
Writes a policy for a model and its data. What both show is read: signature, header, label column, classes. What they do
not show is tried on 100 samples: each scaling of pictures, each reading of the labels. What it rests on stands beside
each line, and what could not be guessed is said.
"""

EXAMPLES = """\
examples:
  assay init birds/7/model.tar.gz birds/photos/        with a CSV beside the pictures, or a folder a class
  assay init model.keras test.parquet -o houses.yaml
"""


def register(commands: Commands) -> None:
    parser = commands.add_parser(
        "init", help="write a policy for a model and its data", description=DESCRIPTION, epilog=EXAMPLES, **RAW
    )
    parser.add_argument("model", type=Path, metavar="ARCHIVE", help="the model, as for `assay run`")
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help="a folder of pictures, or a file (or folder) of CSV, JSON Lines, Parquet",
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("assay.yaml"), metavar="FILE", help="what is written (%(default)s)"
    )
    parser.add_argument(
        "--annotations", type=Path, metavar="FILE", help="the CSV or COCO file of the pictures, where several could be"
    )
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    debug(parser)
    parser.set_defaults(action=init)


def init(options: argparse.Namespace) -> int:
    from assay_local.console import Console
    from assay_local.init import Options, init

    return init(
        Options(options.model, options.data, options.output, options.annotations, options.force),
        Console(),
    )
