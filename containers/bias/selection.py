"""Which rows a facet or a positive label means: by value, by threshold, by interval, as Clarify reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadPolicy

Kind = Literal["categorical", "continuous"]
CONTINUOUS_FROM = 0.05
"""Of a column's values, how many are different when whole numbers count as a quantity (smclarify's rule)."""


class Selection(NamedTuple):
    """Rows, and what Clarify's reports call them: `1`, `1,2` or `(40, 68]`."""

    name: str
    rows: NDArray[np.bool_]


def kind_of(values: NDArray[Any], given: Sequence[object]) -> Kind:
    """What a column holds, by smclarify's rule: several given values mean categories, fractions a quantity.

    Two different numbers are categories here however few rows there are: of 0 and 1 in 30 rows smclarify makes a
    quantity, so that a facet given as `[0]` becomes the rows with 1, and a label given as `[1]` none at all.
    """
    numbers = as_numbers(values)
    if len(given) > 1 or numbers is None or len(np.unique(numbers)) <= 2:
        return "categorical"
    if values.dtype.kind == "f" and not np.all(numbers == np.floor(numbers)):
        return "continuous"
    return "continuous" if len(np.unique(numbers)) >= CONTINUOUS_FROM * len(numbers) else "categorical"


def selections(
    values: NDArray[Any], given: Sequence[object] | None, kind: Kind | None, where: str
) -> Iterator[Selection]:
    """The rows that the given values or thresholds mean; of a category without given values, each value's in turn.

    Args:
        values: (rows,), numbers or texts.
        given: the configuration's values, or the thresholds of a quantity.
        kind: what the column holds, where it is declared.
        where: the configuration's key, for errors.
    """
    kind = kind or kind_of(values, given or ())
    if kind == "continuous":
        yield within(values, given or (), values, where)
    elif given:
        yield Selection(",".join(map(str, given)), equal_to(values, given))
    else:
        for value in dict.fromkeys(values.tolist()):  # in the order in which they come
            yield Selection(_text(value), values == value)


def within(values: NDArray[Any], thresholds: Sequence[object], all_values: NDArray[Any], where: str) -> Selection:
    """The rows whose quantity lies above the lowest threshold; several thresholds are neighbouring intervals.

    Args:
        values: (rows,).
        thresholds: the lower end of each interval; the last one ends at the largest of `all_values`.
        all_values: of labels and predictions together, so that both are cut alike.
        where: the configuration's key, for errors.

    Raises:
        BadPolicy: there are none, or one is no number.
    """
    if not thresholds:
        raise BadPolicy(f"{where}: Threshold values must be provided for continuous features; found none")
    ends = []
    for threshold in thresholds:
        try:
            ends.append(float(str(threshold)))
        except ValueError as error:
            raise BadPolicy(
                f"{where}: Facet/label value provided must be a single numeric threshold for continuous data; "
                f"found {threshold!r}"
            ) from error
    numbers, every = as_numbers(values), as_numbers(all_values)
    if numbers is None or every is None:
        raise BadPolicy(f"{where}: the column holds text, which has no threshold; found {values[0]!r}")
    largest = float(every.max())
    if abs(largest) not in ends:
        ends.append(largest)
    ends.sort()
    whole = all(end.is_integer() for end in ends) and all_values.dtype.kind != "f"
    shown = [str(int(end)) if whole else str(end) for end in ends]
    name = ",".join(f"({low}, {high}]" for low, high in pairwise(shown))
    return Selection(name, (numbers > ends[0]) & (numbers <= ends[-1]))


def equal_to(values: NDArray[Any], given: Sequence[object]) -> NDArray[np.bool_]:
    """The rows that hold one of the given values: as numbers where both are, so that 1, 1.0 and "1" are one."""
    numbers = as_numbers(values)
    if numbers is not None:
        wanted = as_numbers(np.array([_text(value) for value in given], dtype=object))
        if wanted is not None:
            return np.isin(numbers, wanted)
    return np.isin(np.array([_text(value) for value in values], dtype=str), [_text(value) for value in given])


def as_numbers(values: NDArray[Any]) -> NDArray[np.float64] | None:
    """The values as numbers; None when one is none."""
    if values.dtype.kind in "fiu":
        return values.astype(np.float64)
    try:
        return np.array([float(value) for value in values.tolist()], dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _text(value: object) -> str:
    """Truth values are spelt alike wherever they come from; 1.0 is 1."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    return text.lower() if text in {"True", "False"} else text
