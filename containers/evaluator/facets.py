"""Bias on all rows, from the predictions: no model is asked again. The metrics are those of Clarify's reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadPolicy
from assay.evaluation import Finding, Metric
from assay.policy import Bias, ColumnType, Facet
from bias.metrics import FLIP_TEST, POST_TRAINING, PRE_TRAINING
from bias.report import Measured, Rows, after_training, before_training
from bias.selection import as_numbers, equal_to
from evaluator.classification import Classified
from evaluator.scored import Samples

FLIP_ROWS = 10_000
"""Rows, drawn by chance, that the flip test looks at: it compares each of the facet's with each of the others."""
_SEED = 0
_AFTER = (*POST_TRAINING, FLIP_TEST[0])


def columns_of(bias: Bias | None) -> set[str]:
    """The columns that bias is looked for in."""
    if bias is None:
        return set()
    return {facet.column for facet in bias.facets} | ({bias.group} if bias.group is not None else set())


def check_bias(bias: Bias | None, types: Mapping[str, ColumnType]) -> None:
    """Raises BadPolicy when `bias` names a column or a metric that there is not, or a threshold of words."""
    for column in sorted(columns_of(bias)):
        if column not in types:
            raise BadPolicy(f"bias: no column {column!r} in the data; found {', '.join(types)}")
    for facet in () if bias is None else bias.facets:
        if facet.above is not None and types[facet.column] != "numeric":
            raise BadPolicy(f"bias.facets: {facet.column} is {types[facet.column]}, `above` needs numbers")
    if bias is not None and bias.methods != "all":
        known = {*PRE_TRAINING, *_AFTER}
        unknown = [name for name in bias.methods if name not in known]
        if unknown:
            raise BadPolicy(f"bias.methods: no metric {unknown[0]!r}; there are {', '.join(sorted(known))}")


def bias_of(
    bias: Bias,
    samples: Samples,
    found: Classified,
    columns: Callable[[NDArray[np.int64]], Mapping[str, NDArray[Any]]],
    features: Sequence[str],
) -> tuple[dict[str, dict[str, Metric]], list[Finding]]:
    """Facet (`sex=Female`, `age>40`) → metric → value with its interval, and what a person should know.

    Weights do not count: the metrics are of rows, as Clarify's are.

    Args:
        bias: the policy's.
        samples: with the columns that it names.
        found: labels and predictions of two classes.
        columns: places of samples → their columns, for the flip test.
        features: what the model sees of them.
    """
    if found.positive is None:
        text = (
            f"Bias is measured of one positive class against all else; data.labels names {len(found.labels)} classes."
        )
        return {}, [Finding(severity="warning", title="Bias is not measured", text=text)]
    if not found.answered.all():
        text = "Scores that are NaN or infinite predict no class."
        return {}, [Finding(severity="warning", title="Bias is not measured", text=text)]
    wanted = {*PRE_TRAINING, *_AFTER} if bias.methods == "all" else set(bias.methods)
    group = None if bias.group is None else samples.column(bias.group)
    rows = Rows(found.true == found.positive, found.predicted == found.positive, group)
    after = [name for name in POST_TRAINING if name in wanted]
    result: dict[str, dict[str, Metric]] = {}
    for facet in bias.facets:
        inside = rows_of(facet, samples.column(facet.column))
        measured = before_training(rows, inside, [name for name in PRE_TRAINING if name in wanted])
        measured += after_training(rows, inside, after)
        if FLIP_TEST[0] in wanted:
            measured += _flip_test(facet, rows, inside, columns, features)
        result[name_of(facet)] = {one.name: _metric(one, len(samples)) for one in measured}
    return result, []


def name_of(facet: Facet) -> str:
    """What a gate calls it: `sex=Female`, `race=Black,Other`, `age>40`."""
    if facet.above is not None:
        return f"{facet.column}>{facet.above:g}"
    return f"{facet.column}={','.join(map(str, facet.values or ()))}"


def rows_of(facet: Facet, values: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,): the rows that it means; of a missing value none."""
    if facet.above is not None:
        numbers = as_numbers(values)
        assert numbers is not None  # check_bias has seen to it
        return np.asarray(numbers > facet.above)
    return equal_to(values, facet.values or ())


def _flip_test(
    facet: Facet,
    rows: Rows,
    inside: NDArray[np.bool_],
    columns: Callable[[NDArray[np.int64]], Mapping[str, NDArray[Any]]],
    features: Sequence[str],
) -> list[Measured]:
    """On some of the rows, whose features are read again."""
    drawn = np.arange(len(inside))
    if len(drawn) > FLIP_ROWS:
        drawn = np.sort(np.random.default_rng(_SEED).choice(len(inside), FLIP_ROWS, replace=False))
    read = columns(drawn)
    numbers = [as_numbers(read[name]) if name in read else None for name in features if name != facet.column]
    known = [column for column in numbers if column is not None and np.isfinite(column).all()]
    matrix = np.stack(known, axis=1) if known and len(known) == len(numbers) else None
    assert rows.predicted is not None
    part = Rows(rows.label[drawn], rows.predicted[drawn], None, matrix)
    return after_training(part, inside[drawn], [FLIP_TEST[0]])


def _metric(measured: Measured, n: int) -> Metric:
    if measured.value is None:
        return Metric(reason=measured.error, n=n)
    if not np.isfinite(measured.value):
        return Metric(reason="infinite: nobody else is predicted positive, or nothing stands below the line", n=n)
    return Metric(value=measured.value, low=measured.low, high=measured.high, n=n)
