"""A SavedModel that could do more than compute is refused before it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.errors import BadModel
from model.load import load_model
from model.operations import COMPUTATION

pytestmark = pytest.mark.tensorflow


def save(folder: Path, function: Any) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.serve = tf.function(function, input_signature=[tf.TensorSpec([None, 2], tf.float32)], autograph=False)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


def read_file(x: Any) -> Any:
    import tensorflow as tf

    return {"y": x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)}


def write_in_a_branch(x: Any) -> Any:
    import tensorflow as tf

    def write() -> Any:
        with tf.control_dependencies([tf.io.write_file("/tmp/evil", "evil")]):
            return tf.identity(x)

    return {"y": tf.cond(tf.reduce_sum(x) > 1e9, write, lambda: x)}


def list_files(x: Any) -> Any:
    import tensorflow as tf

    return {"y": x * tf.cast(tf.size(tf.io.matching_files("/home/*")), tf.float32)}


def run_python(x: Any) -> Any:
    import tensorflow as tf

    return {"y": tf.numpy_function(lambda v: v, [x], tf.float32)}


def save_checkpoint(x: Any) -> Any:
    """What every SavedModel has for its variables, but run when it answers."""
    import tensorflow as tf

    with tf.control_dependencies(
        [tf.raw_ops.SaveV2(prefix="/tmp/evil", tensor_names=["x"], shape_and_slices=[""], tensors=[x])]
    ):
        return {"y": tf.identity(x)}


def print_to_a_file(x: Any) -> Any:
    import tensorflow as tf

    with tf.control_dependencies([tf.print("evil", output_stream="file:///tmp/evil")]):
        return {"y": tf.identity(x)}


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (read_file, "ReadFile"),
        (write_in_a_branch, "WriteFile"),
        (list_files, "MatchingFiles"),
        (run_python, "PyFunc"),
        (save_checkpoint, "SaveV2"),
        (print_to_a_file, "PrintV2"),
    ],
)
def test_an_operation_that_reaches_beyond_the_model_is_named(tmp_path: Path, function: Any, named: str) -> None:
    save(tmp_path / "1", function)
    with pytest.raises(BadModel, match=rf"'1': operations that are not accepted: {named};"):
        load_model(tmp_path)


def test_an_initialiser_is_looked_into_too(tmp_path: Path) -> None:
    import tensorflow as tf

    file = tmp_path / "words.txt"
    file.write_text("a 1\nb 2\n")
    table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(str(file), tf.string, 0, tf.int64, 1, delimiter=" "), -1
    )
    module = tf.Module()
    module.table = table
    module.serve = tf.function(
        lambda x: {"y": table.lookup(x)}, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
    )
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": module.serve})
    with pytest.raises(BadModel, match="InitializeTableFromTextFileV2"):
        load_model(tmp_path)


def test_layers_of_every_kind_pass(tmp_path: Path) -> None:
    import tensorflow as tf

    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            tf.keras.Input((8, 8, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(max_value=6),
            layers.DepthwiseConv2D(3),
            layers.MaxPooling2D(),
            layers.Reshape((9, 4)),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.GRU(3),
            layers.LayerNormalization(),
            layers.Dropout(0.5),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.export(str(tmp_path / "1"), verbose=False)
    assert load_model(tmp_path).predict(np.zeros((3, 8, 8, 3))).shape == (3, 2)


def test_a_model_of_tensorflow_1s_era_passes(tmp_path: Path) -> None:
    """Its saver stands in the same graph as what answers."""
    import tensorflow as tf

    v1 = tf.compat.v1
    weights = np.array([[1.0, -1.0], [2.0, 0.5]], np.float32)
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        y = tf.matmul(x, v1.get_variable("w", initializer=weights, use_resource=True))
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(tmp_path / "1"))
        info = v1.saved_model.build_tensor_info
        signature = v1.saved_model.build_signature_def({"x": info(x)}, {"y": info(y)}, "tensorflow/serving/predict")
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    rows = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(load_model(tmp_path).predict(rows), rows @ weights, rtol=1e-6)


def test_the_list_of_what_computes_knows_its_enemies() -> None:
    """Those that deny-lists have missed: they stand among harmless ones in TensorFlow's own families."""
    enemies = {
        "Abort", "DebugIdentity", "FixedLengthRecordReaderV2", "ImmutableConst", "InitializeTableFromTextFileV2",
        "MatchingFiles", "PrintV2", "ReadFile", "RecordInput", "RemoteCall", "RestoreV2", "SaveV2", "Send",
        "TextLineDataset", "WholeFileReaderV2", "WriteFile", "XlaCallModule",
    }  # fmt: skip
    assert COMPUTATION.isdisjoint(enemies)
    assert not [name for name in COMPUTATION if any(part in name for part in ("PyFunc", "File", "Dataset", "Reader"))]
