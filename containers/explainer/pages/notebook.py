"""`report.ipynb`: the report as cells, each section followed by code that reads its numbers.

Format: nbformat 4.5. A viewer keeps inline styles, but neither a style sheet nor a drawing inside the text; so bars are
styled one by one, and curves are images.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from explainer.pages.content import Bars, Block, Card, Curve, Measures, Picture, Report, Section, Sign, Text
from explainer.pages.drawing import svg

FOR, AGAINST, PALE = "#2166ac", "#b2182b", "#6b6b70"

Cell = dict[str, Any]

BEGIN = """\
import json

import pandas as pd

with open("analysis.json", encoding="utf-8") as stream:
    analysis = json.load(stream)"""


_LITERAL = {ord(sign): f"&#{ord(sign)};" for sign in "&<>\"'\\`*_[]#~|:"}
"""`:` too: of bare addresses Markdown makes links."""
_LITERAL[ord("$")] = "<span>&#36;</span>"
"""An element between them keeps two dollar signs from enclosing a formula."""


def notebook(report: Report, folder: Path) -> str:
    """The notebook's text.

    Args:
        report: what it says.
        folder: where it will lie; code is given for those of its files that are there.
    """
    cells = [_markdown(_head(report)), _code(BEGIN)]
    for section in report.sections:
        cells.append(_markdown(f"## {_plain(section.title)}\n\n{_intro(section)}"))
        for card in section.cards:
            pictures = [block for block in card.blocks if isinstance(block, Picture)]
            if len(pictures) < len(card.blocks):
                cells.append(_markdown(str(_card(card))))
            cells += [_shown(picture, folder) for picture in pictures]
        cells += [_code(reading.code) for reading in section.readings if (folder / reading.file).exists()]
    if report.left_out:
        cells.append(
            _markdown(f"Not shown here: {_plain(report.left_out)}. The files beside this notebook hold everything.")
        )
    content = {
        "cells": [{"id": f"cell-{place}"} | cell for place, cell in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "title": report.title,
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _markdown(source: str) -> Cell:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _code(source: str, outputs: Sequence[dict[str, Any]] = ()) -> Cell:
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": list(outputs), "execution_count": None}


def _plain(text: str) -> Markup:
    """Text that is neither HTML, nor Markdown, nor a formula, and stays on its line."""
    return Markup(" ".join(text.translate(_LITERAL).split()))  # noqa: S704 - every sign that means something is gone


def _head(report: Report) -> str:
    facts = Markup("").join(
        Markup(
            '<tr><td style="text-align:left;color:{}">{}</td><td style="text-align:left"><b>{}</b></td></tr>'
        ).format(PALE, _plain(name), _plain(value))
        for name, value in report.facts
    )
    notes = "".join(f"\n\n> {_plain(note)}" for note in report.notes)
    return f"# {_plain(report.title)}\n\n{_table(facts)}{notes}"


def _intro(section: Section) -> Markup:
    return Markup("").join(_sign(piece) if isinstance(piece, Sign) else _inline(piece) for piece in section.intro)


def _inline(piece: str) -> Markup:
    """A piece of a line: a blank at either end parts it from its neighbours."""
    before, after = " " * piece[:1].isspace(), " " * piece[-1:].isspace()
    return Markup("{}{}{}").format(before, _plain(piece), after)


def _sign(sign: Sign) -> Markup:
    if sign.text:
        return _marked(sign.text, sign.raises, 1.0)
    return Markup('<span style="color:{}">■</span>').format(FOR if sign.raises else AGAINST)


def _card(card: Card) -> Markup:
    """On one line: an empty line would end the HTML, and Markdown begin."""
    title = Markup('<div style="margin-top:1em"><b>{}</b> <span style="color:{}">{}</span></div>')
    return title.format(_plain(card.title), PALE, _plain(card.subtitle)) + Markup("").join(map(_block, card.blocks))


def _block(block: Block) -> Markup:
    match block:
        case Bars():
            return _bars(block)
        case Measures():
            return _measures(block)
        case Text():
            return _text(block)
        case Curve():
            return _curve(block)
        case Picture():
            return Markup("")  # has a cell of its own


def _caption(text: str) -> Markup:
    return Markup('<div style="color:{}">{}</div>').format(PALE, _plain(text)) if text else Markup("")


def _table(rows: Markup) -> Markup:
    return Markup('<table style="margin-left:0">{}</table>').format(rows)


def _bars(block: Bars) -> Markup:
    row = Markup(
        '<tr><td style="text-align:left;max-width:20em;overflow-wrap:anywhere">{}</td>'
        '<td style="text-align:left"><div style="width:12em">'
        '<div style="width:{:.1f}%;min-width:1px;height:0.8em;background-color:{}"></div></div></td>'
        '<td style="text-align:right">{}</td></tr>'
    )
    rows = Markup("").join(
        row.format(
            _plain(bar.name),
            100 * abs(bar.value) / block.longest,
            AGAINST if bar.value < 0 else FOR,
            _plain(written),
        )
        for bar, written in zip(block.bars, block.written, strict=True)
    )
    return _caption(block.caption) + _table(rows)


def _measures(block: Measures) -> Markup:
    row = Markup(
        '<tr><td style="text-align:left">{}</td>'
        '<td style="text-align:right;max-width:24em;overflow-wrap:anywhere">{}</td>'
        '<td style="text-align:right">{}</td></tr>'
    )
    rows = Markup("").join(
        row.format(_plain(one.name), _plain(one.written), _plain(one.interval)) for one in block.rows
    )
    head = row.format("metric", "value", "95 % interval").replace("td", "th")
    return _table(head + rows)


def _text(block: Text) -> Markup:
    passages = Markup("").join(
        _broken(one.text) if one.value is None else _marked(one.text, one.value >= 0, one.strength)
        for one in block.passages
    )
    return _caption(block.caption) + Markup('<p dir="auto">{}</p>').format(passages)


def _marked(text: str, raises: bool, strength: float) -> Markup:
    """Underlined, doubly where it lowers the score: told apart without colour."""
    red, green, blue = (0x21, 0x66, 0xAC) if raises else (0xB2, 0x18, 0x2B)
    return Markup('<span style="background-color:rgba({},{},{},{:.2f});text-decoration:underline {}">{}</span>').format(
        red, green, blue, 0.45 * strength, "" if raises else "double", _broken(text)
    )


def _broken(text: str) -> Markup:
    """A part of a text: its lines stay, and so does a blank at either end."""
    return Markup("<br>").join(map(_inline, text.split("\n")))


def _curve(curve: Curve) -> Markup:
    image = base64.b64encode(svg(curve).encode()).decode()
    return Markup(
        '<div><img src="data:image/svg+xml;base64,{}" alt="{}" width="420"></div><div style="color:{}">{} to {}</div>'
    ).format(image, _plain(curve.description), PALE, _plain(curve.first), _plain(curve.last))


def _shown(picture: Picture, folder: Path) -> Cell:
    """Code that shows the picture's file, and the picture."""
    name = picture.file.relative_to(folder).as_posix()
    output = {
        "output_type": "display_data",
        "data": {
            "image/jpeg": base64.b64encode(picture.file.read_bytes()).decode(),
            "text/plain": picture.description,
        },
        "metadata": {},
    }
    return _code(f"from IPython.display import Image, display\n\ndisplay(Image({name!r}))", [output])
