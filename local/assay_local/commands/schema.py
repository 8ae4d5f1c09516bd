"""`assay schema`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from assay_local.commands.arguments import RAW

if TYPE_CHECKING:
    from assay_local.commands.arguments import Commands

DESCRIPTION = """\
Prints the JSON Schema of assay.yaml, by which an editor completes, explains and checks a policy, or that of what
programs read: summary.json, and the outcome that queues, functions, web hooks and rules are told."""

EXAMPLES = """\
examples:
  assay schema > assay.schema.json
  assay schema summary > summary.schema.json
and as the policy's first line, for editors with the YAML language server:
  # yaml-language-server: $schema=assay.schema.json
"""


def register(commands: Commands) -> None:
    parser = commands.add_parser("schema", help="print a JSON Schema", description=DESCRIPTION, epilog=EXAMPLES, **RAW)
    parser.add_argument(
        "of",
        nargs="?",
        choices=("policy", "summary", "outcome"),
        default="policy",
        help="assay.yaml, summary.json, or what queues and rules are told of a run; by default the policy",
    )
    parser.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(action=print_schema)


def print_schema(options: argparse.Namespace) -> int:
    from assay_local.schemas import schema

    print(schema(options.of), end="")
    return 0
