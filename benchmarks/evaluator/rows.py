"""How fast rows are evaluated, and in how much memory: census income as it is, times 10 and times 100.

A whole evaluation job each time, in a process of its own: a Keras model with one input a column, numbers and words,
on one CSV file. Memory is each process's peak over that of a bare import of TensorFlow. The goals: time linear in rows,
at most 1.5 GiB for 4.9 million of them.

    .venv/bin/python benchmarks/evaluator/rows.py --adult FOLDER     # with UCI Adult's train.csv and test.csv
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}  # as a job has them, and quiet
sys.path[:0] = [str(REPOSITORY / "containers"), str(REPOSITORY / "layers/contracts")]

LABEL, LEFT_OUT = "income", "fnlwgt"
NUMBERS = ["age", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
PARTS = ("survey", "score", "measure", "slices", "plots")
"""Of a job, in seconds; rows/s is of `score`, MiB is over the bare import."""
POLICY = {
    "task": "tabular_classification",
    "data": {
        "source": "adult.csv",
        "label": LABEL,
        "labels": ["<=50K", ">50K"],
        "exclude": [LEFT_OUT],
        "missing": ["?"],
    },
}


def build_model(lines: list[str], archive: Path) -> None:
    """A small network, untrained: what it says does not matter, only how long it takes."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    header = lines[0].split(",")
    columns = dict(zip(header, np.array([line.split(",") for line in lines[1:]]).T, strict=True))
    inputs, parts = [], []
    for name in header:
        if name in (LABEL, LEFT_OUT):
            continue
        if name in NUMBERS:
            given = keras.Input((1,), name=name)
            scale = keras.layers.Rescaling(1 / float(columns[name].astype(float).max()))
            parts.append(scale(given))
        else:
            given = keras.Input((1,), name=name, dtype="string")
            words = sorted(set(columns[name]) - {"?"})
            parts.append(keras.layers.StringLookup(vocabulary=words, output_mode="one_hot")(given))
        inputs.append(given)
    hidden = keras.layers.Dense(32, activation="relu")(keras.layers.Concatenate()(parts))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
    with TemporaryDirectory() as folder:
        model.export(f"{folder}/1", verbose=False)
        with tarfile.open(archive, "w:gz") as file:
            file.add(f"{folder}/1", "1")


def lay_out(root: Path, archive: Path, lines: list[str], times: int) -> int:
    """A job's folders; how many rows it has."""
    from assay.events import Upload
    from assay.policy import read_policy
    from assay.run import Run

    folders = {name: root / "processing/input" / name for name in ("run", "model", "dataset")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    upload = Upload(bucket="b", key="models/adult/1/model.tar.gz", version="v")
    policy = read_policy(POLICY)
    run = Run(id="a" * 20, model="adult", upload=upload, opened_at=datetime.now(UTC), policy=policy)
    (folders["run"] / "run.json").write_text(run.to_json())
    (folders["model"] / "model.tar.gz").symlink_to(archive)
    body = "".join(f"{line}\n" for line in lines[1:])
    with (folders["dataset"] / "adult.csv").open("w") as file:
        file.write(lines[0] + "\n")
        for _ in range(times):
            file.write(body)
    return times * (len(lines) - 1)


def measured(*arguments: str) -> tuple[float, float]:
    """Seconds and peak MiB of this program with these arguments, in a process of its own."""
    began = time.perf_counter()
    ran = subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return time.perf_counter() - began, float(ran.stdout.splitlines()[-1])


def peak() -> float:
    """MiB of this process. Not getrusage's: that starts with the parent's."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def as_child(arguments: Any) -> None:
    if arguments.job is None:
        import tensorflow as tf  # noqa: F401
    else:
        from evaluator.program import main as evaluate

        if evaluate(arguments.job):
            sys.exit(1)
    print(peak())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adult", type=Path, help="the folder of train.csv and test.csv")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare or arguments.job:
        as_child(arguments)
        return
    if arguments.adult is None:
        parser.error("--adult is needed: the folder of UCI Adult's train.csv and test.csv")
    first, second = ((arguments.adult / name).read_text().splitlines() for name in ("train.csv", "test.csv"))
    lines = [*first, *second[1:]]
    with TemporaryDirectory() as temporary:
        archive = Path(temporary) / "model.tar.gz"
        build_model(lines, archive)
        _, bare = measured("--bare")
        print(f"bare import of TensorFlow: {bare:,.0f} MiB\n")
        print(f"{'rows':>10} " + " ".join(f"{head:>10}" for head in ("job s", *PARTS, "rows/s", "MiB")))
        for times in arguments.times:
            root = Path(temporary) / str(times)
            rows = lay_out(root, archive, lines, times)
            seconds, memory = measured("--job", str(root))
            parts = json.loads((root / "processing/output/report.json").read_text())["seconds"]
            numbers = [seconds, *(parts[name] for name in PARTS), rows / parts["score"], memory - bare]
            print(
                f"{rows:>10,} " + " ".join(f"{number:>10,.{1 if number < 1000 else 0}f}" for number in numbers),
                flush=True,
            )
            (root / "processing/input/dataset/adult.csv").unlink()


if __name__ == "__main__":
    main()
