"""What an absent segment shows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from assay.errors import BadPolicy
from explainer.picture_files import read_picture
from explainer.request import Request
from model.preprocessing import ImagePreprocessor

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class ImageBaseline:
    """A picture's baseline."""

    name: str
    """For people."""
    digest: str
    """What tells it from another."""
    of: Callable[[Pixels, ImagePreprocessor], Pixels]
    """(h, w, 3) in the size that the model sees → what its absent segments show, (h, w, 3)."""


def image_baseline(request: Request) -> ImageBaseline:
    """The baseline that `methods.shap.baseline` asks for.

    Nothing: white noise, one for all pictures of a size, as Clarify has it. An S3 address: that picture, resized. And
    what Clarify does not know: `[[128]]` or `[[red, green, blue]]` is a colour, `{"blur": 10}` the picture itself
    without its details, by a Gaussian of so many pixels of the model's input (224 px: 10 leaves colours and no shape).

    Raises:
        BadPolicy: it says something else.
    """
    baseline = request.shap.baseline

    def said(name: str, of: Callable[[Pixels, ImagePreprocessor], Pixels]) -> ImageBaseline:
        return ImageBaseline(name, repr(baseline), of)

    if baseline is None:
        seed = request.shap.seed
        return said("white noise", lambda image, _: white_noise(image.shape[:2], seed))
    if isinstance(baseline, str):
        given = read_picture(request.resolve(baseline))
        content = hashlib.sha256(given.tobytes()).hexdigest()
        name = f"the picture {baseline.rpartition('/')[2]}"
        return ImageBaseline(name, content, lambda _, prepare: prepare.resize(given))
    if isinstance(baseline, dict):
        radius = baseline.get("blur")
        if set(baseline) == {"blur"} and isinstance(radius, (int, float)) and radius > 0:
            return said(f"the picture blurred by {radius:g} px", lambda image, _: blurred(image, radius))
    elif len(baseline) == 1 and _is_colour(baseline[0]):
        colour = baseline[0]
        shown = ", ".join(f"{value:g}" for value in colour)
        return said(f"the colour {shown}", lambda image, _: np.full_like(image, colour))
    raise BadPolicy(
        "methods.shap.baseline: for images expected the S3 address of a picture, or a colour [[red, green, blue]] or "
        f'[[grey]] of 0 to 255, or {{"blur": pixels}}; found {baseline!r:.80}'
    )


def _is_colour(row: Any) -> bool:
    return len(row) in (1, 3) and all(isinstance(value, (int, float)) and 0 <= value <= 255 for value in row)


@lru_cache(maxsize=1)
def white_noise(size: tuple[int, int], seed: int) -> Pixels:
    """(h, w, 3), the same for all pictures of a size, so that they compare."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def blurred(image: Pixels, radius: float) -> Pixels:
    """By a Gaussian with this standard deviation in pixels; Pillow's, which three box filters stand for."""
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))
