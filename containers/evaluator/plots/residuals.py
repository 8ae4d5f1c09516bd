"""A regressor's errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluator.plots.figure import BLUE, GREY, drawing

_CELLS = 60
_SCATTERED_UP_TO = 1000
"""Samples: of more, dots would lie on one another and the file grow with the data."""

Array = NDArray[np.float64]


def residuals_svg(true: Array, predicted: Array, label: str) -> str:
    """Predicted over true values, and how the errors are spread; (samples,) each, of finite numbers."""
    errors = predicted - true
    with drawing(8, 3.8) as page:
        left, right = page.figure.subplots(1, 2)
        if len(true) <= _SCATTERED_UP_TO:
            left.plot(true, predicted, ".", color=BLUE, markersize=3, alpha=0.6)
        else:
            counts, x, y = np.histogram2d(true, predicted, bins=_CELLS)
            drawn = np.ma.masked_equal(counts.T, 0)
            left.pcolormesh(x, y, np.ma.log10(drawn), cmap="Blues", rasterized=True)
        ends = [float(min(true.min(), predicted.min())), float(max(true.max(), predicted.max()))]
        left.plot(ends, ends, color=GREY, linewidth=0.8, linestyle=":")
        left.set_xlabel(f"true {label}")
        left.set_ylabel("predicted")
        left.set_title("Predicted and true" + (", darker is more" if len(true) > _SCATTERED_UP_TO else ""), loc="left")
        # the outermost thousandth on each side would leave one bar for all the others
        low, high = np.quantile(errors, [0.001, 0.999])
        inside = errors[(errors >= low) & (errors <= high)]
        right.hist(inside, bins=min(_CELLS, max(5, int(np.sqrt(len(inside))))), color=BLUE, edgecolor="white")
        right.axvline(0, color=GREY, linewidth=0.8, linestyle=":")
        right.set_xlabel("predicted − true")
        right.set_ylabel("samples")
        cut = len(errors) - len(inside)
        right.set_title("Errors" + (f" ({cut:,} beyond the axis)" if cut else ""), loc="left")
    return page.svg
