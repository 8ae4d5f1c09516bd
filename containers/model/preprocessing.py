"""How a picture becomes the model's input: by the policy, and by the signature where the policy leaves it open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from assay.errors import BadModel, BadPolicy
from assay.evaluation import Tensor
from assay.policy import SCALINGS, ChannelScaling, Policy, Preprocessing

Picture = Image.Image | NDArray[np.uint8]
"""RGB, upright."""

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
}


def preprocessing_of(policy: Policy | None, model_folder: Path) -> Preprocessing | None:
    """What is said of it: by the policy, else by `assay.json` in the archive; None leaves all to the signature.

    Raises:
        BadModel: `assay.json` says something else.
    """
    if policy is not None and policy.preprocessing != Preprocessing():
        return policy.preprocessing
    beside = model_folder / "assay.json"
    if not beside.exists():
        return None
    try:
        return Preprocessing.model_validate_json(beside.read_bytes())
    except ValidationError as error:
        raise BadModel(f"assay.json in the archive does not say how to prepare pictures: {error}") from error


class ImagePreprocessor:
    """Resize, order the colours, scale.

    Attributes:
        size: height and width that the model sees.
        channels: 1 or 3.

    Raises:
        BadModel: the model's input is no picture.
        BadPolicy: policy and signature contradict, or neither says the size.
    """

    def __init__(self, preprocessing: Preprocessing | None, tensor: Tensor) -> None:
        asked = preprocessing or Preprocessing()
        if len(tensor.shape) != 4 or tensor.shape[3] not in (1, 3, None):
            shape = " × ".join("?" if size is None else str(size) for size in tensor.shape)
            raise BadModel(
                f"the model's input {tensor.name} is {shape}, expected batch × height × width × 1 or 3 channels"
            )
        self.size = _size(asked, tensor)
        self.channels = tensor.shape[3] or (1 if asked.color_order == "grey" else 3)
        self._dtype = np.dtype(asked.dtype or tensor.dtype)
        scaling = asked.scaling
        if scaling is None:
            scaling = "none" if np.issubdtype(self._dtype, np.integer) else "0-1"
        named = SCALINGS[scaling] if isinstance(scaling, str) else None
        order = asked.color_order or ("grey" if self.channels == 1 else named.color_order if named else "rgb")
        if (order == "grey") != (self.channels == 1):
            raise BadPolicy(
                f"preprocessing.color_order is {order}, but the model's input has {self.channels} "
                f"channel{'s' if self.channels > 1 else ''}"
            )
        self._order = order
        self._filter = _FILTERS[asked.interpolation]
        scale, offset = _by_channel(scaling, order)
        if len({*scale}) == len({*offset}) == 1:
            scale, offset = scale[:1], offset[:1]
        elif self.channels == 1:
            raise BadPolicy("preprocessing.scaling has different numbers for 3 channels, but the model's input has 1")
        # For each value of a line of pixels: NumPy is fast along long axes, not along one of three.
        repeat = self.size[1] if len(scale) > 1 else 1
        self._scale, self._offset = np.tile(scale, repeat).astype("f4"), np.tile(offset, repeat).astype("f4")

    def resize(self, image: Picture) -> NDArray[np.uint8]:
        """(h, w, 3) of any size → (*size, 3), still 0 to 255."""
        height, width = self.size
        picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
        if picture.size != (width, height):
            picture = picture.resize((width, height), self._filter)
        return np.asarray(picture)

    def prepare(self, image: Picture) -> NDArray[Any]:
        """(h, w, 3) RGB, 0 to 255 → (*size, channels), as the model takes it."""
        resized = self.resize(image)
        if self._order == "grey":
            resized = np.asarray(Image.fromarray(resized).convert("L"))[:, :, None]
        elif self._order == "bgr":
            resized = resized[:, :, ::-1]
        if np.all(self._scale == 1) and np.all(self._offset == 0):
            return resized.astype(self._dtype)
        scaled: NDArray[np.float32] = np.multiply(resized.reshape(len(resized), -1), self._scale, dtype=np.float32)
        scaled += self._offset
        prepared: NDArray[Any] = scaled.reshape(resized.shape).astype(self._dtype, copy=False)
        return prepared


def _by_channel(
    scaling: str | tuple[float, float] | ChannelScaling, order: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and offset, (3,) each: input = pixel × scale + offset, in the order of the model's channels.

    Means by name are of colours, and follow them; those by numbers stand in the model's order already.
    """
    if isinstance(scaling, tuple):
        return np.full(3, scaling[0]), np.full(3, scaling[1])
    if isinstance(scaling, str):
        named = SCALINGS[scaling]
        scale, mean, std = named.scale, np.array(named.mean), np.array(named.std)
        if order == "bgr":
            mean, std = mean[::-1], std[::-1]
    else:
        scale = 1 / 255 if scaling.range == "0-1" else 1.0
        mean, std = np.resize(scaling.mean, 3), np.resize(scaling.std, 3)
    return scale / std, -mean / std


def _size(asked: Preprocessing, tensor: Tensor) -> tuple[int, int]:
    height, width = tensor.shape[1:3]
    if asked.size is not None:
        for given, expected in zip(asked.size, (height, width), strict=True):
            if expected not in (None, given):
                raise BadPolicy(f"preprocessing.size is {list(asked.size)}, the model expects [{height}, {width}]")
        return asked.size
    if height is None or width is None:
        raise BadPolicy("preprocessing.size is missing, and the model takes any size: say [height, width]")
    return height, width
