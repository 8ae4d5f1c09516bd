"""What an absent feature is replaced by: rows that the configuration gives, or clusters of the data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData, BadPolicy
from explainer.analysis_config import Shap
from explainer.table import HEADERS_DO_NOT_MATCH, Line, Table, data_files, numbers, read_lines, split_header

MOST_CLUSTERS = 12
"""Clarify makes 1 to 12; we take the most that the data gives, for the steadiest baseline."""
CLUSTER_ROWS = 10_000
"""Clusters are those of so many rows drawn: more rows do not move them, but cost time."""


def row_baseline(shap: Shap, table: Table, resolve: Callable[[str], Path]) -> NDArray[np.float64]:
    """The baseline, (baseline rows, features), in the order of the table's features.

    Args:
        shap: what the configuration says.
        table: the data to explain.
        resolve: an S3 address → where it lies in this job.
    """
    names = table.columns.feature_names
    if shap.baseline is None:
        return clusters(table.features, shap.num_clusters, shap.seed)
    if isinstance(shap.baseline, str):
        files = data_files(resolve(shap.baseline))
        lines = [line for file in files for line in split_header(read_lines(file), names)[1]]
        if not lines:
            raise BadData(f"methods.shap.baseline: {shap.baseline} has no rows; expected CSV with {', '.join(names)}")
    else:
        lines = [
            Line(["" if cell is None else str(cell) for cell in row], f"methods.shap.baseline, row {index}")
            for index, row in enumerate(shap.baseline)
        ]
    for line in lines:
        if len(line.cells) != len(names):
            raise BadPolicy(
                f"{HEADERS_DO_NOT_MATCH} {line.where} has {len(line.cells)} values; expected one for each of the "
                f"{len(names)} features: {', '.join(names)}"
            )
    return numbers(lines, range(len(names)), names)


def clusters(rows: NDArray[np.float64], count: int | None, seed: int) -> NDArray[np.float64]:
    """Centres of the data by k-means, at most (count, features), ordered so that the same data gives the same rows.

    Features are scaled to unit variance for it, else the one with the largest numbers would decide alone.
    """
    from sklearn.cluster import KMeans  # imported by the jobs that need it only: 1 s
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if len(rows) > CLUSTER_ROWS:
        rows = rows[np.sort(np.random.default_rng(seed).choice(len(rows), CLUSTER_ROWS, replace=False))]
    scale = rows.std(axis=0)
    scale[scale == 0] = 1.0
    scaled = rows / scale
    distinct = np.unique(scaled, axis=0)
    wanted = min(count or MOST_CLUSTERS, len(distinct))
    with threadpool_limits(1, user_api="openmp"):  # threads would add up in any order: not the same bytes each time
        centres = KMeans(wanted, n_init=4, random_state=seed).fit(scaled).cluster_centers_ * scale
    return np.asarray(centres[np.lexsort(centres.T[::-1])], dtype=np.float64)
