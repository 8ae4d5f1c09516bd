"""A model that finds boxes in pictures: from a picture to what was found in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.policy import Preprocessing
from model.detections import DetectionReader, Detections
from model.load import Model
from model.preprocessing import ImagePreprocessor, Picture


class Detector:
    """A model that finds boxes in pictures.

    Attributes:
        first_class: what its format calls the first class.
        size: width and height that it sees; None: each picture's own, asked about one by one.

    Raises:
        BadModel, BadPolicy: its outputs are no detector's, its input is no picture, the policy contradicts it.
    """

    def __init__(self, model: Model, preprocessing: Preprocessing | None) -> None:
        self._model, self._reader = model, DetectionReader(model.outputs)
        self._asked, self._tensor = preprocessing or Preprocessing(), model.inputs[0]
        self.first_class = self._reader.first_class
        self.size: tuple[int, int] | None = None
        self._preprocessor: ImagePreprocessor | None = None
        if self._asked.size is not None or tuple(self._tensor.shape[1:3]) != (None, None):
            self._preprocessor = ImagePreprocessor(self._asked, self._tensor)
            height, width = self._preprocessor.size
            self.size = (width, height)
        else:
            self.prepare(np.zeros((8, 8, 3), dtype=np.uint8))  # what does not fit is found before any picture is read

    def preprocessor(self, height: int, width: int) -> ImagePreprocessor:
        """What makes a picture of this size the model's input."""
        if self._preprocessor is not None:
            return self._preprocessor
        own = self._asked.model_copy(update={"size": (height, width)})
        return ImagePreprocessor(own, self._tensor)

    def prepare(self, image: Picture) -> NDArray[Any]:
        """A picture as the model takes it."""
        height, width = image.shape[:2] if isinstance(image, np.ndarray) else (image.height, image.width)
        return self.preprocessor(height, width).prepare(image)

    def find(self, inputs: Sequence[NDArray[Any]] | NDArray[Any]) -> list[Detections]:
        """What is found in prepared pictures; of one size they are asked about at once."""
        if self.size is not None:
            return self._reader.read(self._model.answers(np.asarray(inputs)))
        return [self._reader.read(self._model.answers(one[None]))[0] for one in inputs]
