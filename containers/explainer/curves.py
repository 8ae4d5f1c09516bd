"""A feature's partial dependence as a report shows it: a curve, or of categories a bar each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explainer.dependence_job import FeatureDependence
from explainer.pages.content import Bars, Card, Curve, largest, scaled, short

_LINES = 30
_CATEGORIES = 20


def dependence_card(dependence: FeatureDependence, labels: Sequence[str]) -> Card:
    """How predictions move with the feature; of several outputs the one that moves most."""
    found = dependence.found
    if not found.mean.size:
        return Card(dependence.name, "no values", ())
    output = int(np.ptp(found.mean, axis=0).argmax())
    label = f"{labels[output]}: " if output < len(labels) else ""
    if not dependence.numeric:
        names = [
            f"{value} ({share:.0%} of the rows)"
            for value, share in zip(dependence.values, found.distribution.tolist(), strict=True)
        ]
        bars = Bars(largest(names, found.mean[:, output], _CATEGORIES), signed=False)
        more = f", {len(names) - _CATEGORIES} more in analysis.json" if len(names) > _CATEGORIES else ""
        return Card(dependence.name, f"{label}mean prediction of each value{more}", (bars,))
    mean, own = found.mean[:, output], found.individual[:_LINES, :, output]
    low, high = float(min(mean.min(), own.min(initial=np.inf))), float(max(mean.max(), own.max(initial=-np.inf)))
    curve = Curve(
        description=f"Partial dependence on {dependence.name}",
        x=((np.arange(len(mean)) + 0.5) / len(mean)).tolist(),
        mean=scaled(mean, low, high),
        own=[scaled(line, low, high) for line in own],
        shares=(found.distribution / max(float(found.distribution.max()), 1e-12)).tolist(),
        first=_shown(dependence.values[0]),
        last=_shown(dependence.values[-1]),
    )
    return Card(dependence.name, f"{label}{short(low)} to {short(high)}", (curve,))


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)
