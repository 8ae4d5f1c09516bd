"""`assay show`: how a run ended, for a terminal; of one that has not, how far it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from assay.evaluation import Metric
from assay.layout import RunFolder
from assay.run import RunState
from assay.summary import JobTime, Summary
from assay.title import Title
from assay_local import application
from assay_local.console import VERDICT_STYLES, Column, Console
from assay_local.place import Place
from assay_local.runs import Runs
from assay_local.runs_table import moment, printed

MOST_GATES = 40
MOST_CHANGES = 12
MOST_METRICS = 40
MOST_FINDINGS = 20
SEVERITIES = {"serious": "red", "warning": "yellow", "info": ""}


def show(place: Place, text: str, console: Console) -> int:
    """Find a run and say how it ended; Problem when there is none."""
    runs = Runs(place)
    folder = runs.find(text)
    summary = runs.summary(folder)
    if summary is None:
        tell_unfinished(runs, folder, console)
        return 0
    tell_verdict(summary, console)
    tell_numbers(summary, console)
    tell_run(summary, runs.state(folder), place.title(folder.model), console)
    tell_addresses(place, folder, console)
    return 0


def tell_verdict(summary: Summary, console: Console) -> None:
    """Verdict, gates, and what changed, in the words of the notice."""
    application.make_importable("functions")
    from publish_summary.notice import beside_the_champion, failing_first, gate_lines

    console.prose(f"{summary.verdict.upper()}: {printed(summary.headline)}", f"bold {VERDICT_STYLES[summary.verdict]}")
    if summary.failure is not None:
        section("Details", summary.failure.details, MOST_FINDINGS, console)
    section("To mend it", summary.to_mend, MOST_FINDINGS, console)
    section("What decided it", list(gate_lines(failing_first(summary.gates))), MOST_GATES, console)
    section("Beside the champion", list(beside_the_champion(summary)), MOST_CHANGES, console)


def section(title: str, lines: Sequence[str], most: int, console: Console) -> None:
    if not lines:
        return
    console.say(f"\n{title}", "bold")
    for line in lines[:most]:
        console.prose(f"  {printed(line)}")
    if len(lines) > most:
        console.say(f"  and {len(lines) - most} more, in the report", "dim")


def tell_numbers(summary: Summary, console: Console) -> None:
    if summary.metrics:
        console.say(f"\nMetrics, on {summary.rows or 0:,} samples", "bold")
        console.table(
            [Column("  metric"), Column("value"), Column("95 % interval"), Column("", gives=True)],
            [metric_row(name, metric) for name, metric in list(summary.metrics.items())[:MOST_METRICS]],
        )
    if summary.findings:
        console.say("\nWorth knowing", "bold")
        for finding in summary.findings[:MOST_FINDINGS]:
            console.prose(f"  {finding.severity}: {printed(finding.title)}: {printed(finding.text)}")


def metric_row(name: str, metric: Metric) -> list[str]:
    application.make_importable("functions")
    from publish_summary.headline import number

    interval = "" if metric.low is None or metric.high is None else f"{number(metric.low)} to {number(metric.high)}"
    return [f"  {printed(name)}", number(metric.value), interval, printed(metric.reason or "")]


def tell_run(summary: Summary, state: RunState | None, title: Title, console: Console) -> None:
    application.make_importable("functions")
    from publish_summary.notice import costs_in_words, registered_in_words

    if summary.jobs:
        console.say("\nJobs", "bold")
        console.table(
            [Column("  job"), Column("status"), Column("instance"), Column("took"), Column("", gives=True)],
            [job_row(job) for job in summary.jobs],
        )
    console.say("\nThis run", "bold")
    upload = summary.upload
    registration = None if state is None else state.registration
    facts = {
        "Run": f"{summary.run} of {printed(summary.model)}",
        "Champion": championship(summary, title),
        "Archive": f"s3://{upload.bucket}/{printed(upload.key)}"
        + (f" (version {upload.version})" if upload.version else ""),
        "Uploaded": "" if summary.uploaded_at is None else moment(summary.uploaded_at, in_full=True),
        "Request": printed(upload.request),
        "Explanation": summary.explanation
        + ("" if summary.explanation_failure is None else f": {printed(summary.explanation_failure)}"),
        "Took": "" if summary.costs is None else costs_in_words(summary.costs, summary),
        "Registered": "" if registration is None else registered_in_words(registration),
    }
    for name, value in facts.items():
        if value:
            console.say(f"  {name:<13} {value}")


def job_row(job: JobTime) -> list[str | Text]:
    application.make_importable("functions")
    from publish_summary.notice import duration

    style = "" if job.status == "Completed" else "red"
    time = "" if job.seconds is None else duration(job.seconds)
    said = "" if job.status == "Completed" else printed(job.exit_message or "")
    return [f"  {job.name}", Text(job.status, style=style), job.instance_type, time, said]


def championship(summary: Summary, title: Title) -> str:
    """Whether it is the champion, since when and why; else who is."""
    champion = title.champion
    if champion is None:
        return "none"
    if champion.run != summary.run:
        return champion.run
    turn = title.turns[0]
    since = f"this run, since {moment(turn.at, in_full=True)}"
    if turn.by is None:
        return since
    return f"{since}: {printed(turn.reason or '')} ({turn.cause} by {printed(turn.by)})".replace(
        "(demoted by", "(another was demoted by"
    )


def tell_unfinished(runs: Runs, folder: RunFolder, console: Console) -> None:
    state = runs.state(folder)
    console.say(f"{folder.run} of {printed(folder.model)} has no summary yet: {runs.stage(folder)}", "bold")
    if state is None:
        return
    if state.waiting is not None:
        console.say(f"  waiting since {moment(state.waiting.since, in_full=True)}: {printed(state.waiting.reason)}")
    for job in state.jobs:
        console.say(f"  {job.name}, started {moment(job.started_at, in_full=True)}")
    for stage, failure in state.failures.items():
        console.say(f"  {stage}: {printed(failure.message)}")


def tell_addresses(place: Place, folder: RunFolder, console: Console) -> None:
    console.say("\nWhere it lies", "bold")
    for name, address in addresses(place, folder):
        console.say(f"  {name:<13} {address}")


def addresses(place: Place, folder: RunFolder) -> Iterator[tuple[str, str]]:
    """What a person opens, of what there is."""
    folders, names = place.below(folder.prefix)
    if "summary.html" in names:
        yield "Report", place.address(folder.summary_html)
    if "explanation" in folders and "report.html" in place.below(folder.explanation)[1]:
        yield "Explanations", place.address(folder.explanation + "report.html")
    yield "All results", place.address(folder.prefix)
    yield "Open it", f"assay open {folder.run}{place.option}"
