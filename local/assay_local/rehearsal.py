"""A rehearsal of the evaluation job: all that it checks, and a few samples. `python -m assay_local.rehearsal ROOT`.

It is the job's own code on the job's own folders, so it fails with the job's own words. Runs in a process of its own,
with containers/ to import from.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import EvaluationReport
from assay.policy import Clusters, Data, Policy
from assay_local.readings import spread
from assay_local.rehearsed import Rehearsed
from evaluator import images_job
from evaluator.boxes_data import read_boxes
from evaluator.boxes_score import find_listed
from evaluator.labels import resolve_labels
from evaluator.outputs import Outputs
from evaluator.program import read_run_of, report_of
from evaluator.request import Request
from evaluator.rows_data import BATCH, ask_about
from evaluator.scored import Unreadable
from evaluator.slices import column_of, declared_parts
from explainer.baseline import MOST_CLUSTERS
from explainer.shapley.plan import default_samples
from job.folders import Folders
from job.program import run_program
from job.progress import Progress
from model.table_files import data_files
from model.tables import Table, open_table

FIRST = 40
"""Samples tried, more where there are more classes."""
MORE = 20_000
"""Samples asked about at most to know what one of them takes."""
MORE_SECONDS = 6.0
"""What that may take at most, by what the first ones took."""
IMAGE_COALITIONS = 500
MOST_PICTURES = 1 << 62
"""No limit: the job itself says when too many cannot be read."""


class Looked(NamedTuple):
    """The data's labels, before anything is asked."""

    rows: int
    places: NDArray[np.int64]
    """(n,): of those that can be read."""
    labels: NDArray[Any]
    """(n,): as they stand in the data."""
    names: Mapping[str, str]
    """A label → its class's name for people."""
    data: Data
    """The policy's part, with the labels that folders give."""
    table: Table | None = None


def main(root: Path) -> int:
    return run_program("rehearsal", rehearse, root)


def rehearse(folders: Folders, progress: Progress) -> None:
    """Raises what the job would."""
    policy, _ = read_run_of(folders)
    request = Request(folders, progress, policy, Outputs(folders.output))
    rehearsed = Rehearsed()
    if folders.input("dataset").exists():
        looked = look(request)
        rehearsed = described(looked)
        if request.archive.exists():
            rehearsed = tried(request, looked, rehearsed)
        else:
            check_data(request)
    elif request.archive.exists():
        with request.predictor() as (model, folder):
            rehearsed = rehearsed.model_copy(update={"model": request.facts(model, folder)})
    (folders.root / "rehearsal.json").write_text(rehearsed.to_json(), encoding="utf-8")


def look(request: Request) -> Looked:
    """Read the labels."""
    policy = request.policy
    if policy.task == "image_classification":
        pictures = images_job.look(request)
        places = np.array([annotation.row for annotation in pictures.annotations], dtype=np.int64)
        labels = np.array([annotation.label for annotation in pictures.annotations], dtype=object)
        return Looked(len(places), places, labels, pictures.names, pictures.data)
    if policy.task == "object_detection":
        every = Unreadable(MOST_PICTURES)
        listed = find_listed(read_boxes(request.annotations, policy.data), request.dataset, every)
        places = np.array([one.row for one in listed], dtype=np.int64)
        return Looked(len(listed) + every.count, places, np.full(len(listed), "", dtype=object), {}, policy.data)
    regresses = policy.task == "tabular_regression"
    table = open_table(data_files(request.dataset), policy.data, numeric_label=regresses)
    batches = [(batch.rows, batch.columns[table.label]) for batch in table.batches(columns={table.label})]
    places = np.concatenate([rows for rows, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    names = {} if regresses else {label: label for label in table.survey.labels}
    return Looked(table.survey.rows, places, labels, names, policy.data, table)


def described(looked: Looked) -> Rehearsed:
    counted = Counter(looked.labels.tolist()) if looked.names else Counter[str]()
    return Rehearsed(rows=looked.rows, labels=dict(sorted(counted.items())))


class DataIsFine(Exception):
    """The job has come to its model."""


class WithoutModel(Request):
    """A job that ends where the model would be loaded."""

    def _unpacked(self) -> NoReturn:
        raise DataIsFine


def check_data(request: Request) -> None:
    """What the job checks of policy and data before it loads the model."""
    try:
        report_of(WithoutModel(request.folders, request.progress, request.policy, request.outputs))
    except DataIsFine:
        return


def tried(request: Request, looked: Looked, rehearsed: Rehearsed) -> Rehearsed:
    """Evaluate a few samples of each class, and then more of them, to know what each takes."""
    policy = request.policy
    first = some_of(looked, max(FIRST, len(looked.names)))
    began = time.monotonic()
    report = report_of(replace(request, only=first))
    begin = time.monotonic() - began
    each = (
        row_seconds(request, looked.table, report) if looked.table else picture_seconds(request, looked, first, report)
    )
    coalitions, baseline_rows = explained(policy, report)
    return rehearsed.model_copy(
        update={
            "supports": supports(looked.labels, looked, report),
            "slices": dict(slices(looked, policy, report)),
            "model": report.model,
            "report": report,
            "begin_seconds": begin,
            "sample_seconds": each,
            "coalitions": coalitions,
            "baseline_rows": baseline_rows,
        }
    )


def row_seconds(request: Request, table: Table, report: EvaluationReport) -> float | None:
    """What a row takes in a batch, the model alone: reading all of them is in what was measured already."""
    most = (
        BATCH if report.speed is None or not report.speed.latency_p50_ms else fit_in(report.speed.latency_p50_ms / 1e3)
    )
    with request.predictor() as (model, _):
        asked = ask_about(table, model, request.policy.model)
        batch = next((batch for batch in table.batches(min(BATCH, most), asked.used) if len(batch.rows)), None)
        if batch is None:
            return None
        asked.scores(batch)  # the first answer is the slowest
        began = time.monotonic()
        asked.scores(batch)
        return (time.monotonic() - began) / len(batch.rows)


def picture_seconds(request: Request, looked: Looked, first: frozenset[int], report: EvaluationReport) -> float | None:
    """What a picture takes, reading included: by how much longer more of them take."""
    took = report.seconds["score"]
    if len(looked.places) < 2 * len(first):
        return took / len(first)
    # by what the first ones took, the model's first and slowest answer included: so it is on the safe side
    more = some_of(looked, max(2 * len(first), fit_in(took / len(first))))
    again = report_of(replace(request, only=more, seconds={})).seconds["score"]
    return (again - took) / (len(more) - len(first)) if again > took else again / len(more)


def fit_in(seconds: float) -> int:
    """How many samples may be asked about to know what one takes, when each takes so long at most."""
    return max(1, min(MORE, int(MORE_SECONDS / max(seconds, 1e-6))))


def some_of(looked: Looked, size: int) -> frozenset[int]:
    """At most so many places, as many of each class as far as there are so many."""
    at = spread(looked.labels, size) if looked.names else slice(size)  # numbers: as they come
    return frozenset(looked.places[at].tolist())


def supports(labels: NDArray[Any], looked: Looked, report: EvaluationReport) -> dict[str, int]:
    """How many of these labels are of each class, by its name in the report."""
    if not looked.names or not report.labels:
        return {}
    known = resolve_labels(looked.data, looked.names, len(report.labels)).index
    counted = Counter(known[label] for label in labels)
    return {name: counted[number] for number, name in enumerate(report.labels)}


def slices(looked: Looked, policy: Policy, report: EvaluationReport) -> Iterator[tuple[str, dict[str, int]]]:
    """How many rows of each class each declared slice has."""
    declared, table = policy.evaluate.slices, looked.table
    if not declared or table is None:
        return
    needed = {column_of(one) for one in declared}
    batches = [batch.columns for batch in table.batches(columns={*needed, table.label})]
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in needed}
    parts, _ = declared_parts(declared, columns.__getitem__)
    for part in parts:
        classes = supports(looked.labels[part.places], looked, report)
        yield part.name, classes or {"": len(part.places)}


def explained(policy: Policy, report: EvaluationReport) -> tuple[int | None, int]:
    """Coalitions of each explained sample, and the baseline's rows that each is asked with."""
    explain = report.explain
    if explain is None:
        return None, 1
    asked = policy.explain
    if explain.kind == "images":
        return min(asked.num_samples or IMAGE_COALITIONS, default_samples(asked.num_segments)), 1
    features = sum(header != explain.label for header in explain.headers[:-1])
    rows = asked.baseline.clusters if isinstance(asked.baseline, Clusters) else MOST_CLUSTERS
    if isinstance(asked.baseline, tuple):
        rows = len(asked.baseline)
    return min(asked.num_samples or default_samples(features), default_samples(features)), rows


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
