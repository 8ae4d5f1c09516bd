"""Read pictures as people see them: RGB, upright."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from assay.errors import BadData

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
MOST_PIXELS = 200_000_000
"""A picture of more is refused before it is decoded: it would need over half a GiB."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """A picture as (h, w, 3) RGB, 0 to 255, turned as its EXIF data says; transparency lies on white.

    Raises:
        BadData: it cannot be read; says why.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")  # of odd metadata, which does not matter, and of size, which is checked
            if image.width * image.height > MOST_PIXELS:
                raise BadData(f"{path.name}: {image.width} × {image.height} pixels, at most {MOST_PIXELS:,} are read")
            upright = ImageOps.exif_transpose(image)
            return np.asarray(_to_rgb(upright))
    except FileNotFoundError as error:
        raise BadData(f"{path.name}: no such file") from error
    # Pillow raises whatever a broken file leads its decoder to
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = "not a picture" if isinstance(error, UnidentifiedImageError) else str(error)
        raise BadData(f"{path.name}: cannot be read as a picture: {reason}") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # 16 and 32 bits of grey: the range of 16 bits
        grey = np.asarray(image, dtype=np.float64) / 257
        return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque.convert("RGB")
    return image.convert("RGB")
