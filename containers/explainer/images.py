"""KernelSHAP of pictures: the players are superpixels, an absent one shows the baseline instead of the picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData, BadPolicy
from explainer.analysis_config import Debug
from explainer.shapley import Explanation, Predict, explain_game
from explainer.shapley.explain import Link
from model.images import SUFFIXES

Pixels = NDArray[np.uint8]

BATCH_BYTES = 48 * 2**20
"""Of synthetic pictures in one call of the model: memory stays flat whatever their size."""
BATCH = 512


def image_files(folder: Path, debug: Debug) -> list[Path]:
    """The pictures to explain, in the order of their paths.

    Raises:
        BadData: there are none.
        BadPolicy: `debug` names one that there is not.
    """
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    if not found:
        raise BadData(
            f"Data must contain features. Found no picture in {folder}; expected {', '.join(sorted(SUFFIXES))} files"
        )
    if debug.image_names is not None:
        unknown = set(debug.image_names) - {path.name for path in found}
        if unknown:
            raise BadPolicy(
                f"image_config.debug.image_names: no {', '.join(sorted(unknown))} among {len(found)} pictures "
                f"such as {', '.join(path.name for path in found[:3])}"
            )
        found = [path for path in found if path.name in debug.image_names]
    chosen = found[debug.sample_from : debug.sample_to]
    if not chosen:
        raise BadPolicy(
            f"image_config.debug: sample_from {debug.sample_from} to {debug.sample_to} leaves none of {len(found)}"
        )
    return chosen


def stems(files: Sequence[Path], folder: Path) -> list[str]:
    """What each picture's results are named after: unique, whatever folders and suffixes the pictures have."""
    plain = [file_safe(str(file.relative_to(folder).with_suffix(""))) for file in files]
    with_suffix = [file_safe(str(file.relative_to(folder))) for file in files]
    short = [stem if plain.count(stem) == 1 else full for stem, full in zip(plain, with_suffix, strict=True)]
    return [stem if short.count(stem) == 1 else f"{stem}-{index}" for index, stem in enumerate(short)]


def file_safe(text: str) -> str:
    """A text as part of a file's name: letters, digits, `.`, `_`, `-`, and `_` for each other character."""
    return re.sub(r"[^\w.-]", "_", text)[:100]


class ResultNames:
    """The heat maps' file names, `shap_<stem>_<label>.jpeg`: each once, whatever the pictures and labels are called."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = [file_safe(label) for label in labels]
        self._taken: set[str] = set()

    def of(self, stem: str, output: int) -> str:
        """The file of a picture and an output; where another one has the name, with the output's number."""
        name = f"shap_{stem}_{self._labels[output]}"
        if name.lower() in self._taken:  # some file systems do not tell case
            name += f"-{output}"
        self._taken.add(name.lower())
        return f"{name}.jpeg"


def superpixels(image: Pixels, count: int, compactness: float) -> NDArray[np.intp]:
    """About `count` segments of similar colour, (h, w) numbered from 0: skimage's slic, as Clarify's guide says."""
    from skimage.segmentation import slic  # imported by the jobs that need it only: 1 s

    labels = slic(image, n_segments=count, compactness=compactness, start_label=0, channel_axis=-1)
    return np.unique(labels, return_inverse=True)[1].reshape(image.shape[:2])


def white_noise(size: tuple[int, int], seed: int) -> Pixels:
    """Clarify's baseline when none is given, (h, w, 3); the same for all pictures, so that they compare."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def explain_image(
    predict: Predict,
    inputs: NDArray[Any],
    baseline: NDArray[Any],
    segments: NDArray[np.intp],
    *,
    num_samples: int | None,
    seed: int,
    link: Link | None = None,
) -> Explanation:
    """Attributions of a picture's segments.

    Args:
        predict: (pictures, h, w, channels) → (pictures, outputs).
        inputs: (h, w, channels), the picture as the model takes it.
        baseline: (h, w, channels), what an absent segment shows.
        segments: (h, w), from 0.
        num_samples: coalitions; Clarify's default when None.
        seed: same seed, same values.
        link: applied to the scores.
    """
    batch = max(1, min(BATCH, BATCH_BYTES // inputs.nbytes))

    def value(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        scores = [
            np.asarray(
                predict(np.where(masks[start : start + batch][:, segments][..., None], inputs, baseline)), np.float64
            )
            for start in range(0, len(masks), batch)
        ]
        together = np.concatenate(scores)
        return together if link is None else link(together)

    return explain_game(value, int(segments.max()) + 1, num_samples=num_samples, seed=seed)


def labels_to_draw(
    prediction: NDArray[np.float64], labels: Sequence[str], true: str | None, class_ids: Sequence[int] | None
) -> list[int]:
    """The outputs whose heat maps are drawn: those asked for, else the predicted and the true one."""
    if class_ids is not None:
        return list(dict.fromkeys(class_ids))
    drawn = [int(prediction.argmax())]
    if true in labels and labels.index(true) not in drawn:
        drawn.append(labels.index(true))
    return drawn


def check_class_ids(class_ids: Iterable[int] | None, labels: Sequence[str]) -> None:
    for index in class_ids or ():
        if not 0 <= index < len(labels):
            raise BadPolicy(
                f"image_config.debug.class_ids: {index}, expected 0 to {len(labels) - 1} for {len(labels)} labels"
            )


def titles(labels: Sequence[str], drawn: int, explanation: Explanation, true: str | None) -> tuple[str, str]:
    """A heat map's title and subtitle: what is explained, what was predicted, what is true."""
    scores, base = explanation.prediction, explanation.base
    best = int(scores.argmax())
    title = f"{labels[drawn]}: score {scores[drawn]:.3g}, with the baseline alone {base[drawn]:.3g}"
    predicted = f"predicted {labels[best]} with {scores[best]:.3g}"
    return title, predicted if true is None else f"{predicted}, true {true}"
