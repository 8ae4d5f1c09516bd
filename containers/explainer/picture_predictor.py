"""Who is asked about pictures: the archive in this process, or an endpoint, as `explainer.predictor` finds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.policy import PictureType
from explainer.analysis_config import ImageConfig
from explainer.masking import Pieces
from explainer.picture_files import PictureFile
from explainer.predictor import Serving, own_words, who_is_asked
from explainer.request import Request
from model.detections import Detections
from model.endpoint import BODY_LIMIT
from model.load import Model
from model.picture_endpoint import HEADER, PictureEndpoint
from model.preprocessing import ImagePreprocessor, preprocessing_of

MOST_SIDE = 1024
"""Longer side in pixels of what an endpoint is asked about, where nobody says a size: white noise of so many, the
largest file that there is, stays below the 6 MiB of a request as PNG and as JPEG."""


class ServedPictures:
    """A model behind an endpoint, asked about versions of a picture.

    Attributes:
        first_class: the number of the first class in `label_headers`: an endpoint's classes are places in them.
        runtime: how it is asked, for people.
        pieces: how much it is asked about in one request: files and detectors one picture, else as much as fits.
    """

    first_class = 0

    def __init__(self, endpoint: PictureEndpoint, kind: PictureType, request: Request) -> None:
        """`kind`: of file, where neither policy nor configuration says it."""
        self._endpoint, self._kind, self._request = endpoint, kind, request
        self.runtime = endpoint.runtime
        one = endpoint.of_files or is_detection(request)
        self.pieces = Pieces(1 if one else BODY_LIMIT, BODY_LIMIT - HEADER)

    def preprocessor(self, height: int, width: int) -> ImagePreprocessor:
        """What makes a picture of this size what is masked; the model's own handler makes the rest of it."""
        zoom = min(1.0, MOST_SIDE / max(height, width))
        return self._endpoint.preprocessor(max(1, round(height * zoom)), max(1, round(width * zoom)))

    def predict(self, batch: NDArray[Any]) -> NDArray[np.float64]:
        """(n, h, w, channels) → (n, outputs)"""
        with own_words(self._request):
            return self._endpoint.predict([self._endpoint.changed(one, self._kind) for one in batch])

    def find(self, batch: NDArray[Any]) -> list[Detections]:
        """What is found in each of (n, h, w, channels)."""
        with own_words(self._request):
            return self._endpoint.find([self._endpoint.changed(one, self._kind) for one in batch])


@contextmanager
def open_picture_predictor(
    request: Request, files: Sequence[PictureFile]
) -> Iterator[tuple[Model, Path] | ServedPictures]:
    """Who is asked; raises what `who_is_asked` does.

    Args:
        request: the job.
        files: the pictures, which say what kind of file the model takes.
    """
    with who_is_asked(request) as asked:
        yield _served(asked, request, files) if isinstance(asked, Serving) else asked


def _served(serving: Serving, request: Request, files: Sequence[PictureFile]) -> ServedPictures:
    policy = request.policy
    with own_words(request):
        endpoint = PictureEndpoint(
            serving.name,
            serving.options,
            answered_labels(request),
            None if policy is None else preprocessing_of(policy, Path()),
            serving.client,
            own_sizes=policy is None,  # a policy's evaluation knew the size
        )
    jpeg = any(file.path.suffix.lower() in (".jpg", ".jpeg") for file in files)
    return ServedPictures(endpoint, "image/jpeg" if jpeg else "image/png", request)


def answered_labels(request: Request) -> Mapping[str, int] | None:
    """A label as the endpoint answers it → its class; None of a detector.

    A policy's labels may be numbers that `label_headers` have names for.
    """
    if is_detection(request):
        return None
    labels = None if request.policy is None else request.policy.data.labels
    return {str(label): place for place, label in enumerate(labels or request.config.label_headers or ())}


def is_detection(request: Request) -> bool:
    return (request.shap.image_config or ImageConfig()).model_type == "OBJECT_DETECTION"
