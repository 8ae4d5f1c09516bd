"""What the report of a job on pictures says: their heat maps, and whether what these mark is what counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.explanation import Faithfulness
from explainer.pages.content import Card, Curve, Picture, Reading, Report, Section, Sign, left_out, scaled, short

MOST_IMAGES = 60
"""Heat maps that are shown before it is said how many more pictures there are: a page stays well under 10 MB."""

PICTURES = Reading("analysis.json", 'pd.DataFrame(analysis["assay"]["images"])')
FAITHFULNESS = Reading(
    "analysis.json",
    """\
found = analysis["assay"]["faithfulness"]
pd.DataFrame({name: found[name] for name in ("deletion", "insertion", "random")}, index=found["shares"])""",
)


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
    facts: Sequence[tuple[str, str]],
    pictures: Sequence[PictureShown],
    notes: Sequence[str],
    faithfulness: Faithfulness | None,
) -> Report:
    """The report; `notes` name the pictures that could not be read."""
    cards: list[Card] = []
    shown = heat_maps = 0
    for picture in pictures:
        if heat_maps >= MOST_IMAGES:
            break
        shown, heat_maps = shown + 1, heat_maps + (len(picture.heat_maps) or 1)
        files = [] if picture.objects is None else [("the objects found", picture.objects)]
        files += picture.heat_maps.items()
        cards += [
            Card("", f"{picture.name}: {label}", (Picture(file, f"{picture.name}, {label}"),)) for label, file in files
        ]
    sections = [] if faithfulness is None else [_faithfulness(faithfulness)]
    if cards:
        intro = (
            "Left the picture and its segments, right what each segment did to the score: ",
            Sign(raises=True),
            " raised it, ",
            Sign(raises=False),
            " lowered it, compared with the baseline in its place. The heat maps of one picture share a scale.",
        )
        sections.append(Section("What the model looked at", intro, cards, wide=True, readings=(PICTURES,)))
    return Report(title, facts, notes[:MOST_IMAGES], sections, left_out((len(pictures) - shown, "picture")))


def _faithfulness(found: Faithfulness) -> Section:
    """The two curves beside those of an order by chance, as drawings on one scale."""
    values = (*found.deletion, *found.insertion, *found.random)
    low, high = min(0.0, *values), max(values)
    intro = (
        f"The mean score of {found.explained:,} explained score{'' if found.explained == 1 else 's'} ({short(low)} to "
        f"{short(high)} upwards) while segments leave or come in the order of their attributions, thick, and in an "
        "order by chance, thin. The further apart, the better the heat maps tell what the model looks at (Petsiuk et "
        "al. 2018)."
    )

    def card(name: str, area: float, own: Sequence[float], by_chance: Sequence[float], better: str, order: str) -> Card:
        curve = Curve(
            description=f"{name} curve",
            x=found.shares,
            mean=scaled(own, low, high),
            by_chance=scaled(by_chance, low, high),
            first="none",
            last="all",
        )
        said = f"{better} is better; segments {order}"
        return Card(f"{name}: area {short(area)}, by chance {short(found.random_area)}", said, (curve,))

    cards = (
        card(
            "Deletion",
            found.deletion_area,
            found.deletion,
            found.random[::-1],
            "lower",
            "taken away, those that speak most for the score first",
        ),
        card(
            "Insertion",
            found.insertion_area,
            found.insertion,
            found.random,
            "higher",
            "shown on the baseline, in the same order",
        ),
    )
    return Section("Is what is marked what counts?", (intro,), cards, readings=(FAITHFULNESS,))
