"""Pictures that an endpoint is asked about: a server on loopback stands in for SageMaker, and boto3 is the real one."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from assay.errors import BadData, BadModel, BadPolicy
from assay.policy import ModelOptions, Preprocessing
from model.endpoint import Body
from model.picture_endpoint import PictureEndpoint, detections_of
from tests.standin import Answer, Asked, StandIn

SEEN: dict[str, Any] = {"predictor": "endpoint"}


class Runtime(StandIn):
    """Answers what `says` says, as JSON; of what is too much keeps nothing."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.says: Callable[[Asked], Any] = lambda _: [0.25, 0.75]
        self.most = 10_000_000

    def _answer(self, asked: Asked) -> Answer:
        if len(asked.content) > self.most:
            self.asked.remove(asked)
            return Answer("{}", status=413)
        return Answer(json.dumps(self.says(asked)))

    def endpoint(
        self,
        options: dict[str, Any] | None = None,
        labels: dict[str, int] | None = None,
        preprocessing: Preprocessing | None = None,
        **how: Any,
    ) -> PictureEndpoint:
        keys: dict[str, Any] = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        client = boto3.client("sagemaker-runtime", endpoint_url=self.url, **keys)
        asked = ModelOptions.model_validate(SEEN | (options or {}))
        return PictureEndpoint("birds", asked, labels, preprocessing, client, **how)


@pytest.fixture
def there() -> Iterator[Runtime]:
    made = Runtime()
    yield made
    made.close()


def grey(level: int, size: tuple[int, int] = (6, 4)) -> Image.Image:
    """Of this width and height."""
    return Image.new("RGB", size, (level, level, level))


def as_file(picture: Image.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def level(asked: Asked) -> float:
    return float(np.asarray(Image.open(io.BytesIO(asked.content))).mean())


def test_each_picture_goes_alone_as_its_file_stands_and_the_order_is_kept(there: Runtime) -> None:
    files = [as_file(grey(10 * number), "PNG" if number % 2 else "JPEG", optimize=True) for number in range(8)]
    there.says = lambda asked: {"predictions": [[level(asked), 1.0]]}
    endpoint = there.endpoint()
    scores = endpoint.predict([endpoint.prepare(grey(0), content) for content in files])
    assert scores == pytest.approx(np.array([[10 * number, 1] for number in range(8)]), abs=2)
    assert sorted(asked.content for asked in there.asked) == sorted(files)
    kinds = {asked.content: asked.content_type for asked in there.asked}
    assert [kinds[content] for content in files] == ["image/jpeg", "image/png"] * 4
    assert {asked.accept for asked in there.asked} == {"application/json"}
    assert (endpoint.runtime, endpoint.of_files) == ("endpoint birds, each file as it is", True)


@pytest.mark.parametrize(
    ("content_type", "file", "sent_as"),
    [
        ("image/png", "JPEG", "PNG"),
        ("image/jpeg", "PNG", "JPEG"),
        ("image/jpeg", "JPEG", "JPEG"),
        ("application/x-image", "JPEG", "JPEG"),
        ("application/x-image", "BMP", "PNG"),
        (None, "BMP", "PNG"),
    ],
)
def test_another_kind_of_file_is_encoded_anew(
    there: Runtime, content_type: str | None, file: str, sent_as: str
) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8))
    content = as_file(picture, file)
    endpoint = there.endpoint({"content_type": content_type})
    endpoint.predict([endpoint.prepare(picture, content)])
    (asked,) = there.asked
    assert asked.content_type == (content_type or "image/png")
    sent = Image.open(io.BytesIO(asked.content))
    assert sent.format == sent_as
    if file == sent_as:
        assert asked.content == content
    if sent_as == "PNG":
        assert np.array_equal(np.asarray(sent.convert("RGB")), np.asarray(picture))


def test_a_picture_without_a_file_is_sent_without_loss(there: Runtime) -> None:
    masked = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    endpoint = there.endpoint()
    endpoint.predict([endpoint.prepare(masked)])
    (asked,) = there.asked
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(asked.content))), masked)


def test_arrays_go_together_as_the_preprocessing_makes_them(there: Runtime) -> None:
    def means(asked: Asked) -> Any:
        batch: NDArray[Any] = np.load(io.BytesIO(asked.content), allow_pickle=False)
        sizes.append((batch.shape, str(batch.dtype)))
        return batch.astype(float).mean(axis=(1, 2, 3)).tolist()

    sizes: list[tuple[tuple[int, ...], str]] = []
    there.says = means
    arrays = {"content_type": "application/x-npy"}
    endpoint = there.endpoint(arrays, preprocessing=Preprocessing(size=(3, 2)), body_limit=168)
    scores = endpoint.predict([endpoint.prepare(grey(10 * number)) for number in range(5)])
    assert scores[:, 0].tolist() == [0, 10, 20, 30, 40]
    assert sorted(sizes) == [((1, 3, 2, 3), "uint8"), ((2, 3, 2, 3), "uint8"), ((2, 3, 2, 3), "uint8")]
    assert max(len(asked.content) for asked in there.asked) == 128 + 2 * 18  # a third one would be too much
    scaled = Preprocessing(size=(2, 2), scaling="-1-1", dtype="float32")
    endpoint = there.endpoint(arrays, preprocessing=scaled)
    assert endpoint.predict([endpoint.prepare(grey(255))])[0, 0] == pytest.approx(1)
    assert sizes[-1] == ((1, 2, 2, 3), "float32")
    with pytest.raises(BadPolicy, match=r"preprocessing\.size is missing"):
        there.endpoint(arrays)
    assert there.endpoint(arrays, own_sizes=True).prepare(grey(1, (5, 7))).shape == (7, 5, 3)  # type: ignore[union-attr]


def test_arrays_that_are_too_much_for_the_endpoint_are_halved(there: Runtime) -> None:
    there.most = 200  # an array's header is 128 bytes
    there.says = lambda asked: np.load(io.BytesIO(asked.content))[:, 0, 0, 0].tolist()
    endpoint = there.endpoint({"content_type": "application/x-npy"}, preprocessing=Preprocessing(size=(3, 2)))
    scores = endpoint.predict([endpoint.prepare(grey(number)) for number in range(10)])
    assert scores[:, 0].tolist() == list(range(10))
    assert max(len(asked.content) for asked in there.asked) <= 200


def test_a_label_alone_becomes_a_score_of_one(there: Runtime) -> None:
    there.says = lambda asked: {"predicted_label": "jay"}
    endpoint = there.endpoint({"predicted_label": "predicted_label"}, {"crow": 0, "jay": 1, "owl": 2})
    assert endpoint.labels_only
    assert endpoint.predict([endpoint.prepare(grey(0))] * 2).tolist() == [[0, 1, 0]] * 2


def test_what_is_too_large_for_a_request_is_named(there: Runtime) -> None:
    endpoint = there.endpoint(body_limit=50)
    with pytest.raises(BadData, match=r"^big\.png: [\d,]+ bytes, an endpoint takes requests of at most 50$"):
        endpoint.prepare(grey(0, (99, 99)), b"", "big.png")
    assert not there.asked


def test_how_rows_are_sent_is_not_how_pictures_are(there: Runtime) -> None:
    with pytest.raises(BadPolicy, match=r"model\.content_type is text/csv, which rows are sent as; pictures are"):
        there.endpoint({"content_type": "text/csv"})


ROWS = [[1.0, 0.9, 0.1, 0.2, 0.5, 0.6], [0.0, 0.4, 0.0, 0.0, 1.0, 1.0]]
BY_NAME = {
    "detection_boxes": [[0.2, 0.1, 0.6, 0.5], [0.0, 0.0, 1.0, 1.0], [0.0] * 4],
    "detection_scores": [0.9, 0.4, 0.3],
    "detection_classes": [1.0, 0.0, 5.0],
    "num_detections": 2,
}


@pytest.mark.parametrize("answer", [ROWS, [ROWS], {"prediction": ROWS}, BY_NAME, [BY_NAME]])
def test_detections_are_read_however_they_are_answered(answer: Any) -> None:
    found = detections_of(answer)
    assert found.boxes.tolist() == [[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1]]
    assert found.scores.tolist() == [0.9, 0.4]
    assert found.classes.tolist() == [1, 0]


@pytest.mark.parametrize("answer", [[], {"prediction": []}])
def test_nothing_may_be_found(answer: Any) -> None:
    assert len(detections_of(answer)) == 0


@pytest.mark.parametrize("answer", [5, [[1, 2, 3]], {"boxes": []}, [["jay"] * 6], {"detection_boxes": []}])
def test_what_is_no_detection_says_what_was_expected(answer: Any) -> None:
    with pytest.raises(BadModel, match=r"expected rows of six numbers \[class, score, xmin, ymin, xmax, ymax\], or an"):
        detections_of(answer)


def test_each_picture_is_looked_into_alone_and_the_order_is_kept(there: Runtime) -> None:
    there.says = lambda asked: {"out": {"boxes": [[0, 0.5, 0, 0, 1, 1]] * round(level(asked))}}
    endpoint = there.endpoint({"probability": "out.boxes"})
    found = endpoint.find([endpoint.prepare(grey(number)) for number in (3, 0, 1, 2)])
    assert [len(one) for one in found] == [3, 0, 1, 2]
    there.says = lambda asked: {"other": 1}
    with pytest.raises(BadModel, match=r"endpoint birds: nothing stands at model\.probability 'out\.boxes' in an obj"):
        endpoint.find([Body(b"x", "image/png")])
