"""Models of every accepted format, made here, answer as the arithmetic says they must."""

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.errors import BadModel
from assay.evaluation import Tensor
from assay.policy import ModelOptions
from model.load import Model, load_model

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


@tensorflow
@pytest.mark.parametrize("name", ["variables.index", "variables.data-00000-of-00001"])
@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_a_saved_model_whose_variables_are_broken_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    saved_model(tmp_path / "1")
    (tmp_path / "1/variables" / name).unlink()
    if content is not None:
        (tmp_path / "1/variables" / name).write_bytes(content)
    with pytest.raises(BadModel, match=r"'1': TensorFlow cannot load it: \S+"):
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


def known(function: Any, outputs: Sequence[Tensor], batch: int | None = None) -> Model:
    inputs = [Tensor(name="a", shape=(batch, 1), dtype="float32"), Tensor(name="t", shape=(batch,), dtype="string")]
    return Model(function, inputs, outputs, "SavedModel", "known")


def outputs_named(*names: str) -> list[Tensor]:
    """`name:dtype` each, float32 by default."""
    parts = [name.partition(":") for name in names]
    return [Tensor(name=name, shape=(None, 2), dtype=dtype or "float32") for name, _, dtype in parts]


@pytest.mark.parametrize(
    ("names", "scores"),
    [
        (["dense_3"], "dense_3"),
        (["labels:int64"], "labels"),
        (["classes:string", "dense_3"], "dense_3"),
        (["logits", "probabilities", "class_ids:int64", "classes:string"], "probabilities"),
        (["embedding", "Predictions"], "Predictions"),
        (["output_1", "output_0"], "output_0"),
    ],
)
def test_the_scores_are_found_among_several_outputs(names: list[str], scores: str) -> None:
    assert known(None, outputs_named(*names)).scores.name == scores


def test_where_nothing_tells_the_scores_the_outputs_are_listed_and_the_policy_names_one() -> None:
    model = known(lambda arrays: {"left": arrays["a"], "right": np.full((2, 1), 7.0)}, outputs_named("left", "right"))
    batch = {"a": np.zeros((2, 1)), "t": np.array(["", ""], object)}
    with pytest.raises(BadModel, match=r"2 outputs: left \(float32, 2\), right \(float32, 2\); say model.probability"):
        model.predict(batch)
    for options in (ModelOptions(probability="right"), ModelOptions(predicted_label="right", probability=0)):
        np.testing.assert_array_equal(model.asked_by(options).predict(batch), [[7], [7]])
    with pytest.raises(BadModel, match="no output 'middle'; found left, right"):
        model.asked_by(ModelOptions(probability="middle"))


def test_a_model_of_fixed_batches_is_asked_in_such_batches_and_each_output_comes_back_whole() -> None:
    seen = []

    def function(arrays: Mapping[str, Any]) -> dict[str, Any]:
        seen.append((len(arrays["a"]), arrays["t"].tolist()))
        upper = [text.upper().encode() for text in arrays["t"]]
        return {"double": 2 * arrays["a"], "upper": np.array(upper, object)}

    outputs = outputs_named("double", "upper:string")
    model = known(function, outputs, batch=2)
    answers = model.answers({"a": np.array([[1], [2], [3]]), "t": np.array(["x", "ü", "z"], object)})
    assert answers["double"].tolist() == [[2], [4], [6]] and answers["upper"].tolist() == ["X", "Ü", "Z"]
    assert seen == [(2, ["x", "ü"]), (2, ["z", "z"])]
    assert model.answers({"a": np.zeros((0, 1)), "t": np.array([], object)})["double"].shape == (0, 1)


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ({"a": np.zeros((2, 1))}, "expects the inputs a, t, found a$"),
        ({"a": np.zeros((2, 1)), "t": np.array(["x"], object)}, "differ in length: {'a': 2, 't': 1}"),
        ({"a": np.zeros((1, 3)), "t": np.array(["x"], object)}, r"input a expects 1, found \(3,\)"),
    ],
)
def test_inputs_that_do_not_fit_each_other_are_refused(batch: dict[str, Any], said: str) -> None:
    with pytest.raises(BadModel, match=said):
        known(None, outputs_named("scores")).predict(batch)


def test_text_where_scores_are_expected_is_refused() -> None:
    model = known(lambda arrays: {"classes": np.array([b"good"], object)}, outputs_named("classes:string"))
    with pytest.raises(BadModel, match="output classes is string, expected scores"):
        model.predict({"a": np.zeros((1, 1)), "t": np.array(["x"], object)})


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


PRICES = {"age": np.array([[1.0], [2.0]]), "region": np.array([["n"], ["elsewhere"]], object)}


def two_inputs(names: bool) -> Any:
    """price = 10 × age + 1 for region n, + 0 for s; the inputs stand in another order than their names."""
    import tensorflow as tf

    layers = tf.keras.layers
    region = tf.keras.Input((1,), name="region", dtype="string")
    age = tf.keras.Input((1,), name="age")
    known = layers.StringLookup(vocabulary=["n", "s"], output_mode="one_hot")(region)
    price = layers.Dense(1, use_bias=False, name="scores")(layers.Concatenate()([known, age]))
    other = layers.Dense(2, name="other")(age)
    inputs = {"region": region, "age": age} if names else [region, age]
    model = tf.keras.Model(inputs, {"scores": price, "other": other} if names else [other, price])
    model.get_layer("scores").set_weights([np.array([[0.0], [1.0], [0.0], [10.0]])])
    return model


@tensorflow
@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("path", ["m.keras", pytest.param("m.h5", marks=pytest.mark.filterwarnings("ignore")), "1"])
def test_a_keras_model_of_several_inputs_and_outputs_answers_by_name(tmp_path: Path, path: str, names: bool) -> None:
    model = two_inputs(names)
    if path == "1":
        model.export(str(tmp_path / path), verbose=False)
    else:
        model.save(tmp_path / path)
    loaded = load_model(tmp_path)
    assert {(tensor.name, tensor.dtype) for tensor in loaded.inputs} == {("age", "float32"), ("region", "string")}
    # export names the outputs of a list by their places
    scores = loaded if names or path != "1" else loaded.with_scores("output_1")
    np.testing.assert_allclose(scores.predict(PRICES), [[11], [20]])
    assert sorted(answer.shape for answer in loaded.answers(PRICES).values()) == [(2, 1), (2, 2)]


@tensorflow
def test_what_fails_while_it_computes_is_said(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    spec = tf.TensorSpec([None], tf.string, name="x")
    function = tf.function(lambda x: {"y": tf.strings.to_number(x)}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=function)
    model = load_model(tmp_path)
    assert model.predict(np.array(["1.5"], object)).tolist() == [[1.5]]
    with pytest.raises(BadModel, match=r"the model fails: .*StringToNumberOp could not correctly convert string: ten"):
        model.predict(np.array(["ten"], object))


def as_keras_2_wrote(file: Path, layer: str, **config: Any) -> None:
    """Change an HDF5 file to what Keras 2 says of layers of this class."""
    import h5py

    with h5py.File(file, "a") as opened:
        opened.attrs["keras_version"] = "2.15.0"
        model = json.loads(opened.attrs["model_config"])
        for each in model["config"]["layers"]:
            if each["class_name"] == layer:
                each["config"].update(config)
        opened.attrs["model_config"] = json.dumps(model)


@tensorflow
@pytest.mark.filterwarnings("ignore")  # Keras's own about .h5
def test_a_mobilenet_of_keras_2_is_read(tmp_path: Path) -> None:
    import tensorflow as tf

    layers = tf.keras.layers
    model = tf.keras.Sequential([tf.keras.Input((4, 4, 2)), layers.DepthwiseConv2D(3), layers.Flatten()])
    model.save(tmp_path / "m.h5")
    as_keras_2_wrote(tmp_path / "m.h5", "DepthwiseConv2D", groups=1)
    pictures = np.random.default_rng(0).random((2, 4, 4, 2), dtype=np.float32)
    np.testing.assert_allclose(load_model(tmp_path).predict(pictures), model(pictures).numpy(), rtol=1e-5)


@tensorflow
@pytest.mark.filterwarnings("ignore")  # Keras's own about .h5
def test_what_keras_3_does_not_read_of_keras_2_is_said_with_what_to_do(tmp_path: Path) -> None:
    keras_model(tmp_path / "m.h5")
    as_keras_2_wrote(tmp_path / "m.h5", "Dense", implementation=2)
    said = r"Unrecognized keyword .*; Keras 2\.15\.0 wrote it: save a SavedModel with tf\.saved_model\.save"
    with pytest.raises(BadModel, match=said):
        load_model(tmp_path)


@tensorflow
def test_a_handler_beside_the_model_is_never_executed(tmp_path: Path) -> None:
    keras_model(tmp_path / "m.keras")
    (tmp_path / "code").mkdir()
    (tmp_path / "code/inference.py").write_text(f"open({str(tmp_path / 'evil')!r}, 'w')")
    (tmp_path / "code/requirements.txt").write_text("evil")
    np.testing.assert_allclose(load_model(tmp_path).predict(ROWS), ROWS @ WEIGHTS, rtol=1e-5)
    assert not (tmp_path / "evil").exists()


def save_with_sessions(folder: Path, graphs: Sequence[tuple[list[str], list[str]]]) -> None:
    """As TensorFlow 1 did: a graph for each (tags, signatures)."""
    import tensorflow as tf

    v1 = tf.compat.v1
    builder = v1.saved_model.Builder(str(folder))
    info = v1.saved_model.build_tensor_info
    for place, (tags, names) in enumerate(graphs):
        with v1.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None, 3], name="x")
            w = v1.get_variable("w", initializer=WEIGHTS)  # no resource: as the first versions had them
            session.run(v1.global_variables_initializer())
            outputs = {"class_ids": info(tf.argmax(x @ w, 1)), "probabilities": info(x @ w)}
            signature = v1.saved_model.build_signature_def({"x": info(x)}, outputs, "tensorflow/serving/predict")
            if place:
                builder.add_meta_graph(tags, dict.fromkeys(names, signature))
            else:
                builder.add_meta_graph_and_variables(session, tags, dict.fromkeys(names, signature))
    builder.save()


@tensorflow
@pytest.mark.parametrize(
    ("graphs", "signature"),
    [
        ([(["serve"], ["serving_default", "predict"])], "serving_default"),
        ([(["serve"], ["predict", "regress"])], "predict"),
        ([(["serve"], ["classify", "regress"])], "classify"),
        ([(["serve"], ["mine"])], "mine"),
        ([(["train"], ["train"]), (["serve"], ["predict"]), (["serve", "gpu"], ["predict"])], "predict"),
    ],
)
def test_models_of_tensorflow_1s_era_answer_by_whatever_signature_they_have(
    tmp_path: Path, graphs: list[tuple[list[str], list[str]]], signature: str
) -> None:
    save_with_sessions(tmp_path / "1", graphs)
    model = load_model(tmp_path)
    assert model.runtime.endswith(f"signature {signature}")
    np.testing.assert_allclose(model.predict(ROWS), ROWS @ WEIGHTS, rtol=1e-5)


CENSUS = {
    "age": np.array([[20.0], [np.nan]]),
    "hours": np.array([[40], [7]]),
    "scores": np.array([[1, 2], [3, 4]]),
    "job": np.array(["clerk", ""], object),
    "work": np.array(["ü", "Private"], object),
}


def parse_census(records: Any) -> dict[str, Any]:
    """As the estimators' own input functions: dense and sparse features of each type."""
    import tensorflow as tf

    spec = {
        "age": tf.io.FixedLenFeature([1], tf.float32),
        "hours": tf.io.FixedLenFeature([1], tf.int64, default_value=[40]),
        "scores": tf.io.FixedLenFeature([2], tf.float32),
        "job": tf.io.FixedLenFeature([], tf.string, default_value=""),
        "work": tf.io.VarLenFeature(tf.string),
    }
    found = tf.io.parse_example(records, spec)
    length = tf.strings.length(tf.sparse.to_dense(found["work"]))  # bytes, of text in UTF-8
    parts = [found["age"], tf.cast(found["hours"], tf.float32), found["scores"], tf.cast(length, tf.float32)]
    return {"scores": tf.concat(parts, axis=1), "classes": found["job"]}


def estimator_of_sessions(folder: Path) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        records = v1.placeholder(tf.string, [None], name="input_example_tensor")
        answers = parse_census(records)
        signature = v1.saved_model.classification_signature_def(records, answers["classes"], answers["scores"])
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()


def estimator_of_functions(folder: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    spec = tf.TensorSpec([None], tf.string, name="examples")
    tf.saved_model.save(module, str(folder), signatures=tf.function(parse_census, input_signature=[spec]))


@tensorflow
def test_the_first_operation_that_parsed_example_records_is_understood_too(tmp_path: Path) -> None:
    import tensorflow as tf

    def parse(examples: Any) -> dict[str, Any]:
        found = tf.raw_ops.ParseExample(
            serialized=examples,
            names=[],
            sparse_keys=["work"],
            sparse_types=[tf.string],
            dense_keys=["age", "hours"],
            dense_defaults=[tf.constant([], tf.float32), tf.constant(40, tf.int64)],
            dense_shapes=[(1,), ()],
        )
        age, hours = found.dense_values
        return {"scores": tf.concat([age, tf.cast(hours[:, None], tf.float32)], axis=1)}

    module = tf.Module()
    spec = tf.TensorSpec([None], tf.string, name="examples")
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=tf.function(parse, input_signature=[spec]))
    model = load_model(tmp_path)
    assert [(tensor.name, tensor.shape) for tensor in model.inputs] == [
        ("work", (None,)),
        ("age", (None, 1)),
        ("hours", (None,)),
    ]
    columns = {"work": CENSUS["work"], "age": CENSUS["age"], "hours": CENSUS["hours"][:, 0]}
    np.testing.assert_array_equal(model.predict(columns), [[20, 40], [np.nan, 7]])


@tensorflow
@pytest.mark.parametrize("make", [estimator_of_sessions, estimator_of_functions])
def test_a_model_of_example_records_has_an_input_for_each_feature(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "1")
    model = load_model(tmp_path)
    assert {tensor.name: (tensor.shape, tensor.dtype) for tensor in model.inputs} == {
        "age": ((None, 1), "float32"),
        "hours": ((None, 1), "int64"),
        "scores": ((None, 2), "float32"),
        "job": ((None,), "string"),
        "work": ((None,), "string"),
    }
    np.testing.assert_array_equal(model.predict(CENSUS), [[20, 40, 1, 2, 2], [np.nan, 7, 3, 4, 7]])
    assert model.answers(CENSUS)["classes"].tolist() == ["clerk", ""]
    assert model.predict({name: array[:0] for name, array in CENSUS.items()}).shape == (0, 5)


@tensorflow
@pytest.mark.parametrize(
    ("graphs", "said"),
    [
        ([(["serve"], ["one", "two"])], "no signature serving_default, found one, two"),
        ([(["serve"], [])], "no signature serving_default, found none"),
        ([(["a"], ["x"]), (["b", "c"], ["x"])], r"expected one graph, or one with the tag serve alone; found a, b\+c"),
    ],
)
def test_a_model_that_does_not_say_how_it_is_asked_is_refused(
    tmp_path: Path, graphs: list[tuple[list[str], list[str]]], said: str
) -> None:
    save_with_sessions(tmp_path / "1", graphs)
    with pytest.raises(BadModel, match=said):
        load_model(tmp_path)


def vocabulary_of_this_machine(file: Path) -> None:
    import tensorflow as tf

    words = file.parent.parent / "words.txt"
    words.write_text("secret\n")
    lookup = tf.keras.layers.StringLookup(vocabulary=["a"])
    inputs = tf.keras.Input((1,), dtype="string")
    config = lookup.get_config()
    lookup.get_config = lambda: config | {"vocabulary": str(words), "vocabulary_size": None}
    tf.keras.Model(inputs, lookup(inputs)).save(file)


@tensorflow
@pytest.mark.filterwarnings("ignore")  # Keras's own about .h5
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_a_keras_file_that_names_a_vocabulary_outside_itself_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    vocabulary_of_this_machine(tmp_path / "in" / name)
    with pytest.raises(BadModel, match=r"TensorFlow cannot load it: .*vocabulary file.*(safe|archive|outside)"):
        load_model(tmp_path / "in")


def external_bytes(weights: Any) -> None:
    weights.create_dataset("evil", (16,), "u1", external=[("/etc/passwd", 0, 16)])


def external_link(weights: Any) -> None:
    import h5py

    weights["evil"] = h5py.ExternalLink("/elsewhere.h5", "/data")


def link_inside(weights: Any) -> None:
    import h5py

    weights["evil"] = h5py.SoftLink("/nowhere")


def virtual_dataset(weights: Any) -> None:
    import h5py

    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("/elsewhere.h5", "data", shape=(4,))
    weights.create_virtual_dataset("evil", layout)


def shape_bomb(weights: Any) -> None:
    weights.create_dataset("evil", (2**40,), "f4", chunks=(2**20,))


def many_shape_bombs(weights: Any) -> None:
    for number in range(100):
        weights.create_dataset(f"evil{number}", (2**18,), "f4", chunks=(2**10,))


@tensorflow
@pytest.mark.filterwarnings("ignore")  # Keras's own about .h5
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (external_bytes, "dataset '/evil' lies in another file"),
        (virtual_dataset, "dataset '/evil' lies in another file"),
        (external_link, "'//evil' is a link"),
        (link_inside, "'//evil' is a link"),
        (shape_bomb, "declares 4,398,046,5.* bytes of content"),
        (many_shape_bombs, "declares [0-9,]+ bytes of content, the file has"),
    ],
)
def test_an_hdf5_file_holds_all_its_data_and_no_more_than_it_has_room_for(
    tmp_path: Path, name: str, change: Callable[[Any], None], said: str
) -> None:
    import h5py

    keras_model(tmp_path / name)
    if name == "m.h5":
        with h5py.File(tmp_path / name, "a") as weights:
            change(weights)
    else:
        with zipfile.ZipFile(tmp_path / name) as plain:
            members = {member: plain.read(member) for member in plain.namelist()}
        content = io.BytesIO(members["model.weights.h5"])
        with h5py.File(content, "a") as weights:
            change(weights)
        members["model.weights.h5"] = content.getvalue()
        with zipfile.ZipFile(tmp_path / name, "w") as forged:
            for member, data in members.items():
                forged.writestr(member, data)
    with pytest.raises(BadModel, match=said):
        load_model(tmp_path)


@tensorflow
def test_a_keras_file_that_unpacks_to_a_thousand_times_its_size_is_refused(tmp_path: Path) -> None:
    keras_model(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras", "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("assets/evil.txt", bytes(64 * 1024 * 1024))
    with pytest.raises(BadModel, match=r"declares 67,1.* bytes of content, the file has [0-9]{2},[0-9]{3};"):
        load_model(tmp_path)


@tensorflow
@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
@pytest.mark.parametrize("packed", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_part_of_a_keras_file_is_the_uploaders_error(tmp_path: Path, member: str, packed: int) -> None:
    keras_model(tmp_path / "plain.zip.keras")
    (tmp_path / "in").mkdir()
    with (
        zipfile.ZipFile(tmp_path / "plain.zip.keras") as plain,
        zipfile.ZipFile(tmp_path / "in/m.keras", "w", packed) as again,
    ):
        for name in plain.namelist():
            again.writestr(name, plain.read(name))
        start = again.getinfo(member).header_offset + 30 + len(member)
    content = bytearray((tmp_path / "in/m.keras").read_bytes())
    content[start + 20 : start + 40] = b"\xff" * 20
    (tmp_path / "in/m.keras").write_bytes(content)
    with pytest.raises(BadModel, match=rf"'m\.keras': ('{re.escape(member)}' in it is damaged|no \.keras file)"):
        load_model(tmp_path / "in")


@tensorflow
@pytest.mark.parametrize(("name", "said"), [("m.keras", "no .keras file"), ("m.h5", "no HDF5 file")])
def test_nonsense_in_a_keras_files_name_is_said(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(BadModel, match=f"'{name}': {said}"):
        load_model(tmp_path)
