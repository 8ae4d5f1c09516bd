"""What an absent feature is replaced by: rows that the configuration gives, or clusters of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jmespath
import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData, BadPolicy
from assay.policy import Data
from explainer.analysis_config import KINDS, AnalysisConfig, Shap
from explainer.coding import Columns
from explainer.table import HEADERS_DO_NOT_MATCH, MISSING, NOT_A_NUMBER, Table, data_files, in_clarifys_words
from model.table_files import open_file
from model.tables import Table as TypedTable

MOST_CLUSTERS = 12
"""Clarify makes 1 to 12; we take the most that the data gives, for the steadiest baseline."""
CLUSTER_ROWS = 10_000
"""Clusters are those of so many rows drawn: more rows do not move them, but cost time."""
KEY = "methods.shap.baseline"


def row_baseline(config: AnalysisConfig, shap: Shap, table: Table, resolve: Callable[[str], Path]) -> Columns:
    """The baseline's rows, (baseline rows,) for each feature.

    Args:
        config: the whole of it.
        shap: its part that is asked for.
        table: the data to explain.
        resolve: an S3 address → where it lies in this job.

    Raises:
        BadData, BadPolicy: the baseline does not have the features of the data.
    """
    if shap.baseline is None:
        texts = [name for name in table.features if table.types[name] == "text"] if shap.text_config else []
        return _without_texts(table, shap, texts) if texts else clusters(table, shap.num_clusters, shap.seed)
    if isinstance(shap.baseline, str):
        return _from_files(data_files(resolve(shap.baseline)), shap.baseline, config, table)
    rows = _given_rows(shap.baseline, config, table.features)
    for index, row in enumerate(rows):
        _check_width(len(row), f"{KEY}, row {index}", table.features)
    return {name: _column([row[place] for row in rows], name, table) for place, name in enumerate(table.features)}


def _without_texts(table: Table, shap: Shap, texts: Sequence[str]) -> Columns:
    """Clusters of the other features, and for texts "", which drops what is absent: Clarify's own default."""
    others = tuple(name for name in table.features if name not in texts)
    found: Columns = {}
    if others:
        meaning = replace(table.meaning, features=others)
        found = clusters(replace(table, meaning=meaning), shap.num_clusters, shap.seed)
    rows = len(found[others[0]]) if others else 1
    return {name: np.full(rows, "", dtype=object) if name in texts else found[name] for name in table.features}


def _given_rows(given: Any, config: AnalysisConfig, features: Sequence[str]) -> list[list[Any]]:
    """Rows [[…], …]; records [{…}, …] or one {…} as the data has them, or a JSON document that holds them."""
    if isinstance(given, list) and isinstance(given[0], list):
        return given
    found = _records(given, config.features) if config.features is not None else given
    records = [found] if isinstance(found, dict) or not isinstance(found[0], (dict, list)) else found
    return [
        _by_name(record, features, f"{KEY}, row {index}") if isinstance(record, dict) else record
        for index, record in enumerate(records)
    ]


def _records(given: Any, path: str) -> Any:
    """What stands at `features`: in a document, in each of its records, or in a document of one record alone."""
    expression = jmespath.compile(path)
    records = given if isinstance(given, list) else [given]
    whole, each, alone = (
        expression.search(given),
        [expression.search(one) for one in records],
        expression.search([given]),
    )
    if _is_there(whole):
        return whole
    if all(_is_there(one) for one in each):
        return each
    if _is_there(alone):
        return alone
    raise BadPolicy(f"{KEY}: nothing stands at features {path!r} in {records[0]!r:.80}")


def _is_there(found: Any) -> bool:
    """JMESPath answers [null, null] where it looks for keys in what has none."""
    values = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return any(value is not None for value in values)


def _by_name(record: Mapping[str, Any], features: Sequence[str], where: str) -> list[Any]:
    """A record's features in the order of the data's."""
    missing = [name for name in features if name not in record]
    if missing:
        raise BadPolicy(
            f"Feature names not found. {where} has {', '.join(map(str, record))}; expected the features of the data: "
            f"missing {', '.join(missing)}"
        )
    return [record[name] for name in features]


def _check_width(found: int, where: str, names: Sequence[str]) -> None:
    if found != len(names):
        raise BadPolicy(
            f"{HEADERS_DO_NOT_MATCH} {where} has {found} values; expected one for each of the {len(names)} features: "
            f"{', '.join(names)}"
        )


def _column(values: Sequence[Any], name: str, table: Table) -> NDArray[Any]:
    """A feature's values in the column's type."""
    if table.types[name] != "numeric":
        return np.array(["" if value is None else _as_text(value) for value in values], dtype=object)
    result = np.empty(len(values))
    for row, value in enumerate(values):
        try:
            result[row] = np.nan if value is None or value == "" else float(value)
            readable = not np.isinf(result[row])
        except (ValueError, OverflowError, TypeError):
            readable = False
        if not readable:
            raise BadData(f"{NOT_A_NUMBER} {KEY}, row {row}: {name} is {value!r:.80}, expected a number as in the data")
    return result


def _as_text(value: Any) -> str:
    """As it stands in a file: true, 3, 2.5."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _from_files(files: Sequence[Path], address: str, config: AnalysisConfig, table: Table) -> Columns:
    """A baseline's files are of the data's kind, and have the features only, with or without a header."""
    kind = KINDS[config.dataset_type]
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in table.features}
    data = Data(
        source=address,
        headers=None if kind == "Parquet" and config.headers is None else table.features,
        features=config.features,
        columns={name: table.types[name] for name in table.features},
        missing=MISSING,
    )
    for file in files:
        typed = TypedTable([open_file(file, data, kind)], data, labelled=False)
        for batch in typed.batches(columns=table.features):
            if batch.problems:
                raise BadData(f"{KEY}: {in_clarifys_words(batch.problems)}")
            for name in table.features:
                columns[name].append(batch.columns[name])
    if not any(len(part) for part in columns[table.features[0]]):
        raise BadData(f"{KEY}: {address} has no rows; expected {kind} with {', '.join(table.features)}")
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def clusters(table: Table, count: int | None, seed: int) -> Columns:
    """Centres of the data, at most `count` rows, ordered so that the same data gives the same rows.

    k-means on numbers scaled to unit variance, else the one with the largest numbers would decide alone. Beside them a
    category counts one where two rows differ, and a centre has the most frequent one of its rows: k-prototypes (Huang
    1998, "Extensions to the k-means algorithm for clustering large data sets with categorical values"), its distances
    those of the categories' indicator variables.
    """
    from sklearn.cluster import KMeans  # imported by the jobs that need it only: 1 s
    from threadpoolctl import threadpool_limits

    rows = np.arange(len(table))
    if len(rows) > CLUSTER_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), CLUSTER_ROWS, replace=False))
    columns = {name: table.columns[name][rows] for name in table.features}
    points = np.concatenate([_scaled(columns[name]) for name in table.features], axis=1)
    distinct = len(np.unique(points, axis=0))
    wanted = min(count or MOST_CLUSTERS, distinct)
    with threadpool_limits(1, user_api="openmp"):  # threads would add up in any order: not the same bytes each time
        nearest = KMeans(wanted, n_init=4, random_state=seed).fit(points).labels_
    centres = {name: _centres(values, nearest, wanted) for name, values in columns.items()}
    order = np.lexsort([centres[name] for name in reversed(table.features)])
    return {name: values[order] for name, values in centres.items()}


def _scaled(values: NDArray[Any]) -> NDArray[np.float64]:
    """A column as coordinates, (rows, k): its number, or an indicator for each category there is."""
    if values.dtype.kind == "f":
        known = values[np.isfinite(values)]
        if not len(known):
            return np.zeros((len(values), 1))
        unit = _unit(known)
        middle, spread = float((known / unit).mean()), float((known / unit).std())
        return np.asarray((np.where(np.isfinite(values), values / unit, middle)[:, None] - middle) / (spread or 1.0))
    _, codes, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
    frequent = np.argsort(-counts, kind="stable")[:MOST_INDICATORS]
    # half the squared distance of two indicators is one where they differ
    return np.asarray((codes[:, None] == frequent) / np.sqrt(2.0))


MOST_INDICATORS = 100
"""Categories of a column that tell clusters apart: of ten thousand the rare ones do not."""


def _centres(values: NDArray[Any], nearest: NDArray[np.int32], clusters: int) -> NDArray[Any]:
    """The mean of each cluster's numbers, or its most frequent category."""
    members = [values[nearest == cluster] for cluster in range(clusters)]
    if values.dtype.kind == "f":
        return np.array([_mean(part[np.isfinite(part)]) for part in members])
    result = np.empty(clusters, dtype=object)
    for cluster, part in enumerate(members):
        found, counts = np.unique(part.astype(str), return_counts=True)
        result[cluster] = str(found[counts.argmax()])
    return result


def _mean(known: NDArray[np.float64]) -> float:
    unit = _unit(known)
    return float((known / unit).mean() * unit) if len(known) else np.nan


def _unit(known: NDArray[np.float64]) -> float:
    """A power of two, so that dividing by it is exact, and sums and squares of the largest doubles stay finite."""
    return float(np.ldexp(1.0, np.frexp(np.abs(known).max(initial=0.0))[1] - 1))
