"""`assay explain`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from assay_local.commands.arguments import RAW, copies, debug, endpoints

if TYPE_CHECKING:
    from assay_local.commands.arguments import Commands

DESCRIPTION = """\
Does a job of SageMaker Clarify on this machine: its analysis_config.json as it is, on a model and data that lie here.
No AWS, no endpoint, nothing of the chain; the results lie in Clarify's layout.
"""

EXAMPLES = """\
exit codes: 0 done, 1 an analysis failed and the others are there, 2 not done: what was found and what would be right;
with --compare 1: they differ

examples:
  assay explain --config analysis_config.json --model model.tar.gz --dataset rows.csv
  assay explain --config analysis_config.json --model model.tar.gz --map s3://lake/census=./census --check
  assay explain --config analysis_config.json --dataset rows.csv --endpoint census=http://localhost:8080/invocations
  echo 39,State-gov,13 | assay explain --config analysis_config.json --model model.tar.gz --dataset rows.csv --record
  assay explain --compare clarifys-output/ explanation/ --html page.html
"""


def register(commands: Commands) -> None:
    parser = commands.add_parser(
        "explain",
        help="explain a model by Clarify's analysis_config.json",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        **RAW,
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("analysis_config.json"),
        metavar="FILE",
        help="what to do, in Clarify's words (%(default)s)",
    )
    parser.add_argument("--model", type=Path, metavar="ARCHIVE", help="the model, as for `assay run`")
    parser.add_argument("--dataset", type=Path, metavar="PATH", help="a file or a folder; in the place of dataset_uri")
    copies(
        parser, "where a copy of an s3:// address of the configuration lies on this machine; may be given several times"
    )
    endpoints(parser, "where the endpoint that the configuration names answers here: its container's /invocations")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where the results go (explanation)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--check", action="store_true", help="say what would be done, how many model calls, how long; do nothing"
    )
    how.add_argument(
        "--record", action="store_true", help="explain one record from standard input: a line of CSV, or JSON"
    )
    how.add_argument(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("THEIRS", "OURS"),
        help="compare two output folders: bias metrics, global and local values",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="with --compare: the page, too")
    debug(parser)
    parser.set_defaults(action=explain)


def explain(options: argparse.Namespace) -> int:
    from assay_local.console import Console

    if options.compare is not None:
        from assay_local.explanation_compare import compare

        theirs, ours = options.compare
        return compare(theirs, ours, options.html, Console())
    from assay_local import explain as local

    asked = local.Options(
        config=options.config,
        model=options.model,
        dataset=options.dataset,
        folders=dict(options.map),
        endpoints=dict(options.endpoint),
        output=options.output,
    )
    if options.check:
        return local.check(asked, Console())
    if options.record:
        return local.explain_record(asked, local.standard_input(), Console(), Console(sys.stderr))
    return local.explain(asked, Console())
