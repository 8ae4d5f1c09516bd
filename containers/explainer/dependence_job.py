"""The partial dependence of a job: which features, on which values, and Clarify's shape of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explainer.analysis_config import Pdp
from explainer.coding import Coding
from explainer.dependence import Dependence, buckets, categories, partial_dependence
from explainer.shapley import Predict
from explainer.table import Table, column_name
from model.payloads import plain

MOST_CATEGORIES = 100
"""Values of a category that are tried, the most frequent ones: each costs a call for every row."""


@dataclass(frozen=True)
class FeatureDependence:
    """One feature's, in words."""

    name: str
    values: Sequence[Any]
    """(points,): numbers, or the categories' names."""
    numeric: bool
    found: Dependence

    def to_clarify(self, labels: Sequence[str]) -> dict[str, Any]:
        """As it stands in `analysis.json`."""
        return {
            "feature_name": self.name,
            "data_type": "numerical" if self.numeric else "categorical",
            "feature_values": list(self.values),
            "data_distribution": self.found.distribution.tolist(),
            "model_predictions": self.found.mean.T.tolist(),
            "label_headers": list(labels),
        }


def by_importance(features: Sequence[str], importance: NDArray[np.float64]) -> list[str]:
    """The features by their Shapley values, (features, labels), the most important one first."""
    order = np.argsort(-np.abs(importance).sum(axis=1), kind="stable")
    return [features[place] for place in order.tolist()]


def features_of(pdp: Pdp, table: Table, important: Sequence[str] | None) -> list[str]:
    """The features asked for; else the first of the `important` ones, else of all.

    Raises:
        BadPolicy: a feature is asked for that there is not.
    """
    if pdp.features is not None:
        return [column_name(table.features, "methods.pdp.features", name) for name in pdp.features]
    return list((table.features if important is None else important)[: pdp.top_k_features])


def dependences(
    pdp: Pdp, names: Sequence[str], table: Table, coding: Coding, predict: Predict
) -> Iterator[FeatureDependence]:
    """Each feature's partial dependence over all rows.

    Args:
        pdp: how fine.
        names: of the features.
        table: the rows.
        coding: of their features.
        predict: coded rows → scores.
    """
    coded = coding.encode(table.columns)
    places = [coding.names.index(name) for name in names]
    grids = [
        _most_frequent(*categories(coded[:, place]))
        if name in coding.values
        else buckets(coded[:, place], pdp.grid_resolution)
        for name, place in zip(names, places, strict=True)
    ]
    for name, found in zip(names, partial_dependence(predict, coded, places, grids), strict=True):
        if name in coding.values:
            values = coding.values[name][found.grid.astype(np.intp)].tolist()
        else:
            values = plain(found.grid)
        yield FeatureDependence(name, values, name not in coding.values, found)


def _most_frequent(
    grid: NDArray[np.float64], shares: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    kept = np.sort(np.argsort(-shares, kind="stable")[:MOST_CATEGORIES])
    return grid[kept], shares[kept]
