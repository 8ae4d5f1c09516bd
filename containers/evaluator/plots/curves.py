"""Curves of a classifier's scores: ROC, precision and recall, reliability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import ReliabilityBin
from evaluator.plots.figure import BLUE, COLOURS, GREY, drawing, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMED_UP_TO = 7
"""classes: as many as there are colours that the colour-blind tell apart"""
_POINTS = 400
_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 3)))

Array = NDArray[np.float64]


def curves_svg(
    true: NDArray[np.int64], scores: Array, labels: Sequence[str], positive: int | None, weights: Array | None = None
) -> str:
    """ROC and precision-recall, each class against all others; of two classes that of the positive one.

    Args:
        true: (samples,) class numbers.
        scores: (samples, K).
        labels: the K classes' names.
        positive: of two classes, the positive one.
        weights: (samples,), how much each counts.

    Returns:
        An SVG; empty where no class has both samples of its own and others.
    """
    from sklearn.metrics import precision_recall_curve, roc_curve  # half a second

    classes = [positive] if positive is not None else range(len(labels))
    drawn = [c for c in classes if 0 < (true == c).sum() < len(true)]
    if not drawn:
        return ""
    with drawing(8, 3.8) as page:
        left, right = page.figure.subplots(1, 2)
        many = len(drawn) > _NAMED_UP_TO
        lines = []
        for place, of in enumerate(drawn):
            false_positive, true_positive, _ = roc_curve(true == of, scores[:, of], sample_weight=weights)
            precision, recall, _ = precision_recall_curve(
                true == of, scores[:, of], sample_weight=weights, drop_intermediate=True
            )
            style = {"color": GREY, "alpha": 0.4, "linewidth": 0.7} if many else _style(place)
            lines += left.plot(_thin(false_positive), _thin(true_positive), **style)
            # between two thresholds precision does not run straight (Davis & Goadrich 2006)
            right.plot(_thin(recall), _thin(precision), drawstyle="steps-post", **style)
        left.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
        _name(left, "false positive rate", "true positive rate", "ROC")
        _name(right, "recall", "precision", "Precision and recall")
        if many:
            right.set_title(f"{len(drawn)} classes, a line each", fontsize=7, loc="right", color=GREY)
        elif len(drawn) > 1:
            names = [short(labels[of]) for of in drawn]
            left.legend(lines, names, fontsize=7, frameon=False, loc="lower right")
    return page.svg


def reliability_svg(bins: Sequence[ReliabilityBin]) -> str:
    """How often the model is right beside how sure it says it is; below the diagonal it is too sure."""
    with drawing(4.4, 4.6) as page:
        axes, counts = page.figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
        known = [one for one in bins if one.rate.value is not None]
        scores = np.array([one.score for one in known])
        rates = np.array([one.rate.value for one in known], dtype=np.float64)
        low = np.array([rate if one.rate.low is None else one.rate.low for one, rate in zip(known, rates, strict=True)])
        high = np.array(
            [rate if one.rate.high is None else one.rate.high for one, rate in zip(known, rates, strict=True)]
        )
        axes.errorbar(
            scores, rates, yerr=(rates - low, high - rates), fmt="o-", color=BLUE, markersize=4, capsize=2, linewidth=1
        )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_ylabel("share that is right")
        axes.set_title("Reliability", loc="left")
        counts.bar(
            [one.low for one in bins],
            [one.n for one in bins],
            width=[one.high - one.low for one in bins],
            align="edge",
            color=BLUE,
            edgecolor="white",
            linewidth=0.5,
        )
        counts.set_xlabel("score of the predicted class")
        counts.set_ylabel("samples")
    return page.svg


def _style(place: int) -> dict[str, object]:
    return {"color": COLOURS[place], "linestyle": _STYLES[place], "linewidth": 1.4}


def _name(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, loc="left")


def _thin(curve: Array) -> Array:
    """At most _POINTS of a curve, its ends among them: a million rows would make a file of 100 MB."""
    return curve[np.linspace(0, len(curve) - 1, min(len(curve), _POINTS)).round().astype(np.intp)]
