"""Partial dependence of two explanations: the same features at the same values, how far their curves are apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Apart:
    """One feature of theirs beside ours."""

    feature: str
    difference: float | None
    """The largest of all labels and values that both have, as a share of their largest prediction where that is above
    1; None: nothing can be compared."""
    why: str = ""
    """What stands in the way."""
    decides: bool = True
    """False: the two were measured at other values, or one was not asked for."""


def apart(theirs: Json, ours: Json) -> Iterator[Apart]:
    """Each feature of theirs, in their order."""
    here = dict(_curves(ours))
    for name, one in _curves(theirs):
        if "error" in one:
            continue
        other = here.get(name)
        if other is None:
            yield Apart(name, None, "only in theirs", decides=False)
        elif "error" in other:
            yield Apart(name, None, f"ours has none: {other['error']}")
        elif len(one["model_predictions"]) != len(other["model_predictions"]):
            yield Apart(name, None, f"{_labels(one)} in theirs, {_labels(other)} in ours")
        else:
            yield _feature(name, one, other)


def _curves(analysis: Json) -> Iterator[tuple[str, Json]]:
    for one in (analysis.get("explanations") or {}).get("pdp") or []:
        if isinstance(one, dict) and "feature_name" in one:
            yield str(one["feature_name"]), one


def _labels(one: Json) -> str:
    count = len(one["model_predictions"])
    return f"{count} label{'' if count == 1 else 's'}"


def _feature(name: str, one: Json, other: Json) -> Apart:
    places = {_value(value): place for place, value in enumerate(other["feature_values"])}
    both = [
        (place, places[_value(value)]) for place, value in enumerate(one["feature_values"]) if _value(value) in places
    ]
    if not both:
        return Apart(name, None, "measured at other values", decides=False)
    differences, largest = [], 1.0
    for there, here in zip(one["model_predictions"], other["model_predictions"], strict=True):
        largest = max(largest, *(abs(value) for value in there))
        differences += [abs(there[left] - here[right]) for left, right in both]
    some = len(both) < len(one["feature_values"])
    why = f"at {len(both)} of {len(one['feature_values'])} values" if some else ""
    return Apart(name, max(differences) / largest, why)


def _value(value: object) -> str:
    """A category as text; numbers are the same to six digits, for buckets' centres are computed."""
    try:
        number = float(str(value))
    except ValueError:
        return str(value)
    return f"{number:.6g}" if math.isfinite(number) else str(value)
