"""`report.html`: the results on one page that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from explainer.analysis import Results
from explainer.curves import curve
from explainer.rows import RowsExplained
from explainer.text.explained import TextRow, TextsExplained
from explainer.text.game import MOST_UNITS
from explainer.text.highlight import highlighted

MOST_FEATURES, MOST_LABELS, MOST_ROWS, MOST_IMAGES, MOST_CURVES, MOST_FACETS = 20, 12, 12, 60, 24, 40
"""What a page shows before it says how much more there is: it stays well under 10 MB, and readable."""
FEATURES_OF_A_ROW = 8


@dataclass(frozen=True)
class Bar:
    """A value as a bar from a common zero."""

    name: str
    value: float
    percent: float
    """Length, of the longest bar beside it."""


@dataclass(frozen=True)
class HeatMap:
    """A picture's explanation for one label."""

    name: str
    label: str
    file: Path


Facts = Sequence[tuple[str, str]]
"""Names and values that stand above the results."""


def rows_report(title: str, facts: Facts, results: Results, chosen: Mapping[int, str]) -> str:
    """The page for rows: what matters for each label, what moved single predictions, dependence and bias.

    Args:
        title: the page's.
        facts: what stands above.
        results: of all analyses.
        chosen: row → why it was chosen to be shown; the first rows where none was.
    """
    notes = [f"{name}: {error}" for name, error in results.failures.items()]
    found: dict[str, Any] = {}
    if results.rows is not None:
        found = _attributions(results.rows, chosen)
    elif results.texts is not None:
        found = _texts(results.texts, chosen)
        notes += text_notes(results.texts)
    return _render(
        title,
        facts,
        notes=notes,
        **found,
        curves=[curve(one, results.labels) for one in results.dependence[:MOST_CURVES]],
        biases=_biases(results),
    )


def _attributions(explained: RowsExplained, chosen: Mapping[int, str]) -> dict[str, Any]:
    labels = [
        {
            "name": label,
            "expected": explained.expected[output],
            "bars": bars(explained.features, explained.importance[:, output], MOST_FEATURES),
        }
        for output, label in enumerate(explained.labels[:MOST_LABELS])
    ]
    order = list(chosen) or range(len(explained.values))
    rows = [_row(explained, row, chosen.get(row, "")) for row in order[:MOST_ROWS]]
    return {
        "labels": labels,
        "rows": rows,
        "agg_method": explained.agg_method,
        "representative": explained.representative,
        "more": _more(
            (len(explained.labels) - MOST_LABELS, "label"),
            (len(explained.features) - MOST_FEATURES, "feature"),
            (len(explained.values) - len(rows), "row"),
        ),
    }


def _texts(explained: TextsExplained, chosen: Mapping[int, str]) -> dict[str, Any]:
    labels = [
        {
            "name": label,
            "expected": explained.expected[output],
            "bars": bars(explained.others, explained.importance[:, output], MOST_FEATURES),
            "tops": [
                {"name": name, "bars": bars(list(top), np.array(list(top.values())), MOST_FEATURES)}
                for name in explained.texts
                for top in [explained.top(name, output)]
            ],
        }
        for output, label in enumerate(explained.labels[:MOST_LABELS])
    ]
    order = list(chosen) or range(len(explained.rows))
    rows = [_text_row(explained, explained.rows[row], chosen.get(row, "")) for row in order[:MOST_ROWS]]
    return {
        "labels": labels,
        "rows": rows,
        "agg_method": explained.agg_method,
        "representative": int(explained.representative.sum()),
        "granularity": explained.granularity,
        "more": _more(
            (len(explained.labels) - MOST_LABELS, "label"),
            (len(explained.others) - MOST_FEATURES, "feature"),
            (len(explained.rows) - len(rows), "row"),
        ),
    }


def _text_row(explained: TextsExplained, row: TextRow, reason: str) -> dict[str, Any]:
    output = int(row.prediction.argmax())
    places = [place for place, player in enumerate(row.players) if player.span is None]
    return {
        "id": row.id,
        "reason": reason,
        "label": explained.labels[output],
        "prediction": row.prediction[output],
        "expected": row.base[output],
        "bars": bars(explained.others, row.values[places, output], FEATURES_OF_A_ROW),
        "texts": [
            {
                "name": name,
                "passages": highlighted(text, [(span, float(values[output])) for span, values in row.parts(name)]),
            }
            for name, text in row.texts.items()
        ],
    }


def text_notes(explained: TextsExplained) -> list[str]:
    """What a reader should know of how texts were cut."""
    notes = []
    if explained.segmenter.instead_of:
        notes.append(f"{explained.segmenter.instead_of}. Texts are cut by {explained.segmenter.how} instead.")
    if explained.grouped:
        notes.append(
            f"{explained.grouped} of the texts have more than {MOST_UNITS:,} {explained.granularity}s: there "
            "neighbours are taken together, as many as leave no more than that."
        )
    return notes


def _biases(results: Results) -> list[dict[str, Any]]:
    return [
        {"title": title, "label": bias.label, "positive": bias.positive, "facets": facets}
        for title, bias in (("before training", results.before), ("after training", results.after))
        if bias is not None
        for facets in [
            [
                {"name": f"{column} = {value}", "metrics": metrics}
                for column, found in bias.facets.items()
                for value, metrics in found
            ][:MOST_FACETS]
        ]
    ]


def images_report(title: str, facts: Facts, heat_maps: Sequence[HeatMap], notes: Sequence[str]) -> str:
    """The page for pictures: their heat maps; `notes` name those that could not be read."""
    pictures = [
        {
            "name": heat_map.name,
            "label": heat_map.label,
            "address": "data:image/jpeg;base64," + base64.b64encode(heat_map.file.read_bytes()).decode(),
        }
        for heat_map in heat_maps[:MOST_IMAGES]
    ]
    return _render(
        title,
        facts,
        notes=notes[:MOST_IMAGES],
        pictures=pictures,
        more=_more((len(heat_maps) - MOST_IMAGES, "heat map")),
    )


def bars(names: Sequence[str], values: NDArray[np.float64], most: int) -> list[Bar]:
    """The largest values, by size, as bars."""
    order = np.argsort(-np.abs(values), kind="stable")[:most]
    longest = float(np.abs(values).max(initial=0.0)) or 1.0
    return [Bar(names[i], float(values[i]), 100 * abs(float(values[i])) / longest) for i in order]


def _row(explained: RowsExplained, row: int, reason: str) -> dict[str, Any]:
    output = int(explained.predictions[row].argmax())
    return {
        "id": explained.ids[row],
        "reason": reason,
        "label": explained.labels[output],
        "prediction": explained.predictions[row, output],
        "expected": explained.expected[output],
        "bars": bars(explained.features, explained.values[row, :, output], FEATURES_OF_A_ROW),
    }


def _more(*left_out: tuple[int, str]) -> str:
    """`3 more labels and 1 more row`, or nothing."""
    return " and ".join(f"{count} more {noun}{'' if count == 1 else 's'}" for count, noun in left_out if count > 0)


def _render(title: str, facts: Facts, **content: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("explainer"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:.3g}"
    environment.filters["signed"] = lambda value: f"{value:+.3g}"
    defaults: dict[str, Any] = {"notes": [], "labels": [], "rows": [], "pictures": [], "agg_method": "", "more": ""}
    defaults |= {"curves": [], "biases": [], "representative": 0, "granularity": ""}
    return environment.get_template("report.html.j2").render(title=title, facts=facts, **(defaults | content))
