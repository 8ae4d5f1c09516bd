"""The page for pictures: their heat maps, and whether what these mark is what counts."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.explanation import Faithfulness
from explainer.report import MOST_IMAGES, Facts, more, render

WIDTH, HEIGHT = 320, 130
"""Of a curve's drawing."""


@dataclass(frozen=True)
class PictureShown:
    """A picture's files."""

    name: str
    objects: Path | None
    """Detection: the picture with its boxes."""
    heat_maps: Mapping[str, Path]
    """Label, or object → heat map."""


def images_report(
    title: str,
    facts: Facts,
    pictures: Sequence[PictureShown],
    notes: Sequence[str],
    faithfulness: Faithfulness | None,
) -> str:
    """The page; `notes` name the pictures that could not be read."""
    shown: list[dict[str, Any]] = []
    heat_maps = 0
    for picture in pictures:
        if heat_maps >= MOST_IMAGES:
            break
        heat_maps += len(picture.heat_maps) or 1
        files = [] if picture.objects is None else [("the objects found", picture.objects)]
        files += picture.heat_maps.items()
        shown.append(
            {
                "name": picture.name,
                "files": [{"label": label, "address": _embedded(file)} for label, file in files],
                "nothing": not picture.heat_maps,
            }
        )
    return render(
        title,
        facts,
        notes=notes[:MOST_IMAGES],
        pictures=shown,
        faithfulness=None if faithfulness is None else _curves(faithfulness),
        more=more((len(pictures) - len(shown), "picture")),
    )


def _embedded(file: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(file.read_bytes()).decode()


def _curves(found: Faithfulness) -> dict[str, Any]:
    """The two curves beside those of an order by chance, as drawings on one scale."""
    values = (*found.deletion, *found.insertion, *found.random)
    low, high = min(0.0, *values), max(values)
    by_chance_deleted = tuple(reversed(found.random))

    def line(curve: Sequence[float]) -> str:
        span = (high - low) or 1.0
        return " ".join(
            f"{share * WIDTH:.1f},{HEIGHT * (1 - (value - low) / span):.1f}"
            for share, value in zip(found.shares, curve, strict=True)
        )

    return {
        "explained": found.explained,
        "low": low,
        "high": high,
        "charts": [
            {
                "name": "Deletion",
                "what": "segments taken away, those that speak most for the score first",
                "better": "lower is better",
                "own": line(found.deletion),
                "chance": line(by_chance_deleted),
                "area": found.deletion_area,
                "by_chance": found.random_area,
            },
            {
                "name": "Insertion",
                "what": "segments shown on the baseline, in the same order",
                "better": "higher is better",
                "own": line(found.insertion),
                "chance": line(found.random),
                "area": found.insertion_area,
                "by_chance": found.random_area,
            },
        ],
    }
