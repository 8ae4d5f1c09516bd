"""The real explainer, but it saves what it knows after each row, and for a model `mortal` it is killed after the third.

An attempt that has something to go on from lives.
"""

import os
import signal
import sys
from pathlib import Path

import explainer.text.parts
from explainer.program import main
from job.progress import Progress

root = Path(sys.argv[1])
explainer.text.parts.SAVE_SECONDS = 0.0
doomed = '"model": "mortal"' in (root / "processing/input/run/run.json").read_text()
report = Progress.report


def killed_by_the_kernel(self: Progress, stage: str, done: int, total: int, unit: str) -> None:
    report(self, stage, done, total, unit)
    print(stage, done, "of", total, flush=True)
    if stage == "explaining" and done == 3:
        os.kill(os.getpid(), signal.SIGKILL)


if doomed and not (root / "processing/input/resume").exists():
    Progress.report = killed_by_the_kernel  # type: ignore[method-assign]
sys.exit(main(root))
