"""How fast rows are explained: `make benchmark-rows ARGS="--adult FOLDER"`.

Whole jobs, `python -m explainer ROOT` on folders laid out as SageMaker does it, on the Adult data: 14 features, six
numbers and eight categories, a Keras model that takes an input for each column, with its StringLookups inside, and 1,000
rows to explain. Beside it: partial dependence against pure forward passes and scikit-learn, and how long a mistake in
the configuration takes to be told. Medians.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported
PATH = [str(ROOT / "containers"), str(ROOT / "layers" / "contracts")]
sys.path[:0] = PATH

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from explainer.dependence import buckets, partial_dependence  # noqa: E402

NUMBERS = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")
LABEL = "income"


def train(adult: Path, archive: Path) -> None:
    """A network of 64 + 32 on numbers scaled and categories one-hot, all inside the model."""
    import keras

    keras.utils.set_random_seed(0)
    with (adult / "train.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))[:10_000]
    names = [name for name in rows[0] if name != LABEL]
    columns: dict[str, NDArray[Any]] = {}
    inputs, parts = {}, []
    for name in names:
        if name in NUMBERS:
            columns[name] = np.array([float(row[name]) for row in rows], dtype=np.float32)
            inputs[name] = keras.Input((1,), name=name)
            scale = keras.layers.Normalization()
            scale.adapt(columns[name][:, None])
            parts.append(scale(inputs[name]))
        else:
            columns[name] = np.array([row[name] for row in rows], dtype=object)
            inputs[name] = keras.Input((1,), name=name, dtype="string")
            lookup = keras.layers.StringLookup(vocabulary=sorted(set(columns[name])))
            encode = keras.layers.CategoryEncoding(lookup.vocabulary_size(), output_mode="one_hot")
            parts.append(encode(lookup(inputs[name])))
    hidden = keras.layers.Dense(64, "relu")(keras.layers.concatenate(parts))
    hidden = keras.layers.Dense(32, "relu")(hidden)
    model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(hidden))
    model.compile("adam", "binary_crossentropy")
    rich = np.array([row[LABEL].startswith(">") for row in rows], dtype=np.float32)
    import tensorflow as tf

    given = {name: tf.constant(values[:, None]) for name, values in columns.items()}
    model.fit(given, rich, batch_size=256, epochs=3, verbose=0)
    with TemporaryDirectory() as temporary:
        model.export(Path(temporary) / "1", verbose=False)
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(Path(temporary) / "1", "1")


def lay_out(root: Path, adult: Path, archive: Path, count: int, shap: dict[str, Any]) -> None:
    """A job on the first `count` rows of test.csv."""
    given = root / "processing/input"
    for name in ("config", "data", "model"):
        (given / name).mkdir(parents=True)
    with (adult / "test.csv").open() as stream:
        lines = [next(stream) for _ in range(count + 1)]
    (given / "data/test.csv").write_text("".join(lines))
    (given / "model/model.tar.gz").symlink_to(archive)
    config = {
        "dataset_type": "text/csv",
        "headers": lines[0].strip().split(","),
        "label": LABEL,
        "methods": {"shap": shap},
        "predictor": {"model_name": "census"},
    }
    (given / "config/analysis_config.json").write_text(json.dumps(config))


def job(root: Path) -> float:
    """Seconds that a whole job takes, interpreter and imports included."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(PATH)}
    started = time.perf_counter()
    ran = subprocess.run([sys.executable, "-m", "explainer", str(root)], env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if ran.returncode:
        raise SystemExit(ran.stdout + ran.stderr)
    return seconds


def jobs(adult: Path, archive: Path, count: int, repeats: int) -> None:
    print(f"Whole jobs: {count:,} rows of Adult, 14 features, default number of samples")
    for clusters in (1, 4, 12):
        found = []
        for _ in range(repeats):
            with TemporaryDirectory() as temporary:
                lay_out(Path(temporary), adult, archive, count, {"num_clusters": clusters})
                found.append(job(Path(temporary)))
                analysis = json.loads((Path(temporary) / "processing/output/analysis.json").read_text())
        calls = analysis["assay"]["model_calls"]
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"{clusters:3} k-prototypes  {np.median(found):6.1f} s  {calls:12,} model calls  {memory:6.0f} MB at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adult", type=Path, default=ROOT.parent / "shared/data/adult")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with TemporaryDirectory() as temporary:
        archive = Path(temporary) / "model.tar.gz"
        train(arguments.adult, archive)
        jobs(arguments.adult, archive, arguments.rows, arguments.repeats)


if __name__ == "__main__":
    main()
