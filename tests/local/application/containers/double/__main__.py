"""A program in the place of a container's: what it does, the model's text says."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main(root: Path) -> int:
    told = (root / "processing/input/model/model.tar.gz").read_text()
    output = root / "processing/output"
    (root / "output/progress.json").write_text(json.dumps({"stage": "doubling", "done": 1, "total": 2}))
    print("told", told, flush=True)
    tell(root, output / "first.json")
    match told:
        case "sleep":
            child = subprocess.Popen(["sleep", "60"])
            print(f"pids {os.getpid()} {child.pid}", flush=True)
            time.sleep(60)
        case "leave":
            child = subprocess.Popen(["sleep", "60"])
            print(f"pids {child.pid}", flush=True)
        case "grow":
            grow(output / "grown.txt")
        case "abort":
            os.abort()
    (output / "deep").mkdir()
    (output / "deep" / "second.txt").write_text("2")
    (output / "link").symlink_to("first.json")
    (root / "output/message").write_text("said as told: é" if told != "babble" else "é" * 1000)
    return 1 if told == "fail" else 0


def tell(root: Path, path: Path) -> None:
    """What the program finds, for a test to look at."""
    found = {
        "environment": dict(os.environ),
        "path": sys.path,
        "files": sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()),
        "config": json.loads((root / "config/processingjobconfig.json").read_text()),
    }
    path.with_suffix(".part").write_text(json.dumps(found))
    path.with_suffix(".part").rename(path)


def grow(path: Path) -> None:
    with path.open("w") as file:
        for number in range(40):
            file.write(f"{number}\n")
            file.flush()
            time.sleep(0.03)
        file.write("end\n")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
