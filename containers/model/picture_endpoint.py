"""A model behind an endpoint that is asked about pictures: each as its file stands, or arrays of them."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assay.errors import BadData, BadModel, BadPolicy
from assay.evaluation import Tensor
from assay.policy import ModelOptions, PictureType, Preprocessing
from model.detections import BOXES, CLASSES, COUNT, SCORES, DetectionReader, Detections
from model.endpoint import BODY_LIMIT, Body, Caller, together
from model.payloads import AnswerFormat, kind_of
from model.preprocessing import ImagePreprocessor, Picture

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

_BEGINNINGS: dict[bytes, PictureType] = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG"}
HEADER = 128
"""Bytes of an .npy file before its numbers."""
_ANY = Tensor(name="an array of pictures", shape=(None, None, None, None), dtype="uint8")

Prepared = Body | NDArray[Any]
"""A picture as it is sent: a file, or (h, w, channels)."""


class PictureEndpoint:
    """A SageMaker endpoint that answers about pictures.

    Attributes:
        name: the endpoint's.
        labels_only: it answers classes without scores: the answered class gets 1, the others 0.
        runtime: how it is asked, for people.
        of_files: it gets each picture as a file, one a request; else arrays, as many as fit.
        inputs, outputs: none: an endpoint has no signature.
        width: how many scores a picture gets: known only from an answer.
        size: what the model sees: nobody knows.
        first_class: what a detector calls the first class: nobody knows.
    """

    format = "endpoint"
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    width: int | None = None
    size: tuple[int, int] | None = None
    first_class: int | None = None

    def __init__(
        self,
        name: str,
        options: ModelOptions,
        labels: Mapping[str, int] | None,
        preprocessing: Preprocessing | None,
        client: SageMakerRuntimeClient,
        *,
        own_sizes: bool = False,
        body_limit: int = BODY_LIMIT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nobody is asked yet.

        Args:
            name: the endpoint's.
            options: how pictures are sent, and where in an answer the scores, the label or the boxes stand.
            labels: a label as it is answered → its class; None of a detector.
            preprocessing: of arrays; files are prepared by the model's own handler.
            client: of `sagemaker-runtime`, see `model.endpoint.runtime_client`.
            own_sizes: arrays whose size nobody says have their picture's own.
            body_limit: of one request, in bytes.
            sleep: between two tries.

        Raises:
            BadPolicy: `model.content_type` is how rows are sent; or of arrays nobody says the size.
        """
        self.name = name
        self._type = pictures_type(options)
        self.of_files = self._type != "application/x-npy"
        self._asked = (None if self.of_files else preprocessing) or Preprocessing()
        self._preprocessor: ImagePreprocessor | None = None
        if not self.of_files and (self._asked.size is not None or not own_sizes):
            self._preprocessor = ImagePreprocessor(self._asked, _ANY)
        self._answer = AnswerFormat(options, labels, default="application/json")
        self._caller = Caller(name, options, self._answer.accept_type, client, sleep)
        self._body_limit = body_limit
        self.labels_only = self._answer.labels_only
        self.runtime = f"endpoint {name}, {self._type or 'each file as it is'}"

    def preprocessor(self, height: int, width: int) -> ImagePreprocessor:
        """What makes a picture of this size the array that is sent; of files, the pixels that they hold."""
        if self._preprocessor is not None:
            return self._preprocessor
        return ImagePreprocessor(self._asked.model_copy(update={"size": (height, width)}), _ANY)

    def prepare(self, image: Picture, content: bytes = b"", name: str = "a picture") -> Prepared:
        """A picture as it is sent.

        Args:
            image: (h, w, 3) RGB, upright.
            content: its file; b"" where it has none.
            name: for people.

        Raises:
            BadData: it is larger than a request may be.
        """
        prepared: Prepared
        if self.of_files:
            prepared = self._file(image, content)
            size = len(prepared.content)
        else:
            height, width = image.shape[:2] if isinstance(image, np.ndarray) else (image.height, image.width)
            prepared = self.preprocessor(height, width).prepare(image)
            size = prepared.nbytes + HEADER
        if size > self._body_limit:
            raise BadData(f"{name}: {size:,} bytes, an endpoint takes requests of at most {self._body_limit:,}")
        return prepared

    def changed(self, pixels: NDArray[Any], kind: PictureType) -> Prepared:
        """Another version of a picture, as it is sent.

        Args:
            pixels: (h, w, channels), as `preprocessor` made them before something was changed.
            kind: of file that it is encoded as where the options leave it open, `image/jpeg` or `image/png`.
        """
        if not self.of_files:
            return pixels
        encoding = self._type if self._type in _FORMATS else kind
        return Body(_encoded(pixels, encoding), self._type or encoding)

    def _file(self, image: Picture, content: bytes) -> Body:
        own = file_type(content)
        wanted = own or "image/png" if self._type in (None, "application/x-image") else self._type
        encoded = content if own == wanted else _encoded(image, wanted)
        return Body(encoded, self._type or wanted)

    def predict(self, pictures: Sequence[Prepared]) -> NDArray[np.float64]:
        """Scores of prepared pictures, (n, outputs); raises what `Caller.ask` does."""
        return together(self._caller.ask(self._requests(pictures), _body, self._answer.scores), self.name)

    def find(self, pictures: Sequence[Prepared]) -> list[Detections]:
        """What is found in prepared pictures, each asked about alone; raises what `Caller.ask` does."""

        def read(content: bytes, _content_type: str, _n: int) -> Detections:
            return detections_of(self._answer.document(content))

        return self._caller.ask([[one] for one in pictures], _body, read)

    def _requests(self, pictures: Sequence[Prepared]) -> list[Sequence[Prepared]]:
        largest = max((one.nbytes for one in pictures if isinstance(one, np.ndarray)), default=0)
        most = max(1, (self._body_limit - HEADER) // largest) if largest else 1
        return [pictures[start : start + most] for start in range(0, len(pictures), most)]


def pictures_type(options: ModelOptions) -> PictureType | None:
    """How pictures are sent, None: each file as it is; raises BadPolicy where the policy says how rows are."""
    match options.content_type:
        case None | "image/jpeg" | "image/png" | "application/x-image" | "application/x-npy" as said:
            return said
        case of_rows:
            raise BadPolicy(
                f"model.content_type is {of_rows}, which rows are sent as; pictures are sent as image/jpeg, image/png, "
                "application/x-image or application/x-npy"
            )


def file_type(content: bytes) -> PictureType | None:
    """What a file is by how it begins; None: neither JPEG nor PNG."""
    return next((kind for beginning, kind in _BEGINNINGS.items() if content.startswith(beginning)), None)


def detections_of(answer: Any) -> Detections:
    """What was found in one picture, of rows [class, score, xmin, ymin, xmax, ymax] or of TensorFlow's outputs by name.

    Raises:
        BadModel: it is neither.
    """
    if isinstance(answer, dict) and "prediction" in answer:
        answer = answer["prediction"]
    if isinstance(answer, list) and len(answer) == 1 and (isinstance(answer[0], dict) or _depth(answer) == 3):
        answer = answer[0]  # a batch of one
    try:
        if isinstance(answer, dict):
            answers = {name: np.asarray(answer[name], dtype=np.float64)[None] for name in (BOXES, SCORES, CLASSES)}
            if COUNT in answer:
                answers[COUNT] = np.asarray(answer[COUNT], dtype=np.float64).reshape(1)
        else:
            answers = {"rows": np.asarray(answer, dtype=np.float64).reshape(1, len(answer), 6)}
    except (TypeError, ValueError, KeyError) as error:
        raise BadModel(
            f"found {kind_of(answer)} for a picture, expected rows of six numbers [class, score, xmin, ymin, xmax, "
            f"ymax], or an object with {BOXES}, {SCORES} and {CLASSES}; model.probability says where it stands"
        ) from error
    outputs = [Tensor(name=name, shape=(None,) * values.ndim, dtype="float64") for name, values in answers.items()]
    (found,) = DetectionReader(outputs).read(answers)
    return found


def _depth(value: Any) -> int:
    depth = 0
    while isinstance(value, list) and value:
        depth, value = depth + 1, value[0]
    return depth


def _body(pictures: Sequence[Prepared]) -> Body:
    first = pictures[0]
    if isinstance(first, Body):
        return first
    content = io.BytesIO()
    np.save(content, np.stack([np.asarray(one) for one in pictures]), allow_pickle=False)
    return Body(content.getvalue(), "application/x-npy")


def _encoded(image: Picture, kind: str) -> bytes:
    content = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    # PNG loses nothing either way, and is made in a fraction of the time where it does not try hard
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if kind == "image/jpeg" else {"compress_level": 1}
    picture.save(content, _FORMATS[kind], **options)
    return content.getvalue()
