"""How fast rows are explained: `make benchmark-rows`.

Whole jobs, `python -m explainer ROOT` on folders laid out as SageMaker does it, on the Adult data: 14 features, six
numbers and eight categories, and a Keras model that takes an input for each column, with its StringLookups inside.
Beside it: partial dependence against pure forward passes and scikit-learn, what the surrogate gains and costs, and how
long a mistake in the configuration takes to be told. Medians.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported
PATH = [str(ROOT / "containers"), str(ROOT / "layers" / "contracts")]
sys.path[:0] = [*PATH, str(Path(__file__).resolve().parent)]

import numpy as np  # noqa: E402
from goals import note  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from explainer.dependence import buckets, partial_dependence  # noqa: E402
from explainer.shapley import Predict  # noqa: E402

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


class Cost(NamedTuple):
    """What a whole job takes, interpreter and imports included."""

    seconds: float
    processor: float
    """Seconds, which a machine with other work hardly changes."""
    memory: float
    """MB, at most."""


def job(root: Path) -> Cost:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(PATH)}
    with (root / "log").open("w") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "explainer", str(root)], env=environment, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def jobs(adult: Path, archive: Path, repeats: int, goals: Path | None) -> None:
    print("Whole jobs on Adult, 14 features")
    cases: list[tuple[int, dict[str, Any]]] = [
        (1000, {"num_clusters": 1}),
        (1000, {"num_clusters": 4}),
        (1000, {"num_clusters": 12}),
        (1000, {"num_clusters": 12, "tolerance": 0.01}),
        (1000, {"num_clusters": 1, "num_samples": 100}),
        (16000, {"num_clusters": 1, "num_samples": 100}),
    ]
    for_goals = {"num_clusters": 1, "num_samples": 100}
    memory = {}
    for count, shap in cases:
        costs = []
        for _ in range(repeats if count == 1000 else 1):
            with TemporaryDirectory() as temporary:
                lay_out(Path(temporary), adult, archive, count, shap)
                costs.append(job(Path(temporary)))
                output = Path(temporary) / "processing/output"
                if not (output / "analysis.json").exists():
                    raise SystemExit((Path(temporary) / "log").read_text())
                calls = json.loads((output / "analysis.json").read_text())["assay"]["model_calls"]
        print(
            f"  {count:6,} rows, {json.dumps(shap):42} {in_words(costs)} {calls:11,} model calls, "
            f"{np.median([cost.memory for cost in costs]):.0f} MB at most"
        )
        if shap == for_goals:
            memory[count] = float(np.median([cost.memory for cost in costs]))
        elif "tolerance" not in shap:
            title = f"Adult, 1,000 rows, {shap['num_clusters']} baseline row(s): a whole job, processor seconds"
            note(goals, title, float(np.median([cost.processor for cost in costs])), "–", most=20)
    growth = (memory[16000] - memory[1000]) / memory[1000]
    note(goals, "Adult, memory with 16 times the rows: more, of all", growth, "–", most=0.25)


def network(features: int) -> Predict:
    """Two layers of 64 in NumPy, float32 inside as networks are."""
    rng = np.random.default_rng(0)
    shapes = ((features, 64), (64, 64), (64, 1))
    layers = [(rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32) for shape in shapes]

    def predict(x: NDArray[Any]) -> NDArray[np.float32]:
        hidden = x.astype(np.float32)
        for layer in layers[:-1]:
            hidden = np.maximum(hidden @ layer, 0)
        return np.asarray(1 / (1 + np.exp(-hidden @ layers[-1])))

    return predict


def dependence(repeats: int, goals: Path | None, features: int = 30, points: int = 15, count: int = 500) -> None:
    """Relative to the model's own time for as many rows in calls of 4,096, taken in turns."""
    rows = np.random.default_rng(1).normal(size=(count, features))
    print(f"\nPartial dependence / pure forward passes, {features} features x {points} points x {count} rows")
    for name, predict in (("NumPy", network(features)), ("TensorFlow", in_tensorflow(features))):
        found = dependence_of(predict, rows, points, repeats)
        print(f"  a network in {name:12}" + "  ".join(f"{who} {ratio:5.2f}" for who, ratio in found.items()))
        peers = ", ".join(f"{who} {ratio:.1f}" for who, ratio in found.items() if who != "Assay")
        note(goals, f"partial dependence / pure passes, {name}", found["Assay"], peers, most=1.5)


def in_tensorflow(features: int) -> Predict:
    """The like of `network`, as a loaded model is asked."""
    import keras
    import tensorflow as tf

    from model.load import load_model

    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((features,)), layers.Dense(64, "relu"), layers.Dense(64, "relu"), layers.Dense(1, "sigmoid")]
    )
    with TemporaryDirectory() as temporary:
        tf.saved_model.save(model, temporary)
        return load_model(Path(temporary)).predict


def dependence_of(predict: Predict, rows: NDArray[Any], points: int, repeats: int) -> dict[str, float]:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.inspection import partial_dependence as by_sklearn

    count, features = rows.shape
    grids = [buckets(rows[:, feature], points) for feature in range(features)]

    class Estimator(RegressorMixin, BaseEstimator):  # type: ignore[misc]
        def __init__(self) -> None:
            self.fitted_ = True

        def fit(self, *_: object) -> Estimator:
            return self

        def predict(self, x: NDArray[Any]) -> NDArray[Any]:
            return predict(x)[:, 0]

    def passes() -> None:
        asked = np.random.default_rng(2).normal(size=(4096, features))
        for start in range(0, features * points * count, len(asked)):
            predict(asked[: features * points * count - start])

    def peer() -> None:
        for feature in range(features):
            by_sklearn(Estimator(), rows, [feature], grid_resolution=points, kind="average", method="brute")

    runs: dict[str, Callable[[], object]] = {
        "Assay": lambda: list(partial_dependence(predict, rows, range(features), grids)),
        "scikit-learn": peer,
    }
    ratios: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            pure = timed(passes)
            ratios[name].append(timed(run) / pure)
    return {name: float(np.median(found)) for name, found in ratios.items()}


def surrogates(adult: Path, archive: Path, count: int = 10) -> None:
    """What the surrogate gains and costs: in process, and where each synthetic row takes a millisecond more."""
    from explainer.coding import coding_of
    from explainer.request import read_request
    from explainer.rows_job import read_rows, rows_model
    from explainer.shapley import RowExplainer
    from job.folders import Folders
    from job.progress import Progress

    with TemporaryDirectory() as temporary:
        lay_out(Path(temporary), adult, archive, 200, {})
        folders = Folders(Path(temporary))
        request = read_request(folders, Progress(folders.progress))
        table = read_rows(request)
        coding = coding_of(table.features, table.types, table.columns)
        with request.model() as (model, _):
            fast = rows_model(model, table, coding, request).predict
            coded = coding.encode({name: table.columns[name] for name in table.features})
            rows, baseline = coded[:count], coded[100:101]

            def slow(x: NDArray[Any]) -> NDArray[Any]:
                time.sleep(0.001 * len(x))
                return fast(x)

            exact = np.array([one.values for one in RowExplainer(fast, baseline, num_samples=2**14).explain(rows)])
            print("\nThe surrogate: root mean square error; ms a row in process, and with 1 ms more for each call")
            for samples in (140, 350, 700, 2076):
                for surrogate in (False, True):
                    explainers = [
                        RowExplainer(predict, baseline, num_samples=samples, surrogate=surrogate)
                        for predict in (fast, slow)
                    ]
                    found = np.array([one.values for one in explainers[0].explain(rows)])
                    error = np.sqrt(np.square(found - exact).mean())
                    times = [1000 * timed(partial(one.explain, rows)) / count for one in explainers]
                    name = "surrogate" if surrogate else "none"
                    print(f"  {samples:5} samples, {name:10} {error:9.2e}  {times[0]:7.1f}  {times[1]:7.1f}")


def mistakes(repeats: int, goals: Path | None) -> None:
    """Seconds until a mistake in the configuration is told."""
    found = []
    for _ in range(repeats):
        with TemporaryDirectory() as temporary:
            config = Path(temporary) / "processing/input/config"
            config.mkdir(parents=True)
            (config / "analysis_config.json").write_text('{"dataset_type": "text/csv", "methods": {"shap": {}}}')
            found.append(job(Path(temporary)))
    print(f"\nA mistake in the configuration is told after {in_words(found)}")
    seconds = float(np.median([cost.processor for cost in found]))
    note(goals, "a mistake in the configuration is told, processor seconds", seconds, "–", most=0.5)


def in_words(costs: Sequence[Cost]) -> str:
    seconds, processor = (np.median([cost[place] for cost in costs]) for place in range(2))
    return f"{seconds:5.2f} s ({processor:5.2f} s of processor)"


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adult", type=Path, default=ROOT.parent / "shared/data/adult")
    parser.add_argument("--repeats", type=int, default=3, help="of each job")
    parser.add_argument("--goals", type=Path, metavar="FILE", help="add what was found, for goals.py")
    arguments = parser.parse_args()
    dependence(4 * arguments.repeats, arguments.goals)
    with TemporaryDirectory() as temporary:
        archive = Path(temporary) / "model.tar.gz"
        mistakes(4 * arguments.repeats, arguments.goals)
        if not arguments.adult.is_dir():
            raise SystemExit(
                f"{arguments.adult}: no such folder; the rest needs the Adult data's train.csv and test.csv"
            )
        train(arguments.adult, archive)
        surrogates(arguments.adult, archive)
        jobs(arguments.adult, archive, arguments.repeats, arguments.goals)


if __name__ == "__main__":
    main()
