"""Two output folders of the same configuration, Clarify's and ours: do they say the same?

What decides: bias metrics agree to 1e-4, and of the ten most important features (of a text: of its ten most important
pieces) nine are the same. That is what a team that rebuilt Clarify took for equal: global values are estimates, and two
runs of one program differ in them. Partial dependence is no estimate, and agrees to 1e-4 where it was measured at the
same values.
"""

from __future__ import annotations

import csv
import html
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay_local.console import Console, shown
from assay_local.dependence_compare import apart
from assay_local.problem import Problem

Json = dict[str, Any]
Array = NDArray[np.float64]

SAME, DIFFERENT = 0, 1
BIAS_TOLERANCE = 1e-4
DEPENDENCE_TOLERANCE = 1e-4
"""Of the largest prediction, or of 1."""
TOP = 10
OVERLAP = 0.9
NEGLIGIBLE = 0.01
"""Of the largest local value: below it a sign says nothing."""
LISTED = 20
SECTIONS = {"pre_training_bias_metrics": "before training", "post_training_bias_metrics": "after training"}


@dataclass(frozen=True)
class Part:
    """One thing that was compared."""

    title: str
    holds: bool | None
    """Whether it is as it should be; None: it decides nothing."""
    text: str
    details: Sequence[str] = field(default=())


def compare(theirs: Path, ours: Path, page: Path | None, console: Console) -> int:
    """Tell what differs; 0 when what decides is as it should be, else 1.

    Raises:
        Problem: a folder holds no analysis, or the two have nothing in common.
    """
    parts = list(compared(theirs, ours))
    if all(part.holds is None for part in parts):
        raise Problem(f"nothing to compare: {theirs} and {ours} have neither bias metrics nor Shapley values in common")
    same = not any(part.holds is False for part in parts)
    verdict = "They agree." if same else "They differ."
    console.say(f"theirs  {shown(theirs)}\nours    {shown(ours)}\n")
    for part in parts:
        console.say(f"{MARKS[part.holds]} {part.title:<22} {part.text}", STYLES[part.holds])
        for line in part.details[:LISTED]:
            console.say(f"    {line}")
        if len(part.details) > LISTED:
            console.say(f"    and {len(part.details) - LISTED} more")
    console.say(f"\n{verdict}", "bold green" if same else "bold red")
    if page is not None:
        page.write_text(as_html(theirs, ours, parts, verdict), encoding="utf-8")
        console.places([("page", page)])
    return SAME if same else DIFFERENT


MARKS = {True: "✓", False: "✗", None: "·"}
STYLES = {True: "", False: "red", None: ""}


def compared(theirs: Path, ours: Path) -> Iterator[Part]:
    """What both folders hold, part by part."""
    there, here = _analysis(theirs), _analysis(ours)
    yield from _bias(there, here)
    yield from _global_values(there, here)
    yield from _global_texts(there, here)
    yield from _dependence(there, here)
    labels = paired(list(_kernel_shap(there)), list(_kernel_shap(here)))
    yield from _local_values(theirs / "explanations_shap", ours / "explanations_shap", labels)


def _analysis(folder: Path) -> Json:
    file = folder / "analysis.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Problem(f"{file}: {error.strerror}; expected the output folder of a Clarify job") from error
    except ValueError as error:
        raise Problem(f"{file}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise Problem(f"{file}: expected an object with explanations and bias metrics")
    return content


# Bias

Key = tuple[str, str, str, str]
"""Section, facet, its value, metric."""


def _bias(theirs: Json, ours: Json) -> Iterator[Part]:
    there, here = dict(bias_metrics(theirs)), dict(bias_metrics(ours))
    if not there:
        if here:
            yield Part("bias metrics", None, f"{len(here)} metrics, only in ours")
        return
    details = []
    largest = 0.0
    for key, value in there.items():
        if key not in here:
            details.append(f"{_named(key)}: {_number(value)}, ours has none")
            continue
        difference = _difference(value, here[key])
        largest = max(largest, difference)
        if difference > BIAS_TOLERANCE:
            details.append(f"{_named(key)}: {_number(value)}, ours {_number(here[key])}")
    more = f"; {len(here.keys() - there.keys())} only in ours" if here.keys() - there.keys() else ""
    said = "largest difference" if math.isfinite(largest) else "a value against none: difference"
    text = f"{len(there)} metrics, {said} {largest:.2g}, allowed {BIAS_TOLERANCE:g}{more}"
    yield Part("bias metrics", not details, text, details)


def bias_metrics(analysis: Json) -> Iterator[tuple[Key, float | None]]:
    for section, name in SECTIONS.items():
        for facet, values in (analysis.get(section) or {}).get("facets", {}).items():
            for value in values:
                for metric in value["metrics"]:
                    key = (name, facet, _as_name(value.get("value_or_threshold", "")), metric["name"])
                    yield key, _as_float(metric.get("value"))


def _as_name(value: object) -> str:
    """`1.0` and `1` are one facet."""
    try:
        number = float(str(value))
    except ValueError:
        return str(value)
    return f"{number:g}"


def _as_float(value: object) -> float | None:
    """A metric's value; Clarify writes "Infinity"."""
    return None if value is None else float(str(value))


def _difference(one: float | None, other: float | None) -> float:
    if one is None or other is None:
        return 0.0 if one is other else math.inf
    return 0.0 if one == other else abs(one - other)


def _named(key: Key) -> str:
    section, facet, value, metric = key
    return f"{metric} of {facet}" + (f" = {value}" if value else "") + f", {section}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


# Global values


def _global_values(theirs: Json, ours: Json) -> Iterator[Part]:
    there, here = _by_label(theirs), _by_label(ours)
    if not there or not here:
        if there:
            yield Part("top ten features", False, "Shapley values only in theirs")
        return
    pairs = paired(list(there), list(here))
    if not pairs:
        yield Part("top ten features", False, f"no label in common: {', '.join(there)} and {', '.join(here)}")
        return
    yield _overlap("top ten features", [(label, there[label], here[other]) for label, other in pairs], "label")
    correlations = []
    for label, other in pairs:
        shared = [name for name in there[label] if name in here[other]]
        if len(shared) > 1:
            values = [np.abs([found[name] for name in shared]) for found in (there[label], here[other])]
            correlations.append((rank_correlation(*values), label))
    if correlations:
        worst, label = min(correlations)
        yield Part("rank of the features", None, f"rank correlation {worst:.3f} (the least: {label})")


def _overlap(title: str, found: Sequence[tuple[str, Mapping[str, float], Mapping[str, float]]], noun: str) -> Part:
    """The most important ones of theirs and ours: how many are the same.

    Args:
        title: of the part.
        found: a name for people, theirs, ours: name → value.
        noun: what `found` lists.
    """
    overlaps, details = [], []
    for name, one, two in found:
        first, second = top(one), top(two)
        overlap = len(set(first) & set(second)) / max(len(first), len(second))
        overlaps.append(overlap)
        if overlap < 1:
            gone = ", ".join(one for one in first if one not in second) or "none"
            come = ", ".join(one for one in second if one not in first) or "none"
            details.append(f"{name}: only in theirs {gone}; only in ours {come}")
    count = f"{len(overlaps)} {noun}{'' if len(overlaps) == 1 else 's'}"
    text = f"{min(overlaps):.0%} the same, needed {OVERLAP:.0%} (the least of {count})"
    return Part(title, min(overlaps) >= OVERLAP, text, details)


def _global_texts(theirs: Json, ours: Json) -> Iterator[Part]:
    there, here = _kernel_shap(theirs), _kernel_shap(ours)
    found = []
    for label, other in paired(list(there), list(here)):
        one, two = (side.get("global_top_shap_text") or {} for side in (there[label], here[other]))
        both = [feature for feature in one if one[feature] and two.get(feature)]
        found += [(f"{label}, {feature}", one[feature], two[feature]) for feature in both]
    if found:
        yield _overlap("top ten texts", found, "label and feature")


def _kernel_shap(analysis: Json) -> dict[str, Json]:
    found = (analysis.get("explanations") or {}).get("kernel_shap") or {}
    return {label: one for label, one in found.items() if isinstance(one, dict)}


def _dependence(theirs: Json, ours: Json) -> Iterator[Part]:
    features = list(apart(theirs, ours))
    if not features:
        return
    known = [(one.difference, one.feature) for one in features if one.difference is not None]
    details = [f"{one.feature}: {one.why}" for one in features if one.why]
    details += [f"{name}: {difference:.2g}" for difference, name in known if difference > DEPENDENCE_TOLERANCE]
    failed = any(one.decides and (one.difference is None or one.difference > DEPENDENCE_TOLERANCE) for one in features)
    if not known:
        yield Part("partial dependence", False if failed else None, f"none of {len(features)} can be compared", details)
        return
    worst, name = max(known)
    text = f"{len(known)} features, largest difference {worst:.2g} ({name}), allowed {DEPENDENCE_TOLERANCE:g}"
    yield Part("partial dependence", not failed, text, details)


def _by_label(analysis: Json) -> dict[str, dict[str, float]]:
    return {
        label: {name: float(value) for name, value in one["global_shap_values"].items()}
        for label, one in _kernel_shap(analysis).items()
        if one.get("global_shap_values")
    }


def paired(theirs: Sequence[str], ours: Sequence[str]) -> list[tuple[str, str]]:
    """Labels of the same name; where they are named otherwise, and as many, those of the same place."""
    if set(theirs) == set(ours):
        return [(label, label) for label in theirs]
    if len(theirs) == len(ours):
        return list(zip(theirs, ours, strict=True))
    return [(label, label) for label in theirs if label in ours]


def top(values: Mapping[str, float]) -> list[str]:
    return sorted(values, key=lambda name: -abs(values[name]))[:TOP]


def rank_correlation(one: Array, other: Array) -> float:
    """Spearman's, ties sharing their mean rank; 1 where neither side tells any apart, 0 where one does not."""
    first, second = (_ranks(values) - (len(values) - 1) / 2 for values in (one, other))
    scale = math.sqrt(float(first @ first) * float(second @ second))
    if scale == 0:
        return 1.0 if not first.any() and not second.any() else 0.0
    return float(first @ second) / scale


def _ranks(values: Array) -> Array:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts + 1) / 2)[places], dtype=np.float64)


# Local values


def _local_values(theirs: Path, ours: Path, labels: Sequence[tuple[str, str]]) -> Iterator[Part]:
    there, here = local_values(theirs), local_values(ours)
    if here is not None:
        here = {(row, as_theirs(column, labels)): value for (row, column), value in here.items()}
    if there is None or here is None:
        return
    shared = [key for key in there if key in here]
    if not shared:
        yield Part("local values", None, "no row and column in common")
        return
    one = np.array([there[key] for key in shared])
    two = np.array([here[key] for key in shared])
    columns = [column for _, column in shared]
    largest: dict[str, float] = {}
    for column, value in zip(columns, np.maximum(np.abs(one), np.abs(two)).tolist(), strict=True):
        largest[column] = max(largest.get(column, 0.0), value)
    most = max(largest.values())
    counted = np.maximum(np.abs(one), np.abs(two)) > NEGLIGIBLE * most
    changed = counted & (np.sign(one) != np.sign(two))
    total = int(counted.sum())
    share = f" ({changed.sum() / total:.1%})" if total else ""
    text = f"{int(changed.sum()):,} of {total:,} values above {NEGLIGIBLE:.0%} of the largest have another sign{share}"
    order = np.argsort(-np.abs(one - two) * changed, kind="stable")[: int(changed.sum())]
    details = [f"{shared[n][0]}, {shared[n][1]}: {one[n]:.4g}, ours {two[n]:.4g}" for n in order.tolist()]
    yield Part("signs of local values", None, text, details[:5])
    spread = math.sqrt(float(np.mean(np.square(one - two))))
    missing = len(there) - len(shared)
    only = f"; {missing:,} values only in theirs" if missing else ""
    yield Part("local values", None, f"{len(shared):,} values, root mean square difference {spread:.3g}{only}")


def as_theirs(column: str, labels: Sequence[tuple[str, str]]) -> str:
    """A column `<feature>_<label>` of ours by their name of the label; labels: theirs, ours."""
    for theirs, ours in labels:
        if column.endswith(f"_{ours}"):
            return f"{column.removesuffix(ours)}{theirs}"
    return column


def local_values(folder: Path) -> dict[tuple[str, str], float] | None:
    """(row, column) → value; None where there are none."""
    if (folder / "out.csv").is_file():
        return dict(_of_table(folder / "out.csv"))
    if (folder / "out.jsonl").is_file():
        return dict(_of_texts(folder / "out.jsonl"))
    return None


def _of_table(file: Path) -> Iterator[tuple[tuple[str, str], float]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream)
        header = next(rows, [])
        for number, row in enumerate(rows):
            for column, cell in zip(header, row, strict=False):
                value = _finite(cell)
                if value is not None:
                    yield (f"row {number}", column), value


def _of_texts(file: Path) -> Iterator[tuple[tuple[str, str], float]]:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
        for feature in json.loads(line)["explanations"]:
            for one in feature["attributions"]:
                said = one.get("description", {})
                piece = f"[{said['start_idx']}] {said['partial_text']}" if said else ""
                for label, value in enumerate(one["attribution"]):
                    yield (f"row {number}", f"{feature['feature_name']}{piece}, label {label}"), float(value)


def _finite(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# The page


def as_html(theirs: Path, ours: Path, parts: Sequence[Part], verdict: str) -> str:
    rows = "\n".join(
        f"<tr><td>{MARKS[part.holds]}</td><th>{html.escape(part.title)}</th><td>{html.escape(part.text)}"
        + "".join(f"<br><small>{html.escape(line)}</small>" for line in part.details[:LISTED])
        + "</td></tr>"
        for part in parts
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Two explanations compared</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; }} td, th {{ text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; }}
</style>
<h1>{html.escape(verdict)}</h1>
<p>Theirs: {html.escape(str(theirs))}<br>Ours: {html.escape(str(ours))}</p>
<table>
{rows}
</table>
</html>
"""
