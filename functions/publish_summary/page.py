"""The summary as a page and as Markdown, for people."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from assay.evaluation import EvaluationReport, Slice
from assay.summary import Mistake, Summary
from assay_aws.run_store import RunStore
from publish_summary.certainty import certainty_in_words
from publish_summary.charts import dependence_chart, range_of
from publish_summary.console import folder_page, job_pages
from publish_summary.headline import flips_in_words, name_of, number
from publish_summary.importance import MOST_PASSAGES
from publish_summary.notice import costs_in_words, dollars, duration, failing_first, other_runs, printable
from publish_summary.pictures import Picture, Pictures

TEMPLATES = Path(__file__).with_name("templates")
ROWS_MAX = 200
"""Rows of each table."""
MISTAKES_SHOWN = 12
"""Mistakes that are seen at once; the others are folded away."""
MISTAKES_LISTED = 20
"""In the Markdown, which folds nothing away."""
LABELS_MAX = 12
"""Outputs whose importance is drawn."""
FEATURES_MAX = 12
"""Features of each."""
NAME_MAX = 200
"""Characters of a name in the page; the files have the whole."""
PLOTS = {
    "confusion": "Confusion matrix",
    "curves": "ROC, precision and recall",
    "classes": "Each class",
    "reliability": "How sure it says it is",
    "residuals": "Errors",
    "slices": "Slices",
    "precision_recall": "Precision and recall",
}


class Titled(NamedTuple):
    title: str
    picture: Picture


class Shown(NamedTuple):
    """A mistake with its pictures."""

    mistake: Mistake
    pictures: list[Picture]
    champions: list[Picture]


@cache
def templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "printable": printable,
        "name": shown_name,
        "cell": cell,
        "share": share,
        "strength": strength,
        "dollars": dollars,
        "duration": duration,
    }
    environment.globals |= {
        "costs_in_words": costs_in_words,
        "certainty_in_words": certainty_in_words,
        "dependence_chart": dependence_chart,
        "name_of": name_of,
        "other_runs": other_runs,
        "range_of": range_of,
        "failing_first": failing_first,
        "flips_in_words": flips_in_words,
        "folder_page": folder_page,
        "job_pages": job_pages,
        "metrics_of": metrics_of,
        "rows_max": ROWS_MAX,
        "passages_max": MOST_PASSAGES,
        "labels_max": LABELS_MAX,
        "features_max": FEATURES_MAX,
        "mistakes_max": MISTAKES_SHOWN,
        "mistakes_listed": MISTAKES_LISTED,
    }
    return environment


def page(summary: Summary, report: EvaluationReport | None, store: RunStore) -> str:
    """A page that needs nothing beside it: the verdict first, then what it rests on."""
    plots = [store.folder.evaluation + name for name in (report.plots if report else ())]
    mistakes = summary.mistakes[:ROWS_MAX]
    pictures = Pictures(store, plots, heat_maps_of(mistakes))
    shown = [
        Shown(one, pictures.of(one.heat_maps), pictures.of(() if one.champion is None else one.champion.heat_maps))
        for one in mistakes
    ]
    style, script = inline("summary.css"), inline("summary.js")
    return (
        templates()
        .get_template("summary.html.jinja")
        .render(
            summary=summary,
            report=report,
            plots=[Titled(title_of(key), picture) for key in plots for picture in pictures.of([key])],
            broken=[one for one in shown if one.mistake.broken],
            mistakes=[one for one in shown if not one.mistake.broken],
            left_out=pictures.left_out,
            bucket=store.bucket,
            folder=store.folder,
            style=style,
            script=script,
            security_policy=security_policy(style, script),
        )
    )


def heat_maps_of(mistakes: Iterable[Mistake]) -> Iterator[str]:
    for mistake in mistakes:
        yield from mistake.heat_maps
        if mistake.champion is not None:
            yield from mistake.champion.heat_maps


@cache
def inline(name: str) -> Markup:
    """A file of ours that stands in the page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704  # ours, not the uploader's


def security_policy(style: str, script: str) -> str:
    """What a browser does for the page: our style and our script, pictures within it, and nothing else at all."""
    return (
        f"default-src 'none'; img-src data:; style-src {digest(style)}; script-src {digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def title_of(plot: str) -> str:
    """What stands above a plot, by its file."""
    name = plot.rpartition("/")[2].removesuffix(".svg")
    return PLOTS.get(name, name.replace("_", " ").capitalize())


def markdown(summary: Summary, bucket: str) -> str:
    return templates().get_template("summary.md.jinja").render(summary=summary, bucket=bucket)


def metrics_of(slices: Sequence[Slice]) -> list[str]:
    """The metrics that any of them has."""
    return list(dict.fromkeys(name for one in slices for name in one.metrics))


def shown_name(text: object) -> str:
    """A name that somebody else gave: on one line, without what hides or reorders text, and not endless."""
    plain = printable(" ".join(str(text).split()))
    return plain if len(plain) <= NAME_MAX else plain[: NAME_MAX - 1] + "…"


def share(value: float, largest: float) -> str:
    """A bar's length out of 100."""
    return f"{100 * abs(value) / largest if largest else 0:.1f}"


def strength(value: float, largest: float) -> int:
    """0 to 9: how much colour a passage gets; the style sheet has one class for each."""
    return min(9, int(10 * abs(value) / largest)) if largest else 0


def cell(text: object) -> str:
    """Text that stays in its cell of a Markdown table, and is no markup there."""
    plain = printable(" ".join(str(text).split()))
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#&$" else c for c in plain)
