"""Runs a job's program, and ends it, with all that it has started, when the process that started it is gone.

Without it a program would outlive a cloud that was killed. Standard library only; run as a script.
    program_guard.py <program> <root>
"""

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    lifeline = os.dup(0)  # a pipe that nobody writes to: it ends with its other end's process
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=end_with, args=(lifeline,), daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def end_with(lifeline: int) -> None:
    # Not sys.stdin: a thread that waits in it would hold its lock when the interpreter ends.
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
