"""The sentence that says how a run ended, and why, with the numbers that decided it."""

from __future__ import annotations

from collections.abc import Sequence

from assay.summary import Change, Flips, Summary
from assay.verdict import GateOutcome, Scope

MOST_DROPS = 3
TEXT_MAX = 1_000
"""Characters of a sentence, or a name, in what is sent."""
SURE_FROM = 0.05
"""The p value below which a difference is not put down to chance."""


def headline(summary: Summary) -> str:
    model, gates = summary.model, summary.gates
    if summary.verdict == "error":
        reason = "no reason is known" if summary.failure is None else one_line(summary.failure.message)
        return f"{model} could not be judged: {reason}"
    if summary.verdict == "fail":
        failing = [gate for gate in gates if gate.counts_as == "fail"]
        return f"{model} failed {count(len(failing), 'gate')}: {reasons(failing)}{champions_and_drops(summary)}"
    if summary.verdict == "inconclusive":
        open_gates = [gate for gate in gates if gate.counts_as == "inconclusive"]
        return f"{model} is not decided by its data: {reasons(open_gates)}"
    if summary.verdict == "pass":
        applied = [gate for gate in gates if gate.result != "not applicable"]
        warned = [gate for gate in gates if gate.counts_as == "warn"]
        note = f", with a warning: {reasons(warned)}" if warned else f": {briefly(applied)}"
        return f"{model} passed {count(len(applied), 'gate')}{note}"
    return f"{model} was not judged, because its policy has no gates that apply{measured(summary)}"


def briefly(gates: Sequence[GateOutcome], room: int = 120) -> str:
    """`accuracy 0.9759 (at least 0.93), recall of eight 0.94 (at least 0.7) and 3 more`: as many as have room."""
    text = ""
    for place, gate in enumerate(gates):
        item = ("" if not place else ", ") + f"{name_of(gate)} {number(gate.value)} ({gate.limit})"
        left = len(gates) - place - 1
        more = f" and {left} more" if left else ""
        if place and len(text + item + more) > room:
            return f"{text} and {left + 1} more"
        text += item
    return text


def reasons(gates: Sequence[GateOutcome], most: int = 3) -> str:
    shown = "; ".join(gate.reason for gate in gates[:most])
    return shown + (f"; and {len(gates) - most} more" if len(gates) > most else "")


def champions_and_drops(summary: Summary) -> str:
    """What broke beside the champion: its value where a failed gate has one, and the classes that lost most."""
    failed = [gate for gate in summary.gates if gate.counts_as == "fail"]
    parts = []
    if not any("champion" in gate.reason for gate in failed):
        parts = [
            f"the champion's {name_of(gate)} is {number(gate.champion)}"
            for gate in failed[:1]
            if gate.champion is not None
        ]
    drops = worst_drops(summary.changes)
    if drops:
        parts.append("worst: " + ", ".join(drop_in_words(drop) for drop in drops))
    return f" ({'; '.join(parts)})" if parts else ""


def worst_drops(changes: Sequence[Change]) -> list[Change]:
    """The classes and slices that lost most, each once, where it was not chance."""
    drops: dict[str, Change] = {}
    for change in changes:
        of = change.of or change.slice
        if of is not None and not change.better and not change.by_chance:
            drops.setdefault(of, change)
    return list(drops.values())[:MOST_DROPS]


def drop_in_words(change: Change) -> str:
    return f"{name_of(change)} {number(change.champion)} → {number(change.value)}"


def measured(summary: Summary) -> str:
    name = next((name for name in ("accuracy", "roc_auc", "mae", "map") if name in summary.metrics), None)
    value = None if name is None else summary.metrics[name].value
    return "" if value is None else f": {name} is {number(value)}"


def flips_in_words(flips: Flips) -> str:
    """`12 samples were mended and 3 broken: hardly by chance (McNemar's test, p = 0.035)`."""
    p = flips.mcnemar_p
    chance = "which may well be chance" if p >= SURE_FROM else "hardly by chance"
    exactly = f"p = {p:.2g}" if p >= 0.001 else "p < 0.001"
    return (
        f"{count(flips.mended, 'sample')} mended and {flips.broken:,} broken of {flips.samples:,}: {chance} "
        f"(McNemar's test, {exactly})"
    )


def name_of(what: GateOutcome | Change) -> str:
    """`recall of dog where sex=Female`."""
    return str(Scope(what.metric, what.of, what.slice, what.facet if isinstance(what, GateOutcome) else None))


def number(value: float | None) -> str:
    return "-" if value is None else f"{value + 0.0:.4g}"  # which makes 0 of -0


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def one_line(text: str) -> str:
    return " ".join(text.split())


def is_long(text: str) -> bool:
    return len(text) > TEXT_MAX


def shortened(text: str) -> str:
    return text[: TEXT_MAX - 1] + "…" if is_long(text) else text
