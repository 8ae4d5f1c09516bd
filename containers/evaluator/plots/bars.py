"""Values with their intervals, one a class or a slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assay.evaluation import Metric, Slice
from evaluator.plots.figure import COLOURS, GREY, drawing, short

_MOST = 40
"""Rows in a plot: more do not fit a page."""
_MARKS = "osD^v"


def per_class_svg(per_class: Mapping[str, Mapping[str, Metric]], names: Sequence[str]) -> str:
    """A row a class, the worst first by the first of these metrics, with 95 % intervals; empty where none has a value.

    Args:
        per_class: metric → class → value.
        names: the metrics that are drawn.
    """
    shown = [name for name in names if any(metric.value is not None for metric in per_class.get(name, {}).values())]
    if not shown:
        return ""
    rows = [
        (of, [per_class[name].get(of, Metric(reason="not measured")) for name in shown]) for of in per_class[shown[0]]
    ]
    return _rows_svg(rows, shown, _worst_first(rows), None)


def slices_svg(slices: Sequence[Slice], name: str, of_all: Metric) -> str:
    """A row a slice, the worst first, with 95 % intervals and a line at the value of all; empty where none has one."""
    rows = [
        (f"{one.name} (n {one.n:,})", [one.metrics[name]])
        for one in slices
        if name in one.metrics and one.metrics[name].value is not None
    ]
    if not rows:
        return ""
    return _rows_svg(rows, [name], _worst_first(rows), of_all.value)


def _worst_first(rows: Sequence[tuple[str, Sequence[Metric]]]) -> list[tuple[str, Sequence[Metric]]]:
    def goodness(row: tuple[str, Sequence[Metric]]) -> float:
        first = row[1][0]
        if first.value is None:
            return float("inf")
        return -first.value if first.higher_is_better is False else first.value

    return sorted(rows, key=goodness)[:_MOST]


def _rows_svg(
    every: Sequence[tuple[str, Sequence[Metric]]],
    names: Sequence[str],
    rows: Sequence[tuple[str, Sequence[Metric]]],
    of_all: float | None,
) -> str:
    with drawing(6.4, 1.1 + 0.24 * len(rows) * (1 + 0.35 * (len(names) - 1))) as page:
        axes = page.figure.add_subplot()
        for series, name in enumerate(names):
            shift = (series - (len(names) - 1) / 2) * 0.24
            known = [(place, values[series]) for place, (_, values) in enumerate(rows)]
            known = [(place, metric) for place, metric in known if metric.value is not None]
            values = [metric.value or 0.0 for _, metric in known]
            below = [v - (v if m.low is None else m.low) for v, (_, m) in zip(values, known, strict=True)]
            above = [(v if m.high is None else m.high) - v for v, (_, m) in zip(values, known, strict=True)]
            axes.errorbar(
                values,
                [place + shift for place, _ in known],
                xerr=(below, above),
                fmt=_MARKS[series % len(_MARKS)],
                color=COLOURS[series % len(COLOURS)],
                markersize=4,
                capsize=2,
                linewidth=1,
                label=name,
            )
        if of_all is not None:
            axes.axvline(of_all, color=GREY, linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(rows)), [short(row, 40) for row, _ in rows], fontsize=8)
        axes.set_ylim(len(rows) - 0.4, -0.6)  # the first row on top
        axes.grid(axis="y", linewidth=0.3)
        cut = f", the worst {len(rows)} of {len(every)}" if len(every) > len(rows) else ""
        axes.set_title(f"{', '.join(names)} with 95 % intervals{cut}", loc="left")
        if len(names) > 1:
            page.figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=len(names))
    return page.svg
