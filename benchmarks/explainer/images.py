"""Explaining pictures, against its goals: `python benchmarks/explainer/images.py`.

The whole job: 12 photos of `../shared/data/clothing` at 224 px, 500 coalitions, 20 segments, a MobileNetV2 (random
weights), as one command with start, conversion and report; its memory, with four times the photos and coalitions too.
Then one picture's explanation (coalitions, deletion and insertion) relative to passes of as many synthetic pictures
through TensorFlow's function alone, in the batches that are the fastest for it. shap's explainers, which `.envs/peers`
runs, stand relative to ONNX Runtime's passes, and so does ours. At last the error of the values where all are known.

All take turns in every round, since a shared machine is not the same twice; a ratio is the median of its rounds'. The
ratios of processor time stand beside, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported
PATHS = [str(ROOT / "containers"), str(ROOT / "layers" / "contracts")]
sys.path[:0] = PATHS

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402

from assay.policy import Preprocessing  # noqa: E402
from explainer.faithfulness import curves  # noqa: E402
from explainer.image_baseline import white_noise  # noqa: E402
from explainer.masking import Masked, PictureGame, Sampling, superpixels  # noqa: E402
from explainer.picture_files import read_picture  # noqa: E402
from model import runtime  # noqa: E402
from model.load import Model, load_model  # noqa: E402
from model.preprocessing import ImagePreprocessor  # noqa: E402
from model.runtime import CORES, fastest  # noqa: E402

CLASSES, COALITIONS, PHOTOS = 10, 500, 12
GAMES = 4
"""Of which all coalitions are asked about."""
BATCHES = (8, 16, 32, 64)
"""Of TensorFlow's function alone: the fastest counts."""
SCALING = "mobilenet_v2"
PEERS = ROOT / ".envs" / "peers" / "bin" / "python"
PASSES, LOADED = "TensorFlow's function alone", "the model as it was loaded"


class Goal(NamedTuple):
    """A line of the table at the end."""

    what: str
    measured: float
    most: float | None
    """None: a peer's, to compare."""
    beside: str = ""

    def __str__(self) -> str:
        least = "" if self.most is None else f"≤ {self.most:g}"
        met = "" if self.most is None else "met" if self.measured <= self.most else "NOT MET"
        return f"{self.what:62}{least:>9}{self.measured:10.3g}  {met:8}{self.beside}"


def export(side: int, folder: Path) -> Path:
    """A MobileNetV2 with random weights as a SavedModel."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    network = tf.keras.applications.MobileNetV2(weights=None, classes=CLASSES, input_shape=(side, side, 3))
    network.export(folder / "1", verbose=False)
    (folder / "assay.json").write_text(json.dumps({"scaling": SCALING}))
    return folder


class Used(NamedTuple):
    """What a program took."""

    seconds: float
    processor: float
    memory: float
    """At most, MB."""


def used(*program: str | Path) -> Used:
    """Run a Python program of ours to its end."""
    began = time.perf_counter()
    started = subprocess.Popen(
        [sys.executable, *program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(PATHS)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, found = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode:
        sys.exit(f"{program} failed")
    return Used(time.perf_counter() - began, found.ru_utime + found.ru_stime, found.ru_maxrss / 1024)


def whole_job(
    photos: Sequence[Path], archive: Path, root: Path, coalitions: int = COALITIONS, segments: int = 20
) -> Used:
    """The bird workshop's run."""
    inputs = root / "processing" / "input"
    for name in ("config", "data", "model"):
        (inputs / name).mkdir(parents=True)
    with tarfile.open(inputs / "model" / "model.tar.gz", "w:gz") as packed:
        for part in sorted(archive.iterdir()):
            packed.add(part, arcname=part.name)
    for photo in photos:
        shutil.copy(photo, inputs / "data")
    shap = {
        "num_samples": coalitions,
        "seed": 0,
        "image_config": {"model_type": "IMAGE_CLASSIFICATION", "num_segments": segments, "segment_compactness": 5},
    }
    config = {
        "dataset_type": "application/x-image",
        "methods": {"shap": shap, "report": {"name": "report", "title": "Photos"}},
        "predictor": {"model_name": "m", "label_headers": [f"class {n}" for n in range(CLASSES)]},
    }
    (inputs / "config" / "analysis_config.json").write_text(json.dumps(config))
    return used("-m", "explainer", root)


def job_goals(photos: Sequence[Path], archive: Path, folder: Path, jobs: int) -> Iterator[Goal]:
    few = photos[:PHOTOS]
    runs = [whole_job(few, archive, folder / f"job{number}") for number in range(jobs)]
    seconds, processor = median(run.seconds for run in runs), median(run.processor for run in runs)
    yield Goal("the bird workshop's run, whole job, seconds", seconds, 45, f"{processor:.1f} s of processor time")
    asked = (
        f"import sys; from pathlib import Path; from model.load import load_model; load_model(Path({str(archive)!r}))"
    )
    loaded = used("-c", asked).memory
    peak = median(run.memory for run in runs)
    yield Goal("its memory over TensorFlow and the loaded model, MB", peak - loaded, 1024, f"{peak:,.0f} MB at most")
    more = whole_job(photos, archive, folder / "photos").memory
    yield Goal(f"the same for {len(photos)} photos", more - loaded, 1024, f"{more:,.0f} MB at most")
    more = whole_job(few, archive, folder / "coalitions", 4 * COALITIONS, 60).memory
    yield Goal(
        f"the same for {4 * COALITIONS} coalitions of 60 segments", more - loaded, 1024, f"{more:,.0f} MB at most"
    )


def picture(photo: Path, preprocessor: ImagePreprocessor, segments: int) -> Masked:
    image = preprocessor.resize(read_picture(photo))
    noise = preprocessor.prepare(white_noise(image.shape[:2], 0))
    return Masked(preprocessor.prepare(image), noise, superpixels(image, segments, 5))


def of_one_picture(masked: Masked, model: Model, threads: ThreadPoolExecutor) -> int:
    """Explains it; about how many pictures the model was asked."""
    game = PictureGame(masked, model.predict, Sampling(COALITIONS, 0, None, "auto", threads))
    found = game.explain(CLASSES)
    curves(game, found, [int(found.prediction.argmax())])
    return game.asked


def passes(made: NDArray[Any], model: Model, batch: int) -> None:
    """The model's function alone, on pictures that are there."""
    (name,) = (tensor.name for tensor in model.inputs)
    for start in range(0, len(made), batch):
        model.function({name: made[start : start + batch]})


def timed(work: Callable[[], Any]) -> NDArray[np.float64]:
    """Seconds, and seconds of the processor."""
    began, processor = time.perf_counter(), time.process_time()
    work()
    return np.array([time.perf_counter() - began, time.process_time() - processor])


def constants_only(model: Model, probe: NDArray[Any]) -> Model:
    """As without ONNX Runtime."""
    refused = runtime.NotFaster("not asked for")
    with mock.patch.object(runtime, "_onnx_session", side_effect=refused):
        return fastest(model, probe)


def ratios(side: int, segments: int, photo: Path, folder: Path, rounds: int) -> Iterator[Goal]:
    model = load_model(export(side, folder / f"{side}"))
    preprocessor = ImagePreprocessor(Preprocessing(scaling=SCALING), model.inputs[0])
    masked = picture(photo, preprocessor, segments)
    print(f"\n{side} px, {segments} segments asked for, {masked.players} found")
    probe = masked.pictures(np.eye(8, masked.players, dtype=np.bool_))
    constant = constants_only(model, probe)
    began = time.perf_counter()
    onnx = fastest(model, probe)
    for faster in (constant, onnx):
        print(f"{faster.runtime}: {faster.runtime_reason}")
    print(f"the latter there after {time.perf_counter() - began:.1f} s")
    with ThreadPoolExecutor(CORES) as threads:
        asked = of_one_picture(masked, model, threads)
        made = masked.pictures(np.random.default_rng(0).random((asked, masked.players)) < 0.5)
        # three times, as the first compiles; of processor time, which other work changes less
        alone = [min(timed(partial(passes, made[:64], model, batch))[1] for _ in range(3)) for batch in BATCHES]
        best = BATCHES[int(np.argmin(alone))]
        contestants: dict[str, Callable[[], Any]] = {
            PASSES: lambda: passes(made, model, best),
            "ONNX Runtime's passes": lambda: passes(made, onnx, len(made)),
            LOADED: lambda: of_one_picture(masked, model, threads),
            "variables made constants": lambda: of_one_picture(masked, constant, threads),
            "ONNX Runtime": lambda: of_one_picture(masked, onnx, threads),
        }
        found = np.array([[timed(work) for work in contestants.values()] for _ in range(rounds + 1)])[1:]
    print(f"{asked} pictures asked about; {PASSES}: {best} at a time")
    print(f"{'':40}{'seconds':>9}{'ratio':>8}{'processor':>11}{'ratio':>8}")
    of_passes = dict(zip(contestants, np.median(found / found[:, :1], axis=0), strict=True))
    for name, (wall, processor) in zip(contestants, np.median(found, axis=0), strict=True):
        print(f"{name:40}{wall:9.2f}{of_passes[name][0]:8.2f}{processor:11.2f}{of_passes[name][1]:8.2f}")
    for name, most in (("variables made constants", 0.85), ("ONNX Runtime", 0.7)):
        wall, processor = of_passes[name]
        yield Goal(f"{side} px, {name}: time / {PASSES}", wall, most, f"processor time {processor:.2f}")
    wall, processor = np.median(found[:, 4] / found[:, 1], axis=0)
    yield Goal(f"{side} px: time / ONNX Runtime's passes", wall, None, f"processor time {processor:.2f}")
    if PEERS.exists():
        for name, ratio in peers(masked, model, folder).items():
            yield Goal(f"{side} px, {name}: time / ONNX Runtime's passes", ratio, None)


def peers(masked: Masked, model: Model, folder: Path) -> dict[str, float]:
    """shap's explainers on the same picture and, in ONNX Runtime, the same model."""
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(model.graph.get_concrete_function())
    names = [[tensor.name for tensor in tensors] for tensors in (frozen.inputs, frozen.outputs)]
    converted, _ = tf2onnx.convert.from_graph_def(frozen.graph.as_graph_def(), None, *names, opset=18)
    (folder / "model.onnx").write_bytes(converted.SerializeToString())
    np.savez(folder / "picture.npz", picture=masked.inputs, baseline=masked.baseline, segments=masked.segments)
    return by_peers(folder, "times")


def by_peers(folder: Path, what: str) -> dict[str, float]:
    done = subprocess.run(
        [PEERS, Path(__file__).with_name("images_peers.py"), folder, what], check=True, stdout=subprocess.PIPE
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def resized(photo: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(read_picture(photo)).resize((64, 64)))


def accuracy(photos: Sequence[Path], data: Path, folder: Path) -> Iterator[Goal]:
    """All coalitions of some photos' 16 segments, of a small network that is trained on the others."""
    import keras

    keras.utils.set_random_seed(0)
    with (data / "train" / "annotations.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    pixels = np.stack([resized(data / "train" / "images" / line["image_file_name"]) for line in lines])
    classes = np.array([int(line["class_id"]) - 1 for line in lines])
    network = keras.Sequential([keras.Input((64, 64, 3)), keras.layers.Rescaling(1 / 255)])
    for width in (16, 32, 64):
        network.add(keras.layers.Conv2D(width, 3, strides=2, activation="relu"))
    network.add(keras.layers.GlobalAveragePooling2D())
    network.add(keras.layers.Dense(int(classes.max()) + 1, activation="softmax"))
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    fitted = network.fit(pixels, classes, epochs=20, verbose=0)
    network.export(folder / "small" / "1", verbose=False)
    model = load_model(folder / "small")
    preprocessor = ImagePreprocessor(Preprocessing(scaling="none"), model.inputs[0])
    games: list[NDArray[np.float64]] = []
    masks = (np.arange(2**16)[:, None] >> np.arange(16)) & 1 > 0
    with ThreadPoolExecutor(CORES) as threads:
        for photo in photos:
            tried = (picture(photo, preprocessor, count) for count in range(8, 41))
            masked = next((one for one in tried if one.players == 16), None)
            if masked is not None and len(games) < GAMES:
                games.append(masked.scores(model.predict, masks, threads))
    right = f"{len(games)} photos; a network right on {fitted.history['accuracy'][-1]:.2f} of its training photos"
    np.savez(folder / "games.npz", games=np.stack(games))
    found = by_peers(folder, "errors")
    yield Goal("L2 error / shap(l1_reg=False), 16 segments, 50n calls", found["50n"], 0.75, right)
    yield Goal("the same at 10n calls", found["10n"], None)
    yield Goal("all coalitions asked about: farthest from the definition", found["exact"], 1e-12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "clothing")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=3, help="how often the whole job is run; 0: no memory either")
    asked = parser.parse_args()
    photos = sorted((asked.data / "test").rglob("*.jpg"))[: 4 * PHOTOS]
    if not photos:
        sys.exit(f"no photos in {asked.data}: say where they lie with --data FOLDER")
    goals: list[Goal] = []
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if asked.jobs:
            goals += job_goals(photos, export(224, folder / "archive"), folder, asked.jobs)
        for side, segments in ((224, 20), (96, 50)) if asked.rounds else ():
            goals += ratios(side, segments, photos[0], folder, asked.rounds)
        if PEERS.exists():
            goals += accuracy(photos, asked.data, folder)
    print(f"\n{PHOTOS} photos, {COALITIONS} coalitions, MobileNetV2, {CORES} cores")
    print(f"{'':62}{'goal':>9}{'measured':>10}")
    print(*goals, sep="\n")
    if not PEERS.exists():
        print(f"shap's explainers were not measured, there is no {PEERS}")


if __name__ == "__main__":
    main()
