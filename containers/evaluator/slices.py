"""Parts of the data: those that the policy declares, and those that are found because the model is worse there.

What is found is found honestly. A shallow regression tree on each sample's loss proposes parts on one half of the
samples (Chung et al. 2019, "Slice Finder: Automated Data Slicing for Model Validation"); each proposal is then tested
on the other half, which the tree never saw, and the p values are corrected for all proposals that were tested
(Benjamini & Hochberg 1995, "Controlling the False Discovery Rate"). The numbers of a found part are those of that
other half, too: on the half it was found on, it would look worse than it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadPolicy
from assay.evaluation import Finding, Metric, Slice
from assay.policy import ColumnType, SliceByBins, SliceByQuantiles
from evaluator.scored import Samples

SMALL = 30
"""Rows below which a slice stops no model: a plain rate of fewer is known to no better than about ± 0.18 (Wilson)."""
MOST_VALUES = 50
"""Slices of one column, the most frequent values first."""
SLICE_ROWS = 20_000
"""Of more rows, a slice's spread is measured on so many."""
MOST_PER_CLASS = 2000
"""Slices times classes up to which each slice is measured by class, too."""

DISCOVERY_ROWS = 50_000
"""Samples, drawn by chance, among which parts are looked for: the tree takes seconds, however large the data."""
FALSE_DISCOVERIES = 0.05
"""The share of parts reported as found that are not worse than the rest, in the long run."""
_MOST_FOUND = 10
_DEPTH = 3
_LEAF_SHARE = 0.01
_SAME = 0.8
"""Two proposals that share this much of the smaller one's rows are one: a part of a bad part is no find of its own."""
_VALUES_OF_TREE = 20
_SEED = 0

Array = NDArray[np.float64]
Places = NDArray[np.int64]
Declared = str | SliceByBins | SliceByQuantiles
Measured = tuple[dict[str, Metric], dict[str, dict[str, Metric]]]
"""Metrics, and metric → class → value."""


class Part(NamedTuple):
    """A slice before it is measured."""

    name: str
    columns: tuple[str, ...]
    places: Places
    """Of its samples among all."""
    p_value: float | None = None
    """None: it was declared."""


def parts_of(
    declared: Sequence[Declared],
    samples: Samples,
    losses: Array,
    columns: Callable[[Places], Mapping[str, NDArray[Any]]],
) -> tuple[list[Part], list[Finding]]:
    """The declared slices and the parts that are found, and what was left out.

    Args:
        declared: the policy's `evaluate.slices`.
        samples: all of them.
        losses: (samples,) 1 for a mistake, or an absolute error; without a number nothing is looked for.
        columns: the columns of the samples at some places, among which parts are looked for.
    """
    parts, findings = declared_parts(declared, samples.column)
    if np.isfinite(losses).all():
        drawn = drawn_for_discovery(len(samples))
        parts += discovered_parts(columns(drawn), losses[drawn], drawn)
    return parts, findings


def column_of(declared: Declared) -> str:
    return declared if isinstance(declared, str) else declared.column


def check_slices(declared: Iterable[Declared], types: Mapping[str, ColumnType | None]) -> None:
    """Raises BadPolicy when `evaluate.slices` names a column that the data does not have, or bins one of words.

    types: column → its type, None where only the values show it.
    """
    for one in declared:
        column = column_of(one)
        if column not in types:
            raise BadPolicy(f"evaluate.slices: no column {column!r} in the data; found {', '.join(types)}")
        if not isinstance(one, str) and types[column] not in ("numeric", None):
            raise BadPolicy(f"evaluate.slices: {column} is {types[column]}, bins and quantiles need numbers")


def declared_parts(
    declared: Sequence[Declared], column: Callable[[str], NDArray[Any]]
) -> tuple[list[Part], list[Finding]]:
    """The declared slices, and what was left out of them.

    Args:
        declared: the policy's `evaluate.slices`.
        column: name → values, (samples,).
    """
    parts: dict[str, Part] = {}
    findings: list[Finding] = []
    for one in declared:
        name = column_of(one)
        values = column(name)
        if isinstance(one, str):
            found, left_out = _by_value(name, values)
        elif isinstance(one, SliceByBins):
            found, left_out = _by_bins(name, _numbers(values), [(edge, f"{edge:.15g}") for edge in sorted(one.bins)])
        else:
            found, left_out = _by_quantiles(name, _numbers(values), one.quantiles)
        parts |= {part.name: part for part in found}
        if left_out:
            findings.append(Finding(severity="warning", title=f"Samples in no slice of {name}", text=left_out))
    return list(parts.values()), findings


def _by_value(column: str, values: NDArray[Any]) -> tuple[list[Part], str]:
    names, codes = categories(values)
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    kept = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    parts = [Part(f"{column}={names[code]}", (column,), np.flatnonzero(codes == code)) for code in sorted(kept)]
    parts += _missing(column, codes < 0)
    if len(names) <= MOST_VALUES:
        return parts, ""
    rest = int(counts.sum() - counts[kept].sum())
    return parts, (
        f"{column} has {len(names):,} values: the {MOST_VALUES} most frequent are slices, the {rest:,} samples of the "
        "others are in none."
    )


def _by_quantiles(column: str, numbers: Array, quantiles: int) -> tuple[list[Part], str]:
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return _by_bins(column, numbers, [])
    edges = np.unique(np.quantile(finite, np.linspace(0, 1, quantiles + 1)))
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    return _by_bins(column, numbers, list(zip(edges.tolist(), _told_apart(edges.tolist()), strict=True)))


def _by_bins(column: str, numbers: Array, edges: Sequence[tuple[float, str]]) -> tuple[list[Part], str]:
    """From each edge, with its name, up to the next; the last bin holds its upper edge, too."""
    parts = []
    outside = np.isfinite(numbers)
    for place, ((low, low_name), (high, high_name)) in enumerate(pairwise(edges)):
        last = place == len(edges) - 2
        inside = (numbers >= low) & ((numbers <= high) if last else (numbers < high))
        outside &= ~inside
        name = f"{column}=[{low_name}, {high_name}{']' if last else ')'}"
        parts.append(Part(name, (column,), np.flatnonzero(inside)))
    parts += _missing(column, ~np.isfinite(numbers))
    n = int(outside.sum())
    return parts, f"{n:,} samples lie outside of {edges[0][1]} to {edges[-1][1]}." if n and edges else ""


def _missing(column: str, missing: NDArray[np.bool_]) -> list[Part]:
    return [Part(f"{column} is missing", (column,), np.flatnonzero(missing))] if missing.any() else []


def _told_apart(edges: Sequence[float]) -> list[str]:
    """As few digits as tell all edges from each other, at least four."""
    for digits in (4, 6, 9, 12):
        names = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(names)) == len(set(edges)):
            return names
    return [f"{edge:.17g}" for edge in edges]


def categories(values: NDArray[Any]) -> tuple[list[str], Places]:
    """The different values as text, sorted, and each sample's number among them; -1: missing (empty, NaN)."""
    if values.dtype.kind in "fiub":
        different, codes = np.unique(values, return_inverse=True)
        names = [f"{value:.15g}" for value in different.astype(np.float64).tolist()]
        missing = np.isnan(different.astype(np.float64))
    else:
        import pyarrow as pa  # hashes five million words in a second, where NumPy would sort them

        encoded = pa.array(values, type=pa.string()).dictionary_encode()
        words = encoded.dictionary.to_pylist()
        order = sorted(range(len(words)), key=words.__getitem__)
        rank = np.empty(len(words) + 1, dtype=np.int64)
        rank[order] = np.arange(len(words))
        rank[-1] = -1  # None
        codes = rank[encoded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)]
        names = [words[place] for place in order]
        missing = np.array([word == "" for word in names], dtype=bool)
    # what is missing comes first or last, never between: renumber by how many kept ones stand before
    renumbered = np.append(np.where(missing, -1, np.cumsum(~missing) - 1), -1)
    return [name for name, gone in zip(names, missing, strict=True) if not gone], renumbered[codes]


def _numbers(values: NDArray[Any]) -> Array:
    """The values as numbers; NaN where they are none."""
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    names, codes = categories(values)
    numbers = np.append([_number(name) for name in names], np.nan)
    return numbers[codes]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


# What is found


def drawn_for_discovery(samples: int) -> Places:
    """The samples among which parts are looked for, in their order."""
    if samples <= DISCOVERY_ROWS:
        return np.arange(samples)
    return np.sort(np.random.default_rng(_SEED).choice(samples, DISCOVERY_ROWS, replace=False))


class _Condition(NamedTuple):
    """One yes-or-no question that a tree may ask: whether a column is above a number, or has a value."""

    column: str
    value: str | None
    """None: the column's number is compared."""


class _Bounds(NamedTuple):
    """What a path through the tree says of one column."""

    above: float = -np.inf
    up_to: float = np.inf
    equal: str | None = None
    unequal: tuple[str, ...] = ()


def discovered_parts(columns: Mapping[str, NDArray[Any]], losses: Array, places: Places) -> list[Part]:
    """Parts in which the model is worse than on the rest, the surest first; their places are of the half tested on.

    The test is one-sided: Fisher's exact one where losses are 0 or 1 (right or wrong), else Welch's t test.

    Args:
        columns: name → values of the drawn samples, numbers or words.
        losses: theirs: 1 for a mistake, or an absolute error; samples count alike, whatever their weight.
        places: theirs among all samples.
    """
    n = len(losses)
    shuffled = np.random.default_rng(_SEED + 1).permutation(n)
    search, test = np.sort(shuffled[: n // 2]), np.sort(shuffled[n // 2 :])
    leaf = max(SMALL, int(_LEAF_SHARE * len(search)))
    if len(search) < 2 * leaf or np.ptp(losses[search]) == 0 or np.ptp(losses[test]) == 0:
        return []
    prepared = {name: _prepared(values) for name, values in columns.items()}
    proposals = _proposals(prepared, losses, search, leaf)
    tested = [
        (path, inside)
        for path in proposals
        if (inside := _members(prepared, path, test)).sum() >= SMALL and not inside.all()
    ]
    if not tested:
        return []
    from scipy.stats import false_discovery_control

    corrected = false_discovery_control([_p_value(losses[test], inside) for _, inside in tested], method="bh")
    taken: list[NDArray[np.bool_]] = []
    parts: list[Part] = []
    for place in np.argsort(corrected, kind="stable").tolist():
        path, inside = tested[place]
        if corrected[place] > FALSE_DISCOVERIES or len(parts) == _MOST_FOUND:
            break
        if any((inside & other).sum() > _SAME * min(inside.sum(), other.sum()) for other in taken):
            continue
        taken.append(inside)
        parts.append(Part(_in_words(path), tuple(path), places[test[inside]], float(corrected[place])))
    return parts


def _p_value(losses: Array, inside: NDArray[np.bool_]) -> float:
    """Of so much more loss inside than outside by chance."""
    from scipy.stats import hypergeom, ttest_ind

    if np.isin(losses, (0.0, 1.0)).all():
        n, wrong, size = len(losses), int(losses.sum()), int(inside.sum())
        return float(hypergeom.sf(int(losses[inside].sum()) - 1, n, wrong, size))
    test = ttest_ind(losses[inside], losses[~inside], equal_var=False, alternative="greater")
    return float(np.nan_to_num(test.pvalue, nan=1.0))  # no spread at all on either side


_Prepared = Array | tuple[list[str], Places]
"""Numbers, or different words and each sample's number among them."""


def _prepared(values: NDArray[Any]) -> _Prepared:
    """Words that are all numbers, and more than a few, are numbers: an annotation file's columns have no types."""
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    names, codes = categories(values)
    if len(names) > 10 and all(np.isfinite(_number(name)) for name in names):
        return _numbers(values)
    return names, codes


def _proposals(prepared: Mapping[str, _Prepared], losses: Array, search: Places, leaf: int) -> list[dict[str, _Bounds]]:
    """The tree's nodes whose loss is above the mean, each as what its path says: column → bounds."""
    from sklearn.tree import DecisionTreeRegressor  # a second

    conditions: list[_Condition] = []
    features: list[NDArray[np.float32]] = []
    for name, column in prepared.items():
        if isinstance(column, tuple):
            names, codes = column
            counts = np.bincount(codes[search] + 1, minlength=len(names) + 1)[1:]
            frequent = [code for code in np.argsort(-counts, kind="stable")[:_VALUES_OF_TREE] if counts[code] >= leaf]
            conditions += [_Condition(name, names[code]) for code in frequent]
            features += [(codes[search] == code).astype(np.float32) for code in frequent]
        elif np.isfinite(column[search]).any():
            numbers = column[search]
            finite = np.isfinite(numbers)
            conditions.append(_Condition(name, None))
            # where a number is missing the tree sees the middle one; the part that is tested has none of these rows
            features.append(np.where(finite, numbers, np.median(numbers[finite])).astype(np.float32))
    if not conditions:
        return []
    fitted = DecisionTreeRegressor(max_depth=_DEPTH, min_samples_leaf=leaf, random_state=_SEED)
    tree = fitted.fit(np.stack(features, axis=1), losses[search]).tree_
    mean, found = float(tree.value[0, 0, 0]), []
    waiting: list[tuple[int, dict[str, _Bounds]]] = [(0, {})]
    while waiting:
        node, path = waiting.pop()
        if path and tree.value[node, 0, 0] > mean:
            found.append(path)
        if tree.children_left[node] != -1:
            condition, threshold = conditions[tree.feature[node]], float(tree.threshold[node])
            for yes, child in ((False, tree.children_left[node]), (True, tree.children_right[node])):
                waiting.append((int(child), path | {condition.column: _narrowed(path, condition, threshold, yes)}))
    return found


def _narrowed(path: Mapping[str, _Bounds], condition: _Condition, threshold: float, yes: bool) -> _Bounds:
    bounds = path.get(condition.column, _Bounds())
    if condition.value is not None:
        if yes:
            return _Bounds(equal=condition.value)
        return bounds._replace(unequal=(*bounds.unequal, condition.value))
    rounded = float(f"{threshold:.6g}")  # what is tested is what is said
    if yes:
        return bounds._replace(above=max(bounds.above, rounded))
    return bounds._replace(up_to=min(bounds.up_to, rounded))


def _members(prepared: Mapping[str, _Prepared], path: Mapping[str, _Bounds], at: Places) -> NDArray[np.bool_]:
    inside = np.ones(len(at), dtype=bool)
    for name, bounds in path.items():
        column = prepared[name]
        if isinstance(column, tuple):
            names, codes = column
            if bounds.equal is not None:
                inside &= codes[at] == names.index(bounds.equal)
            else:
                inside &= (codes[at] >= 0) & ~np.isin(codes[at], [names.index(value) for value in bounds.unequal])
        else:
            inside &= (column[at] > bounds.above) & (column[at] <= bounds.up_to)
    return inside


def _in_words(path: Mapping[str, _Bounds]) -> str:
    """`education=Doctorate and age > 45.5`."""
    said = []
    for column, bounds in path.items():
        if bounds.equal is not None:
            said.append(f"{column}={bounds.equal}")
        elif bounds.unequal:
            said.append(f"{column} is not {' or '.join(bounds.unequal)}")
        elif np.isinf(bounds.above):
            said.append(f"{column} <= {bounds.up_to:.6g}")
        elif np.isinf(bounds.up_to):
            said.append(f"{column} > {bounds.above:.6g}")
        else:
            said.append(f"{bounds.above:.6g} < {column} <= {bounds.up_to:.6g}")
    return " and ".join(said)


# What is measured of them


def measured_slices(parts: Sequence[Part], measure: Callable[[Places], Measured]) -> tuple[Slice, ...]:
    """Each part measured by itself; `measure` gives the metrics of the samples at these places."""
    slices = []
    for part in parts:
        n = len(part.places)
        metrics, per_class = measure(part.places) if n else ({}, {})
        classes = max((len(values) for values in per_class.values()), default=0)
        slices.append(
            Slice(
                name=part.name,
                columns=part.columns,
                found="declared" if part.p_value is None else "discovered",
                n=n,
                small=n < SMALL,
                metrics=metrics,
                per_class=per_class if classes * len(parts) <= MOST_PER_CLASS else {},
                p_value=part.p_value,
            )
        )
    return tuple(slices)


def discovery_findings(slices: Iterable[Slice], metric: str) -> list[Finding]:
    """What a person should know of the parts that were found; `metric` is the one that says it best."""
    said = [
        f"{one.name} ({metric} {value.value:.3g} on {one.n:,} samples)"
        for one in slices
        if one.found == "discovered" and (value := one.metrics.get(metric)) is not None and value.value is not None
    ]
    if not said:
        return []
    text = f"Worse than elsewhere, in samples set aside to test it: {'; '.join(said[:3])}."
    return [Finding(severity="warning", title="Parts of the data where the model is worse", text=text)]
