"""The runs of a results folder or a stack: listed newest first, and found by what a person types."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from assay.base import Foreign, Record
from assay.events import Upload
from assay.layout import ACTIVE_PREFIX, RUNS_PREFIX, RunFolder, active_key
from assay.run import ActiveRun, RunState
from assay.summary import Summary
from assay.verdict import Verdict
from assay_local import application
from assay_local.place import Place, record_in
from assay_local.problem import Problem

READERS = 16
"""Files read at a time: a bucket takes some 30 ms to answer."""
LATEST = "latest"
RUN_ID = re.compile(r"[a-z2-7]{20}")
NAMED = 5
"""Runs, or names, that a sentence lists."""

One = TypeVar("One")
Other = TypeVar("Other")


class _Archive(Foreign):
    uploaded_at: datetime


class _Opened(Foreign):
    """Of run.json what a list of runs needs: whatever else it says, it can be read."""

    upload: Upload
    opened_at: datetime
    archive: _Archive | None = None


class Known(NamedTuple):
    """A run, before anybody has looked at its results."""

    folder: RunFolder
    opened_at: datetime
    upload: Upload | None
    uploaded_at: datetime | None
    problem: str | None = None
    """Why its record cannot be read."""


class RunInShort(Record):
    """A line of `assay runs`."""

    run: str
    model: str
    key: str | None = None
    """Of the archive."""
    version: str | None = None
    request: str | None = None
    """Of a run that no upload asked for."""
    opened_at: datetime
    uploaded_at: datetime | None = None
    verdict: Verdict | None = None
    """None: it has not ended."""
    stage: str | None = None
    """How far it is: received, evaluating, explaining, waiting for ml.m5.xlarge, announcing."""
    headline: str | None = None
    decided: str | None = None
    """The first gates that decided it, or the number that says most."""
    champion: bool = False
    seconds: float | None = None
    """That its jobs took."""
    usd: float | None = None
    problem: str | None = None
    """Why there is nothing to say of it."""


class Runs:
    def __init__(self, place: Place) -> None:
        self.place = place
        self._active: frozenset[str] | None = None
        self._champions: dict[str, str | None] = {}

    # Listing

    def newest_first(self, model: str | None = None) -> list[Known]:
        """All runs, or a model's, by when they were opened."""
        known = list(each(self._known, self.folders(model)))
        return sorted(known, key=lambda one: (one.opened_at, one.folder.run), reverse=True)

    def folders(self, model: str | None = None) -> list[RunFolder]:
        """In no particular order; a run that was opened a moment ago has no folder yet."""
        found = list(self._walk(() if model is None else tuple(model.split("/"))))
        begun = self.active() - {folder.run for folder in found}
        opened = each(
            lambda run: record_in(self.place.read, active_key(run), ActiveRun, active_key(run)), sorted(begun)
        )
        found += [one.folder for one in opened if one is not None]
        return [folder for folder in found if model is None or folder.model == model]

    def models(self) -> list[str]:
        return sorted({folder.model for folder in self.folders()})

    def active(self) -> frozenset[str]:
        """The ids of the runs that have not ended."""
        if self._active is None:
            self._active = frozenset(self.place.below(ACTIVE_PREFIX)[1])
        return self._active

    def _walk(self, above: tuple[str, ...]) -> Iterator[RunFolder]:
        """A model's name may be several folders deep; what is named like a run below one is a run."""
        for name in self.place.below(RUNS_PREFIX + "".join(f"{part}/" for part in above))[0]:
            if above and RUN_ID.fullmatch(name):
                yield RunFolder("/".join(above), name)
            else:
                yield from self._walk((*above, name))

    def _known(self, folder: RunFolder) -> Known:
        try:
            opened = record_in(self.place.read, folder.run_json, _Opened, self.place.address(folder.run_json))
            if opened is None:  # the index is written first
                opened = record_in(self.place.read, active_key(folder.run), _Opened, active_key(folder.run))
        except Problem as problem:
            return Known(folder, LONG_AGO, None, None, str(problem))
        if opened is None:
            return Known(folder, LONG_AGO, None, None, f"{self.place.address(folder.prefix)}: no run.json")
        uploaded_at = None if opened.archive is None else opened.archive.uploaded_at
        return Known(folder, opened.opened_at, opened.upload, uploaded_at)

    # One run

    def summary(self, folder: RunFolder) -> Summary | None:
        return record_in(self.place.read, folder.summary_json, Summary, self.place.address(folder.summary_json))

    def state(self, folder: RunFolder) -> RunState | None:
        return record_in(self.place.read, folder.state_json, RunState, self.place.address(folder.state_json))

    def stage(self, folder: RunFolder) -> str:
        """How far a run is that has no summary."""
        if folder.run not in self.active():
            return "not ended"
        state = self.state(folder)
        if state is None:
            return "received"
        if state.waiting is not None:
            return f"waiting for {state.waiting.instance_type}"
        return "announcing" if state.progress == "ended" else state.progress

    def is_champion(self, folder: RunFolder) -> bool:
        """Asked of each model once: a list of runs is of one moment."""
        if folder.model not in self._champions:
            champion = self.place.title(folder.model).champion
            self._champions[folder.model] = None if champion is None else champion.run
        return self._champions[folder.model] == folder.run

    def in_short(self, known: Iterable[Known], verdict: Verdict | None = None) -> Iterator[RunInShort]:
        """A line for each run, read as they are asked for; with a verdict, of the runs that ended so."""
        for line in each(self._line, known):
            if verdict is None or line.verdict == verdict:
                yield line

    def _line(self, known: Known) -> RunInShort:
        folder, upload = known.folder, known.upload
        line = RunInShort(
            run=folder.run,
            model=folder.model,
            key=None if upload is None else upload.key,
            version=None if upload is None else upload.version or None,
            request=None if upload is None else upload.request or None,
            opened_at=known.opened_at,
            uploaded_at=known.uploaded_at,
            problem=known.problem,
        )
        try:
            summary = self.summary(folder)
            if summary is None:
                return line if known.problem else line.model_copy(update={"stage": self.stage(folder)})
            line = line.model_copy(update=ended(summary))
            return line.model_copy(update={"champion": self.is_champion(folder)})
        except Problem as problem:
            return line.model_copy(update={"problem": str(problem)})

    # Finding

    def find(self, text: str) -> RunFolder:
        """The run that a person means by an id or its unique beginning, a model's name, or `latest`; else Problem."""
        folders = self.folders()
        if not folders:
            raise Problem(f"{self.place.name}: no runs yet")
        models = {folder.model for folder in folders}
        if text == LATEST or text in models:
            return self.newest_first(None if text == LATEST else text)[0].folder
        last = text.rstrip("/").rpartition("/")[2]  # of a folder's path or address, as it is shown
        matches = sorted(folder for folder in folders if last and folder.run.startswith(last))
        if len(matches) == 1:
            return matches[0]
        if matches:
            named = ", ".join(f"{folder.run} of {folder.model}" for folder in matches[:NAMED])
            more = f" and {len(matches) - NAMED} more" if len(matches) > NAMED else ""
            raise Problem(f"run {text} could be {named}{more}: say more of it")
        raise Problem(
            f"{self.place.name}: no run or model {text!r}; {nearest(text, [*models, *(f.run for f in folders)])}"
        )


LONG_AGO = datetime.min.replace(tzinfo=UTC)


def nearest(text: str, names: Iterable[str]) -> str:
    """The end of the sentence that says that something is not there."""
    close = difflib.get_close_matches(text, sorted(set(names)), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else "`assay runs` lists what there is"


def ended(summary: Summary) -> dict[str, Any]:
    """What a line says of a run's end."""
    costs = summary.costs
    return {
        "verdict": summary.verdict,
        "headline": summary.headline,
        "decided": decided(summary),
        "seconds": None if costs is None else costs.total.seconds,
        "usd": None if costs is None else costs.total.usd,
    }


def decided(summary: Summary) -> str:
    """The gates that decided it, in few words; the reason of an error; else the number that says most."""
    application.make_importable("functions")
    from publish_summary.headline import briefly, measured, one_line

    if summary.failure is not None:
        return one_line(summary.failure.message)
    gates = [g for g in summary.gates if g.counts_as == summary.verdict and g.result != "not applicable"]
    return briefly(gates, room=40) if gates else measured(summary).removeprefix(": ")


def each(read: Callable[[One], Other], of: Iterable[One]) -> Iterator[Other]:
    """Some at a time, in their order, and not many more than are asked for."""
    remaining = iter(of)
    with ThreadPoolExecutor(READERS) as pool:
        while batch := list(islice(remaining, READERS)):
            yield from pool.map(read, batch)
