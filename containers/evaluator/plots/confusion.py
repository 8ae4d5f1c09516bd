"""The confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import ConfusionMatrix
from evaluator.plots.figure import drawing, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NUMBERS_UP_TO = 25
"""classes: of more, the numbers would be smaller than print can hold"""
_NAMES_UP_TO = 60
_LISTED = 20


def confusion_svg(matrix: ConfusionMatrix) -> str:
    """Darker is a larger share of the true class, the number is the count; of many classes the worst are listed."""
    counts = np.array(matrix.counts)
    k = len(counts)
    sizes = counts.sum(axis=1, keepdims=True)
    shares = counts / np.where(sizes > 0, sizes, 1)
    side = min(max(3.2, 0.42 * k + 1.6), 9)
    listed = k > _NUMBERS_UP_TO
    with drawing(side + (3.6 if listed else 0), side) as page:
        if listed:
            axes, beside = page.figure.subplots(1, 2, width_ratios=(side, 3.6))
            _list_worst(beside, matrix.labels, counts)
        else:
            axes = page.figure.add_subplot()
            _write_counts(axes, counts, shares)
        # interpolated pictures of 200 classes would hide the single cells that matter
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        axes.spines[:].set_visible(False)
        if k <= _NAMES_UP_TO:
            names = [short(label) for label in matrix.labels]
            axes.set_xticks(range(k), names, rotation=90 if max(map(len, names)) > 3 else 0)
            axes.set_yticks(range(k), names)
        else:
            axes.set_xticks([])
            axes.set_yticks([])
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
    return page.svg


def _write_counts(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    for true, predicted in np.argwhere(counts):
        colour = "white" if shares[true, predicted] > 0.5 else "black"
        axes.text(
            predicted,
            true,
            str(counts[true, predicted]),
            ha="center",
            va="center",
            color=colour,
            fontsize=9 if len(counts) <= 12 else 7,
        )


def _list_worst(axes: Axes, labels: tuple[str, ...], counts: NDArray[np.int64]) -> None:
    """The most frequent mistakes in words: in a matrix of this size nobody finds them."""
    axes.axis("off")
    mistakes = counts.copy()
    np.fill_diagonal(mistakes, 0)
    worst = [divmod(int(place), len(counts)) for place in np.argsort(-mistakes, axis=None, kind="stable")[:_LISTED]]
    lines = [f"{mistakes[t, p]} × {short(labels[t], 16)} taken for {short(labels[p], 16)}" for t, p in worst]
    lines = [line for line, (t, p) in zip(lines, worst, strict=True) if mistakes[t, p]]
    title = "most frequent mistakes" if lines else "no mistakes"
    axes.text(0, 1, "\n".join([title, "", *lines]), va="top", fontsize=8, transform=axes.transAxes)
