"""The explainer's goals beside what was measured: `make benchmark` prints them last.

Each benchmark writes what it found as a line of JSON with `note`; `python goals.py FILE` prints the table.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any


def note(
    path: Path | None, name: str, found: float, peers: str, *, most: float = math.inf, least: float = -math.inf
) -> None:
    """Add to the file what was found for a goal, which is met from `least` to `most`, and what the peers reach."""
    if path is None:
        return
    line = {"name": name, "found": found, "peers": peers, "goal": in_words(least, most)}
    with path.open("a") as stream:
        stream.write(json.dumps(line | {"met": bool(least <= found <= most)}) + "\n")


def in_words(least: float, most: float) -> str:
    if least == -math.inf:
        return f"≤ {most:g}"
    return f"{least:g} to {most:g}" if most < math.inf else f"≥ {least:g}"


def table(lines: list[dict[str, Any]]) -> str:
    rows = [("goal", "Assay", "wanted", "", "peers")]
    for line in lines:
        verdict = "met" if line["met"] else "NOT MET"
        rows.append((line["name"], f"{line['found']:.3g}", line["goal"], verdict, line["peers"]))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    )


if __name__ == "__main__":
    found = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    print("\n" + table(found))
    sys.exit(0 if all(line["met"] for line in found) else 1)
