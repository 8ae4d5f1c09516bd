"""`assay demo`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from assay_local.commands.arguments import RAW, how_to_run, open_in_browser, results

if TYPE_CHECKING:
    from assay_local.commands.arguments import Commands


def register(commands: Commands) -> None:
    parser = commands.add_parser(
        "demo",
        help="watch a model pass and a spoiled version of it fail",
        description="Trains a small digit classifier, uploads it to an embedded AWS, and shows what comes of it.",
        epilog="examples:\n  assay demo --results shown --open\n",
        **RAW,
    )
    results(parser)
    how_to_run(parser)
    parser.set_defaults(action=demo)


def demo(options: argparse.Namespace) -> int:
    from assay_local.console import Console
    from assay_local.demo import demo
    from assay_local.results import Results

    code, ended = demo(options.results, Console(), options.engine, options.explainer)
    if options.open:
        open_in_browser(Results(options.results).path(ended[-1].folder.summary_html))
    return code
