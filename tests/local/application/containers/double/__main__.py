"""A program in the place of a container's: what it does, the model's text says."""

import json
import os
import sys
import time
from pathlib import Path


def main(root: Path) -> int:
    told = (root / "processing/input/model/model.tar.gz").read_text()
    output = root / "processing/output"
    (root / "output/progress.json").write_text(json.dumps({"stage": "doubling", "done": 1, "total": 2}))
    print("told", told, flush=True)
    (output / "first.json").write_text(json.dumps({"environment": dict(os.environ), "path": sys.path}))
    if told == "sleep":
        time.sleep(60)
    (output / "deep").mkdir()
    (output / "deep" / "second.txt").write_text("2")
    (output / "link").symlink_to("first.json")
    (root / "output/message").write_text("said as told: é")
    return 1 if told == "fail" else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
