"""`assay promote` and `assay demote`: a person decides who is champion, and says why."""

from __future__ import annotations

from datetime import UTC, datetime

from assay.evaluation import EvaluationReport
from assay.layout import RunFolder
from assay.run import Champion, Run
from assay.summary import Summary
from assay.title import Title
from assay_local.console import Console
from assay_local.place import Place, record_in
from assay_local.problem import Problem
from assay_local.runs import Runs
from assay_local.runs_table import moment, printed


def promote(place: Place, text: str, reason: str, console: Console, *, even_failed: bool = False) -> int:
    """Make a run its model's champion; Problem when it cannot be one."""
    runs = Runs(place)
    folder = runs.find(text)
    summary = runs.summary(folder)
    if summary is None:
        raise Problem(f"{name_of(folder)} has no summary yet: {runs.stage(folder)}; promote it when it has ended")
    champion = candidate(place, folder)
    objection = objection_to(summary, champion, even_failed=even_failed)
    if objection is not None or champion is None:
        raise Problem(f"{name_of(folder)} cannot be champion: {objection}")
    who = place.who()
    title = place.change_title(folder.model, lambda title: title.promoted(champion, who, reason))
    if title.champion != champion:
        console.say(f"{name_of(folder)} is the champion already: nothing was changed")
        return 0
    before = title.turns[1].champion if len(title.turns) > 1 else None
    instead = "where there was none" if before is None else f"in place of {before.run}"
    console.say(f"{name_of(folder)} is champion now, {instead}", "bold green")
    for line in doubts(summary):
        console.prose(f"  note     {line}", "yellow")
    console.say(f"  by       {printed(who)}")
    console.say(f"  until    an upload passes that is newer than {moment(newest(title), in_full=True)}")
    console.say(f'  undo it  assay demote {folder.run}{place.option} --reason "…"')
    return 0


def demote(place: Place, text: str, reason: str, console: Console) -> int:
    """Go back to the champion before, or to none; Problem when what is meant is not champion."""
    champion = champion_meant(place, text)
    who = place.who()
    now = datetime.now(UTC)
    title = place.change_title(champion.model, lambda title: title.demoted(champion.run, who, reason, now))
    if title.turns[0].at != now:
        present = "there is none" if title.champion is None else f"{title.champion.run} is"
        raise Problem(f"{name_of(champion.folder)} has just ceased to be champion, {present}: nothing was changed")
    back = title.champion
    if back is None:
        console.say(f"{name_of(champion.folder)} is champion no more: there is none now", "bold yellow")
    else:
        console.say(f"{name_of(champion.folder)} is champion no more: {back.run} is again", "bold yellow")
        if "report.json" not in place.below(back.folder.evaluation)[1]:
            console.say("  note     its results are gone: nothing will be compared with it", "yellow")
    console.say(f"  by       {printed(who)}")
    console.say(f"  until    an upload passes that is newer than {moment(newest(title), in_full=True)}")
    console.say(f'  undo it  assay promote {champion.run}{place.option} --reason "…"')
    return 0


def candidate(place: Place, folder: RunFolder) -> Champion | None:
    """The run as a champion's record; None: it judged nothing."""
    run = record_in(place.read, folder.run_json, Run, place.address(folder.run_json))
    report = record_in(place.read, folder.report, EvaluationReport, place.address(folder.report))
    if run is None or report is None:
        return None
    return run.as_champion(report.model.archive_sha256, datetime.now(UTC))


def objection_to(summary: Summary, champion: Champion | None, *, even_failed: bool) -> str | None:
    """Why a run cannot be champion; None: it can."""
    if summary.verdict == "error":
        return f"its verdict is error: {printed(summary.headline)}"
    if champion is None:
        return "it left no evaluation/report.json, so nothing could be compared with it"
    if summary.verdict == "fail" and not even_failed:
        return f"{printed(summary.headline)}; --even-failed makes it so all the same"
    return None


def doubts(summary: Summary) -> list[str]:
    """What a person should know who promotes it."""
    said = {
        "fail": "it failed: newer models are held against one that its own gates refused",
        "not judged": "it was not judged: no gate has looked at it",
        "inconclusive": "its data did not decide its gates",
    }
    return [said[summary.verdict]] if summary.verdict in said else []


def champion_meant(place: Place, text: str) -> Champion:
    """The champion of the model, or the one that this run is."""
    title = place.title(text)
    if title.turns:
        if title.champion is None:
            raise Problem(f"{text} has no champion{since(title)}")
        return title.champion
    folder = Runs(place).find(text)
    title = place.title(folder.model)
    if title.champion is None:
        raise Problem(f"{folder.model} has no champion{since(title)}")
    if text != folder.model and title.champion.run != folder.run:
        raise Problem(f"{name_of(folder)} is not the champion: that is {title.champion.run}")
    return title.champion


def since(title: Title) -> str:
    if not title.turns:
        return " yet"
    turn = title.turns[0]
    return f" since {moment(turn.at, in_full=True)}: {printed(turn.reason or '')}"


def newest(title: Title) -> datetime:
    """When the newest upload came that ever was champion."""
    return max(turn.champion.uploaded_at for turn in title.turns if turn.champion is not None)


def name_of(folder: RunFolder) -> str:
    return f"{printed(folder.model)}: run {folder.run}"
