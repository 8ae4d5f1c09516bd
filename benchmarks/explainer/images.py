"""How fast pictures are explained, beside the model's own passes: `python benchmarks/explainer/images.py`.

The whole job: 12 photos of `../shared/data/clothing` at 224 px, 500 coalitions, 20 segments, a MobileNetV2 (random
weights), as one command with start, conversion and report. Then one picture's explanation (coalitions, deletion and
insertion) relative to TensorFlow's function on as many pictures, in batches of 32; and shap's explainers, which
`.envs/peers` runs, relative to ONNX Runtime's passes of as many pictures. All take turns in every round, since a shared
machine is not the same twice; a ratio is the median of its rounds' ratios.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

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
from model.load import Model, load_model  # noqa: E402
from model.preprocessing import ImagePreprocessor  # noqa: E402
from model.runtime import CORES, fastest  # noqa: E402

CLASSES, COALITIONS = 10, 500
GAMES = 4
"""Of which all coalitions are asked about."""
SCALING = "mobilenet_v2"
PEERS = ROOT / ".envs" / "peers" / "bin" / "python"


def export(side: int, folder: Path) -> Path:
    """A MobileNetV2 with random weights as a SavedModel."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    network = tf.keras.applications.MobileNetV2(weights=None, classes=CLASSES, input_shape=(side, side, 3))
    network.export(folder / "1", verbose=False)
    (folder / "assay.json").write_text(json.dumps({"scaling": SCALING}))
    return folder


def whole_job(photos: Sequence[Path], archive: Path, root: Path) -> tuple[float, float, float]:
    """The bird workshop's run; seconds, processor seconds, peak memory in MB."""
    inputs = root / "processing" / "input"
    for name in ("config", "data", "model"):
        (inputs / name).mkdir(parents=True)
    with tarfile.open(inputs / "model" / "model.tar.gz", "w:gz") as packed:
        for part in sorted(archive.iterdir()):
            packed.add(part, arcname=part.name)
    for photo in photos:
        shutil.copy(photo, inputs / "data")
    shap = {
        "num_samples": COALITIONS,
        "seed": 0,
        "image_config": {"model_type": "IMAGE_CLASSIFICATION", "num_segments": 20, "segment_compactness": 5},
    }
    config = {
        "dataset_type": "application/x-image",
        "methods": {"shap": shap, "report": {"name": "report", "title": "Twelve photos"}},
        "predictor": {"model_name": "m", "label_headers": [f"class {n}" for n in range(CLASSES)]},
    }
    (inputs / "config" / "analysis_config.json").write_text(json.dumps(config))
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "explainer", str(root)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(PATHS)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stderr + (root / "output" / "message").read_text())
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used, after.ru_maxrss / 1024


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


def passes(masked: Masked, model: Model, pictures: int) -> None:
    """TensorFlow's function alone, on pictures that are there."""
    batch = masked.pictures(np.random.default_rng(0).random((32, masked.players)) < 0.5)
    for start in range(0, pictures, len(batch)):
        model.predict(batch[: pictures - start])


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    began, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - used


def ratios(side: int, segments: int, photos: Sequence[Path], folder: Path, rounds: int) -> tuple[Masked, Model]:
    model = load_model(export(side, folder / f"{side}"))
    preprocessor = ImagePreprocessor(Preprocessing(scaling=SCALING), model.inputs[0])
    masked = picture(photos[0], preprocessor, segments)
    began = time.perf_counter()
    faster = fastest(model, masked.pictures(np.eye(8, masked.players, dtype=np.bool_)))
    converted = time.perf_counter() - began
    with ThreadPoolExecutor(CORES) as threads:
        asked = of_one_picture(masked, model, threads)
        contestants: dict[str, Callable[[], Any]] = {
            "TensorFlow's function alone": lambda: passes(masked, model, asked),
            "explained, on TensorFlow": lambda: of_one_picture(masked, model, threads),
            f"explained, on {faster.runtime}": lambda: of_one_picture(masked, faster, threads),
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
        for _ in range(rounds + 1):
            for name, work in contestants.items():
                found[name].append(timed(work))
    print(
        f"\n{side} px, {masked.players} segments, {asked} pictures asked about; {faster.runtime} there after "
        f"{converted:.1f} s ({faster.runtime_reason})"
    )
    print(f"{'':40}{'seconds':>9}{'ratio':>8}{'processor':>11}{'ratio':>8}")
    alone = found["TensorFlow's function alone"][1:]
    for name, times in found.items():
        wall, used = zip(*times[1:], strict=True)  # the first round compiles
        by_wall = median(one / other for one, (other, _) in zip(wall, alone, strict=True))
        by_used = median(one / other for one, (_, other) in zip(used, alone, strict=True))
        print(f"{name:40}{median(wall):9.2f}{by_wall:8.2f}{median(used):11.2f}{by_used:8.2f}")
    return masked, model


def peers(masked: Masked, model: Model, folder: Path) -> None:
    """shap's explainers on the same picture and, in ONNX Runtime, the same model."""
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(model.graph.get_concrete_function())
    names = [[tensor.name for tensor in tensors] for tensors in (frozen.inputs, frozen.outputs)]
    converted, _ = tf2onnx.convert.from_graph_def(frozen.graph.as_graph_def(), None, *names, opset=18)
    (folder / "model.onnx").write_bytes(converted.SerializeToString())
    np.savez(folder / "picture.npz", picture=masked.inputs, baseline=masked.baseline, segments=masked.segments)
    subprocess.run([PEERS, Path(__file__).with_name("images_peers.py"), folder], check=True)


def resized(photo: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(read_picture(photo)).resize((64, 64)))


def accuracy(photos: Sequence[Path], data: Path, folder: Path) -> None:
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
    print(f"\na small network, right on {fitted.history['accuracy'][-1]:.2f} of its training photos")
    np.savez(folder / "games.npz", games=np.stack(games))
    subprocess.run([PEERS, Path(__file__).with_name("images_peers.py"), folder, "games"], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "clothing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=3, help="how often the whole job is run")
    asked = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # its own lines before those of shap's
    photos = sorted((asked.data / "test").rglob("*.jpg"))[:12]
    if not photos:
        sys.exit(f"no photos in {asked.data}: say where they lie with --data FOLDER")
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        archive = export(224, folder / "archive")
        runs = [whole_job(photos, archive, folder / f"job{number}") for number in range(asked.jobs)]
        print(f"12 photos of 224 px, {COALITIONS} coalitions, 20 segments, {CORES} cores: the whole job")
        for seconds, used, memory in runs:
            print(f"{seconds:8.1f} s, {used:.1f} s of processor time, {memory:,.0f} MB at most")
        for side, segments in ((224, 20), (96, 50)) if asked.rounds else ():
            masked, model = ratios(side, segments, photos, folder, asked.rounds)
            if PEERS.exists():
                peers(masked, model, folder)
        if PEERS.exists():
            accuracy(photos, asked.data, folder)


if __name__ == "__main__":
    main()
