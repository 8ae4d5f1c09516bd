"""The report: its content as data, and the three formats that show it."""

from __future__ import annotations

from explainer.pages.content import Report
from explainer.request import Request

__all__ = ["write_report"]


def write_report(request: Request, report: Report) -> None:
    """Write `<report.name>.html`, `.ipynb` and `.pdf`."""
    from explainer.pages.document import pdf
    from explainer.pages.notebook import notebook
    from explainer.pages.page import html

    name = request.config.methods.report.name
    request.write_text(f"{name}.html", html(report))
    request.write_text(f"{name}.ipynb", notebook(report, request.folders.output))
    request.write_bytes(f"{name}.pdf", pdf(report))
