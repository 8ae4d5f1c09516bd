"""A text with what each part of it did to one score: for a page, where the parts are coloured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from explainer.text.units import Span

MOST_CHARACTERS = 4000
"""Of one text that a page shows."""


@dataclass(frozen=True)
class Passage:
    """A piece of the text; all pieces in their order are the text."""

    text: str
    value: float | None = None
    """Its attribution; None for what stands between the units."""
    strength: float = 0.0
    """|value| as a part of the largest, 0 to 1."""


def highlighted(text: str, units: Sequence[tuple[Span, float]], most: int = MOST_CHARACTERS) -> list[Passage]:
    """The text's units and what lies between them, up to `most` characters; after that, …"""
    largest = max((abs(value) for _, value in units), default=0.0) or 1.0
    passages: list[Passage] = []
    end = 0
    for (start, stop), value in units:
        if stop > most:
            return [*passages, Passage(text[end : max(end, most)] + "…")]
        passages += [Passage(text[end:start])] if start > end else []
        passages.append(Passage(text[start:stop], value, abs(value) / largest))
        end = stop
    rest = text[end:]
    return [*passages, Passage(rest)] if rest else passages
