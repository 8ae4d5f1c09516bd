"""How long detections take to measure, and how often their intervals hold, on objects and detections by chance.

.venv/bin/python benchmarks/evaluator/boxes.py               # 72 pictures and 3 classes, 5,000 and 80
.venv/bin/python benchmarks/evaluator/boxes.py --coverage    # of samples of 72 and 300 pictures out of 4,000
"""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "containers"), str(REPOSITORY / "layers/contracts")]

from evaluator.detection import COCO_IOUS, Found, Truth, coco, coco_values, estimate, find_errors, match  # noqa: E402

SIDES = (12, 50, 140)
"""Of small, medium and large objects, in pixels."""
IOU = (0.5, 0.75)


def by_chance(pictures: int, classes: int, objects: float, detections: int) -> tuple[Truth, Found]:
    """Objects (Poisson, so many a picture), each found by a shaken box; boxes by chance up to so many a picture."""
    random = np.random.default_rng(0)
    counts = random.poisson(objects, pictures)
    n = int(counts.sum())
    corner, side = random.uniform(0, 500, (n, 2)), random.choice(SIDES, (n, 1)) * random.uniform(0.7, 1.4, (n, 2))
    # classes are as unequal as COCO's: a third of the objects are of the first
    share = 1 / (1 + np.arange(classes))
    k = random.choice(classes, n, p=share / share.sum())
    picture = np.repeat(np.arange(pictures), counts)
    truth = Truth(picture, np.hstack([corner, corner + side]), k, np.prod(side, axis=1), np.zeros(n, dtype=np.bool_))
    shaken = truth.boxes + random.normal(0, 0.08, (n, 4)) * np.hstack([side, side])
    others = np.repeat(np.arange(pictures), np.maximum(detections - counts, 0))
    at, size = random.uniform(0, 500, (len(others), 2)), random.uniform(10, 150, (len(others), 2))
    every = Found(
        np.concatenate([picture, others]),
        np.concatenate([shaken, np.hstack([at, at + size])]),
        np.concatenate([k, random.choice(classes, len(others), p=share / share.sum())]),
        np.concatenate([random.beta(4, 2, n), random.beta(1, 6, len(others))]),
    )
    order = np.lexsort((-every.scores, every.picture))
    return truth, every._replace(**{name: column[order] for name, column in every._asdict().items()})


def times() -> None:
    for pictures, classes, objects in ((72, 3, 13.0), (5000, 80, 7.4)):
        truth, found = by_chance(pictures, classes, objects, 100)
        print(f"{pictures:,} pictures, {classes} classes, {len(truth.classes):,} objects, {len(found.scores):,} boxes")
        began = time.perf_counter()
        matches = match(truth, found, pictures, classes, COCO_IOUS)
        print(f"  pycocotools' matching and sums   {time.perf_counter() - began:7.2f} s")
        ours, theirs = coco(matches, COCO_IOUS, np.ones((1, pictures))), coco_values(matches)
        gap = max(float(np.nanmax(np.abs(ours[name] - theirs[name]))) for name in ours)
        began = time.perf_counter()
        estimates = estimate(matches, [str(k) for k in range(classes)], IOU, 0.5)
        print(f"  intervals from 1,000 resamples   {time.perf_counter() - began:7.2f} s")
        began = time.perf_counter()
        find_errors(truth, found, pictures, classes, 0.5)
        print(f"  missed, false and confused       {time.perf_counter() - began:7.2f} s")
        metric = estimates.of_all["map"].metric()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"  map {metric.value:.4f} ({metric.low:.4f} to {metric.high:.4f}); from pycocotools' by at most {gap:.1g}"
        )
        print(f"  peak of the process so far       {peak:7.2f} GiB")


def coverage(samples: int = 200) -> None:
    """How often an interval of a sample of pictures holds the value of all, and what percentiles alone would hold."""
    everything, classes = 4000, 3
    truth, found = by_chance(everything, classes, 13.0, 40)
    # no ties, whose order depends on that of the pictures
    found = found._replace(scores=found.scores - 1e-9 * np.arange(len(found.scores)))
    values = coco_values(match(truth, found, everything, classes, COCO_IOUS))
    true = {name: float(values[of].mean()) for name, of in (("map", "ap"), ("map50", "ap50"), ("ar_100", "ar_100"))}
    random = np.random.default_rng(1)
    for pictures in (72, 300):
        held, alone = Counter[str](), Counter[str]()
        wide = dict.fromkeys(true, 0.0)
        for _ in range(samples):
            drawn = random.integers(0, everything, pictures)
            sample = Truth(*_drawn(truth, drawn)), Found(*_drawn(found, drawn))
            matches = match(*sample, pictures, classes, COCO_IOUS)
            estimates = estimate(matches, [str(k) for k in range(classes)], IOU, 0.5).of_all
            for name, value in true.items():
                low, high = estimates[name].interval() or (1.0, 0.0)
                plain_low, plain_high = np.quantile(estimates[name].resampled, [0.025, 0.975])
                held[name] += low <= value <= high
                alone[name] += plain_low <= value <= plain_high
                wide[name] += (high - low) / samples
        for name, value in true.items():
            print(
                f"{pictures} pictures, {name} {value:.3f}: held by {held[name] / samples:.1%} of {samples} intervals, "
                f"{wide[name]:.3f} wide on average; by {alone[name] / samples:.1%} of the percentiles alone"
            )


def _drawn(columns: Sequence[NDArray[Any]], pictures: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
    """The rows of these pictures, each as often as it is named; pictures are numbered anew."""
    ends = np.searchsorted(columns[0], np.stack([pictures, pictures + 1]))
    places = np.concatenate([np.arange(start, end) for start, end in ends.T])
    yield np.repeat(np.arange(len(pictures)), ends[1] - ends[0])
    yield from (column[places] for column in columns[1:])


if __name__ == "__main__":
    coverage() if "--coverage" in sys.argv else times()
