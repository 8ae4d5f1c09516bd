"""The bias analyses of a job: which rows are positive, which are a facet's, and the metrics of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData, BadPolicy
from assay.policy import Data
from bias.metrics import FLIP_TEST, POST_TRAINING, PRE_TRAINING
from bias.report import Measured, Rows, after_training, before_training
from bias.selection import Kind, Selection, as_numbers, equal_to, kind_of, selections, within
from explainer.analysis_config import KINDS, AnalysisConfig, Facet
from explainer.request import Request
from explainer.table import MISSING, Table, column_name, data_files, in_clarifys_words
from model.payloads import plain
from model.table_files import open_file
from model.tables import Table as TypedTable

ALL_AFTER = (*POST_TRAINING, FLIP_TEST[0])


@dataclass(frozen=True)
class Outcomes:
    """Which rows are labelled positive, and which are predicted so."""

    name: str
    """What is positive, as Clarify's reports call it: `1`, `1,2` or `(40, 68]`."""
    label: NDArray[np.bool_]
    predicted: NDArray[np.bool_] | None


@dataclass(frozen=True)
class FacetRows:
    name: str
    """The column's."""
    selection: Selection


@dataclass(frozen=True)
class BiasFound:
    """One of the two analyses."""

    label: str
    positive: str
    facets: Mapping[str, Sequence[tuple[str, Sequence[Measured]]]]
    """Column → (value or threshold, metrics) for each of its facets."""

    def to_clarify(self) -> dict[str, Any]:
        """As it stands in `analysis.json`."""
        return {
            "label": self.label,
            "label_value_or_threshold": self.positive,
            "facets": {
                column: [
                    {"value_or_threshold": value, "metrics": [one.to_clarify() for one in metrics]}
                    for value, metrics in facets
                ]
                for column, facets in self.facets.items()
            },
        }


def bias_before(request: Request, table: Table) -> BiasFound:
    """`pre_training_bias`: of the labels alone."""
    config = request.config
    asked = config.methods.pre_training_bias
    assert asked is not None
    names = tuple(PRE_TRAINING) if asked.methods == "all" else tuple(asked.methods)
    outcomes = outcomes_of(config, table, None)
    rows = Rows(outcomes.label, None, group_of(config, table))
    return BiasFound(
        table.meaning.label_name or str(table.meaning.label),
        outcomes.name,
        _by_column((facet, before_training(rows, facet.selection.rows, names)) for facet in facets_of(request, table)),
    )


def bias_after(request: Request, table: Table, outcomes: Outcomes) -> BiasFound:
    """`post_training_bias`: of labels and predictions."""
    config = request.config
    asked = config.methods.post_training_bias
    assert asked is not None
    names = ALL_AFTER if asked.methods == "all" else tuple(asked.methods)
    group = group_of(config, table)

    def measured() -> Iterator[tuple[FacetRows, Sequence[Measured]]]:
        for facet in facets_of(request, table):
            rows = Rows(outcomes.label, outcomes.predicted, group, numbers_beside(table, facet.name))
            yield facet, after_training(rows, facet.selection.rows, names)

    return BiasFound(table.meaning.label_name or str(table.meaning.label), outcomes.name, _by_column(measured()))


def _by_column(
    found: Iterator[tuple[FacetRows, Sequence[Measured]]],
) -> dict[str, list[tuple[str, Sequence[Measured]]]]:
    result: dict[str, list[tuple[str, Sequence[Measured]]]] = {}
    for facet, metrics in found:
        result.setdefault(facet.name, []).append((facet.selection.name, metrics))
    return result


def outcomes_of(config: AnalysisConfig, table: Table, predicted: NDArray[Any] | None) -> Outcomes:
    """Which labels are positive, and which of the predicted ones are.

    Args:
        config: with `label` and `label_values_or_threshold`.
        table: the data.
        predicted: (rows,) predicted labels; None where nobody asks for them.

    Raises:
        BadPolicy: the configuration names no label, or nothing positive.
        BadData: no predicted label is positive.
    """
    if table.meaning.label is None:
        raise BadPolicy("Headers must contain label. Bias is measured of labels; `label` is missing")
    labels = table.columns[table.meaning.label]
    given = config.label_values_or_threshold or []
    where = "label_values_or_threshold"
    if not given:
        raise BadPolicy(
            f"Positive label values or thresholds are empty for Label column. {where}: missing; expected which values "
            f"of {table.meaning.label} are positive, found there {_some(labels)}"
        )
    kind = _declared(config, table.meaning.label) or kind_of(labels, given)
    if kind == "continuous":
        every = labels if predicted is None else np.concatenate([_plain(labels), _plain(predicted)])
        positive = within(labels, given, every, where)
        said = None if predicted is None else within(predicted, given, every, where).rows
    else:
        positive = Selection(",".join(map(str, given)), equal_to(labels, given))
        said = None if predicted is None else equal_to(predicted, given)
    if said is not None:
        check_predicted(said, positive.name, _some(predicted))
    return Outcomes(positive.name, positive.rows, said)


def check_predicted(predicted: NDArray[np.bool_], positive: str, found: str) -> None:
    """Raises BadData, in Clarify's words, when no prediction is positive: there is nothing to compare."""
    if not predicted.any():
        raise BadData(
            "No Label values are present in the predicted Label Column, Positive Predicted Index Series contains all "
            f"False values. No prediction is {positive}; found {found}"
        )


def predicted_labels(request: Request, table: Table) -> NDArray[Any] | None:
    """The predicted labels that the job brings, (rows,): a column of the data, or a data set of their own.

    Raises:
        BadData: they are not as many as the rows.
        BadPolicy: the configuration names a column that there is not.
    """
    config = request.config
    if config.predicted_label_dataset_uri is not None:
        address = config.predicted_label_dataset_uri
        beside = _columns_beside(request, address, config.predicted_label_headers, "predicted_label_dataset_uri", table)
        if config.predicted_label is not None:
            return beside[column_name(tuple(beside), "predicted_label", config.predicted_label)]
        left = [name for name in beside if name != _joinsource(config, table, tuple(beside))]
        if len(left) != 1:
            raise BadPolicy(f"predicted_label: missing; {address} has several columns: {', '.join(left)}")
        return beside[left[0]]
    if table.meaning.predicted_label is not None:
        return table.columns[table.meaning.predicted_label]
    return None


def facets_of(request: Request, table: Table) -> Iterator[FacetRows]:
    """The facets, each of whose values counts as one where the configuration gives none."""
    config = request.config
    if not config.facet:
        raise BadPolicy(
            "Unable to locate the facet. facet: missing; expected which column's values, or values above a threshold, "
            f"mean the rows that bias is looked for in, found the columns {', '.join(table.columns)}"
        )
    columns = table.columns
    if config.facet_dataset_uri is not None:
        columns = _columns_beside(request, config.facet_dataset_uri, config.facet_headers, "facet_dataset_uri", table)
    for place, facet in enumerate(config.facet):
        name = _facet_column(facet, tuple(columns), f"facet[{place}].name_or_index")
        where = f"facet[{place}].value_or_threshold"
        for selection in selections(columns[name], facet.value_or_threshold, _declared(config, name), where):
            yield FacetRows(name, selection)


def _facet_column(facet: Facet, header: tuple[str, ...], where: str) -> str:
    try:
        return column_name(header, where, facet.name_or_index)
    except BadPolicy as error:
        raise BadPolicy(f"Unable to locate the facet. {error}") from error


def group_of(config: AnalysisConfig, table: Table) -> NDArray[Any] | None:
    if config.group_variable is None:
        return None
    return table.columns[column_name(tuple(table.columns), "group_variable", config.group_variable)]


def numbers_beside(table: Table, facet: str) -> NDArray[np.float64] | None:
    """The features but the facet, (rows, features); None where one of them is no number."""
    numbers = [as_numbers(table.columns[name]) for name in table.features if name != facet]
    if any(column is None or not np.isfinite(column).all() for column in numbers) or not numbers:
        return None
    return np.stack([column for column in numbers if column is not None], axis=1)


def _columns_beside(
    request: Request, address: str, headers: Sequence[str] | None, key: str, table: Table
) -> Mapping[str, NDArray[Any]]:
    """The columns of a data set beside the data: joined by the identifier where it has one, else row by row."""
    config = request.config
    files = data_files(request.resolve(address))
    kind = KINDS[config.dataset_type]
    names = tuple(headers) if headers else None
    if not files:
        raise BadData(f"{key}: found no file at {address}")
    data = Data(source=address, headers=names, missing=MISSING)
    also = [name for name in (config.predicted_label, config.joinsource_name_or_index) if isinstance(name, str)]
    also += [facet.name_or_index for facet in config.facet if isinstance(facet.name_or_index, str)]
    typed = TypedTable([open_file(file, data, kind, also) for file in files], data, labelled=False)
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in typed.header}
    for batch in typed.batches():
        if batch.problems:
            raise BadData(f"{key}: {in_clarifys_words(batch.problems)}")
        for name, values in batch.columns.items():
            parts[name].append(values)
    columns = {name: np.concatenate(values) for name, values in parts.items() if values}
    found = len(next(iter(columns.values()))) if columns else 0
    join = _joinsource(config, table, tuple(columns))
    if join is not None and table.joinsource is not None:
        ids = [_key(value) for value in columns[join].tolist()]
        places = {value: place for place, value in enumerate(ids)}
        if len(places) < len(ids):
            twice = next(value for place, value in enumerate(ids) if places[value] != place)
            raise BadData(f"{key}: {address} has more than one row {join} = {twice!r}; expected one for each")
        missing = [value for value in table.joinsource if _key(value) not in places]
        if missing:
            raise BadData(f"{key}: {address} has no row {join} = {missing[0]!r}, nor {len(missing) - 1} others")
        order = [places[_key(value)] for value in table.joinsource]
        return {name: values[order] for name, values in columns.items()}
    if found != len(table):
        raise BadData(f"{key}: {address} has {found} rows, the data {len(table)}; expected a row for each")
    return columns


def _joinsource(config: AnalysisConfig, table: Table, header: tuple[str, ...]) -> str | None:
    """The identifier's column in a data set beside the data: of the same name, else, of several, at the same place."""
    name_or_index = config.joinsource_name_or_index
    if table.meaning.joinsource in header:
        return table.meaning.joinsource
    if isinstance(name_or_index, int) and 0 <= name_or_index < len(header) > 1:
        return header[name_or_index]
    return None


def _key(value: object) -> str:
    """An identifier is the same whether its column was read as numbers or as text."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _declared(config: AnalysisConfig, column: str) -> Kind | None:
    """What `column_types` says of a column; text is a category here."""
    said = config.column_types.get(column)
    return None if said is None else ("continuous" if said == "numeric" else "categorical")


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    numbers = as_numbers(values)
    return values if numbers is None else numbers


def _some(values: NDArray[Any] | None) -> str:
    different = [] if values is None else list(dict.fromkeys(plain(values)))
    return ", ".join(map(str, different[:10])) + (", …" if len(different) > 10 else "")
