"""From named columns to the model's inputs."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData, BadModel, BadPolicy
from assay.evaluation import Tensor
from assay.policy import ColumnType

Inputs = NDArray[Any] | Mapping[str, NDArray[Any]]
"""What a model is asked about, (n, …): the array of its one input, or an array for each input by name."""

_TAKEN = re.compile(r"string|bool|u?int(8|16|32|64)|float(16|32|64)")
_SHOWN = 20


class Features:
    """Which columns go into which input of the model.

    A model with one input gets all columns as a matrix, in the data's order. Otherwise an input gets the column of its
    name, or those that the policy's `model.inputs` gives it. An input that has room for one value, and no column of its
    name, gets the only column of text where it takes strings.

    Attributes:
        used: the columns that the model sees, in the data's order.
        unused: the others.
    """

    def __init__(
        self,
        inputs: Sequence[Tensor],
        columns: Sequence[str],
        types: Mapping[str, ColumnType],
        mapping: Mapping[str, str],
    ) -> None:
        """Find a column for each place of each input.

        Args:
            inputs: the model's.
            columns: the features, in the data's order.
            types: of the columns.
            mapping: the policy's `model.inputs`, column → input.

        Raises:
            BadModel: the model takes other columns than the data has; names both.
            BadPolicy: `mapping` names a column or an input that there is not.
        """
        self._inputs = tuple(inputs)
        for tensor in inputs:
            if not _TAKEN.fullmatch(tensor.dtype):
                raise BadModel(f"the model's input {tensor.name} is {tensor.dtype}, expected numbers or strings")
        _check_mapping(mapping, columns, [tensor.name for tensor in inputs])
        if len(inputs) == 1 and not mapping:
            self._columns = {inputs[0].name: _all_columns(inputs[0], columns, types)}
        else:
            self._columns = _columns_by_name(inputs, columns, mapping)
        for tensor in inputs:
            for column in self._columns[tensor.name]:
                if types[column] == "text" and tensor.dtype != "string":
                    raise BadModel(f"column {column} is text, the model's input {tensor.name} expects {tensor.dtype}")
        seen = {column for group in self._columns.values() for column in group}
        self.used = tuple(column for column in columns if column in seen)
        self.unused = tuple(column for column in columns if column not in seen)

    @property
    def is_matrix(self) -> bool:
        """Whether the model is asked about a matrix of floats, all columns in the data's order: as it stands."""
        only = self._inputs[0]
        return (
            len(self._inputs) == 1
            and len(only.shape) == 2
            and only.dtype.startswith("float")
            and self._columns[only.name] == self.used
            and not self.unused
        )

    def arrange(self, columns: Mapping[str, NDArray[Any]]) -> Inputs:
        """The model's inputs from the columns of a batch.

        Args:
            columns: (n,) each: float64 with NaN for what is missing, or an object array of str with "" for it.

        Returns:
            For one input its array, else one for each by name; (n,) or (n, columns) in the input's dtype, text as an
            object array of str. What is missing stays NaN where the input takes floats, "" where it takes strings.

        Raises:
            BadData: a value cannot become the input's dtype; names the column, the value and what is expected.
        """
        arranged = {tensor.name: self._fill(tensor, columns) for tensor in self._inputs}
        return arranged[self._inputs[0].name] if len(arranged) == 1 else arranged

    def _fill(self, tensor: Tensor, columns: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        names = self._columns[tensor.name]
        if len(tensor.shape) == 1:
            return _cast(columns[names[0]], names[0], tensor)
        first = _cast(columns[names[0]], names[0], tensor)
        filled = np.empty((len(first), len(names)), first.dtype)
        filled[:, 0] = first
        for place, name in enumerate(names[1:], 1):
            filled[:, place] = _cast(columns[name], name, tensor)
        return filled


def _check_mapping(mapping: Mapping[str, str], columns: Sequence[str], inputs: Sequence[str]) -> None:
    for column, name in mapping.items():
        for kind, found, known in (("column", column, columns), ("input", name, inputs)):
            if found not in known:
                where = "the data" if kind == "column" else "the model"
                raise BadPolicy(
                    f"model.inputs: no {kind} {found!r} in {where}; found {_few(known)}{_near(found, known)}"
                )


def _all_columns(tensor: Tensor, columns: Sequence[str], types: Mapping[str, ColumnType]) -> tuple[str, ...]:
    """The columns of a model's only input."""
    room = _room(tensor)
    if room is None or room == len(columns):
        return tuple(columns)
    if room == 1:
        if tensor.name in columns:
            return (tensor.name,)
        texts = tuple(column for column in columns if types[column] == "text")
        if tensor.dtype == "string" and len(texts) == 1:
            return texts
    raise BadModel(f"the model expects {_features(room)}, the data has {len(columns)}: {_few(columns)}")


def _columns_by_name(
    inputs: Sequence[Tensor], columns: Sequence[str], mapping: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Each input's columns: those mapped to it, or the one of its name."""
    result: dict[str, tuple[str, ...]] = {}
    missing = []
    for tensor in inputs:
        own = (tensor.name,) if tensor.name in columns and tensor.name not in mapping else ()
        group = tuple(column for column in columns if mapping.get(column) == tensor.name) or own
        room = _room(tensor)
        if not group:
            missing.append(tensor.name)
        elif room not in (None, len(group)):
            raise BadModel(
                f"the model's input {tensor.name} expects {_features(room)}, gets {len(group)}: {_few(group)}"
            )
        result[tensor.name] = group
    if missing:
        free = [column for column in columns if column not in mapping]
        near = {name: column for name in missing if (column := _alike(name, free))}
        hint = "; say model.inputs, column → input"
        if near:
            hint += ", such as {" + ", ".join(f"{column}: {name}" for name, column in near.items()) + "}"
        raise BadModel(
            f"the model expects {len(inputs)} inputs, the data has {len(columns)} columns, and none for "
            f"{_few(missing)}: found {_few(columns)}{hint}"
        )
    return result


def _room(tensor: Tensor) -> int | None:
    """How many columns an input takes; None: any number."""
    if len(tensor.shape) > 2:
        raise BadModel(
            f"the model's input {tensor.name} has the shape {tensor.shape[1:]} for each sample, "
            "columns make one of at most one axis"
        )
    return {0: None, 1: 1}.get(len(tensor.shape), tensor.shape[-1] if tensor.shape else None)


def _cast(values: NDArray[Any], column: str, tensor: Tensor) -> NDArray[Any]:
    """A column in the input's dtype."""
    if tensor.dtype == "string":
        return values if values.dtype == object else _as_text(values)
    numbers = _as_numbers(values, column, tensor) if values.dtype == object else values
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "f":
        fits = ~np.isfinite(numbers) | (np.abs(numbers) <= float(np.finfo(dtype).max))
        expected = tensor.dtype
    else:
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        # the largest int64 is no float64, the number after it is
        fits = (numbers == np.floor(numbers)) & (numbers >= low) & (numbers < float(high) + 1)
        expected = f"{tensor.dtype} from {low} to {high}"
    if not fits.all():
        worst = int(np.argmin(fits))
        found = "no value" if np.isnan(numbers[worst]) else repr(values[worst : worst + 1].tolist()[0])
        raise BadData(f"column {column} has {found}, the model's input {tensor.name} expects {expected}")
    return numbers.astype(dtype, copy=False)


def _as_text(numbers: NDArray[Any]) -> NDArray[Any]:
    """Numbers as they stand in a file: 39, not 39.0; "" for NaN."""
    texts = np.empty(len(numbers), object)
    texts[:] = [
        "" if math.isnan(value) else str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
        for value in numbers.astype(np.float64).tolist()
    ]
    return texts


def _as_numbers(texts: NDArray[Any], column: str, tensor: Tensor) -> NDArray[np.float64]:
    """Categories that are number codes, as the numbers; NaN for ""."""
    codes = {}
    for text in dict.fromkeys(texts.tolist()):
        try:
            codes[text] = float(text) if text else np.nan
        except ValueError as error:
            raise BadData(
                f"column {column} has {text!r:.80}, the model's input {tensor.name} expects {tensor.dtype}"
            ) from error
    return np.array([codes[text] for text in texts.tolist()], dtype=np.float64)


def _alike(name: str, columns: Sequence[str]) -> str | None:
    """The column that differs only by case and separators, or else the nearest one."""
    plain = {_plain(column): column for column in columns}
    near = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.8)
    return plain[near[0]] if near else None


def _near(name: str, known: Sequence[str]) -> str:
    near = _alike(name, known)
    return f"; did you mean {near!r}?" if near else ""


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _features(number: int | None) -> str:
    return f"{number} feature{'' if number == 1 else 's'}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f", … {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
