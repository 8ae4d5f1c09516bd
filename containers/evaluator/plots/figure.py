"""What all plots share: the page that they are drawn on, colours, and names cut to what fits."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito 2008: told apart by the colour-blind. Shapes and positions say the same again, for print in grey.
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
COLOURS = (BLUE, ORANGE, GREEN, RED, "#cc79a7", "#56b4e9", "#000000")
GREY = "#767676"
"""The lightest grey that has enough contrast with white for small text (WCAG 2.2, 4.5 to 1)."""

_NAME_MAX = 18


class Drawing:
    """A figure, and its text once it is drawn."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.svg = ""


@contextmanager
def drawing(width: float, height: float) -> Iterator[Drawing]:
    """A page of that many inches; `svg` holds the file when the block is left. The same numbers, the same bytes."""
    import matplotlib as mpl  # half a second
    from matplotlib.figure import Figure

    # no clock and no chance in the file; text stays text, so that it can be searched and read aloud
    with mpl.rc_context(
        {
            "svg.hashsalt": "assay",
            "svg.fonttype": "none",
            "text.parse_math": False,  # a label is data, in which `$` begins no formula
            "font.family": "sans-serif",
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    ):
        result = Drawing(Figure(figsize=(width, height), layout="constrained"))
        yield result
        file = io.StringIO()
        with warnings.catch_warnings():
            # whoever shows the file has the letters that are missing here
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            result.figure.savefig(file, format="svg", metadata={"Date": None})
        result.svg = file.getvalue()


def short(name: str, most: int = _NAME_MAX) -> str:
    """A label is data, of any length."""
    return name if len(name) <= most else name[: most - 1] + "…"
