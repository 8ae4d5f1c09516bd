"""`report.html`: one page that needs nothing beside it."""

from __future__ import annotations

import base64

import jinja2

from explainer.pages import content, drawing
from explainer.pages.content import Picture, Report


def html(report: Report) -> str:
    """The page's text; what the report says is escaped, whatever it holds."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("explainer"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "signed": content.signed,
        "svg": drawing.svg,
        "address": address,
        "kind": lambda block: type(block).__name__,
    }
    return environment.get_template("report.html.j2").render(report=report)


def address(picture: Picture) -> str:
    """The picture itself."""
    return "data:image/jpeg;base64," + base64.b64encode(picture.file.read_bytes()).decode()
