"""A faster runtime answers as TensorFlow does, or is not used."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.errors import BadModel
from assay.evaluation import Tensor
from model import runtime
from model.load import Model, load_model
from model.runtime import PIECE_SAMPLES, failed_at, fastest

RNG = np.random.default_rng(0)
PICTURES = RNG.uniform(-1, 1, (20, 16, 16, 3)).astype(np.float32)
Give = Callable[..., Model]


def known(function: Callable[..., Any], **options: Any) -> Model:
    tensor = {"shape": (None, 2), "dtype": "float32"}
    return Model(function, [Tensor(name="x", **tensor)], [Tensor(name="y", **tensor)], "SavedModel", "known", **options)


def test_a_model_without_tensorflow_behind_it_stays_as_it_is() -> None:
    model = fastest(known(lambda arrays: {"y": arrays["x"]}), np.ones((3, 2)))
    assert (model.runtime, model.runtime_reason) == (
        "known",
        "not ONNX Runtime: there is no TensorFlow function to convert",
    )
    assert model.predict(np.ones((3, 2))).tolist() == [[1, 1]] * 3


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: [2 * x + 2e-4], "its y of a probe is 0.0002 from TensorFlow's, at most 0.0001 is"),
        (lambda x: [2 * x * np.nan], "y of a probe is not finite"),
        (lambda x: [(2 * x)[:, :1]], r"it gives y as float32 (3, 1), TensorFlow as float32 (3, 2)"),
        (lambda x: [(2 * x).astype("f8")], r"it gives y as float64 (3, 2), TensorFlow as float32 (3, 2)"),
        (lambda x: [2 * x if len(x) > 1 else x], "its y of a probe is "),  # right only for the batch that was tried
    ],
)
def test_a_runtime_that_answers_otherwise_is_not_used(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[Any], Any], said: str
) -> None:
    monkeypatch.setattr(runtime, "_onnx_session", lambda _: (lambda arrays: answer(arrays[0]), "ONNX Runtime 1"))
    model = fastest(known(lambda arrays: {"y": 2 * arrays["x"]}), np.full((3, 2), 0.25))
    assert model.runtime == "known"
    assert said in (model.runtime_reason or "")


def test_scores_above_one_are_compared_by_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = np.float32(2 * 1.00005)
    monkeypatch.setattr(runtime, "_onnx_session", lambda _: (lambda arrays: [answer * arrays[0]], "ONNX Runtime 1"))
    model = fastest(known(lambda arrays: {"y": 2 * arrays["x"]}), np.full((3, 2), 1000.0))
    assert model.runtime == "ONNX Runtime 1"


@pytest.mark.parametrize("error", [RuntimeError("no\nkernel"), MemoryError(), AssertionError("tf2onnx")])
def test_a_conversion_that_fails_in_any_way_leaves_tensorflow_and_its_reason(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(_: object) -> None:
        raise error

    monkeypatch.setattr(runtime, "_onnx_session", fails)
    model = fastest(known(lambda arrays: {"y": arrays["x"]}), np.ones((3, 2)))
    assert model.runtime == "known"
    assert (model.runtime_reason or "").startswith(f"not ONNX Runtime: {type(error).__name__}")
    assert "\n" not in (model.runtime_reason or "")


def test_a_session_that_fails_at_the_probe_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def session(arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
        raise RuntimeError("no kernel")

    monkeypatch.setattr(runtime, "_onnx_session", lambda _: (session, "ONNX Runtime 1"))
    model = fastest(known(lambda arrays: {"y": arrays["x"]}), np.ones((3, 2)))
    assert (model.runtime, model.runtime_reason) == ("known", "not ONNX Runtime: RuntimeError: no kernel")


def test_what_a_session_fails_at_later_tensorflow_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def session(arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
        if arrays[0].max() > 5:
            raise RuntimeError("index out of bounds")
        return [arrays[0] + np.float32(1e-5)]

    monkeypatch.setattr(runtime, "_onnx_session", lambda _: (session, "ONNX Runtime 1"))
    model = fastest(known(lambda arrays: {"y": arrays["x"]}), np.ones((3, 2)))
    assert model.runtime == "ONNX Runtime 1"
    assert failed_at(model) is None
    assert model.predict(np.full((1, 2), 9)).tolist() == [[9, 9]]
    assert failed_at(model) == "RuntimeError: index out of bounds"
    assert model.predict(np.full((1, 2), 3)).tolist() != [[3, 3]]


def test_a_large_batch_is_answered_in_its_order_by_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()
    together = threading.Barrier(2)

    def session(arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
        if len(arrays[0]) == PIECE_SAMPLES:
            threads.add(threading.get_ident())
            together.wait(timeout=20)  # passes only when two are asked at the same time
        return [arrays[0]]

    monkeypatch.setattr(runtime, "CORES", 2)
    monkeypatch.setattr(runtime, "_onnx_session", lambda _: (session, "ONNX Runtime 1"))
    model = fastest(known(lambda arrays: {"y": arrays["x"]}), np.ones((3, 2)))
    batch = np.arange(2.0 * (2 * PIECE_SAMPLES + 5)).reshape(-1, 2)
    assert np.array_equal(model.predict(batch), batch)
    assert len(threads) == 2
    assert model.predict(batch[:0]).shape == (0, 2)


def test_a_model_that_tensorflow_cannot_ask_is_the_models_fault() -> None:
    def fails(arrays: Any) -> Any:
        raise BadModel("the model fails: shapes")

    with pytest.raises(BadModel, match="shapes"):
        fastest(known(fails), np.ones((3, 2)))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Give:
    """Save a tf.function of these tensors, and load it as an archive's model."""
    import tensorflow as tf

    def give(function: Callable[..., Any], *specs: Any, **kept: Any) -> Model:
        folder = tmp_path_factory.mktemp("model")
        module = tf.Module()
        for name, value in kept.items():
            setattr(module, name, value)
        module.function = tf.function(function, input_signature=specs, autograph=False)
        tf.saved_model.save(module, str(folder / "1"), signatures=module.function)
        return load_model(folder)

    return give


def small_network(outputs: int = 4) -> Any:
    import keras

    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 16, 3), name="picture")
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same")(keras.layers.ReLU(6.0)(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    scores = keras.layers.Dense(outputs, activation="softmax", name="scores")(x)
    return keras.Model(inputs, {"scores": scores, "size": keras.layers.Dense(1, name="size")(x)})


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["SavedModel", "m.keras", "m.h5"])
def test_every_format_runs_on_onnx_runtime_with_tensorflows_scores(tmp_path: Path, name: str) -> None:
    network = small_network()
    if name == "SavedModel":
        network.export(tmp_path / "1", verbose=False)
    else:
        network.save(tmp_path / name)
    model = load_model(tmp_path).with_scores("scores")
    faster = fastest(model, PICTURES[:8])
    assert faster.runtime.startswith("ONNX Runtime 1."), faster.runtime_reason
    assert "within 0.0001" in (faster.runtime_reason or "")
    for batch in (PICTURES, PICTURES[:1], PICTURES[:0]):
        ours, theirs = faster.answers(batch), model.answers(batch)
        assert ours.keys() == theirs.keys() == {"scores", "size"}
        for output, answer in theirs.items():
            np.testing.assert_allclose(ours[output], answer, atol=1e-5)
    assert faster.predict(PICTURES).tobytes() == faster.predict(PICTURES).tobytes()
    assert faster.predict(PICTURES).tobytes() == fastest(model, PICTURES[:8]).predict(PICTURES).tobytes()


@pytest.mark.tensorflow
def test_without_onnx_runtime_the_variables_are_made_constants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_network().export(tmp_path / "1", verbose=False)
    model = load_model(tmp_path).with_scores("scores")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed
    faster = fastest(model, PICTURES[:8])
    assert faster.runtime == f"{model.runtime}, its variables made constants"
    reason = faster.runtime_reason or ""
    assert reason.startswith("not ONNX Runtime: ModuleNotFoundError: ")
    assert reason.endswith("; its scores of a probe are TensorFlow's within 0.0001")
    for batch in (PICTURES, PICTURES[:1], PICTURES[:0]):
        for output, answer in model.answers(batch).items():
            np.testing.assert_allclose(faster.answers(batch)[output], answer, atol=1e-5)
    assert faster.predict(PICTURES).tobytes() == fastest(model, PICTURES[:8]).predict(PICTURES).tobytes()

    monkeypatch.setattr(runtime, "_check_same", refuse)
    assert fastest(model, PICTURES[:8]).runtime == model.runtime


def refuse(*_: object) -> None:
    raise runtime.NotFaster("other scores")


@pytest.mark.tensorflow
def test_a_batch_size_of_its_own_and_several_inputs_stay(saved: Give) -> None:
    import tensorflow as tf

    fixed = saved(lambda x: {"y": tf.nn.softmax(x)}, tf.TensorSpec((4, 3), tf.float32, name="x"))
    faster = fastest(fixed, np.ones((2, 3)))
    assert faster.runtime.startswith("ONNX Runtime"), faster.runtime_reason
    batch = RNG.normal(size=(7, 3))
    np.testing.assert_allclose(faster.predict(batch), fixed.predict(batch), atol=1e-6)

    two = saved(
        lambda b, a: {"y": a - tf.cast(b, tf.float32)},
        tf.TensorSpec((None, 1), tf.int64, name="b"),
        tf.TensorSpec((None, 1), tf.float32, name="a"),
    )
    inputs = {"a": np.array([[5.0], [7.0]]), "b": np.array([[1], [2]])}
    faster = fastest(two, inputs)
    assert faster.runtime.startswith("ONNX Runtime"), faster.runtime_reason
    assert faster.predict(inputs).tolist() == [[4], [5]]


@pytest.mark.tensorflow
def test_what_is_no_function_of_its_inputs_alone_stays_with_tensorflow(saved: Give) -> None:
    import tensorflow as tf

    numbers = tf.TensorSpec((None, 2), tf.float32, name="x")
    texts = tf.TensorSpec((None,), tf.string, name="x")
    counter = tf.Variable(0.0)
    for model, probe, said in (
        (saved(lambda x: {"y": x + counter.assign_add(1.0)}, numbers, counter=counter), np.ones((2, 2)), "AssignAdd"),
        (saved(lambda x: {"y": x * tf.random.uniform((), 0.999, 1)}, numbers), np.ones((2, 2)), "RandomUniform"),
        (saved(lambda x: {"y": tf.strings.length(x)}, texts), np.array(["a", "bc"], object), "x is string"),
        (saved(lambda x: {"y": tf.math.lbeta(tf.math.abs(x) + 1)[:, None]}, numbers), np.ones((2, 2)), "Lgamma"),
    ):
        faster = fastest(model, probe)
        assert faster.runtime.startswith("TensorFlow")
        assert said in (faster.runtime_reason or "")
        assert len(faster.predict(probe)) == 2


@pytest.mark.tensorflow
def test_a_model_that_is_too_large_is_not_converted(saved: Give, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    model = saved(lambda x: {"y": tf.nn.relu(x)}, tf.TensorSpec((None, 2), tf.float32, name="x"))
    monkeypatch.setattr(runtime, "MOST_BYTES", 10)
    assert "bytes, at most 10 are converted" in (fastest(model, np.ones((2, 2))).runtime_reason or "")
    monkeypatch.setattr(runtime, "MOST_NODES", 1)
    assert "operations, at most 1 are converted" in (fastest(model, np.ones((2, 2))).runtime_reason or "")
