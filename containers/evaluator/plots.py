"""Plots as SVG, readable in print and by the colour-blind."""

from __future__ import annotations

import io
import warnings

import numpy as np

from assay.evaluation import ConfusionMatrix

_NUMBERS_UP_TO = 25
"""classes: of more, the numbers would be smaller than print can hold"""
_NAMES_UP_TO = 60


def confusion_svg(matrix: ConfusionMatrix) -> str:
    """The confusion matrix: darker is a larger share of the true class, the number is the count."""
    import matplotlib as mpl  # half a second
    from matplotlib.figure import Figure

    counts = np.array(matrix.counts)
    k = len(counts)
    sizes = counts.sum(axis=1, keepdims=True)
    shares = counts / np.where(sizes > 0, sizes, 1)
    # no clock and no chance in the file: the same matrix, the same bytes
    with mpl.rc_context({"svg.hashsalt": "assay", "svg.fonttype": "none", "font.family": "sans-serif"}):
        side = min(max(3.2, 0.42 * k + 1.6), 12)
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        if k <= _NAMES_UP_TO:
            names = [label if len(label) <= 18 else label[:17] + "…" for label in matrix.labels]
            # a label is data, in which `$` begins no formula
            axes.set_xticks(range(k), names, rotation=90 if max(map(len, names)) > 3 else 0, parse_math=False)
            axes.set_yticks(range(k), names, parse_math=False)
        if k <= _NUMBERS_UP_TO:
            for true in range(k):
                for predicted in range(k):
                    if counts[true, predicted]:
                        colour = "white" if shares[true, predicted] > 0.5 else "black"
                        axes.text(
                            predicted,
                            true,
                            str(counts[true, predicted]),
                            ha="center",
                            va="center",
                            color=colour,
                            fontsize=9 if k <= 12 else 7,
                        )
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        file = io.StringIO()
        with warnings.catch_warnings():
            # text stays text in the file: whoever shows it has the letters that are missing here
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
