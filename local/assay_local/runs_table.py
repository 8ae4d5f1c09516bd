"""`assay runs`: a table of runs, the newest first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from rich.text import Text

from assay.summary import Spent
from assay.verdict import Verdict
from assay_local import application
from assay_local.console import VERDICT_STYLES, Column, Console
from assay_local.place import Place
from assay_local.problem import Problem
from assay_local.runs import LONG_AGO, RunInShort, Runs, nearest

WIDE = 110
"""Columns of a terminal from which on there is room for a run's whole id, and for what it took."""
SHORT = 8
"""Characters of an id that tell a run from all others; more where they do not."""
CHAMPION = "★"


@dataclass(frozen=True)
class Asked:
    model: str | None = None
    verdict: Verdict | None = None
    since: datetime | None = None
    """When it was opened, at the earliest."""
    limit: int = 20
    """0: all."""


def show_runs(place: Place, asked: Asked, console: Console, *, as_json: bool = False) -> int:
    """Say which runs there are; Problem when the model is unknown."""
    runs = Runs(place)
    known = runs.newest_first(asked.model)
    if not known and asked.model is not None and (models := runs.models()):
        raise Problem(f"{place.name}: no run of {asked.model}; {nearest(asked.model, models)}")
    recent = [one for one in known if asked.since is None or one.opened_at >= asked.since]
    lines = list(islice(runs.in_short(recent, asked.verdict), asked.limit or None))
    if as_json:
        print(json.dumps([line.model_dump(mode="json") for line in lines], indent=2, ensure_ascii=False))
        return 0
    if not lines:
        console.say(f"{place.name}: no runs" + (" that match" if known else " yet"))
        return 0
    table(lines, console, [one.folder.run for one in known])
    if asked.limit and len(lines) == asked.limit < len(recent):
        console.say(f"\nThe newest {len(lines)} of {len(recent)} runs looked at; --limit 0 shows all.", "dim")
    return 0


def table(lines: Sequence[RunInShort], console: Console, ids: Sequence[str]) -> None:
    wide = console.width is None or console.width >= WIDE
    length = 20 if wide else shortest(ids)
    columns = [Column(""), Column("run"), Column("model", gives=True), Column("uploaded"), Column("verdict")]
    columns += [Column("took")] if wide else []
    columns += [Column("what decided it", gives=True)]
    rows = []
    for line in lines:
        cells: list[str | Text] = [
            Text(CHAMPION if line.champion else " ", style="yellow"),
            line.run[:length],
            printed(line.model),
            moment(line.uploaded_at or line.opened_at, in_full=console.width is None),
            how_it_is(line),
        ]
        cells += [took(line)] if wide else []
        rows.append([*cells, Text(printed(line.problem or line.decided or ""), style="red" if line.problem else "")])
    console.table(columns, rows)


def shortest(ids: Sequence[str]) -> int:
    """As many characters as tell all ids apart."""
    return next((n for n in range(SHORT, 20) if len({one[:n] for one in ids}) == len(set(ids))), 20)


def how_it_is(line: RunInShort) -> Text:
    if line.verdict is not None:
        return Text(line.verdict, style=VERDICT_STYLES[line.verdict])
    return Text("unreadable" if line.problem else (line.stage or ""), style="dim")


def took(line: RunInShort) -> str:
    application.make_importable("functions")
    from publish_summary.notice import spent_in_words

    return "" if line.seconds is None else spent_in_words(Spent(seconds=line.seconds, usd=line.usd))


def moment(at: datetime, *, in_full: bool) -> str:
    """By the clock of this machine: `12 Nov 20:03`; of another year `12 Nov 2025`."""
    if at == LONG_AGO:
        return ""
    here = at.astimezone()
    if in_full:
        return here.isoformat(" ", "seconds")
    return here.strftime("%d %b %H:%M" if here.year == datetime.now().astimezone().year else "%d %b %Y")


def printed(text: str) -> str:
    """On one line, without what hides or reorders text."""
    application.make_importable("functions")
    from publish_summary.notice import printable

    return " ".join(printable(text).split())
