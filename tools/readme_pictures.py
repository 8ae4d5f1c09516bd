"""The README's heat maps, from the demo's results: `make pictures` runs the demo, then this.

Usage: python tools/readme_pictures.py RESULTS docs/pictures
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

WIDTH = 588
"""Three quarters of what the explainer draws: the smallest at which the subtitle can be read."""

Json = dict[str, Any]


def main(results: Path, into: Path) -> None:
    """Show the mistake whose two classes the model sees most differently, and the clearest of what it has right."""
    folder = that_passed(results) / "explanation/explanations_shap"
    found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("shap_*.json"))]
    mistake = min((one for one in found if len(one["heat_maps"]) > 1), key=agreement)
    right = max((one for one in found if one["predicted"] == one["true"]), key=raised)
    into.mkdir(parents=True, exist_ok=True)
    maps = mistake["heat_maps"]
    for name, file in (
        ("right", right["heat_maps"][right["predicted"]]),
        ("mistaken", maps[mistake["predicted"]]),
        ("missed", maps[mistake["true"]]),
    ):
        smaller(folder / file).save(into / f"{name}.jpeg", "JPEG", quality=70, optimize=True)
        print(f"{into / name}.jpeg: {file}")


def that_passed(results: Path) -> Path:
    """The run of the demo's first act; the second one's model is spoiled."""
    summaries = sorted((results / "runs/digits").glob("*/summary.json"))
    return next(file.parent for file in summaries if json.loads(file.read_text("utf-8"))["verdict"] == "pass")


def agreement(one: Json) -> float:
    """How alike the predicted and the true class see the segments: a scalar product."""
    values: dict[str, Sequence[float]] = one["attributions"]
    return sum(a * b for a, b in zip(values[one["predicted"]], values[one["true"]], strict=True))


def raised(one: Json) -> float:
    """By how much the picture raised the predicted class's score."""
    place = one["label_headers"].index(one["predicted"])
    return float(one["prediction"][place] - one["baseline_prediction"][place])


def smaller(file: Path) -> Image.Image:
    drawn = Image.open(file)
    return drawn.resize((WIDTH, round(drawn.height * WIDTH / drawn.width)), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
