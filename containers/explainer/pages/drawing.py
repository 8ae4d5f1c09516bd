"""A curve as SVG: in a page it takes the page's colours, alone its own."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from explainer.pages.content import Curve

WIDTH, HEIGHT, GAP, BARS = 320, 130, 8, 26
"""Units of the drawing: the plot, and below it how the data is spread."""


def svg(curve: Curve) -> Markup:
    """The drawing, without its labels."""
    pale = "stroke:var(--pale,#6b6b70);"
    lines = [_line(curve.x, one, pale + "stroke-width:.6;opacity:.35") for one in curve.own]
    if curve.by_chance:
        lines.append(_line(curve.x, curve.by_chance, pale + "stroke-width:1;stroke-dasharray:4 3"))
    lines.append(_line(curve.x, curve.mean, "stroke:var(--for,#2166ac);stroke-width:2.2"))
    height = HEIGHT + (GAP + BARS if curve.shares else 0)
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="curve" viewBox="-4 -4 {} {}" role="img" aria-label="{}">'
        '<line x1="0" x2="{}" y1="{}" y2="{}" style="stroke:var(--line,#e3e3e6)"/>{}{}</svg>'
    ).format(
        WIDTH + 8, height + 8, curve.description, WIDTH, HEIGHT, HEIGHT, Markup("").join(lines), _bars(curve.shares)
    )


def _line(x: Sequence[float], y: Sequence[float], style: str) -> Markup:
    points = [(across, up) for across, up in zip(x, y, strict=True)]
    if len(points) == 1:  # which could not be seen
        points = [(0.0, y[0]), (1.0, y[0])]
    places = " ".join(f"{across * WIDTH:.1f},{(1 - up) * HEIGHT:.1f}" for across, up in points)
    return Markup('<polyline points="{}" style="fill:none;{}"/>').format(places, style)


def _bars(shares: Sequence[float]) -> Markup:
    width = WIDTH / max(len(shares), 1)
    bar = Markup('<rect x="{:.1f}" y="{}" width="{:.1f}" height="{:.1f}" style="fill:var(--bars,#c4c4ca)"/>')
    return Markup("").join(
        bar.format(place * width, f"{HEIGHT + GAP + BARS * (1 - share):.1f}", max(width - 1, 0.5), share * BARS)
        for place, share in enumerate(shares)
    )
