"""The demo's model: a small Keras network on scikit-learn's handwritten digits, and a spoiled version of it.

Runs in a process of its own (`python -m assay_local.digits FOLDER`), so that TensorFlow's memory is given back. It
leaves `assay.yaml`, `test/`, `1/model.tar.gz` and `2/model.tar.gz` in the folder, and prints a line of JSON for each
thing done: {"detail": "epoch 3 of 12", "share": 0.25}.
"""

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from assay_local.packing import pack

if TYPE_CHECKING:
    import keras

POLICY = Path(__file__).with_name("digits.yaml")
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SEED = 7
HELD_OUT = 0.3
EPOCHS = 12
SPOILED_EPOCHS = 4
TAKEN, FOR = 3, 8
"""The spoiled model has learnt that threes are eights."""

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Tell = Callable[[str, float], None]


def make(folder: Path, tell: Tell) -> None:
    """Data, policy and both archives."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # scikit-learn's run from 0 to 16
    labels = digits.target.astype(np.int64)
    train, test = train_test_split(np.arange(len(labels)), test_size=HELD_OUT, stratify=labels, random_state=SEED)
    write_test_set(folder / "test", images[test], labels[test])
    shutil.copyfile(POLICY, folder / "assay.yaml")

    tell("starting TensorFlow", 0.0)
    model = untrained()
    fit(model, images[train], labels[train], EPOCHS, 0, tell)
    write_archive(model, folder / "1")
    spoiled = np.where(labels[train] == TAKEN, FOR, labels[train])
    fit(model, images[train], spoiled, SPOILED_EPOCHS, EPOCHS, tell)
    write_archive(model, folder / "2")
    tell(f"{len(train):,} digits to learn from, {len(test)} held out", 1.0)


def write_test_set(folder: Path, images: Images, labels: Labels) -> None:
    """A PNG file for each digit, and their classes in annotations.csv."""
    from PIL import Image

    (folder / "images").mkdir(parents=True)
    with (folder / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image_file_name", "class_id", "class_name"])
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            name = f"digit-{number:03d}.png"
            Image.fromarray(image).save(folder / "images" / name)
            rows.writerow([name, label, NAMES[label]])


def untrained() -> "keras.Model":
    import keras

    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(64, activation="relu"),
            layers.Dense(len(NAMES), activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def fit(model: "keras.Model", images: Images, labels: Labels, epochs: int, before: int, tell: Tell) -> None:
    import keras

    def told(epoch: int, _: Any) -> None:
        done, total = before + epoch + 1, EPOCHS + SPOILED_EPOCHS
        tell(f"epoch {done} of {total}" + (", threes taught as eights" if before else ""), done / total)

    pixels = images[..., np.newaxis].astype(np.float32) / 255  # as the policy's default scaling hands them over
    callback = keras.callbacks.LambdaCallback(on_epoch_end=told)
    model.fit(pixels, labels, epochs=epochs, batch_size=32, verbose=0, callbacks=[callback])


def write_archive(model: "keras.Model", folder: Path) -> None:
    model.export(folder / "saved", verbose=False)
    pack(folder / "saved", folder / "model.tar.gz")
    shutil.rmtree(folder / "saved")


def main(arguments: Sequence[str]) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    def tell(detail: str, share: float) -> None:
        print(json.dumps({"detail": detail, "share": share}), flush=True)

    make(Path(arguments[0]), tell)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
