"""The summary as a page and as Markdown, for people."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from assay.evaluation import EvaluationReport, Slice
from assay.summary import Summary
from assay_aws.run_store import RunStore
from publish_summary.headline import flips_in_words, name_of, number
from publish_summary.importance import MOST_PASSAGES
from publish_summary.notice import costs_in_words, failing_first, printable

PICTURES_MAX = 4 << 20
"""Bytes of pictures in a page, before base64: one that opens at once, and that a mail may carry."""
ROWS_MAX = 200
"""Rows of each table."""
CHANGES_MAX = 12
"""Differences from the champion that are seen at once; the others are folded away."""

MISTAKES_SHOWN = 12
"""Mistakes that are seen at once; the others are folded away."""
PLOTS = {
    "confusion": "Confusion matrix",
    "curves": "ROC, precision and recall",
    "classes": "Each class",
    "reliability": "How sure it says it is",
    "residuals": "Errors",
    "slices": "Slices",
    "precision_recall": "Precision and recall",
}


class Picture(NamedTuple):
    title: str
    source: str
    """A data: address, so that the page needs nothing beside it."""


@cache
def templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "printable": printable, "cell": cell}
    environment.globals |= {
        "costs_in_words": costs_in_words,
        "name_of": name_of,
        "failing_first": failing_first,
        "flips_in_words": flips_in_words,
        "metrics_of": metrics_of,
        "rows_max": ROWS_MAX,
        "passages_max": MOST_PASSAGES,
        "changes_max": CHANGES_MAX,
    }
    return environment


def page(summary: Summary, report: EvaluationReport | None, store: RunStore) -> str:
    """A page that needs nothing beside it: the verdict first, then what it rests on."""
    pictures = Pictures(store)
    plots = [
        pictures.all(title_of(name), [store.folder.evaluation + name]) for name in (report.plots if report else ())
    ]
    mistakes = [
        (
            mistake,
            pictures.all(mistake.id, mistake.heat_maps),
            pictures.all(mistake.id, () if mistake.champion is None else mistake.champion.heat_maps),
        )
        for mistake in summary.mistakes[:ROWS_MAX]
    ]
    return (
        templates()
        .get_template("summary.html.jinja")
        .render(
            summary=summary,
            report=report,
            plots=[plot for found in plots for plot in found],
            shown=MISTAKES_SHOWN,
            mistakes=mistakes,
            left_out=pictures.left_out,
            bucket=store.bucket,
            folder=store.folder,
        )
    )


def title_of(plot: str) -> str:
    """What stands above a plot, by its file."""
    name = plot.rpartition("/")[2].removesuffix(".svg")
    return PLOTS.get(name, name.replace("_", " ").capitalize())


def markdown(summary: Summary, bucket: str) -> str:
    return templates().get_template("summary.md.jinja").render(summary=summary, bucket=bucket)


class Pictures:
    """Pictures of the run's folder, until the page is large enough."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._left = PICTURES_MAX
        self.left_out = 0

    def all(self, title: str, keys: Iterable[str]) -> list[Picture]:
        """Those of them that there are and that there is room for."""
        return [picture for key in keys if (picture := self.picture(title, key)) is not None]

    def picture(self, title: str, key: str) -> Picture | None:
        """The picture to embed; None when there is none, or no room for it."""
        content = self._store.read(key) if self._left > 0 else b""
        if content is None:
            return None
        if not content or len(content) > self._left:
            self.left_out += 1
            return None
        self._left -= len(content)
        # In an <img> a browser runs no script of an SVG.
        kind = "image/svg+xml" if key.endswith(".svg") else "image/jpeg"
        return Picture(title, f"data:{kind};base64,{base64.b64encode(content).decode()}")


def metrics_of(slices: Sequence[Slice]) -> list[str]:
    """The metrics that any of them has."""
    return list(dict.fromkeys(name for one in slices for name in one.metrics))


def cell(text: object) -> str:
    """Text that stays in its cell of a Markdown table, and is no markup there."""
    plain = printable(" ".join(str(text).split()))
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#&$" else c for c in plain)
