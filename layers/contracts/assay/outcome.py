"""A run's summary in short, for programs: what queues, functions and web hooks get of a notice, and the bus's event."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import Field

from assay.base import Record
from assay.evaluation import Finding
from assay.events import BusEvent, Upload
from assay.policy import Task
from assay.run import Registration
from assay.verdict import Counted, FromChampion, GateResult, Verdict

Severity = Literal["info", "warning", "serious"]
"""Of a run, as of a finding: serious is a fail or an error, a warning what a person should look at."""


class GateInShort(Record):
    """One gate, decided."""

    metric: str
    of: str | None = None
    """A class; None: all."""
    slice: str | None = None
    facet: str | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    champion: float | None = None
    difference: FromChampion | None = None
    """What a limit to how much worse than the champion it may be was judged by."""
    limit: str
    """What was asked, for people: `at least 0.9`."""
    result: GateResult
    counts_as: Counted


class Problem(Record):
    """Why there is no verdict."""

    error: str
    message: str


class Outcome(Record):
    """How a run ended. A run is announced once; should it come twice all the same, `run` tells."""

    schema_version: Literal[1] = 1
    run: str
    model: str
    task: Task | None = None
    verdict: Verdict
    severity: Severity
    headline: str
    """One sentence: the verdict and the numbers that decided it."""
    failure: Problem | None = None
    to_mend: tuple[str, ...] = ()
    """The commands that mend what went wrong, where they are known."""
    upload: Upload
    bucket: str
    """That holds the results."""
    folder: str
    """The run's folder in it: what it holds is named in the README."""
    champion: str | None = None
    """The run that was champion when this one started."""
    rows: int | None = None
    gates: tuple[GateInShort, ...] = ()
    """Those that decided it first."""
    metrics: dict[str, float] = {}
    """On all rows; those that have a value."""
    findings: tuple[Finding, ...] = ()
    explanation: Literal["done", "failed", "not asked", "not reached"]
    seconds: float | None = None
    """That all jobs took."""
    usd: float | None = None
    """What they cost; None: a price is unknown."""
    registration: Registration | None = None
    """None: the policy names no model package group, or there is no verdict."""
    complete: bool = True
    """Whether all is here: a text that is too long, a list with too many lines is cut. `summary.json` has the rest."""

    def as_message(self) -> str:
        """JSON on one line, in ASCII: some receivers refuse what Unicode has no characters for."""
        return json.dumps(self.model_dump(mode="json"), separators=(",", ":"))


class RunFinished(BusEvent):
    """`Assay Run Finished`: put on the default bus, for others' rules."""

    source: Literal["assay"] = "assay"
    detail_type: Literal["Assay Run Finished"] = Field("Assay Run Finished", alias="detail-type")
    detail: Outcome
