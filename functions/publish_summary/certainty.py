"""How sure the explanations are: the summary's fields, and the same in words."""

from __future__ import annotations

from collections.abc import Iterator

from assay.explanation import AssayAnalysis
from assay.summary import Certainty, FaithfulnessAreas, Summary
from publish_summary.headline import number

MOST_LEFT_OUT = 20


def certainty(found: AssayAnalysis) -> Certainty:
    rows, pictures = found.attributions, found.faithfulness
    areas = None
    if pictures is not None:
        areas = FaithfulnessAreas(
            explained=pictures.explained,
            deletion=pictures.deletion_area,
            insertion=pictures.insertion_area,
            random=pictures.random_area,
        )
    told = Certainty(explained=found.samples, failed=found.failed, model_calls=found.model_calls, faithfulness=areas)
    if rows is None:
        return told
    return told.model_copy(
        update={
            "explained": rows.explained,
            "exact": rows.exact,
            "half_width": rows.half_width,
            "rank_correlations": rows.rank_correlations,
            "left_out": rows.left_out,
            "left_out_rows": rows.left_out_rows[:MOST_LEFT_OUT],
            "surrogate": rows.surrogate,
        }
    )


def certainty_in_words(summary: Summary) -> Iterator[tuple[str, str]]:
    """What it is about, and a sentence; nothing where nothing is known."""
    if summary.max_additivity_gap is not None:
        gap = summary.max_additivity_gap
        yield (
            "Additivity",
            f"attributions add up to the prediction within {gap:.1g}" if gap else "attributions add up exactly",
        )
    found = summary.certainty
    if found is None:
        return
    if found.exact:
        yield "Values", "exact: none is an estimate"
    elif found.half_width is not None:
        helped = ", with the help of a surrogate" if found.surrogate else ""
        yield "Values", f"estimates{helped}: the widest 95 % interval of an attribution is ± {found.half_width:.2g}"
    if found.rank_correlations:
        label, least = min(found.rank_correlations.items(), key=lambda pair: pair[1])
        where = (
            f", the least of {len(found.rank_correlations)} outputs ({label})"
            if len(found.rank_correlations) > 1
            else ""
        )
        yield "Convergence", f"two halves of the rows rank the features with a correlation of {least:.2f}{where}"
    if found.faithfulness is not None:
        areas = found.faithfulness
        marked, chance, without = (number(area) for area in (areas.insertion, areas.random, areas.deletion))
        sentence = (
            f"what the heat maps mark, shown first, gives an area of {marked} under the score's curve, "
            f"an order by chance {chance}; taken away first it leaves {without} (means over {areas.explained:,})"
        )
        yield "Faithfulness", sentence
    if found.left_out:
        names = ", ".join(found.left_out_rows)
        more = (
            f" and {found.left_out - len(found.left_out_rows):,} more"
            if found.left_out > len(found.left_out_rows)
            else ""
        )
        yield "Left out", f"{found.left_out:,} rows that the time budget was too short for: {names}{more}"
    if found.failed:
        yield "Not explained", f"{found.failed:,} samples that could not be read"
    if found.explained is not None:
        calls = "" if found.model_calls is None else f", the model asked about {found.model_calls:,}"
        yield "Samples", f"{found.explained:,} explained{calls}"
