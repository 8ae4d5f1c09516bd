"""Clarify's `out.jsonl`, and the like of it with what Clarify does not give."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from explainer.shapley import NORMAL_95
from explainer.text.explained import TextsExplained
from explainer.text.rows import TextRow

Numbers = Callable[[TextRow], list[Any]]
"""A row → (players, labels) in JSON."""


def write_local_texts(shap: Path, assay: Path, explained: TextsExplained) -> None:
    """`out.jsonl`: a line for each row of the data, its identifier beside `explanations`.

    Beside Clarify's files the same with the attributions' standard errors and the ends of their 95 % intervals, null
    where they are not known. A row that was left out has no line where it has an identifier, and else one without
    explanations, since its place is all there is of it. Each file is whole or not there.
    """
    own = explained.rows.table.meaning.joinsource
    files: dict[Path, Numbers] = {
        shap / "out.jsonl": lambda row: row.values.tolist(),
        assay / "standard_errors.jsonl": _with_errors(0, 1),
        assay / "lower.jsonl": _with_errors(1, -NORMAL_95),
        assay / "upper.jsonl": _with_errors(1, NORMAL_95),
    }
    with ExitStack() as stack:
        writers = [(stack.enter_context(_lines(path)), numbers) for path, numbers in files.items()]
        for row in explained.rows.in_order():
            if row is None and own is not None:
                continue
            for write, numbers in writers:
                line: dict[str, Any] = {"explanations": []}
                if row is not None:
                    found = numbers(row)
                    line = {
                        "explanations": [_of_feature(row, found, name, explained) for name in explained.rows.features]
                    }
                    line |= {} if own is None else {own: row.id}
                write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")


def _with_errors(value: float, reach: float) -> Numbers:
    """value · attribution + reach · its standard error."""

    def numbers(row: TextRow) -> list[Any]:
        if row.errors is None:
            return [[None] * len(row.base)] * len(row.players)
        found: list[Any] = (value * row.values + reach * row.errors).tolist()
        return found

    return numbers


@contextmanager
def _lines(path: Path) -> Iterator[Callable[[str], object]]:
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="\n") as stream:
        yield stream.write
    part.replace(path)


def _of_feature(row: TextRow, numbers: list[Any], name: str, explained: TextsExplained) -> dict[str, Any]:
    attributions: list[dict[str, Any]] = []
    for player, values in zip(row.players, numbers, strict=True):
        if player.feature != name:
            continue
        attributions.append({"attribution": values})
        if player.span is not None:
            attributions[-1]["description"] = {"partial_text": row.text_of(player), "start_idx": player.span[0]}
    return {"feature_name": name, "data_type": explained.types[name], "attributions": attributions}
