"""In which order the summary tells what it found."""

from __future__ import annotations

from assay.evaluation import Finding
from publish_summary.conclusion import weightiest_first


def test_what_weighs_most_is_told_first_and_else_the_order_stays() -> None:
    found = [
        Finding(severity="warning", title="first warning", text=""),
        Finding(severity="serious", title="serious", text=""),
        Finding(severity="info", title="info", text=""),
        Finding(severity="warning", title="second warning", text=""),
    ]
    assert [one.title for one in weightiest_first(found)] == ["serious", "first warning", "second warning", "info"]
