"""How fast a model answered: `report.speed`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import numpy as np

from assay.evaluation import Speed

CALLS = 50
SECONDS = 2.0
"""Single calls end with whichever comes first, after at least one."""


def speed_of(
    unit: Literal["rows", "images", "texts"],
    samples: int,
    seconds: float,
    ask: Callable[[], object] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """The rate of an evaluation, and the latency of a single sample.

    Args:
        unit: of the samples.
        samples: how many were answered.
        seconds: in how long, reading included.
        ask: asks the model about one sample, always the same; None leaves the latency out.
        clock: in seconds.
    """
    latencies: list[float] = []
    if ask is not None:
        ask()  # the first call of a size prepares what later ones find
        began = clock()
        while not latencies or (len(latencies) < CALLS and clock() - began < SECONDS):
            before = clock()
            ask()
            latencies.append(1000 * (clock() - before))
    p50, p95 = np.quantile(latencies, [0.5, 0.95]).round(3).tolist() if latencies else (None, None)
    return Speed(per_second=round(samples / max(seconds, 1e-9), 3), unit=unit, latency_p50_ms=p50, latency_p95_ms=p95)
