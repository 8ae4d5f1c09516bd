"""Load the model that an archive holds, and ask it: `predict(batch) -> scores`."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadModel
from assay.evaluation import Tensor
from model.archive import shown
from model.saved_model_check import check_saved_model

ACCEPTED = "a SavedModel folder (saved_model.pb), a .keras file or a .h5 file"
SIGNATURE = "serving_default"
_NOT_ACCEPTED = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin", ".safetensors", ".onnx", ".tflite"}
_SHOWN = 20


class Model:
    """A loaded model with one input and one output.

    Attributes:
        inputs: its one input, by the signature.
        outputs: its one output.
        format: `SavedModel`, `Keras` or `HDF5`.
        runtime: what computes, for people.
    """

    def __init__(
        self,
        function: Callable[[NDArray[Any]], NDArray[Any]],
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        format: str,
        runtime: str,
    ) -> None:
        self._function = function
        self.inputs = (_only(inputs, "input"),)
        self.outputs = (_only(outputs, "output"),)
        self.format = format
        self.runtime = runtime

    @property
    def width(self) -> int | None:
        """How many scores an input gets; None where the signature does not say."""
        shape = self.outputs[0].shape[1:]
        return None if not shape or None in shape else math.prod(size for size in shape if size is not None)

    def predict(self, batch: NDArray[Any]) -> NDArray[np.float64]:
        """Scores of a batch.

        Args:
            batch: (n, …), one input of the model each; cast to the dtype of the signature.

        Returns:
            (n, outputs); a model whose output has no second axis has one output.

        Raises:
            BadModel: the batch does not fit the signature, or the model itself fails.
        """
        tensor = self.inputs[0]
        if not _fits(batch.shape[1:], tensor.shape[1:]):
            raise BadModel(f"the model's input {tensor.name} expects {in_words(tensor.shape)}, found {batch.shape[1:]}")
        step = tensor.shape[0] or max(len(batch), 1)
        if not len(batch):
            return self._ask(np.zeros((1, *batch.shape[1:])), step)[:0]
        return np.concatenate([self._ask(batch[start : start + step], step) for start in range(0, len(batch), step)])

    def _ask(self, batch: NDArray[Any], step: int) -> NDArray[np.float64]:
        """Ask about at most `step` inputs; a model with a batch size of its own gets its last batch filled up."""
        n = len(batch)
        if self.inputs[0].shape[0] is not None and n < step:
            batch = np.concatenate([batch, np.repeat(batch[-1:], step - n, axis=0)])
        scores = np.asarray(self._function(batch.astype(self.inputs[0].dtype, copy=False)), dtype=np.float64)
        if scores.ndim == 0 or len(scores) != len(batch):
            raise BadModel(f"the model answered {len(batch)} inputs with scores of shape {scores.shape}")
        return scores.reshape(len(scores), -1)[:n]


def in_words(shape: tuple[int | None, ...]) -> str:
    """The shape of one input, without the batch: `8 × 8 × 1`."""
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
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # same bytes on every machine
    try:
        return _load_saved_model(found) if found.is_dir() else _load_keras(found)
    except BadModel as error:
        raise BadModel(f"{name}: {error}") from error
    except (ValueError, TypeError, KeyError, OSError, AttributeError, NotImplementedError, RuntimeError) as error:
        # what Keras and TensorFlow raise for files they do not understand
        raise BadModel(f"{name}: TensorFlow cannot load it: {_first_line(error)}") from error


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
    import tensorflow as tf  # three seconds

    check_saved_model(folder)
    loaded = tf.saved_model.load(str(folder))
    signatures = sorted(loaded.signatures)
    if SIGNATURE not in signatures:
        raise BadModel(f"no signature {SIGNATURE}, found {', '.join(signatures) or 'none'}")
    function = loaded.signatures[SIGNATURE]
    inputs = [_tensor(name, spec) for name, spec in sorted(function.structured_input_signature[1].items())]
    outputs = [_tensor(name, spec) for name, spec in sorted(function.structured_outputs.items())]
    argument, result = _only(inputs, "input").name, _only(outputs, "output").name

    def ask(batch: NDArray[Any]) -> NDArray[Any]:
        answer: NDArray[Any] = function(**{argument: tf.constant(batch)})[result].numpy()
        return answer

    # the loaded object must live as long as its function
    ask.keep = loaded  # type: ignore[attr-defined]
    return Model(ask, inputs, outputs, "SavedModel", f"TensorFlow {tf.__version__}, signature {SIGNATURE}")


def _load_keras(file: Path) -> Model:
    import tensorflow as tf  # three seconds

    # safe mode refuses Lambda layers and other code in the file
    loaded = tf.keras.models.load_model(file, compile=False, safe_mode=True)
    inputs = [_tensor(tensor.name, tensor) for tensor in loaded.inputs]
    outputs = [_tensor(tensor.name, tensor) for tensor in loaded.outputs]
    spec = tf.TensorSpec(_only(inputs, "input").shape, inputs[0].dtype)
    function = tf.function(lambda batch: loaded(batch, training=False), input_signature=[spec])

    def ask(batch: NDArray[Any]) -> NDArray[Any]:
        answer: NDArray[Any] = function(tf.constant(batch)).numpy()
        return answer

    format = "Keras" if file.suffix == ".keras" else "HDF5"
    return Model(ask, inputs, outputs, format, f"TensorFlow {tf.__version__}, Keras {tf.keras.__version__}")


def _tensor(name: str, spec: Any) -> Tensor:
    """A TensorSpec or KerasTensor as data; a shape of unknown rank counts as free."""
    shape = tuple(spec.shape) if getattr(spec.shape, "rank", 0) is not None else (None,)
    dtype = spec.dtype if isinstance(spec.dtype, str) else spec.dtype.name
    return Tensor(name=name, shape=shape, dtype=dtype)


def _only(tensors: Sequence[Tensor], kind: str) -> Tensor:
    if len(tensors) != 1:
        names = ", ".join(tensor.name for tensor in tensors) or "none"
        raise BadModel(f"not yet: a model with {len(tensors)} {kind}s ({names}); built: models with one {kind}")
    return tensors[0]


def _fits(found: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(found) == len(expected) and all(e is None or e == f for f, e in zip(found, expected, strict=True))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300] or type(error).__name__
