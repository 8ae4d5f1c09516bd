"""Rows of numbers, categories and texts as one matrix of numbers, which is all that the mathematics knows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.policy import ColumnType

Array = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]
"""(rows,) each: float64, NaN for no value; or an object array of str, "" for none."""


@dataclass(frozen=True)
class Coding:
    """What the numbers of a matrix mean: a number itself, or the place of a category among its column's values."""

    names: tuple[str, ...]
    """The matrix's columns."""
    values: Mapping[str, NDArray[Any]]
    """Of the columns that are no numbers, the different values, sorted."""

    def encode(self, columns: Columns) -> Array:
        """The rows as a matrix, (rows, columns); raises KeyError for a value that the coding does not know."""
        matrix = np.empty((len(columns[self.names[0]]), len(self.names)))
        for place, name in enumerate(self.names):
            if name in self.values:
                codes = {value: code for code, value in enumerate(self.values[name].tolist())}
                matrix[:, place] = [codes[value] for value in columns[name].tolist()]
            else:
                matrix[:, place] = columns[name]
        return matrix

    def decode(self, matrix: Array) -> dict[str, NDArray[Any]]:
        """A matrix's rows as columns again."""
        return {
            name: self.values[name][matrix[:, place].astype(np.intp)] if name in self.values else matrix[:, place]
            for place, name in enumerate(self.names)
        }

    @property
    def is_numeric(self) -> bool:
        return not self.values


def coding_of(names: Sequence[str], types: Mapping[str, ColumnType], *tables: Columns) -> Coding:
    """The coding of all that some tables hold."""
    words = [name for name in names if types[name] != "numeric"]
    values = {
        name: np.array(sorted({value for table in tables for value in table[name].tolist()}), dtype=object)
        for name in words
    }
    return Coding(tuple(names), values)


def content_of(*tables: Columns) -> str:
    """A digest of all that some tables hold."""
    digest = hashlib.sha256()
    for table in tables:
        for name, values in table.items():
            content = values.tobytes() if values.dtype.kind == "f" else "\0".join(values.tolist()).encode()
            digest.update(f"{name}\0{len(values)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
