from typing import Any

import numpy as np
import pytest
from PIL import Image

from assay.errors import BadModel, BadPolicy
from assay.evaluation import Tensor
from assay.policy import SCALINGS, Preprocessing
from model.preprocessing import ImagePreprocessor

GREEN = np.zeros((4, 6, 3), np.uint8)
GREEN[:, :, 1] = 255


def tensor(*shape: int | None, dtype: str = "float32") -> Tensor:
    return Tensor(name="x", shape=(None, *shape), dtype=dtype)


@pytest.mark.parametrize(
    ("asked", "dtype", "expected"),
    [
        ({}, "float32", [0, 1, 0]),
        ({}, "uint8", [0, 255, 0]),
        ({"scaling": "none"}, "float32", [0, 255, 0]),
        ({"scaling": "mobilenet_v2"}, "float32", [-1, 1, -1]),
        ({"scaling": [0.5, 1.0]}, "float32", [1, 128.5, 1]),
        ({"scaling": "none", "color_order": "bgr"}, "float32", [0, 255, 0]),
        ({"scaling": {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.4, 0.25]}}, "float32", [-0.2, 2, -1.2]),
        ({"scaling": {"mean": [0.5]}}, "float32", [-0.5, 0.5, -0.5]),
        ({"scaling": {"mean": [1, 55, 3], "std": [2], "range": "0-255"}}, "float32", [-0.5, 100, -1.5]),
    ],
)
def test_pixels_are_scaled_as_the_policy_says_or_as_the_signature_suggests(
    asked: dict[str, Any], dtype: str, expected: list[float]
) -> None:
    preprocessor = ImagePreprocessor(Preprocessing.model_validate(asked), tensor(4, 6, 3, dtype=dtype))
    prepared = preprocessor.prepare(GREEN)
    assert prepared.dtype == dtype
    assert prepared.shape == (4, 6, 3)
    np.testing.assert_allclose(prepared[0, 0], expected, rtol=1e-6)


@pytest.mark.tensorflow
def test_names_of_keras_families_scale_as_keras_does() -> None:
    from keras import applications

    families = {name for name, module in vars(applications).items() if hasattr(module, "preprocess_input")}
    families.discard("imagenet_utils")
    assert len(families) > 10
    assert families <= SCALINGS.keys()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    modes = {"torch": "torch", "caffe": "caffe", "-1-1": "tf"}
    theirs = {name: getattr(applications, name).preprocess_input(pixels.astype("f4")) for name in families}
    theirs |= {
        name: applications.imagenet_utils.preprocess_input(pixels.astype("f4"), mode=mode)
        for name, mode in modes.items()
    }
    for name, expected in theirs.items():
        preprocessor = ImagePreprocessor(Preprocessing(scaling=name), tensor(4, 6, 3))
        np.testing.assert_allclose(preprocessor.prepare(pixels), expected, atol=2e-5, err_msg=name)


def test_means_by_name_follow_their_colours_and_those_by_numbers_stand_in_the_models_order() -> None:
    def of(**asked: Any) -> list[float]:
        preprocessor = ImagePreprocessor(Preprocessing.model_validate(asked), tensor(4, 6, 3))
        return [round(float(value), 3) for value in preprocessor.prepare(GREEN)[0, 0]]

    assert of(scaling="caffe") == [-103.939, 138.221, -123.68]
    assert of(scaling="caffe", color_order="rgb") == [-123.68, 138.221, -103.939]
    assert of(scaling={"mean": [1, 2, 3], "range": "0-255"}, color_order="bgr") == [-1, 253, -3]


def test_size_and_channels_are_read_from_the_signature() -> None:
    preprocessor = ImagePreprocessor(None, tensor(8, 10, 1))
    assert preprocessor.size == (8, 10)
    prepared = preprocessor.prepare(GREEN)
    assert prepared.shape == (8, 10, 1)
    # ITU-R 601-2 luma of pure green: 255 · 587/1000
    np.testing.assert_allclose(prepared, 150 / 255, rtol=1e-6)


def test_bgr_puts_blue_first() -> None:
    red = np.zeros((1, 1, 3), np.uint8)
    red[..., 0] = 255
    preprocessor = ImagePreprocessor(Preprocessing(color_order="bgr", scaling="none"), tensor(1, 1, 3))
    assert preprocessor.prepare(red)[0, 0].tolist() == [0, 0, 255]


def test_resizing_is_pillows() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (11, 7, 3), dtype=np.uint8)
    preprocessor = ImagePreprocessor(Preprocessing(interpolation="bicubic"), tensor(5, 3, 3, dtype="uint8"))
    expected = np.asarray(Image.fromarray(image).resize((3, 5), Image.Resampling.BICUBIC))
    assert (preprocessor.prepare(image) == expected).all()


@pytest.mark.parametrize(
    ("asked", "shape", "error", "said"),
    [
        ({}, (12,), BadModel, r"input x is \? × 12, expected batch × height × width"),
        ({"size": [224, 224]}, (96, 96, 3), BadPolicy, r"size is \[224, 224\], the model expects \[96, 96\]"),
        ({}, (None, None, 3), BadPolicy, "size is missing"),
        ({"color_order": "grey"}, (8, 8, 3), BadPolicy, "color_order is grey, but the model's input has 3 channels"),
        ({"scaling": "torch"}, (8, 8, 1), BadPolicy, "different numbers for 3 channels, but the model's input has 1$"),
        ({"color_order": "rgb"}, (8, 8, 1), BadPolicy, "color_order is rgb, but the model's input has 1 channel$"),
    ],
)
def test_what_does_not_fit_is_named(
    asked: dict[str, Any], shape: tuple[int | None, ...], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        ImagePreprocessor(Preprocessing.model_validate(asked), tensor(*shape))
