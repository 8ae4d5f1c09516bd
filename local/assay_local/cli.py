"""The `assay` command."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import traceback
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from assay.errors import AssayError
from assay_local import machine
from assay_local.problem import Problem

DESCRIPTION = "Evaluates, explains and judges a machine-learning model, on an AWS of one's own on this machine."

EXAMPLES = """\
examples:
  assay demo                                           a model passes, a spoiled version of it fails
  assay init model.tar.gz photos/                      a policy for one's own model and data
  assay validate --model model.tar.gz                  what is wrong with it, what the data can decide, what it takes
  assay run model.tar.gz --policy assay.yaml           model and data through the same chain
  assay rejudge assay-results/runs/birds/<run> --policy stricter.yaml
  assay explain --config analysis_config.json --model model.tar.gz --dataset rows.csv
"""

RUN_DESCRIPTION = """\
Runs a model through the whole chain on this machine: evaluation, explanation, verdict, notice.

The policy says what to evaluate it on and what decides. Its data may lie on this machine: paths are meant from the
policy's folder. What passed before, according to the results folder, is the champion that a newer model is compared
with.
"""

RUN_EXAMPLES = """\
exit codes:
  0  passed, or not judged: the policy has no gates
  1  failed
  2  the run could not be made: bad arguments, an error verdict, a time-out
  3  inconclusive: the data does not decide it

examples:
  assay run birds/7/model.tar.gz --policy birds/assay.yaml
  assay run saved_model/ --policy assay.yaml --name birds --open
  assay run birds.keras --policy assay.yaml --map s3://lake/birds=./copy-of-birds
  assay run model.tar.gz --policy reviews.yaml --endpoint reviews-dev=http://localhost:8080/invocations
"""

VALIDATE_DESCRIPTION = """\
Checks a policy before anything is spent on it: the policy itself, the data that it names (files, columns, labels), and,
given a model, its signature, and a few samples through the evaluation itself. Says what the data can decide of each
gate, and what an evaluation will take.
"""

VALIDATE_EXAMPLES = """\
exit codes: 0 valid, 2 not: the same sentence that a run would end with, or a gate that no model can pass

examples:
  assay validate                                       assay.yaml here, and its data
  assay validate --policy birds/assay.yaml --model birds/7/model.tar.gz
  assay validate --model model.tar.gz --map s3://lake/birds=./copy-of-birds --usd-per-hour 0.23
"""

INIT_DESCRIPTION = """\
Writes a policy for a model and its data. What both show is read: signature, header, label column, classes. What they do
not show is tried on 100 samples: each scaling of pictures, each reading of the labels. What it rests on stands beside
each line, and what could not be guessed is said.
"""

INIT_EXAMPLES = """\
examples:
  assay init birds/7/model.tar.gz birds/photos/        with a CSV beside the pictures, or a folder a class
  assay init model.keras test.parquet -o houses.yaml
"""

REJUDGE_DESCRIPTION = """\
Decides a run again from the numbers that it left behind: no job, no model, no data. For a gate that was set too high
or too low, or a policy that is being thought about.

A run in S3 is read with your own AWS credentials, and nothing is written there.
"""

REJUDGE_EXAMPLES = """\
exit codes: 0 passed or not judged, 1 failed, 2 no such run or no numbers, 3 inconclusive

examples:
  assay rejudge assay-results/runs/birds/<run> --policy stricter.yaml
  assay rejudge s3://archives/runs/birds/<run>/ --json
"""

EXPLAIN_DESCRIPTION = """\
Does a job of SageMaker Clarify on this machine: its analysis_config.json as it is, on a model and data that lie here.
No AWS, no endpoint, nothing of the chain; the results lie in Clarify's layout.
"""

EXPLAIN_EXAMPLES = """\
exit codes: 0 done, 2 not: what was found and what would be right; with --compare 1: they differ

examples:
  assay explain --config analysis_config.json --model model.tar.gz --dataset rows.csv
  assay explain --config analysis_config.json --model model.tar.gz --map s3://lake/census=./census --check
  assay explain --config analysis_config.json --dataset rows.csv --endpoint census=http://localhost:8080/invocations
  echo 39,State-gov,13 | assay explain --config analysis_config.json --model model.tar.gz --dataset rows.csv --record
  assay explain --compare clarifys-output/ explanation/ --html page.html
"""

SCHEMA_DESCRIPTION = """\
Prints the JSON Schema of assay.yaml, by which an editor completes, explains and checks a policy, or that of what
programs read: summary.json, and the outcome that queues, functions, web hooks and rules are told."""

SCHEMA_EXAMPLES = """\
examples:
  assay schema > assay.schema.json
  assay schema summary > summary.schema.json
and as the policy's first line, for editors with the YAML language server:
  # yaml-language-server: $schema=assay.schema.json
"""

INTERRUPTED, BROKEN_PIPE = 130, 141  # a shell's convention: 128 + SIGINT, 128 + SIGPIPE


def main(arguments: Sequence[str] | None = None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that knows no ✓ still shows the rest
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.DEBUG if options.debug else logging.ERROR, format="%(name)s: %(message)s")
    try:
        with interrupted_once():
            machine.check()
            code: int = options.action(options)
            return code
    except KeyboardInterrupt:
        print("interrupted: nothing is left running", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more on its way out
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the program's edge
        if options.debug:
            traceback.print_exc()
        print(f"assay: {sentence(error)}", file=sys.stderr)
        return 2


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Ctrl-C and SIGTERM alike raise KeyboardInterrupt, and what is then cleaned up is not interrupted again."""
    signals = (signal.SIGINT, signal.SIGTERM)

    def interrupt(*_: object) -> None:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = [signal.signal(number, interrupt) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def sentence(error: Exception) -> str:
    if isinstance(error, (Problem, AssayError)):
        return str(error)
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser("assay", description=DESCRIPTION, epilog=EXAMPLES, **RAW)
    top.add_argument("--version", action="version", version=f"assay {own_version()}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--results", type=Path, default=Path("assay-results"), metavar="DIR", help="where the results go (%(default)s)"
    )
    common.add_argument(
        "--engine",
        choices=("process", "docker"),
        default="process",
        help="what runs the jobs: child processes, or the images in Docker (%(default)s)",
    )
    common.add_argument(
        "--explainer",
        choices=("assay", "clarify"),
        default="assay",
        help="clarify drives the chain as with SageMaker Clarify; assay's explainer runs in its place (%(default)s)",
    )
    common.add_argument("--open", action="store_true", help="open the report in a browser, where there is a display")
    common.add_argument("--debug", action="store_true", help="show logs and tracebacks")

    one = commands.add_parser(
        "demo",
        parents=[common],
        help="watch a model pass and a spoiled version of it fail",
        description="Trains a small digit classifier, uploads it to an embedded AWS, and shows what comes of it.",
        epilog="examples:\n  assay demo --results shown --open\n",
        **RAW,
    )
    one.set_defaults(action=demo)

    other = commands.add_parser(
        "run", parents=[common], help="run one's own model", description=RUN_DESCRIPTION, epilog=RUN_EXAMPLES, **RAW
    )
    other.add_argument(
        "model", type=Path, help="model.tar.gz as S3 would get it; also a SavedModel's folder, a .keras or .h5 file"
    )
    other.add_argument("--policy", type=Path, required=True, metavar="FILE", help="what decides: assay.yaml")
    other.add_argument("--name", help="the model's name; by default from its file or folder")
    other.add_argument(
        "--map",
        type=mapping,
        action="append",
        default=[],
        metavar="S3=PATH",
        help="where a copy of an s3:// address of the policy lies on this machine; may be given several times",
    )
    other.add_argument(
        "--endpoint",
        type=endpoint,
        action="append",
        default=[],
        metavar="NAME=URL",
        help="where the SageMaker endpoint that the policy names answers here: its container's /invocations",
    )
    other.add_argument(
        "--timeout", type=minutes, default=60.0, metavar="MINUTES", help="give up after this time (%(default)g)"
    )
    other.set_defaults(action=run)

    check = commands.add_parser(
        "validate",
        help="check a policy against data and model, without a run",
        description=VALIDATE_DESCRIPTION,
        epilog=VALIDATE_EXAMPLES,
        **RAW,
    )
    check.add_argument(
        "--policy", type=Path, default=Path("assay.yaml"), metavar="FILE", help="what is checked (%(default)s)"
    )
    check.add_argument("--model", type=Path, metavar="ARCHIVE", help="the model, as for `assay run`")
    check.add_argument(
        "--map",
        type=mapping,
        action="append",
        default=[],
        metavar="S3=PATH",
        help="where a copy of an s3:// address of the policy lies on this machine; without one it is not looked at",
    )
    check.add_argument(
        "--usd-per-hour", type=price, metavar="PRICE", help="of the jobs' instance: then dollars are told, too"
    )
    check.add_argument("--debug", action="store_true", help="show logs and tracebacks")
    check.set_defaults(action=validate)

    begin = commands.add_parser(
        "init",
        help="write a policy for a model and its data",
        description=INIT_DESCRIPTION,
        epilog=INIT_EXAMPLES,
        **RAW,
    )
    begin.add_argument("model", type=Path, metavar="ARCHIVE", help="the model, as for `assay run`")
    begin.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help="a folder of pictures, or a file (or folder) of CSV, JSON Lines, Parquet",
    )
    begin.add_argument(
        "-o", "--output", type=Path, default=Path("assay.yaml"), metavar="FILE", help="what is written (%(default)s)"
    )
    begin.add_argument(
        "--annotations", type=Path, metavar="FILE", help="the CSV or COCO file of the pictures, where several could be"
    )
    begin.add_argument("--force", action="store_true", help="replace a file that is there")
    begin.add_argument("--debug", action="store_true", help="show logs and tracebacks")
    begin.set_defaults(action=init)

    again = commands.add_parser(
        "rejudge",
        help="decide a run again, by another policy",
        description=REJUDGE_DESCRIPTION,
        epilog=REJUDGE_EXAMPLES,
        **RAW,
    )
    again.add_argument(
        "run", metavar="RUN", help="a run's folder: in the results folder, or s3://…/runs/<model>/<run>/"
    )
    again.add_argument("--policy", type=Path, metavar="FILE", help="what decides; by default what decided then")
    again.add_argument("--json", action="store_true", help="verdict and gates as JSON")
    again.add_argument("--debug", action="store_true", help="show logs and tracebacks")
    again.set_defaults(action=rejudge)

    why = commands.add_parser(
        "explain",
        help="explain a model by Clarify's analysis_config.json",
        description=EXPLAIN_DESCRIPTION,
        epilog=EXPLAIN_EXAMPLES,
        **RAW,
    )
    why.add_argument(
        "--config",
        type=Path,
        default=Path("analysis_config.json"),
        metavar="FILE",
        help="what to do, in Clarify's words (%(default)s)",
    )
    why.add_argument("--model", type=Path, metavar="ARCHIVE", help="the model, as for `assay run`")
    why.add_argument("--dataset", type=Path, metavar="PATH", help="a file or a folder; in the place of dataset_uri")
    why.add_argument(
        "--map",
        type=mapping,
        action="append",
        default=[],
        metavar="S3=PATH",
        help="where a copy of an s3:// address of the configuration lies on this machine; may be given several times",
    )
    why.add_argument(
        "--endpoint",
        type=endpoint,
        action="append",
        default=[],
        metavar="NAME=URL",
        help="where the endpoint that the configuration names answers here: its container's /invocations",
    )
    why.add_argument("--output", type=Path, metavar="DIR", help="where the results go (explanation)")
    how = why.add_mutually_exclusive_group()
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
    why.add_argument("--html", type=Path, metavar="FILE", help="with --compare: the page, too")
    why.add_argument("--debug", action="store_true", help="show logs and tracebacks")
    why.set_defaults(action=explain)

    schema = commands.add_parser(
        "schema", help="print a JSON Schema", description=SCHEMA_DESCRIPTION, epilog=SCHEMA_EXAMPLES, **RAW
    )
    schema.add_argument(
        "of",
        nargs="?",
        choices=("policy", "summary", "outcome"),
        default="policy",
        help="assay.yaml, summary.json, or what queues and rules are told of a run; by default the policy",
    )
    schema.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    schema.set_defaults(action=print_schema)
    return top


def own_version() -> str:
    try:
        return version("assay")
    except PackageNotFoundError:
        return "(not installed)"


RAW: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}


def demo(options: argparse.Namespace) -> int:
    from assay_local.console import Console
    from assay_local.demo import demo
    from assay_local.results import Results

    code, ended = demo(options.results, Console(), options.engine, options.explainer)
    if options.open:
        open_in_browser(Results(options.results).path(ended[-1].folder.summary_html))
    return code


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


def validate(options: argparse.Namespace) -> int:
    from assay_local.console import Console
    from assay_local.validate import Options, validate

    return validate(Options(options.policy, options.model, dict(options.map), options.usd_per_hour), Console())


def init(options: argparse.Namespace) -> int:
    from assay_local.console import Console
    from assay_local.init import Options, init

    return init(
        Options(options.model, options.data, options.output, options.annotations, options.force),
        Console(),
    )


def rejudge(options: argparse.Namespace) -> int:
    from assay_local.console import Console
    from assay_local.rejudge import rejudge

    return rejudge(options.run, options.policy, Console(), as_json=options.json)


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


def print_schema(options: argparse.Namespace) -> int:
    from assay_local.schemas import schema

    print(schema(options.of), end="")
    return 0


def open_in_browser(page: Path) -> None:
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        print(f"no display to open it on: {page}", file=sys.stderr)
        return
    webbrowser.open(page.as_uri())


def mapping(text: str) -> tuple[str, Path]:
    address, equals, place = text.partition("=")
    if not (address.startswith("s3://") and equals and place):
        raise argparse.ArgumentTypeError(f"{text!r}: expected s3://bucket/prefix=path")
    return address, Path(place).expanduser().resolve()


def endpoint(text: str) -> tuple[str, str]:
    name, equals, address = text.partition("=")
    if not (name and equals and address.startswith(("http://", "https://"))):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=http://localhost:8080/invocations")
    return name, address


def minutes(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of minutes above 0")
    return number


def price(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected dollars an hour above 0, such as 0.23")
    return number


if __name__ == "__main__":
    sys.exit(main())
