"""A SavedModel that could do more than compute is refused before it is loaded."""

from __future__ import annotations

import re
import shutil
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


WORDS = np.array(["good", "bad", "other"], object)


def table_of(file: Path) -> Any:
    import tensorflow as tf

    whole, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    return tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(str(file), tf.string, whole, tf.int64, number), default_value=-1
    )


def save_with_vocabulary(folder: Path) -> None:
    import tensorflow as tf

    file = folder.parent / "words.txt"
    file.write_text("bad\ngood\n")
    module = tf.Module()
    module.table = table_of(file)
    module.serve = tf.function(
        lambda x: {"y": module.table.lookup(x)}, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
    )
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    file.write_text("elsewhere\n")


def save_again(folder: Path) -> None:
    """As who takes a published model into their own does: the initialiser is called by another function."""
    import tensorflow as tf

    save_with_vocabulary(folder.parent / "published")
    loaded = tf.saved_model.load(str(folder.parent / "published"))
    tf.saved_model.save(loaded, str(folder), signatures=loaded.signatures)
    shutil.rmtree(folder.parent / "published")


def save_a_lookup_layer(folder: Path) -> None:
    import tensorflow as tf

    file = folder.parent / "words.txt"
    file.write_text("bad\ngood\n")
    lookup = tf.keras.layers.StringLookup(vocabulary=str(file), num_oov_indices=1)
    words = tf.keras.Input((), dtype="string", name="x")
    tf.keras.Model(words, {"y": lookup(words)}).export(str(folder), verbose=False)


def save_with_sessions(folder: Path, file: Path | None = None, when: str = "initialised") -> None:
    """As TensorFlow 1 did. `file`: a path that is no asset; `when`: "asked" fills the table for each answer too."""
    import tensorflow as tf

    v1 = tf.compat.v1
    words = folder.parent / "words.txt"
    words.write_text("bad\ngood\n")
    with v1.Graph().as_default(), v1.Session() as session:
        path = tf.constant(str(words if file is None else file), name="path")
        whole, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        source = tf.lookup.TextFileInitializer(path, tf.string, whole, tf.int64, number)
        table = v1.lookup.StaticHashTable(source, -1)
        x = v1.placeholder(tf.string, [None], name="x")
        with tf.control_dependencies([table.initializer] if when == "asked" else []):
            y = tf.identity(table.lookup(x))
        if file is None:
            session.run(v1.tables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        info = v1.saved_model.build_tensor_info
        signature = v1.saved_model.build_signature_def({"x": info(x)}, {"y": info(y)}, "tensorflow/serving/predict")
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": signature},
            assets_collection=[path] if file is None else None,
            main_op=v1.tables_initializer(),
        )
        builder.save()
    words.unlink()


@pytest.mark.parametrize(
    ("save_it", "expected"),
    [
        (save_with_vocabulary, [1, 0, -1]),
        (save_again, [1, 0, -1]),
        (save_with_sessions, [1, 0, -1]),
        (save_a_lookup_layer, [2, 1, 0]),
    ],
)
def test_a_vocabulary_in_the_models_own_assets_is_read(tmp_path: Path, save_it: Any, expected: list[int]) -> None:
    (tmp_path / "made").mkdir()
    save_it(tmp_path / "made/1")
    shutil.move(tmp_path / "made/1", tmp_path / "in")
    np.testing.assert_array_equal(load_model(tmp_path / "in").predict(WORDS)[:, 0], expected)


def forge(folder: Path, change: Any) -> None:
    """Change a SavedModel's only MetaGraphDef."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    model = SavedModel()
    model.ParseFromString((folder / "saved_model.pb").read_bytes())
    change(model.meta_graphs[0])
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())


def initialiser(graph: Any) -> Any:
    """The function that fills the table."""
    return next(
        function
        for function in graph.graph_def.library.function
        if any(node.op == "InitializeTableFromTextFileV2" for node in function.node_def)
    )


def path_constant(node: Any, name: str) -> None:
    node.name, node.op = name, "Const"
    node.attr["dtype"].type = 7  # DT_STRING
    node.attr["value"].tensor.dtype = 7
    node.attr["value"].tensor.string_val.append(b"/etc/passwd")
    node.attr["value"].tensor.tensor_shape.SetInParent()


def constant_in_the_function(graph: Any) -> None:
    function = initialiser(graph)
    path_constant(function.node_def.add(), "evil")
    next(node for node in function.node_def if node.op.startswith("InitializeTable")).input[1] = "evil:output:0"


def constant_bound_to_the_function(graph: Any) -> None:
    saved = graph.object_graph_def.concrete_functions[initialiser(graph).signature.name]
    kinds = [node.WhichOneof("kind") for node in graph.object_graph_def.nodes]
    saved.bound_inputs[:] = [kinds.index("constant") if kinds[n] == "asset" else n for n in saved.bound_inputs]


def asset_with_a_path_of_its_own(graph: Any) -> None:
    """TensorFlow makes an asset's children its attributes, its `_path` too; only what it captured before stays."""
    nodes = graph.object_graph_def.nodes
    kinds = [node.WhichOneof("kind") for node in nodes]
    nodes[kinds.index("asset")].children.add(node_id=kinds.index("constant"), local_name="_path")


def asset_of_a_class_of_its_own(graph: Any) -> None:
    nodes = graph.object_graph_def.nodes
    nodes[[node.WhichOneof("kind") for node in nodes].index("asset")].registered_name = "tf.TrackableConstant"


def called_with_a_constant(graph: Any) -> None:
    called = initialiser(graph)
    arguments = [argument.name for argument in called.signature.input_arg]
    caller = graph.graph_def.library.function.add()
    caller.CopyFrom(called)
    caller.signature.name = "caller"
    del caller.node_def[:]
    path_constant(caller.node_def.add(), "evil")
    call = caller.node_def.add(name="call", op="StatefulPartitionedCall")
    call.attr["f"].func.name = called.signature.name
    types = {argument.name: argument.type for argument in called.signature.input_arg}
    call.input.extend("evil:output:0" if types[name] == 7 else name for name in arguments)


def function_named_as_an_operation(graph: Any) -> None:
    function = graph.graph_def.library.function.add()
    function.CopyFrom(initialiser(graph))
    function.signature.name = "Identity"


@pytest.mark.parametrize(
    "change",
    [
        constant_in_the_function,
        constant_bound_to_the_function,
        asset_with_a_path_of_its_own,
        asset_of_a_class_of_its_own,
        called_with_a_constant,
        function_named_as_an_operation,
    ],
)
def test_a_vocabulary_at_any_other_path_is_refused(tmp_path: Path, change: Any) -> None:
    save_with_vocabulary(tmp_path / "1")
    forge(tmp_path / "1", change)
    with pytest.raises(BadModel, match="operations that are not accepted: InitializeTableFromTextFileV2"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../../../../../../../../etc/passwd", "file:///etc/passwd", "none.txt"]
)
@pytest.mark.parametrize("save_it", [save_with_vocabulary, save_with_sessions])
def test_an_asset_outside_the_models_assets_is_refused(tmp_path: Path, save_it: Any, name: str) -> None:
    save_it(tmp_path / "1")

    def rename(graph: Any) -> None:
        from tensorflow.core.protobuf.meta_graph_pb2 import AssetFileDef

        for asset in graph.asset_file_def:
            asset.filename = name
        for packed in graph.collection_def["saved_model_assets"].any_list.value:
            asset = AssetFileDef()
            packed.Unpack(asset)
            asset.filename = name
            packed.Pack(asset)

    forge(tmp_path / "1", rename)
    with pytest.raises(BadModel, match=rf"the asset '{re.escape(name)}' is not accepted"):
        load_model(tmp_path)


@pytest.mark.parametrize(("file", "when"), [(Path("/etc/passwd"), "initialised"), (None, "asked")])
def test_a_table_of_tensorflow_1s_era_is_filled_from_its_assets_only(
    tmp_path: Path, file: Path | None, when: str
) -> None:
    save_with_sessions(tmp_path / "1", file, when)
    with pytest.raises(BadModel, match="operations that are not accepted: InitializeTableFromTextFileV2"):
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


def test_a_function_that_takes_an_iterator_passes_and_one_that_makes_one_does_not(tmp_path: Path) -> None:
    """As a layer of Keras 2 does that was adapted to data."""
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(np.zeros((3, 2), np.float32))
    for name in ("given", "made"):
        module = tf.Module()
        spec = tf.TensorSpec([None, 2], tf.float32)
        module.serve = tf.function(lambda x: {"y": 2 * x}, input_signature=[spec], autograph=False)
        if name == "given":
            module.adapt = tf.function(lambda iterator: iterator.get_next(), autograph=False)
            module.adapt.get_concrete_function(iter(data))
        else:
            module.adapt = tf.function(lambda: next(iter(tf.data.Dataset.range(3))), autograph=False)
            module.adapt.get_concrete_function()
        tf.saved_model.save(module, str(tmp_path / name / "1"), signatures={"serving_default": module.serve})
    assert "IteratorGetNext" in str((tmp_path / "given/1/saved_model.pb").read_bytes())
    assert load_model(tmp_path / "given").predict(np.ones((1, 2))).tolist() == [[2, 2]]
    with pytest.raises(BadModel, match=r"not accepted: .*RangeDataset"):
        load_model(tmp_path / "made")


def test_the_list_of_what_computes_knows_its_enemies() -> None:
    """Those that deny-lists have missed: they stand among harmless ones in TensorFlow's own families."""
    enemies = {
        "Abort", "DebugIdentity", "FixedLengthRecordReaderV2", "ImmutableConst", "InitializeTableFromTextFileV2",
        "MatchingFiles", "PrintV2", "ReadFile", "RecordInput", "RemoteCall", "RestoreV2", "SaveV2", "Send",
        "TextLineDataset", "WholeFileReaderV2", "WriteFile", "XlaCallModule",
    }  # fmt: skip
    assert COMPUTATION.isdisjoint(enemies)
    assert not [name for name in COMPUTATION if any(part in name for part in ("PyFunc", "File", "Dataset", "Reader"))]
