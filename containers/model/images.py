"""Read pictures as people see them: RGB, upright."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from assay.errors import BadData

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
MOST_PIXELS = 200_000_000
"""A picture of more is refused before it is decoded: it would need over half a GiB."""

# By the EXIF orientation: how to turn a picture upright. ImageOps.exif_transpose also writes the metadata anew, and
# fails where it is broken.
_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: Path) -> NDArray[np.uint8]:
    """A picture as (h, w, 3) RGB, 0 to 255, turned as its EXIF data says; transparency lies on white.

    Raises:
        BadData: it cannot be read; says why.
    """
    return np.asarray(decode_image(read_file(path), path.name))


def read_file(path: Path) -> bytes:
    """Its content; raises BadData when it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BadData(f"{path.name}: no such file") from error
    except OSError as error:
        raise BadData(f"{path.name}: cannot be read: {error.strerror}") from error


def decode_image(content: bytes, name: str) -> Image.Image:
    """The picture in these bytes, RGB, as `read_image` gives it; without a copy where it is so already.

    The decoder's own reduction of large JPEGs (`draft`) is not used: it would be another resizing than the one that
    the model was trained with. See docs/decisions/onnx-runtime.md.

    Raises:
        BadData: it cannot be decoded; says why.
    """
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content)) as image:
            warnings.simplefilter("ignore")  # of odd metadata, which does not matter, and of size, which is checked
            if image.width * image.height > MOST_PIXELS:
                raise BadData(f"{name}: {image.width} × {image.height} pixels, at most {MOST_PIXELS:,} are read")
            image.load()
            turn = _TURNS.get(_orientation(image))
            return _to_rgb(image if turn is None else image.transpose(turn))
    # Pillow raises whatever a broken file leads its decoder to
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = "not a picture" if isinstance(error, UnidentifiedImageError) else str(error)
        raise BadData(f"{name}: cannot be read as a picture: {reason}") from error


def is_turned(path: Path) -> bool:
    """Whether its EXIF data says that the file's pixels are to be turned; only its beginning is read."""
    with warnings.catch_warnings(action="ignore"):
        try:
            with Image.open(path) as image:
                return _orientation(image) in _TURNS
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return False


def _orientation(image: Image.Image) -> object:
    """The EXIF orientation, 1 to 8; broken metadata says nothing."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    # what Pillow's readers of TIFF and XML raise for bytes that are neither
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, AttributeError, struct.error):
        return None


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # 16 and 32 bits of grey: the range of 16 bits
        grey = np.asarray(image, dtype=np.float64) / 257
        return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque.convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
