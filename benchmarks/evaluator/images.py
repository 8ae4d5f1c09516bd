"""How fast pictures are evaluated, beside what the machine can do: `python benchmarks/evaluator/images.py`.

A MobileNetV2 (random weights) is asked about photos of `../shared/data/clothing` at 224 px. Ours is the whole way, from
files to scores; the limit is 1 / (1 / decode + 1 / forward), each alone on all cores; the workshop's loop calls
`model.predict` for each picture. All take turns in many short rounds, since a shared machine is not the same twice:
figures are medians of the rounds, and a ratio is the median of its rounds' ratios. Processor time a picture hardly
depends on who else is there: where the parts' adds up to the whole's, and no core is idle, the limit is reached.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported
sys.path[:0] = [str(ROOT / "containers"), str(ROOT / "layers" / "contracts")]

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from assay.policy import Preprocessing  # noqa: E402
from evaluator.images_data import BATCH, Annotation, in_process, score_images  # noqa: E402
from evaluator.scored import Unreadable  # noqa: E402
from job.progress import Progress  # noqa: E402
from model.images import decode_image, read_file  # noqa: E402
from model.load import Model, load_model  # noqa: E402
from model.preprocessing import ImagePreprocessor  # noqa: E402
from model.runtime import CORES, fastest  # noqa: E402

SIDE = 224
OURS, LOOP = "ours, from files to scores", "the workshop's loop"
DECODE = "decode alone (read, digest, resize, scale)"
FORWARD = {"ONNX Runtime": "forward alone, ONNX Runtime", "TensorFlow": "forward alone, TensorFlow"}
FROZEN = "forward alone, TensorFlow, constants folded"


def contestants(
    files: Sequence[Path], in_loop: int, folder: Path
) -> tuple[dict[str, tuple[Callable[[], Any], int]], str]:
    """Name → what to time, and how many pictures it does; and what the faster runtime is, for people."""
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    keras.utils.set_random_seed(0)
    network = tf.keras.applications.MobileNetV2(weights=None, classes=10, input_shape=(SIDE, SIDE, 3))
    network.export(folder / "archive" / "1", verbose=False)
    model = load_model(folder / "archive")
    preprocessor = ImagePreprocessor(Preprocessing(scaling="mobilenet_v2"), model.inputs[0])
    annotations = [Annotation(row, str(row), "0", "0", {}) for row in range(len(files))]
    pictures = {str(row): file for row, file in enumerate(files)}

    def prepared(file: Path) -> NDArray[Any]:
        content = read_file(file)
        hashlib.sha256(content).hexdigest()
        return preprocessor.prepare(decode_image(content, file.name))

    inputs = np.stack([prepared(file) for file in files[:BATCH]])
    began = time.perf_counter()
    faster = fastest(model, inputs)
    about = f"{faster.runtime} ({faster.runtime_reason}), there after {time.perf_counter() - began:.1f} s"

    def ours(one: Model) -> Callable[[], object]:
        progress = Progress(folder / "progress.json")
        return lambda: score_images(annotations, pictures, in_process(one, preprocessor), Unreadable(0), progress)

    def on_all_cores(work: Callable[[Any], Any], parts: Sequence[Any]) -> None:
        with ThreadPoolExecutor(CORES) as pool:
            list(pool.map(lambda part: work(part) is None, parts))  # keeps no picture

    batches = [inputs] * (len(files) // BATCH)
    wide = np.tile(inputs, (4, 1, 1, 1))  # TensorFlow is faster with more at once
    frozen = convert_variables_to_constants_v2(model.graph.get_concrete_function())

    def workshop() -> None:
        for file in files[:in_loop]:
            picture = keras.utils.img_to_array(keras.utils.load_img(file, target_size=(SIDE, SIDE)))
            network.predict(tf.keras.applications.mobilenet_v2.preprocess_input(picture)[None], verbose=0)

    done = len(batches) * BATCH
    return {
        OURS: (ours(faster), len(files)),
        DECODE: (lambda: on_all_cores(prepared, files), len(files)),
        FORWARD["ONNX Runtime"]: (lambda: on_all_cores(faster.predict, batches), done),
        FORWARD["TensorFlow"]: (lambda: [model.predict(wide) for _ in batches[::4]], len(batches[::4]) * len(wide)),
        FROZEN: (lambda: [frozen(tf.constant(wide)) for _ in batches[::4]], len(batches[::4]) * len(wide)),
        f"{OURS}, TensorFlow": (ours(model), len(files)),
        LOOP: (workshop, in_loop),
    }, about


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "clothing")
    parser.add_argument("--pictures", type=int, default=128, help="in each turn")
    parser.add_argument("--loop", type=int, default=16, help="pictures in the workshop's loop")
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    files = sorted(asked.data.rglob("*.jpg"))[: asked.pictures]
    if not files:
        sys.exit(f"no photos in {asked.data}: say where they lie with --data FOLDER")
    warnings.simplefilter("ignore")
    with TemporaryDirectory() as folder:
        timed, about = contestants(files, min(asked.loop, len(files)), Path(folder))
        for work, _ in timed.values():
            work()  # compiled, and in the file system's cache
        rates: dict[str, list[float]] = {name: [] for name in timed}
        processor: dict[str, list[float]] = {name: [] for name in timed}
        for _ in range(asked.rounds):
            for name, (work, pictures) in timed.items():
                began, used = time.perf_counter(), time.process_time()
                work()
                rates[name].append(pictures / (time.perf_counter() - began))
                processor[name].append(1000 * (time.process_time() - used) / pictures)
    print(f"{len(files)} pictures, {CORES} cores, {asked.rounds} rounds; runtime: {about}\n")
    print(f"{'images a second':46}{'median':>8}{'lowest':>8}{'highest':>8}{'processor':>12}")
    for name, found in rates.items():
        used = median(processor[name])
        print(f"{name:46}{median(found):8.0f}{min(found):8.0f}{max(found):8.0f}{used:9.2f} ms")
    best_forward = max(FORWARD.values(), key=lambda name: median(rates[name]))
    limits = [1 / (1 / d + 1 / f) for d, f in zip(rates[DECODE], rates[best_forward], strict=True)]
    best = 1 / (1 / max(rates[DECODE]) + 1 / max(rates[best_forward]))
    of_limit = [one / limit for one, limit in zip(rates[OURS], limits, strict=True)]
    of_loop = [one / other for one, other in zip(rates[OURS], rates[LOOP], strict=True)]
    parts = median(processor[DECODE]) + median(processor[best_forward])
    print(f"\nthe limit                    {median(limits):6.0f}  (of the best of all rounds: {best:.0f})")
    print(f"ours / limit                 {median(of_limit):6.2f}  (best / best: {max(rates[OURS]) / best:.2f})")
    print(f"processor time, parts / ours {parts / median(processor[OURS]):6.2f}")
    print(f"ours / the workshop's loop   {median(of_loop):6.1f}")


if __name__ == "__main__":
    main()
