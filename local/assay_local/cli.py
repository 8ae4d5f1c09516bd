"""The `assay` command."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from assay.errors import AssayError
from assay_local import machine
from assay_local.commands import (
    champion,
    compare,
    demo,
    explain,
    init,
    open,
    prices,
    rejudge,
    rerun,
    run,
    runs,
    schema,
    show,
    validate,
)
from assay_local.commands.arguments import RAW
from assay_local.problem import Problem

DESCRIPTION = (
    "Evaluates, explains and judges machine-learning models: on an AWS of one's own on this machine, or a stack's."
)

EXAMPLES = """\
examples:
  assay demo                                           a model passes, a spoiled version of it fails
  assay init model.tar.gz photos/                      a policy for one's own model and data
  assay validate --model model.tar.gz                  what is wrong with it, what the data can decide, what it takes
  assay run model.tar.gz                               model and data through the same chain
  assay runs                                           what ran, and how it ended; with --stack in your AWS account
  assay show birds                                     how the newest run of birds ended, and why
  assay promote birds --reason "the first one"         make a run the champion that newer ones are compared with
  assay rejudge assay-results/runs/birds/<run> --policy stricter.yaml
  assay explain --config analysis_config.json --model model.tar.gz --dataset rows.csv
"""

COMMANDS = (demo, init, validate, run, runs, show, open, compare, champion, rerun, rejudge, explain, prices, schema)
INTERRUPTED, BROKEN_PIPE = 130, 141  # a shell's convention: 128 + SIGINT, 128 + SIGPIPE


def main(arguments: Sequence[str] | None = None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that knows no ✓ still shows the rest
    known = parser()
    given = sys.argv[1:] if arguments is None else arguments
    if not given:
        known.print_help(sys.stderr)
        return 2
    options = known.parse_args(given)
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
    for command in COMMANDS:
        command.register(commands)
    return top


def own_version() -> str:
    try:
        return version("assay")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
