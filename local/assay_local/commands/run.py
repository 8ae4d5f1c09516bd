"""`assay run`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assay_local.commands.arguments import RAW, data_and_endpoints, how_to_run, open_in_browser, results

if TYPE_CHECKING:
    from assay_local.commands.arguments import Commands

DESCRIPTION = """\
Runs a model through the whole chain on this machine: evaluation, explanation, verdict, notice.

The policy says what to evaluate it on and what decides. Its data may lie on this machine: paths are meant from the
policy's folder. What passed before, according to the results folder, is the champion that a newer model is compared
with.
"""

EXIT_CODES = """\
exit codes:
  0  passed, or not judged: the policy has no gates
  1  failed
  2  the run could not be made: bad arguments, an error verdict, a time-out
  3  inconclusive: the data does not decide it
"""

EXAMPLES = """\
examples:
  assay run birds/7/model.tar.gz --policy birds/assay.yaml
  assay run saved_model/ --policy assay.yaml --name birds --open
  assay run birds.keras --policy assay.yaml --map s3://lake/birds=./copy-of-birds
  assay run model.tar.gz --policy reviews.yaml --endpoint reviews-dev=http://localhost:8080/invocations
"""


def register(commands: Commands) -> None:
    parser = commands.add_parser(
        "run", help="run one's own model", description=DESCRIPTION, epilog=f"{EXIT_CODES}\n{EXAMPLES}", **RAW
    )
    results(parser)
    how_to_run(parser)
    parser.add_argument(
        "model", type=Path, help="model.tar.gz as S3 would get it; also a SavedModel's folder, a .keras or .h5 file"
    )
    parser.add_argument(
        "--policy", type=Path, default=Path("assay.yaml"), metavar="FILE", help="what decides (%(default)s)"
    )
    parser.add_argument("--name", help="the model's name; by default from its file or folder")
    data_and_endpoints(parser)
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    from assay_local.console import Console
    from assay_local.run import Options, run

    code, report = run(
        Options(
            model=options.model,
            policy=options.policy,
            name=options.name,
            results=options.results,
            engine=options.engine,
            explainer=options.explainer,
            folders=dict(options.map),
            endpoints=dict(options.endpoint),
            timeout=options.timeout * 60,
        ),
        Console(),
    )
    if options.open:
        open_in_browser(report)
    return code
