"""A faster runtime for a loaded model: ONNX Runtime, else TensorFlow with the model's variables made constants.

Either is used only where it gives the scores that the model gives as it was loaded.

What is converted is the function of a model that TensorFlow has loaded, and `load_model` loads nothing that its checks
refuse; of the archive nothing is read here. See docs/decisions/onnx-runtime.md.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.features import Inputs
from model.load import Arrays, Model

logger = logging.getLogger(__name__)

CORES = os.cpu_count() or 1
TOLERANCE = 1e-4
"""How far scores may be from TensorFlow's; of scores above 1, relative to them."""
PIECE_BYTES = 5 * 2**20
PIECE_SAMPLES = 2048
"""What one thread is asked at a time: 8 pictures of 224 px. Of 1 to 64 of them, 4 to 8 were the fastest: they stay in
the processor's cache."""
MOST_BYTES = 2**30
"""Of a model's constants; conversion holds several copies, and protobuf ends at 2 GiB."""
MOST_NODES = 10_000
"""A MobileNetV2 has 1,087 operations, an EfficientNetB0 2,204, an EfficientNetB7 7,331."""
WORTH_PIXELS = 10_000_000
"""Of so many in all that a model is asked about, 200 pictures of 224 px, looking for a faster runtime is worth its
time, some seconds. The size of the job alone decides: the same job uses the same runtime."""
SCORES_ALONE = "not ONNX Runtime: it is tried for models that give scores alone"
"""Why detectors are asked as they were loaded."""
_OPSET = 18  # the newest that tf2onnx knows
_NUMBERS = frozenset({"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"})
# TensorFlow calls them stateful, but they only read variables or call functions, whose operations are looked at too
_READING = frozenset(
    {"Case", "If", "Placeholder", "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "StatefulPartitionedCall"}
    | {"VarHandleOp", "VarIsInitializedOp", "While"}
)

Session = Callable[[Sequence[NDArray[Any]]], Sequence[NDArray[Any]]]
"""An array for each input of the model → one for each output, in their order."""


class NotFaster(Exception):
    """A faster runtime is not used; says why."""


def fastest(model: Model, probe: Inputs) -> Model:
    """The model on the fastest runtime whose scores of the probe are TensorFlow's; else as it is. It says why.

    Which one it is depends on model and probe alone, never on a measured time, so that the same job gives the same
    bytes. It never raises what the conversion raises.

    Args:
        model: as it was loaded.
        probe: some samples as `Model.predict` takes them.

    Raises:
        BadModel: TensorFlow itself cannot answer the probe.
    """
    expected = model.answers(probe)
    frozen, refused = _Frozen(model), ""
    for runtime in (_onnx_session, _folded):
        reason = f"{refused}its scores of a probe are TensorFlow's within {TOLERANCE:g}"
        try:
            return _checked(model, *runtime(frozen), reason, expected, probe)
        except NotFaster as error:
            why = str(error)
        # A converter may fail in any way, and the job does not need it.
        except Exception as error:
            logger.warning("a faster runtime is not used", exc_info=error)
            why = _in_a_line(error)
        refused = refused or f"not ONNX Runtime: {why}; "
    return model.with_runtime(model.function, model.runtime, refused.removesuffix("; "))


def failed_at(model: object) -> str | None:
    """The first thing that the faster runtime failed at and the model as it was loaded answered; None: nothing."""
    function = getattr(model, "function", None)
    return function.failed if isinstance(function, _InPieces) else None


def _checked(
    model: Model, session: Session, runtime: str, reason: str, expected: Mapping[str, NDArray[Any]], probe: Inputs
) -> Model:
    """The model on this runtime; raises NotFaster when it answers otherwise, and whatever the session raises."""
    function = _InPieces(session, model)
    # without TensorFlow's help: it would agree with itself
    tried = model.with_runtime(function.compute, runtime, reason)
    _check_same(expected, tried.answers(probe))
    first = {name: array[:1] for name, array in probe.items()} if isinstance(probe, Mapping) else probe[:1]
    _check_same({name: answer[:1] for name, answer in expected.items()}, tried.answers(first))
    return tried.with_runtime(function, runtime, reason)


class _Frozen:
    """A model whose variables are constants."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @cached_property
    def function(self) -> Any:
        """TensorFlow's function of tensors to a list of tensors, in the order of the model's; raises NotFaster."""
        model = self.model
        if model.graph is None:
            raise NotFaster("there is no TensorFlow function to convert")
        for tensor in (*model.inputs, *model.outputs):
            if tensor.dtype not in _NUMBERS:
                raise NotFaster(f"{tensor.name} is {tensor.dtype}, only numbers are converted")
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        function = model.graph.get_concrete_function()
        _check_converts(function.graph.as_graph_def())
        frozen = convert_variables_to_constants_v2(function, lower_control_flow=False, aggressive_inlining=True)
        size = frozen.graph.as_graph_def().ByteSize()
        if size > MOST_BYTES:
            raise NotFaster(f"it has {size:,} bytes, at most {MOST_BYTES:,} are converted")
        return frozen


def _onnx_session(frozen: _Frozen) -> tuple[Session, str]:
    """ONNX Runtime's session for a model, and the runtime's name."""
    function = frozen.function
    import onnxruntime
    import tensorflow as tf

    inputs, outputs = [tensor.name for tensor in function.inputs], [tensor.name for tensor in function.outputs]
    with warnings.catch_warnings(action="ignore"), _quiet(tf.get_logger(), logging.getLogger("tf2onnx")):
        from tf2onnx.tf_loader import tf_optimize
        from tf2onnx.tfonnx import process_tf_graph

        with tf.Graph().as_default():
            optimized = tf_optimize(inputs, outputs, function.graph.as_graph_def())
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(optimized, name="")
            # tf2onnx.convert would go on with optimizers of its own, which copy the model dozens of times: they took
            # 0.5 GB for a MobileNetV2 of 9 MB and two thirds of the time, and ONNX Runtime's own lead as far.
            converted = process_tf_graph(graph, opset=_OPSET, input_names=inputs, output_names=outputs)
            content = converted.make_model("model").SerializeToString()
    options = onnxruntime.SessionOptions()
    # One thread a call and several calls at a time: no thread waits for another at the end of each operation.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # fatal: the rest is raised
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(arrays: Sequence[NDArray[Any]]) -> Sequence[NDArray[Any]]:
        answers: Sequence[NDArray[Any]] = session.run(outputs, dict(zip(inputs, arrays, strict=True)))
        return answers

    return run, f"ONNX Runtime {onnxruntime.__version__}"


def _folded(frozen: _Frozen) -> tuple[Session, str]:
    """TensorFlow's function of constants, and the runtime's name: it folds what it cannot of variables."""
    function = frozen.function
    import tensorflow as tf

    def run(arrays: Sequence[NDArray[Any]]) -> Sequence[NDArray[Any]]:
        return [answer.numpy() for answer in function(*map(tf.constant, arrays))]

    return run, f"{frozen.model.runtime}, its variables made constants"


@contextmanager
def _quiet(*loggers: logging.Logger) -> Iterator[None]:
    """Nothing is logged: the converter calls what TensorFlow has deprecated."""
    levels = [one.level for one in loggers]
    try:
        for one in loggers:
            one.setLevel(logging.CRITICAL)  # what it cannot convert it logs, and the session refuses it
        yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


def _check_converts(definition: Any) -> None:
    """Raises NotFaster for a GraphDef that is not a function of its inputs alone, or too large to be converted soon."""
    from tensorflow.python.framework import op_def_registry

    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    if len(nodes) > MOST_NODES:
        raise NotFaster(f"it has {len(nodes):,} operations, at most {MOST_NODES:,} are converted")
    for operation in sorted({node.op for node in nodes} - _READING):
        known = op_def_registry.get(operation)
        if known is not None and known.is_stateful:
            raise NotFaster(f"the operation {operation} keeps a state, draws at random or looks things up")


class _InPieces:
    """The model's function: large batches are cut into pieces, one for each core at a time.

    What the session fails at, the model as it was loaded answers.
    """

    def __init__(self, session: Session, model: Model) -> None:
        self._session, self._otherwise = session, model.function
        self._pool = ThreadPoolExecutor(CORES, thread_name_prefix="onnx")
        self._takes = [tensor.name for tensor in model.inputs]
        self._gives = [tensor.name for tensor in model.outputs]
        self._any_length = all(tensor.shape and tensor.shape[0] is None for tensor in model.inputs)
        self.failed: str | None = None

    def __call__(self, arrays: Arrays) -> Arrays:
        try:
            return self.compute(arrays)
        # the runtimes' errors have no common class
        except Exception as error:  # noqa: BLE001
            self.failed = self.failed or _in_a_line(error)
            logger.warning("the model as it was loaded answers in place of a faster runtime: %s", _in_a_line(error))
            return self._otherwise(arrays)

    def compute(self, arrays: Arrays) -> Arrays:
        """By the session alone; raises what it raises."""
        given = [np.ascontiguousarray(arrays[name]) for name in self._takes]
        pieces = list(_pieces(given)) if self._any_length else [given]
        if len(pieces) == 1:
            return dict(zip(self._gives, self._session(pieces[0]), strict=True))
        answers = list(self._pool.map(self._session, pieces))
        return {name: np.concatenate([answer[place] for answer in answers]) for place, name in enumerate(self._gives)}


def _pieces(arrays: Sequence[NDArray[Any]]) -> Iterator[list[NDArray[Any]]]:
    n = len(arrays[0])
    size = sum(array.nbytes for array in arrays) / max(n, 1)
    step = max(1, min(PIECE_SAMPLES, math.floor(PIECE_BYTES / max(size, 1))))
    for start in range(0, max(n, 1), step):
        yield [array[start : start + step] for array in arrays]


def _check_same(expected: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]) -> None:
    """Raises NotFaster when an answer is farther from the expected one than `TOLERANCE`, or no number."""
    for name, one in expected.items():
        other = found[name]
        if one.shape != other.shape or one.dtype != other.dtype:
            raise NotFaster(f"it gives {name} as {other.dtype} {other.shape}, TensorFlow as {one.dtype} {one.shape}")
        if not (np.isfinite(one).all() and np.isfinite(other).all()):
            raise NotFaster(f"{name} of a probe is not finite")
        apart = np.abs(one.astype(np.float64) - other) / np.maximum(1, np.abs(one.astype(np.float64)))
        if apart.size and apart.max() > TOLERANCE:
            raise NotFaster(f"its {name} of a probe is {apart.max():.1g} from TensorFlow's, at most {TOLERANCE:g} is")


def _in_a_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
