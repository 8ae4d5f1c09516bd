"""`assay rejudge`: a run's verdict once more, from the numbers that it left behind; nothing is asked or measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from assay.evaluation import EvaluationReport
from assay.not_yet import check_is_built
from assay.policy import Policy, read_policy
from assay.run import Run, RunState
from assay.summary import Summary
from assay_aws.locations import bucket_and_key
from assay_aws.policy_file import parse_yaml
from assay_local import application
from assay_local.console import Console
from assay_local.place import Read, content_of, object_reader, record_in
from assay_local.problem import Problem
from assay_local.run import EXIT_CODES
from assay_local.show import tell_verdict

RUN = "run.json"


class Stored(NamedTuple):
    """What a run left behind."""

    run: Run
    report: EvaluationReport
    champion: EvaluationReport | None
    summary: Summary | None
    """What was announced."""


def rejudge(address: str, policy: Path | None, console: Console, *, as_json: bool = False) -> int:
    """Decide, and say how it came out; the exit code is that of `assay run`.

    Args:
        address: a run's folder, on this machine or in S3.
        policy: what decides; by default what the run was judged by.
        console: where it is said.
        as_json: as JSON, for programs.

    Raises:
        Problem, AssayError: there is no such run, it has no numbers, or the policy is not valid.
    """
    stored = stored_run(address)
    judged_by = stored.run.policy if policy is None else policy_of(policy)
    if judged_by is None:
        raise Problem(f"{address}: the run has no policy of its own; say which with --policy")
    summary = conclusion(stored, judged_by)
    notes = list(notes_on(stored, judged_by))
    if as_json:
        print(json.dumps(as_data(summary, stored, notes), indent=2, ensure_ascii=False))
    else:
        tell(summary, stored, notes, console)
    return EXIT_CODES[summary.verdict]


def conclusion(stored: Stored, policy: Policy) -> Summary:
    """What the last step would say of the run, had it had this policy."""
    application.make_importable("functions")
    from publish_summary.conclusion import conclude
    from publish_summary.evidence import Evidence

    run = stored.run.model_copy(update={"policy": policy})
    evidence = Evidence(run, RunState(run=run.id), report=stored.report, champion=stored.champion)
    return conclude(evidence, drift=None if stored.summary is None else stored.summary.drift)


def stored_run(address: str) -> Stored:
    """Read a run's folder; raises Problem when it is none, or holds no numbers."""
    if address.startswith("s3://"):
        bucket, prefix = bucket_and_key(address)
        where, read = address.rstrip("/") + "/", object_reader(bucket)
        run = record_in(read, prefix.rstrip("/") + "/" + RUN, Run, where + RUN)
    else:
        folder = Path(address).expanduser().resolve()
        where = f"{folder}/"
        run = record_in(lambda key: content_of(folder / key), RUN, Run, where + RUN)
        read = file_reader(folder, "" if run is None else run.folder.prefix)
    if run is None:
        raise Problem(
            f"{where}: no run: it holds no {RUN}; expected a run's folder such as assay-results/runs/<model>/<run>, "
            "or s3://<bucket>/runs/<model>/<run>/"
        )
    own = run.folder
    report = record_in(read, own.report, EvaluationReport, f"{where}evaluation/report.json")
    summary = record_in(read, own.summary_json, Summary, f"{where}summary.json")
    if report is None:
        failure = None if summary is None else summary.failure
        raise Problem(f"{where}: the run left no numbers" + ("" if failure is None else f": {failure.message}"))
    champion = None
    if run.champion is not None:
        champion = record_in(read, run.champion.folder.report, EvaluationReport, run.champion.folder.report)
    return Stored(run, report, champion, summary)


def file_reader(folder: Path, prefix: str) -> Read:
    """Of a results folder: the run's own files lie in its folder, wherever that is, the champion's beside it."""

    def read(key: str) -> bytes | None:
        return content_of(folder / key.removeprefix(prefix) if key.startswith(prefix) else folder.parents[2] / key)

    return read


def policy_of(file: Path) -> Policy:
    """The policy in a file; its data need not be on this machine."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Problem(f"policy {file}: {error.strerror}") from error
    policy = read_policy(parse_yaml(content, str(file)), str(file))
    check_is_built(policy)
    return policy


def notes_on(stored: Stored, policy: Policy) -> Iterator[str]:
    """What a person should know of a verdict that rests on stored numbers."""
    run = stored.run
    measured_by = run.policy
    if measured_by is not None:
        # data: the same file has another address on each machine
        parts = [part for part in ("task", "model", "preprocessing", "evaluate") if differ(part, policy, measured_by)]
        if parts:
            yield f"the numbers were measured by the run's own policy: {' and '.join(parts)} of this one changes none"
    compared = stored.report.comparison
    if run.champion is not None and stored.champion is None and compared is None:
        yield f"the champion of then, {run.champion.run}, has no report here: nothing is compared with it"


def differ(part: str, one: Policy, other: Policy) -> bool:
    return bool(getattr(one, part) != getattr(other, part))


def as_data(summary: Summary, stored: Stored, notes: list[str]) -> dict[str, object]:
    return {
        "run": summary.run,
        "model": summary.model,
        "verdict": summary.verdict,
        "announced": None if stored.summary is None else stored.summary.verdict,
        "headline": summary.headline,
        "gates": [gate.model_dump(mode="json", by_alias=True) for gate in summary.gates],
        "notes": notes,
    }


def tell(summary: Summary, stored: Stored, notes: list[str], console: Console) -> None:
    tell_verdict(summary, console)
    console.say()
    before = "" if stored.summary is None else f", announced as {stored.summary.verdict}"
    console.say(f"Run          {summary.run} of {summary.model}, {stored.report.data.rows:,} samples{before}")
    for note in notes:
        console.say(f"Note         {note}")
