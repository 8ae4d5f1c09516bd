"""Which font has which character.

DejaVu Sans, which Matplotlib brings, has accents, Greek, Cyrillic, Arabic, Hebrew and signs; it is embedded. Of
Chinese, Japanese and Korean no font is at hand: a document names Adobe's standard ones, for which readers have their
own. What no font has is shown as an empty square, as fonts do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import registerFont, stringWidth
from reportlab.pdfbase.ttfonts import TTFont

NORMAL, BOLD = "DejaVuSans", "DejaVuSans-Bold"
CHINESE, JAPANESE, KOREAN = "STSong-Light", "HeiseiKakuGo-W5", "HYGothic-Medium"
MISSING = "□"

_KANA = re.compile("[\u3040-\u30ff\u31f0-\u31ff]")
_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
_EASTERN = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")
"""Han, kana, and the signs and wide letters that stand between them."""


class Run(NamedTuple):
    """A part of a line in one font."""

    text: str
    font: str


@cache
def register() -> dict[str, frozenset[int]]:
    """Make the fonts known; returns the code points of the embedded ones."""
    found = find_spec("matplotlib")  # found, not imported
    assert found is not None and found.origin is not None
    folder = Path(found.origin).parent / "mpl-data/fonts/ttf"
    points = {}
    for name in (NORMAL, BOLD):
        font = TTFont(name, folder / f"{name}.ttf")
        registerFont(font)
        points[name] = frozenset(font.face.charToGlyph)
    for name in (CHINESE, JAPANESE, KOREAN):
        registerFont(UnicodeCIDFont(name))
    return points


def runs(text: str, font: str = NORMAL) -> list[Run]:
    """The text in parts of one font each; what cannot be printed is a blank."""
    known = register()[font]
    han = JAPANESE if _KANA.search(text) else CHINESE

    def placed(sign: str) -> tuple[str, str]:
        if not sign.isprintable():
            return " ", font
        if ord(sign) in known:
            return sign, font
        if _HANGUL.match(sign):
            return sign, KOREAN
        return (sign, han) if _EASTERN.match(sign) else (MISSING, font)

    return [
        Run("".join(sign for sign, _ in part), name)
        for name, part in groupby(map(placed, text), key=lambda one: one[1])
    ]


def width_of(text: Sequence[Run], size: float) -> float:
    """Of a line, in points."""
    return float(sum(stringWidth(run.text, run.font, size) for run in text))


def shortened(text: str, font: str, size: float, room: float) -> str:
    """The text, or as much of its beginning as there is room for."""
    text = text[:400]
    if width_of(runs(text, font), size) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if width_of(runs(text[:middle] + "…", font), size) <= room else (low, middle - 1)
    return text[:low] + "…"
