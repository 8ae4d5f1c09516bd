"""Load the model that an archive holds, and ask it: `predict(batch) -> scores`."""

from __future__ import annotations

import copy
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadModel
from assay.evaluation import Tensor
from assay.policy import ModelOptions
from model.archive import shown
from model.examples import features_of, serialised
from model.features import Inputs
from model.keras_check import check_keras_file, written_by
from model.saved_model_check import check_saved_model

ACCEPTED = "a SavedModel folder (saved_model.pb), a .keras file or a .h5 file"
SIGNATURE = "serving_default"
_SCORES = ("scores", "probabilities", "probability", "predictions", "prediction", "output_0")
_NOT_ACCEPTED = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin", ".safetensors", ".onnx", ".tflite"}
_SHOWN = 20
_WHERE = re.compile(r"\s*$|Graph execution error|Detected at node|<stack traces|  File |    ")
# what Keras and TensorFlow raise for files they do not understand, and for sizes that memory does not hold
_REFUSALS = (
    ValueError,
    TypeError,
    LookupError,
    OSError,
    AttributeError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
)


Arrays = Mapping[str, NDArray[Any]]


class Model:
    """A loaded model.

    Attributes:
        function: what computes: an array for each input by name → one for each output by name.
        inputs: by the signature.
        outputs: likewise.
        format: `SavedModel`, `Keras` or `HDF5`.
        runtime: what computes, for people.
        runtime_reason: why this and not a faster one, or the other way round; None before it was asked.
        graph: TensorFlow's function of the tensors of `inputs` to those of `outputs`, in their order; None where no
            TensorFlow is behind it.
    """

    def __init__(
        self,
        function: Callable[[Arrays], Arrays],
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        format: str,
        runtime: str,
        scores: str | None = None,
        graph: Any = None,
    ) -> None:
        """`scores` names the output that is the scores; by default its name or its dtype tells."""
        self.function = function
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.format = format
        self.runtime = runtime
        self.runtime_reason: str | None = None
        self.graph = graph
        self._scores = scores

    def with_scores(self, output: str) -> Model:
        """The same model, its scores being this output; raises BadModel with those there are."""
        names = [tensor.name for tensor in self.outputs]
        if output not in names:
            raise BadModel(f"the model has no output {output!r}; found {', '.join(names)}")
        model = copy.copy(self)
        model._scores = output
        return model

    def with_runtime(self, function: Callable[[Arrays], Arrays], runtime: str, reason: str) -> Model:
        """The same model, computed by another function."""
        model = copy.copy(self)
        model.function, model.runtime, model.runtime_reason = function, runtime, reason
        return model

    def asked_by(self, options: ModelOptions) -> Model:
        """The same model, its scores being the output that a policy names; raises BadModel with those there are."""
        named = [name for name in (options.probability, options.predicted_label) if isinstance(name, str)]
        return self.with_scores(named[0]) if named else self

    @property
    def scores(self) -> Tensor:
        """The output that `predict` gives.

        Raises:
            BadModel: there are several, and neither names nor dtypes tell; lists them.
        """
        if self._scores is not None:
            return next(tensor for tensor in self.outputs if tensor.name == self._scores)
        numbers = [tensor for tensor in self.outputs if tensor.dtype.startswith(("float", "bfloat"))]
        for tensors in (self.outputs, numbers):
            if len(tensors) == 1:
                return tensors[0]
        named = {tensor.name.casefold(): tensor for tensor in reversed(numbers)}
        for name in _SCORES:
            if name in named:
                return named[name]
        found = ", ".join(f"{tensor.name} ({tensor.dtype}, {in_words(tensor.shape)})" for tensor in self.outputs)
        raise BadModel(
            f"the model has {len(self.outputs)} outputs: {found or 'none'}; say model.probability, the name of the one "
            f"that is the scores (by themselves known: {', '.join(_SCORES)})"
        )

    @property
    def width(self) -> int | None:
        """How many scores a sample gets; None where the signature does not say."""
        shape = self.scores.shape[1:]
        return None if not shape or None in shape else math.prod(size for size in shape if size is not None)

    def predict(self, batch: Inputs) -> NDArray[np.float64]:
        """Scores of a batch.

        Args:
            batch: (n, …) for the model's one input, or for each input by name; cast to the dtypes of the signature.

        Returns:
            (n, outputs); a model whose output has no second axis has one output.

        Raises:
            BadModel: the batch does not fit the signature, the model itself fails, or no output is the scores.
        """
        tensor = self.scores
        found = self.answers(batch)[tensor.name]
        try:
            scores = found.astype(np.float64)
        except (ValueError, TypeError) as error:
            raise BadModel(f"the model's output {tensor.name} is {tensor.dtype}, expected scores") from error
        return scores.reshape(len(scores), math.prod(scores.shape[1:]))

    def answers(self, batch: Inputs) -> dict[str, NDArray[Any]]:
        """All outputs for a batch, as `predict` takes it: by name, (n, …) each; text as str.

        Raises:
            BadModel: the batch does not fit the signature, or the model itself fails.
        """
        arrays = self._arrays(batch)
        n = len(next(iter(arrays.values())))
        own = {tensor.shape[0] for tensor in self.inputs if tensor.shape} - {None}
        step = next(iter(own)) if len(own) == 1 else None
        if step is None:
            return self._ask(arrays, n, max(n, 1))
        starts = range(0, max(n, 1), step)
        parts = [
            self._ask({name: array[start : start + step] for name, array in arrays.items()}, min(step, n - start), step)
            for start in starts
        ]
        try:
            return {tensor.name: np.concatenate([part[tensor.name] for part in parts]) for tensor in self.outputs}
        except ValueError as error:
            raise BadModel(f"the model's answers differ in shape from batch to batch of {step}: {error}") from error

    def _arrays(self, batch: Inputs) -> dict[str, NDArray[Any]]:
        """The array of each input, in its dtype."""
        names = [tensor.name for tensor in self.inputs]
        given = batch if isinstance(batch, Mapping) else {names[0]: batch}
        if set(given) != set(names):
            found = ", ".join(given) if isinstance(batch, Mapping) else "one array"
            raise BadModel(f"the model expects the inputs {', '.join(names)}, found {found}")
        arrays = {}
        for tensor in self.inputs:
            array = given[tensor.name]
            if tensor.shape and not _fits(array.shape[1:], tensor.shape[1:]):
                raise BadModel(
                    f"the model's input {tensor.name} expects {in_words(tensor.shape)}, found {array.shape[1:]}"
                )
            arrays[tensor.name] = array.astype(object if tensor.dtype == "string" else tensor.dtype, copy=False)
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) != 1:
            raise BadModel(f"the model's inputs differ in length: {lengths}")
        return arrays

    def _ask(self, arrays: dict[str, NDArray[Any]], n: int, step: int) -> dict[str, NDArray[Any]]:
        """Ask about at most `step` samples; a batch that is too short for the model is filled up."""
        if n < step:
            arrays = {name: _filled_up(array, step) for name, array in arrays.items()}
        answers = self.function(arrays)
        for name, answer in answers.items():
            if answer.ndim == 0 or len(answer) != step:
                raise BadModel(f"the model answered {step} samples with {name} of shape {answer.shape}")
        return {name: _decoded(answer[:n]) for name, answer in answers.items()}


def in_words(shape: tuple[int | None, ...]) -> str:
    """The shape of one input, without the batch: `8 × 8 × 1`."""
    if not shape:
        return "any shape"
    return " × ".join("any" if size is None else str(size) for size in shape[1:]) or "a single value"


def load_model(folder: Path) -> Model:
    """Find and load the one model below `folder`.

    Raises:
        BadModel: none or several, a format that is not accepted, or one that TensorFlow refuses; says what was seen.
    """
    found = _find(folder)
    name = shown(found.relative_to(folder).as_posix() or ".")
    # TensorFlow logs its machine to standard error; it reads this once, when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf  # three seconds

    try:
        return _load_saved_model(found) if found.is_dir() else _load_keras(found)
    except BadModel as error:
        raise BadModel(f"{name}: {error}") from error
    except (tf.errors.OpError, *_REFUSALS) as error:
        raise BadModel(f"{name}: TensorFlow cannot load it: {_reason(error)}{_instead(found)}") from error


def _find(folder: Path) -> Path:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    native = [path.relative_to(folder) for path in files if re.search(r"\.(so|dylib|dll|pyd)(\.|$)", path.name.lower())]
    # what lies below code/ is the endpoint's, and never loaded here
    foreign = [shown(path.as_posix()) for path in native if path.parts[0] != "code"]
    if foreign:
        raise BadModel(f"native libraries are not accepted: {', '.join(foreign[:_SHOWN])}")
    models = [path.parent for path in files if path.name == "saved_model.pb"]
    inside = [path for path in files if not any(model in path.parents for model in models)]
    models += [path for path in inside if path.suffix in {".keras", ".h5", ".hdf5"}]
    if len(models) == 1:
        return models[0]
    if models:
        names = ", ".join(shown(path.relative_to(folder).as_posix()) for path in models[:_SHOWN])
        raise BadModel(f"{len(models)} models in the archive: {names}; expected one")
    refused = [path for path in files if path.suffix.lower() in _NOT_ACCEPTED]
    if refused:
        name = shown(refused[0].relative_to(folder).as_posix())
        raise BadModel(f"format not accepted: {name}; expected {ACCEPTED}")
    seen = ", ".join(shown(path.relative_to(folder).as_posix()) for path in files[:_SHOWN]) or "no file"
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    raise BadModel(f"no model in the archive: found {seen}{more}; expected {ACCEPTED}")


def _load_saved_model(folder: Path) -> Model:
    import tensorflow as tf  # loaded already

    tags = _tags(check_saved_model(folder))
    loaded = tf.saved_model.load(str(folder), tags=tags)
    signature = _signature(sorted(loaded.signatures))
    function = loaded.signatures[signature]
    specs = dict(sorted(function.structured_input_signature[1].items()))
    inputs = [_tensor(name, spec) for name, spec in specs.items()]
    outputs = [_tensor(name, spec) for name, spec in sorted(function.structured_outputs.items())]

    def answer(*tensors: Any) -> Any:
        answers = function(**dict(zip(specs, tensors, strict=True)))
        return [answers[tensor.name] for tensor in outputs]

    def ask(arrays: Arrays) -> Arrays:
        answers = function(**{name: tf.constant(array) for name, array in arrays.items()})
        return {name: answer.numpy() for name, answer in answers.items()}

    # the loaded object must live as long as its function
    ask.keep = loaded  # type: ignore[attr-defined]
    runtime = f"TensorFlow {tf.__version__}, signature {signature}"
    if [tensor.dtype for tensor in inputs] == ["string"] and (parsed := features_of(function.graph.as_graph_def())):
        examples = inputs[0].name

        def ask_examples(arrays: Arrays) -> Arrays:
            return ask({examples: serialised(parsed, arrays)})

        return Model(_failing_clearly(ask_examples), parsed, outputs, "SavedModel", f"{runtime}, tf.Example records")
    graph = tf.function(answer, input_signature=list(specs.values()), autograph=False)
    return Model(_failing_clearly(ask), inputs, outputs, "SavedModel", runtime, graph=graph)


def _tags(saved: Any) -> list[str] | None:
    """Those of the graph that is loaded; None where there is only one graph."""
    graphs = [sorted(graph.meta_info_def.tags) for graph in saved.meta_graphs]
    if len(graphs) == 1:
        return None
    if graphs.count(["serve"]) == 1:
        return ["serve"]
    found = ", ".join("+".join(tags) for tags in graphs) or "none"
    raise BadModel(f"expected one graph, or one with the tag serve alone; found {found}")


def _signature(found: Sequence[str]) -> str:
    """The signature that is asked: `serving_default`, the only one, or what TensorFlow 1 called it."""
    if len(found) == 1:
        return found[0]
    for name in (SIGNATURE, "predict", "classify"):
        if name in found:
            return name
    raise BadModel(f"no signature {SIGNATURE}, found {', '.join(found) or 'none'}")


def _load_keras(file: Path) -> Model:
    import tensorflow as tf  # loaded already

    check_keras_file(file)
    # safe mode refuses Lambda layers and other code in the file
    known = {"DepthwiseConv2D": _depthwise_of_keras_2()} if written_by(file).startswith("2.") else None
    loaded = tf.keras.models.load_model(file, known, compile=False, safe_mode=True)
    if not loaded.inputs:
        raise BadModel("the file does not say the shape of the model's input")
    inputs = [_tensor(tensor.name, tensor) for tensor in loaded.inputs]
    if isinstance(loaded, tf.keras.Sequential):
        takes, names = loaded.inputs[0], [loaded.layers[-1].name]
    else:
        takes, names = loaded.input, sorted(loaded.output) if isinstance(loaded.output, dict) else loaded.output_names
    outputs = [_tensor(name, tensor) for name, tensor in zip(names, loaded.outputs, strict=True)]
    if len({tensor.name for tensor in inputs}) < len(inputs) or len(set(names)) < len(names):
        outputs = [tensor.model_copy(update={"name": f"output_{place}"}) for place, tensor in enumerate(outputs)]

    def answer(*tensors: Any) -> Any:
        packed = tf.keras.tree.pack_sequence_as(takes, tensors)
        return tf.keras.tree.flatten(loaded(packed, training=False))

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in inputs]
    function = tf.function(answer, input_signature=specs)

    def ask(arrays: Arrays) -> Arrays:
        answers = function(*(tf.constant(arrays[tensor.name]) for tensor in inputs))
        return {tensor.name: answer.numpy() for tensor, answer in zip(outputs, answers, strict=True)}

    format = "Keras" if file.suffix == ".keras" else "HDF5"
    runtime = f"TensorFlow {tf.__version__}, Keras {tf.keras.__version__}"
    return Model(_failing_clearly(ask), inputs, outputs, format, runtime, graph=function)


def _depthwise_of_keras_2() -> Any:
    """The layer of every MobileNet that Keras 2 saved as HDF5: it says `groups`, which Keras 3 does not know."""
    import tensorflow as tf  # loaded already

    layer = tf.keras.layers.DepthwiseConv2D

    class DepthwiseOfKeras2(layer):  # type: ignore[misc, valid-type]
        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            return layer(**{name: value for name, value in config.items() if (name, value) != ("groups", 1)})

    return DepthwiseOfKeras2


def _instead(found: Path) -> str:
    """What to do about a Keras file that Keras 3 does not read."""
    version = "" if found.is_dir() else written_by(found)
    return f"; Keras {version} wrote it: save a SavedModel with tf.saved_model.save" if version.startswith("2.") else ""


def _failing_clearly(ask: Callable[[Arrays], Arrays]) -> Callable[[Arrays], Arrays]:
    """A model's function that raises BadModel where TensorFlow fails to compute it."""
    import tensorflow as tf  # loaded already

    def asked(arrays: Arrays) -> Arrays:
        try:
            return ask(arrays)
        except tf.errors.OpError as error:
            raise BadModel(f"the model fails: {_reason(error)}") from error

    return asked


def _filled_up(array: NDArray[Any], step: int) -> NDArray[Any]:
    """The last sample again, up to `step` of them; of none, zeros or empty texts."""
    if not len(array):
        return np.full((step, *array.shape[1:]), "" if array.dtype == object else 0, array.dtype)
    return np.concatenate([array, np.repeat(array[-1:], step - len(array), axis=0)])


def _decoded(answer: NDArray[Any]) -> NDArray[Any]:
    """Text as str: TensorFlow gives bytes."""
    if answer.dtype != object:
        return answer
    texts = np.empty(answer.size, object)
    texts[:] = [text.decode(errors="replace") if isinstance(text, bytes) else text for text in answer.ravel()]
    return texts.reshape(answer.shape)


def _tensor(name: str, spec: Any) -> Tensor:
    """A TensorSpec or KerasTensor as data; a shape of unknown rank counts as free."""
    shape = tuple(spec.shape) if getattr(spec.shape, "rank", 0) is not None else (None,)
    dtype = spec.dtype if isinstance(spec.dtype, str) else spec.dtype.name
    return Tensor(name=name, shape=shape, dtype=dtype)


def _fits(found: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(found) == len(expected) and all(e is None or e == f for f, e in zip(found, expected, strict=True))


def _reason(error: Exception) -> str:
    """The line that says why: what Keras has wrapped, else the first that says more than where."""
    text = str(error).rpartition("Exception encountered: ")[2]
    lines = [line.strip() for line in text.split("\n") if not _WHERE.match(line)]
    return lines[0][:300] if lines else type(error).__name__
