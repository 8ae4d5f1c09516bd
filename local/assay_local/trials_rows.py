"""Guess what the columns of a table mean to a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData, BadModel, BadPolicy
from assay.policy import Data, ModelOptions, Task
from assay_local.guessed import Guess
from assay_local.readings import (
    LABELS,
    TRIED,
    as_good,
    is_number,
    little_better,
    readings,
    spread,
    told,
    trial,
    usual_first,
)
from evaluator.classification import are_probabilities, classify
from evaluator.rows_data import ask_about, score_rows
from evaluator.scored import Unreadable
from job.progress import Progress
from model.load import Model
from model.table_files import data_files
from model.tables import Table, open_table
from model.transform import output_transform

IDS = ("id", "uuid", "guid", "rowid", "row_id", "index", "key")
UNKNOWN = ("?", "NA", "N/A", "n/a", "nan", "NaN", "NULL", "null", "None", "-")
"""Texts that mean no value where all others are numbers."""
MANY_NUMBERS = 20
"""Different whole numbers from which on a label is no class, where the model has one output."""


class Fit(NamedTuple):
    """A table whose columns the model takes."""

    data: dict[str, Any]
    """What a policy says for it."""
    table: Table
    labels: NDArray[Any]
    """(n,) of the rows that can be read: float64 where they are numbers, else str."""
    places: NDArray[np.int64]
    """(n,)"""
    evaluate: dict[str, Any]
    notes: dict[str, str]
    unsure: dict[str, str]


def guess_rows(place: Path, model: Model, progress: Progress) -> Guess:
    """A table: the label, what is no feature, and how labels and scores are to be read.

    Raises:
        BadData, BadModel: nothing in it fits; says what was tried.
    """
    files = [place] if place.is_file() else data_files(place)
    said, unsure = _source(place, files)
    numeric = model.width == 1 and _has_regression_label(files, said)
    progress.report("trying", 0, 1, "columns")
    fit = _fit(files, said, model, numeric, progress)
    unsure |= fit.unsure
    texts = [name for name in fit.table.features if fit.table.types[name] == "text"]
    if numeric:
        return _regression(fit, model, unsure, progress)
    task: Task = "text_classification" if texts else "tabular_classification"
    labels = [str(label) for label in fit.labels]
    places = spread(labels)
    scores = _scores(fit, fit.places[places], model, progress)
    options: dict[str, Any] = {}
    notes = dict(fit.notes)
    alone = scores.shape[1] == 1
    inside = bool(((scores >= 0) & (scores <= 1)).all())
    if not (inside if alone else are_probabilities(scores)):
        options["output_transform"] = "sigmoid" if alone else "softmax"
        notes["model.output_transform"] = "the scores are no probabilities: they look like logits"
        scores = output_transform(options["output_transform"])(scores)
    ways = list(readings(fit.table.label or "", labels, {label: label for label in labels}, max(scores.shape[1], 2)))
    if not ways:
        raise BadData(f"column {fit.table.label}: its values do not fit the model's {scores.shape[1]} outputs")
    answer = classify(scores, 0.5, 1)
    found = {way.text: trial(way.true[places], *answer) for way in ways}
    chosen = as_good(found)[0]
    best = next(way for way in ways if way.text == chosen)
    notes[f"data.{best.key}"] = told(found, chosen, close=False)
    if poor := little_better(found[chosen].rate, best, places):
        unsure["data.label"] = poor
    return Guess(
        task=task,
        data=fit.data | best.data,
        evaluate=fit.evaluate,
        model=options,
        notes=notes,
        unsure=unsure,
        supports=best.supports if len(fit.labels) == fit.table.survey.rows else {},
        samples=fit.table.survey.rows,
    )


def _regression(fit: Fit, model: Model, unsure: dict[str, str], progress: Progress) -> Guess:
    """By which transform of its output the model is nearest to the label."""
    true = fit.labels[:TRIED].astype(np.float64)
    scores = _scores(fit, fit.places[:TRIED], model, progress)
    known = np.isfinite(scores[:, 0])
    true, scores = true[known], scores[known]
    if not known.any():
        raise BadModel(f"the model answers none of the first {len(known)} rows with a number")
    errors: dict[str, float] = {}
    for name in (None, "exp", "expm1"):
        transformed = output_transform(name)(scores)[:, 0]
        if np.isfinite(transformed).all():
            errors[name or "none"] = float(np.abs(transformed - true).mean())
    best = min(errors, key=lambda name: errors[name])
    constant = float(np.abs(true - np.median(true)).mean())
    if errors[best] >= constant:
        unsure["data.label"] = (
            f"the model is off by {errors[best]:.3g} on average, always answering the median by {constant:.3g}: "
            "check the label and model.output_transform"
        )
    by_transform = ", ".join(f"{name} {error:.3g}" for name, error in sorted(errors.items(), key=lambda pair: pair[1]))
    return Guess(
        task="tabular_regression",
        data=fit.data,
        evaluate=fit.evaluate,
        model={} if best == "none" else {"output_transform": best},
        notes=fit.notes | {"data.label": f"mean error on {len(true)} rows by output_transform: {by_transform}"},
        unsure=unsure,
        samples=fit.table.survey.rows,
    )


def _scores(fit: Fit, places: NDArray[np.int64], model: Model, progress: Progress) -> NDArray[np.float64]:
    """Of these rows, as the model gives them."""
    asked = ask_about(fit.table, model, ModelOptions())
    every = Unreadable(fit.table.survey.rows)
    return score_rows(fit.table, asked, set(), every, progress, frozenset(places.tolist())).scores


def _source(place: Path, files: Sequence[Path]) -> tuple[dict[str, Any], dict[str, str]]:
    """The policy's part that says how the files are read, and what of it is made up."""
    said: dict[str, Any] = {"source": str(place) if place.is_file() else f"{place}/"}
    if not files:
        raise BadData(f"{place}: no data: expected pictures, or CSV, JSON Lines or Parquet files")
    first = files[0]
    if first.suffix.lower() in (".jsonl", ".ndjson"):
        with first.open(encoding="utf-8-sig") as lines:
            try:
                record = json.loads(next(lines, "{}"))
            except ValueError as error:
                raise BadData(f"{first.name}, line 1: not JSON: {error}") from error
        lists = [key for key, value in record.items() if isinstance(value, list)] if isinstance(record, dict) else []
        if lists:
            headers = [f"feature_{number}" for number in range(len(record[lists[0]]))]
            return said | {"features": lists[0], "headers": headers}, {"data.headers": "the file names no features"}
    if first.suffix.lower() == ".csv":
        header = open_table([first], Data(source=str(first), label=0)).header
        if all(is_number(name) for name in header):
            headers = [f"column_{number}" for number in range(len(header))]
            return said | {"headers": headers}, {"data.headers": "the file has no header: these names are made up"}
    return said, {}


def _has_regression_label(files: Sequence[Path], said: Mapping[str, Any]) -> bool:
    """Whether the label, of a model with one output, is a number and no class of two."""
    header = open_table(files, Data(**said, label=0)).header
    label = usual_first(header)[0]
    table = open_table(files, Data(**said, label=label))
    values = set(_values(table, label)[1].tolist())
    return (
        len(values) > 2
        and all(is_number(value) for value in values)
        and (len(values) > MANY_NUMBERS or not all(float(value).is_integer() for value in values))
    )


def _fit(files: Sequence[Path], said: Mapping[str, Any], model: Model, numeric: bool, progress: Progress) -> Fit:
    """The first label whose other columns the model takes, without those that are no features."""
    header = open_table(files, Data(**said, label=0)).header
    problem: BadModel | BadPolicy | BadData | None = None
    for label in usual_first(header):
        for more in _left_out(header, label):
            data: dict[str, Any] = {**said, "label": label, **more}
            try:
                table = open_table(files, Data(**data), numeric_label=numeric)
                unused = ask_about(table, model, ModelOptions()).unused
                if not numeric:
                    _check_fits_outputs(label, _values(table, label)[1], model)
            except (BadModel, BadPolicy, BadData) as error:
                problem = problem or error
                continue
            notes, unsure = {}, {}
            if unused:
                data["exclude"] = [*data.get("exclude", []), *unused]
                notes["data.exclude"] = "the model has no input for them"
            if label.casefold() not in LABELS and label != header[-1]:
                unsure["data.label"] = "no column has a usual name for the true answer: this one is left over"
            return _without_unknown(
                Fit(data, table, *_values(table, label), {}, notes, unsure), files, model, numeric, progress
            )
    assert problem is not None  # a table has columns
    raise problem


def _without_unknown(fit: Fit, files: Sequence[Path], model: Model, numeric: bool, progress: Progress) -> Fit:
    """With what becomes of rows that hold a text such as `?` where all others hold a number."""
    data, evaluate, unsure = dict(fit.data), {}, dict(fit.unsure)
    table = open_table(files, Data(**data), numeric_label=numeric)
    missing, bad = _unknown_texts(table)
    if missing:
        other = open_table(files, Data(**{**data, "missing": missing}), numeric_label=numeric)
        tried = fit._replace(table=other, data={**data, "missing": missing})
        if np.isfinite(_scores(tried, bad[:TRIED], model, progress)).all():
            table, data = other, tried.data
        else:
            evaluate["max_unreadable"] = len(bad)
            unsure["evaluate.max_unreadable"] = (
                f"where {', '.join(missing)} stands for a number ({len(bad)} of {table.survey.rows} rows) the model "
                "answers with none: those are left out"
            )
    places, labels = _values(table, str(table.label), fewer=bad if evaluate else None)
    return fit._replace(data=data, table=table, labels=labels, places=places, evaluate=evaluate, unsure=unsure)


def _left_out(header: Sequence[str], label: str) -> Iterator[dict[str, Any]]:
    """What beside the label may be no feature: nothing, an id, any one column."""
    yield {}
    others = [name for name in header if name != label]
    for name in others:
        if name.casefold() in IDS or name.casefold().endswith("_id"):
            yield {"id": name}
            yield {"exclude": [name]}


def _check_fits_outputs(label: str, values: NDArray[Any], model: Model) -> None:
    different = [str(value) for value in dict.fromkeys(values.tolist())]
    classes = max(model.width or 2, 2)
    if not any(readings(label, different, {value: value for value in different}, classes)):
        raise BadData(
            f"column {label} has {len(different)} different values, which are no whole numbers from 0 or 1 and not as "
            f"many as the model's classes, {classes}"
        )


def _values(
    table: Table, column: str, fewer: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Places and values of a column, without some rows."""
    found = [(batch.rows, batch.columns[column]) for batch in table.batches(columns={column})]
    places, values = np.concatenate([rows for rows, _ in found]), np.concatenate([values for _, values in found])
    kept = np.isin(places, [] if fewer is None else fewer, invert=True)
    return places[kept], values[kept]


def _unknown_texts(table: Table) -> tuple[list[str], NDArray[np.int64]]:
    """Texts that stand for no value among numbers, and the places of the rows that cannot be read."""
    found: dict[str, None] = {}
    read = []
    for batch in table.batches():
        read.append(batch.rows)
        for problem in batch.problems:
            found |= {text: None for text in UNKNOWN if f" is {text!r}, expected" in problem}
    return list(found), np.setdiff1d(np.arange(table.survey.rows), np.concatenate(read))
