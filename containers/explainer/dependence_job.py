"""The partial dependence of a job: which features, on which values, and Clarify's shape of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData
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


@dataclass(frozen=True)
class NoDependence:
    """A feature that has none."""

    name: str
    error: str

    def to_clarify(self, _labels: Sequence[str]) -> dict[str, Any]:
        """The reason stands in the place of the arrays; readers look at the type first, and pass over this one."""
        return {"feature_name": self.name, "data_type": "unknown", "error": self.error}


def individual_csv(found: Sequence[FeatureDependence | NoDependence], labels: Sequence[str]) -> str:
    """The first rows' own curves (ICE): a line for each feature, value and row, with the scores of each label."""
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    write(["feature", "value", "row", *labels])
    for one in found:
        if isinstance(one, FeatureDependence):
            for row, scores in enumerate(one.found.individual.tolist()):
                for value, of_value in zip(one.values, scores, strict=True):
                    write([one.name, value, row, *of_value])
    return text.getvalue()


def by_importance(features: Sequence[str], importance: NDArray[np.float64]) -> list[str]:
    """The features by their Shapley values, (features, labels), the most important one first."""
    order = np.argsort(-np.abs(importance).sum(axis=1), kind="stable")
    return [features[place] for place in order.tolist()]


def features_of(pdp: Pdp, table: Table, important: Sequence[str] | None) -> list[str | int]:
    """The features asked for; else the first of the `important` ones, else of all."""
    if pdp.features is not None:
        return pdp.features
    return list((table.features if important is None else important)[: pdp.top_k_features])


class Dependences:
    """What each feature's partial dependence over all rows is made of."""

    def __init__(self, pdp: Pdp, table: Table, coding: Coding, predict: Predict) -> None:
        """As asked.

        Args:
            pdp: how fine.
            table: the rows.
            coding: of their features.
            predict: coded rows → scores.
        """
        self._pdp, self._table, self._coding, self._predict = pdp, table, coding, predict
        self._coded = coding.encode(table.columns)

    def of(self, feature: str | int) -> FeatureDependence:
        """One feature's, by its name or place.

        Raises:
            BadData: it has no value in any row.
            BadPolicy: there is none of that name or place.
            ValueError: the model's scores are not a finite number for each row.
        """
        name = column_name(self._table.features, "methods.pdp.features", feature)
        place = self._coding.names.index(name)
        grid = (
            _most_frequent(*categories(self._coded[:, place]))
            if name in self._coding.values
            else buckets(self._coded[:, place], self._pdp.grid_resolution)
        )
        if not len(grid[0]):
            raise BadData(f"{name} has no value in any row")
        (found,) = partial_dependence(self._predict, self._coded, [place], [grid])
        if not np.isfinite(found.mean).all():
            point = found.grid[~np.isfinite(found.mean).all(axis=1)][0]
            raise ValueError(f"scores where {name} is {self._values(name, np.array([point]))[0]!r} are not finite")
        return FeatureDependence(name, self._values(name, found.grid), name not in self._coding.values, found)

    def _values(self, name: str, grid: NDArray[np.float64]) -> list[Any]:
        values: list[Any] = (
            self._coding.values[name][grid.astype(np.intp)].tolist() if name in self._coding.values else plain(grid)
        )
        return values


def _most_frequent(
    grid: NDArray[np.float64], shares: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    kept = np.sort(np.argsort(-shares, kind="stable")[:MOST_CATEGORIES])
    return grid[kept], shares[kept]
