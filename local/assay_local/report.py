"""`assay open`: a run's report in a browser."""

from __future__ import annotations

import sys
import webbrowser

from assay_local.commands.arguments import has_display
from assay_local.console import Console
from assay_local.place import Place
from assay_local.problem import Problem
from assay_local.runs import Runs


def open_report(place: Place, text: str, console: Console, *, only_print: bool = False) -> int:
    """Open it, and say where it is; Problem when there is none."""
    runs = Runs(place)
    folder = runs.find(text)
    if "summary.html" not in place.below(folder.prefix)[1]:
        raise Problem(f"run {folder.run} of {folder.model} has no report: {runs.stage(folder)}")
    link = place.link(folder.summary_html)
    if link.valid_until is None:
        console.say(place.address(folder.summary_html))
    else:
        console.say(link.url)
        console.say(f"  valid until {link.valid_until:%H:%M}, or until the credentials that signed it end", "dim")
        console.say(f"  console   {link.console}", "dim")
        console.say(f"  address   {place.address(folder.summary_html)}", "dim")
    if only_print:
        return 0
    if has_display():
        webbrowser.open(link.url)
    else:
        print("no display to open it on", file=sys.stderr)
    return 0
