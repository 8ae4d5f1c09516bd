"""`report.html`: the results on one page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from explainer.analysis import Results
from explainer.curves import curve
from explainer.rows import RowsExplained
from explainer.shapley import NORMAL_95
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
    half_width: float = 0.0
    """How far the 95 % interval reaches to either side; 0: there is none, or nothing to doubt."""
    whisker: tuple[float, float] = (0.0, 0.0)
    """Where the interval begins, and how long it is, in the same percent."""


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
        notes += _left_out(results.rows)
    elif results.texts is not None:
        found = _texts(results.texts, chosen)
        notes += text_notes(results.texts)
    return render(
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
            "alike": explained.rank_correlations.get(label),
            "bars": bars(explained.features, explained.importance[:, output], MOST_FEATURES),
        }
        for output, label in enumerate(explained.labels[:MOST_LABELS])
    ]
    known = explained.found.numbers >= 0
    order = [row for row in list(chosen) or range(len(known)) if known[row]]
    rows = [_row(explained, row, chosen.get(row, "")) for row in order[:MOST_ROWS]]
    return {
        "labels": labels,
        "rows": rows,
        "intervals": not explained.exact,
        "agg_method": explained.agg_method,
        "representative": explained.representative,
        "more": more(
            (len(explained.labels) - MOST_LABELS, "label"),
            (len(explained.features) - MOST_FEATURES, "feature"),
            (int(known.sum()) - len(rows), "row"),
        ),
    }


def _left_out(explained: RowsExplained) -> list[str]:
    left_out = explained.left_out
    if not left_out:
        return []
    total = len(explained.found.numbers)
    others = f" and {len(left_out) - 10:,} more" if len(left_out) > 10 else ""
    done = f"{total - len(left_out):,} of {total:,} rows, drawn by chance"
    names = f"{', '.join(left_out[:10])}{others}; assay/rows.csv names them all"
    return [f"The time budget was over after {done}. Left out are {names}."]


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
        "more": more(
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


def bars(
    names: Sequence[str], values: NDArray[np.float64], most: int, half_widths: NDArray[np.float64] | None = None
) -> list[Bar]:
    """The largest values, by size, as bars; NaN for a half width that is not known."""
    order = np.argsort(-np.abs(values), kind="stable")[:most]
    reach = np.zeros(len(values)) if half_widths is None else np.nan_to_num(half_widths)
    longest = float((np.abs(values) + reach).max(initial=0.0)) or 1.0
    reach = np.where(reach > 1e-9 * longest, reach, 0.0)  # rounding is no doubt
    return [
        Bar(
            names[i],
            float(values[i]),
            100 * abs(float(values[i])) / longest,
            float(reach[i]),
            _whisker(100 * abs(float(values[i])) / longest, 100 * float(reach[i]) / longest),
        )
        for i in order
    ]


def _whisker(end: float, reach: float) -> tuple[float, float]:
    """Around a bar's end; cut off at its beginning, the zero that it may reach beyond."""
    begin = max(end - reach, 0.0)
    return begin, end + reach - begin


def _row(explained: RowsExplained, row: int, reason: str) -> dict[str, Any]:
    found, line = explained.found.row(row), explained.found.line
    assert found is not None
    prediction = found[line.prediction]
    output = int(prediction.argmax())
    of_label = slice(output * line.features, (output + 1) * line.features)
    half_widths = NORMAL_95 * found[line.errors][of_label]
    return {
        "id": explained.ids[row],
        "reason": reason,
        "label": explained.labels[output],
        "prediction": prediction[output],
        "expected": found[line.base][output],
        "bars": bars(explained.features, found[line.values][of_label], FEATURES_OF_A_ROW, half_widths),
    }


def more(*left_out: tuple[int, str]) -> str:
    """`3 more labels and 1 more row`, or nothing."""
    return " and ".join(f"{count} more {noun}{'' if count == 1 else 's'}" for count, noun in left_out if count > 0)


def render(title: str, facts: Facts, **content: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("explainer"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:.3g}"
    environment.filters["short"] = lambda value: f"{value:.1g}"
    environment.filters["signed"] = lambda value: f"{value:+.3g}"
    defaults: dict[str, Any] = {"notes": [], "labels": [], "rows": [], "pictures": [], "agg_method": "", "more": ""}
    defaults |= {
        "curves": [],
        "biases": [],
        "faithfulness": None,
        "representative": 0,
        "granularity": "",
        "intervals": False,
    }
    return environment.get_template("report.html.j2").render(title=title, facts=facts, **(defaults | content))
