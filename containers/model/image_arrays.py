"""Pictures as NumPy arrays in `.npy` files: `application/x-npy`, one picture or a batch of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData
from model.images import MOST_PIXELS

SUFFIX = ".npy"


def pictures_in(path: Path) -> int | None:
    """How many pictures a batch (n, h, w, 1 or 3) holds, None for a file of one; reads its header only.

    Raises:
        BadData: it is no array of pictures; says why.
    """
    array = _open(path)
    return len(array) if array.ndim == 4 else None


def read_array(path: Path, index: int | None = None) -> NDArray[np.uint8]:
    """One picture as (h, w, 3) RGB, 0 to 255.

    Numbers from 0 to 255 are taken as they are, floats that all lie within 0 to 1 as shares of 255 (skimage's custom).

    Args:
        path: a file (h, w), (h, w, 1), (h, w, 3), or such with a batch before.
        index: which one of a batch.

    Raises:
        BadData: it cannot be read; says why.
    """
    array = _open(path)
    pixels = np.asarray(array if index is None else array[index])
    name = path.name if index is None else f"{path.name}[{index}]"
    if not pixels.size or pixels.shape[0] * pixels.shape[1] > MOST_PIXELS:
        raise BadData(f"{name}: {pixels.shape[0]} × {pixels.shape[1]} pixels, from 1 to {MOST_PIXELS:,} are read")
    if pixels.dtype != np.uint8:
        pixels = _as_bytes(pixels, name)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _as_bytes(pixels: NDArray[Any], name: str) -> NDArray[np.uint8]:
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 255):  # NaN is neither
        raise BadData(f"{name}: values from {low:g} to {high:g}, expected pixels of 0 to 255, or floats of 0 to 1")
    if pixels.dtype.kind == "f" and high <= 1:
        pixels = pixels * 255
    rounded: NDArray[np.uint8] = np.rint(pixels).astype(np.uint8)
    return rounded


def _open(path: Path) -> NDArray[Any]:
    """The array, of which nothing is read yet."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    # what NumPy raises for a file that is none of its own, is cut short, or holds Python objects
    except (OSError, ValueError, EOFError, SyntaxError, TypeError) as error:
        raise BadData(f"{path.name}: cannot be read as a NumPy array: {str(error) or type(error).__name__}") from error
    one = array.shape[1:] if array.ndim == 4 else array.shape
    if array.dtype.kind not in "uifb" or not (len(one) == 2 or (len(one) == 3 and one[2] in (1, 3))):
        shape = " × ".join(map(str, array.shape))
        raise BadData(
            f"{path.name}: {array.dtype} {shape}, expected numbers, height × width × 3 (or 1), or a batch of such"
        )
    return array
