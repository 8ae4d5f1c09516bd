"""What `assay explain --check` finds out."""

from __future__ import annotations

from assay.base import Record


class Planned(Record):
    """An analysis that would be done."""

    name: str
    how: str
    """In words: rows, players, points."""
    model_calls: int
    """Synthetic rows or pictures that the model would be asked about, at most."""


class Checked(Record):
    """`checked.json`"""

    data: str
    """Rows and features, or pictures, in words."""
    analyses: tuple[Planned, ...]
    refused: tuple[str, ...] = ()
    """What AWS's own schema would refuse."""
    without_effect: tuple[str, ...] = ()
    """Keys of which nothing comes, each with the reason."""
    not_built: tuple[str, ...] = ()
    """What is asked for beside, and would say that it is not built."""
    model: str | None = None
    """Who was asked, in words; None: nobody is."""
    call_seconds: float | None = None
    """What one of the calls takes, together with others."""
    begin_seconds: float = 0.0
    """Reading the data, and loading the model."""
