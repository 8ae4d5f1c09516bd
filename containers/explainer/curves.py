"""A feature's partial dependence as lines on a page: places in a drawing, without a drawing library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explainer.dependence_job import FeatureDependence

WIDTH, HEIGHT, BARS = 320, 130, 26
"""Units of the drawing: the plot, and below it how the data is spread."""
_LINES = 30

Array = NDArray[np.float64]


def curve(dependence: FeatureDependence, labels: Sequence[str]) -> dict[str, Any]:
    """What the page's template needs: lines, bars and the ends of the scales.

    Of several outputs the one that moves most is drawn.
    """
    found = dependence.found
    if not found.mean.size:
        return {"name": dependence.name, "empty": True}
    output = int(np.ptp(found.mean, axis=0).argmax())
    mean, own = found.mean[:, output], found.individual[:_LINES, :, output]
    low, high = float(min(mean.min(), own.min(initial=np.inf))), float(max(mean.max(), own.max(initial=-np.inf)))
    x = _across(len(mean))
    shares = found.distribution / max(float(found.distribution.max()), 1e-12)
    width = WIDTH / len(mean)
    return {
        "name": dependence.name,
        "empty": False,
        "label": labels[output] if output < len(labels) else "",
        "low": low,
        "high": high,
        "line": _points(x, mean, low, high),
        "own": [_points(x, row, low, high) for row in own],
        "bars": [
            {"x": f"{place * width:.1f}", "width": f"{max(width - 1, 0.5):.1f}", "height": f"{share * BARS:.1f}"}
            for place, share in enumerate(shares.tolist())
        ],
        "first": _shown(dependence.values[0]),
        "last": _shown(dependence.values[-1]),
    }


def _across(points: int) -> Array:
    return (np.arange(points) + 0.5) * WIDTH / points


def _points(x: Array, y: Array, low: float, high: float) -> str:
    scaled = HEIGHT - (y - low) / ((high - low) or 1.0) * HEIGHT
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, scaled, strict=True))


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)
