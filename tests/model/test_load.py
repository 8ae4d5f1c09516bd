"""Models of every accepted format, made here, answer as the arithmetic says they must."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.errors import BadModel
from model.load import load_model

WEIGHTS = np.array([[1.0, -1.0], [2.0, 0.5], [0.0, 3.0]], np.float32)
ROWS = np.array([[1, 2, 3], [4, 5, 6], [0, 0, 0], [1, 0, 0], [0, 1, 1]], np.float64)

tensorflow = pytest.mark.tensorflow


def saved_model(folder: Path, batch: int | None = None) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.weights = tf.Variable(WEIGHTS)
    spec = tf.TensorSpec([batch, 3], tf.float32, name="rows")
    function = tf.function(lambda rows: {"scores": rows @ module.weights}, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures=function)


def keras_model(file: Path) -> None:
    import tensorflow as tf

    model = tf.keras.Sequential([tf.keras.Input((3,)), tf.keras.layers.Dense(2, use_bias=False)])
    model.layers[0].set_weights([WEIGHTS])
    model.save(file)


@tensorflow
@pytest.mark.parametrize(
    ("path", "make", "format"),
    [
        ("1", saved_model, "SavedModel"),
        (".", saved_model, "SavedModel"),
        ("export/m/7", lambda folder: saved_model(folder, batch=2), "SavedModel"),
        ("m.keras", keras_model, "Keras"),
        pytest.param("m.h5", keras_model, "HDF5", marks=pytest.mark.filterwarnings("ignore")),
    ],
)
def test_every_accepted_format_answers(tmp_path: Path, path: str, make: Callable[[Path], None], format: str) -> None:
    make(tmp_path / path)
    model = load_model(tmp_path)
    assert model.format == format
    np.testing.assert_allclose(model.predict(ROWS), ROWS @ WEIGHTS, rtol=1e-5)
    assert model.predict(ROWS[:0]).shape == (0, 2)
    assert (model.inputs[0].shape[1:], model.width) == ((3,), 2)


@tensorflow
def test_rows_of_another_width_are_refused_with_both_numbers(tmp_path: Path) -> None:
    saved_model(tmp_path / "1")
    with pytest.raises(BadModel, match=r"input rows expects 3, found \(4,\)"):
        load_model(tmp_path).predict(np.zeros((2, 4)))


@tensorflow
@pytest.mark.filterwarnings("ignore")  # Keras's own about .h5
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_code_in_a_keras_file_is_never_run(tmp_path: Path, name: str) -> None:
    import tensorflow as tf

    layer = tf.keras.layers.Lambda(lambda x: x)
    tf.keras.Sequential([tf.keras.Input((3,)), layer]).save(tmp_path / name)
    with pytest.raises(BadModel, match=rf"'{name}': TensorFlow cannot load it: .*Lambda"):
        load_model(tmp_path)


@tensorflow
def test_a_saved_model_behind_a_keras_layer_is_not_loaded(tmp_path: Path) -> None:
    import tensorflow as tf

    saved_model(tmp_path / "elsewhere")
    layer = tf.keras.layers.TFSMLayer(str(tmp_path / "elsewhere"), call_endpoint="serving_default")
    (tmp_path / "in").mkdir()
    tf.keras.Sequential([tf.keras.Input((3,), name="rows"), layer]).save(tmp_path / "in/m.keras")
    with pytest.raises(BadModel, match=r"TensorFlow cannot load it: .*TFSMLayer"):
        load_model(tmp_path / "in")


@tensorflow
@pytest.mark.parametrize(
    "activation",
    [
        {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
        {"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "function"},
        {"module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "get_file"},
        {"module": "subprocess", "class_name": "Popen", "config": {"args": ["touch", "evil"]}, "registered_name": None},
    ],
)
def test_a_keras_file_that_names_pythons_own_functions_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, activation: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    keras_model(tmp_path / "plain.zip.keras")
    (tmp_path / "in").mkdir()
    with (
        zipfile.ZipFile(tmp_path / "plain.zip.keras") as plain,
        zipfile.ZipFile(tmp_path / "in/m.keras", "w") as forged,
    ):
        for name in plain.namelist():
            content = plain.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][1]["config"]["activation"] = activation
                content = json.dumps(config).encode()
            forged.writestr(name, content)
    with pytest.raises(BadModel, match=r"'m\.keras': TensorFlow cannot load it"):
        load_model(tmp_path / "in")
    assert not (tmp_path / "evil").exists()


@tensorflow
def test_a_broken_keras_file_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(BadModel, match=r"'m\.keras': TensorFlow cannot load it"):
        load_model(tmp_path)


@tensorflow
def test_a_broken_saved_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1/saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(BadModel, match=r"'1': saved_model\.pb is damaged"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "no model in the archive: found no file; expected a SavedModel folder"),
        (["readme.txt", "code/inference.py"], "found 'code/inference.py', 'readme.txt'; expected"),
        (["1/saved_model.pb", "2/saved_model.pb"], "2 models in the archive: '1', '2'; expected one"),
        (["1/saved_model.pb", "m.keras"], "'1', 'm.keras'"),
        (["model.pt"], "format not accepted: 'model.pt'; expected a SavedModel folder"),
        (["a/model.pkl"], "format not accepted: 'a/model.pkl'"),
        (["1/saved_model.pb", "1/libop.so.2"], r"native libraries are not accepted: '1/libop\.so\.2'$"),
        (["m.keras", "x/Custom.DLL"], "native libraries are not accepted: 'x/Custom.DLL'"),
        (["code/lib/x.so"], "no model in the archive: found 'code/lib/x.so'"),
    ],
)
def test_what_is_not_one_model_is_listed(tmp_path: Path, files: list[str], said: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(BadModel, match=said):
        load_model(tmp_path)


@tensorflow
def test_a_model_with_two_inputs_takes_them_by_name(tmp_path: Path) -> None:
    import tensorflow as tf

    def add(a: Any, b: Any) -> Any:
        return {"sum": a + b}

    spec = tf.TensorSpec([None, 1], tf.float32)
    module = tf.Module()
    tf.saved_model.save(module, str(tmp_path), signatures=tf.function(add, input_signature=[spec, spec]))
    model = load_model(tmp_path)
    assert [tensor.name for tensor in model.inputs] == ["a", "b"]
    ones = np.ones((3, 1))
    np.testing.assert_array_equal(model.predict({"b": ones, "a": 2 * ones}), 3 * ones)
    with pytest.raises(BadModel, match="expects the inputs a, b, found one array"):
        model.predict(ones)
