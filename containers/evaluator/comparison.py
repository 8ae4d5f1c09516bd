"""The champion on the same samples: what it answered there, what changed since, and how sure that is.

Where the champion's predictions.parquet holds a sample's fingerprint its answer is taken from there; about the others
its archive is asked anew, prepared as its own run's policy says. Every difference is a paired bootstrap: both models
are measured on the same resamples. A champion that cannot be asked never fails the run.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from assay.errors import AssayError, BadModel
from assay.evaluation import Comparison, Difference, EvaluationReport, Finding, Flip
from assay.layout import ARCHIVE_NAME
from assay.policy import Policy
from assay.run import Champion, Run
from evaluator import classification, regression
from evaluator.classification import Classified
from evaluator.intervals import ROWS, Estimate, difference
from evaluator.outputs import Outputs
from evaluator.request import Request
from evaluator.scored import Samples, Scored
from evaluator.slices import SLICE_ROWS, Part
from model.archive import sha256

MOST_FLIPS = 100
"""In the report, the broken ones first; flips.csv has all."""
_BATCH = 65_536
_FINGERPRINT = 32  # bytes of a SHA-256

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]
Score = Callable[[Request], Scored]
"""Ask the request's archive, by its policy, about those of the rows that it is about."""
Estimated = tuple[Mapping[str, Estimate], Mapping[str, Mapping[str, Estimate]]]
"""Metrics, and metric → class → estimate."""


Said = TypeVar("Said")


class Compared(NamedTuple, Generic[Said]):
    """What came of comparing; all is empty where there is no champion."""

    comparison: Comparison | None = None
    findings: Sequence[Finding] = ()
    said: Said | None = None
    """The champion's answers; None: it gave none."""


UNKNOWN = -1
"""In place of a class that the champion was not asked about, or that it answered by no numbers."""


def compare_classified(
    request: Request,
    archive_sha256: str,
    scored: Scored,
    found: Classified,
    estimates: classification.Estimates,
    parts: Sequence[Part],
    classified: Callable[[Scored, Policy], Classified],
    score: Score,
) -> Compared[Places]:
    """This classifier beside the champion, whose answers are numbers of our classes or UNKNOWN; writes flips.csv.

    Args:
        request: the job.
        archive_sha256: of the archive that is judged.
        scored, found, estimates: its answers, and what they come to on all samples.
        parts: the slices.
        classified: from the champion's scores to its classes, by its own policy.
        score: asks the champion.
    """
    champion = request.champion
    if champion is None:
        return Compared()
    try:
        task = Classes(found.labels, classified)
        beside = answers_of_champion(request, champion, archive_sha256, scored, task, score)
    except Refused as why:
        return Compared(*refused(champion, archive_sha256, why))
    theirs = Classes.said(found, beside)

    everywhere, whole = (estimates.metrics, estimates.per_class), (len(scored), ROWS)

    def of(model: Classified, places: Places, most: int) -> Estimated:
        # of millions of samples a copy takes as much memory as all the rest
        made = classification.estimate(model if len(places) == len(scored) else model.part(places), most)
        return made.metrics, made.per_class

    comparison, findings = compared(
        champion,
        beside,
        parts,
        lambda places, most: everywhere if (len(places), most) == whole else of(found, places, most),
        lambda places, most: of(theirs, places, most),
    )
    comparison = with_flips(comparison, scored.samples, found, theirs, beside.known, request.outputs)
    return Compared(comparison, findings, np.where(beside.known & theirs.answered, theirs.predicted, UNKNOWN))


def compare_predicted(
    request: Request,
    archive_sha256: str,
    scored: Scored,
    estimates: Mapping[str, Estimate],
    parts: Sequence[Part],
    score: Score,
) -> Compared[Array]:
    """This regressor beside the champion, whose answers are NaN where it gave none; as `compare_classified`."""
    champion = request.champion
    if champion is None:
        return Compared()
    try:
        beside = answers_of_champion(request, champion, archive_sha256, scored, Numbers(), score)
    except Refused as why:
        return Compared(*refused(champion, archive_sha256, why))
    true, weights, ours = scored.samples.labels, scored.samples.weights, scored.scores[:, 0]
    whole = (len(scored), ROWS)

    def of(predicted: Array, places: Places, most: int) -> Estimated:
        weighted = None if weights is None else weights[places]
        return regression.estimate(true[places], predicted[places], weighted, most), {}

    comparison, findings = compared(
        champion,
        beside,
        parts,
        lambda places, most: (estimates, {}) if (len(places), most) == whole else of(ours, places, most),
        lambda places, most: of(beside.answers[:, 0], places, most),
    )
    return Compared(comparison, findings, beside.answers[:, 0])


class Refused(Exception):
    """Why there is nothing to compare with."""


class SameArchive(Refused):
    """It is the champion's own archive."""


class Answering(Protocol):
    """How a task's answers are told in numbers, `width` a sample."""

    @property
    def width(self) -> int: ...
    @property
    def columns(self) -> tuple[str, ...]:
        """Of predictions.parquet."""

    def check(self, champion: EvaluationReport, /) -> None:
        """Raises Refused when the champion answers something else."""

    def stored(self, batch: Any, champion: EvaluationReport, /) -> Array:
        """From a batch of predictions.parquet: (rows, width); NaN where the champion had no answer."""

    def asked(self, scored: Scored, policy: Policy, /) -> Array:
        """From scores: (rows, width); raises Refused, BadModel, BadPolicy."""


class Beside(NamedTuple):
    """The champion's answers to our samples, in their order."""

    known: Flags
    """(samples,) whether it was asked"""
    answers: Array
    """(samples, width)"""
    rescored: int = 0
    problem: str = ""
    """Why it was not asked about the others."""


@dataclass(frozen=True)
class _Left:
    """What is left of the champion's run; people may have deleted any of it."""

    policy: Policy | None
    report: EvaluationReport | None
    archive: Path | None
    predictions: Path | None


def answers_of_champion(
    request: Request, champion: Champion, archive_sha256: str, scored: Scored, task: Answering, score: Score
) -> Beside:
    """What the champion says of our samples.

    Raises:
        Refused: it is the same archive, does something else, or left nothing behind that could answer.
    """
    left = _left_behind(request)
    if archive_sha256 in _digests(champion, left):
        raise SameArchive("it is the champion's own archive, and a model is not compared with itself")
    if left.policy is not None and left.policy.task != request.policy.task:
        raise Refused(f"the champion's task is {left.policy.task}, this model's {request.policy.task}")
    if left.report is not None:
        task.check(left.report)
    beside = _stored(left, scored.samples, task)
    if not beside.known.all():
        beside = _asked(request, left, scored.samples, beside, task, score)
    if not beside.known.any():
        raise Refused(beside.problem)
    return beside


def _left_behind(request: Request) -> _Left:
    """The files are found by their names: whoever lays a manifest out may keep their folders or not."""
    files = {path.name: path for path in request.folders.input("champion").rglob("*") if path.is_file()}
    policy, report = None, None
    try:
        if "run.json" in files:
            policy = Run.model_validate_json(files["run.json"].read_bytes()).policy
        if "report.json" in files:
            report = EvaluationReport.model_validate_json(files["report.json"].read_bytes())
    except ValidationError as error:
        raise Refused(f"the champion's files cannot be read: {error.errors(include_url=False)[0]['msg']}") from error
    return _Left(policy, report, files.get(ARCHIVE_NAME), files.get("predictions.parquet"))


def _digests(champion: Champion, left: _Left) -> set[str]:
    if left.archive is not None:
        return {sha256(left.archive)}
    known = (champion.archive_sha256, None if left.report is None else left.report.model.archive_sha256)
    return {digest for digest in known if digest}


# What it answered in its own run


def _stored(left: _Left, samples: Samples, task: Answering) -> Beside:
    """Its answers to the samples that its predictions.parquet holds."""
    n = len(samples)
    nothing = Beside(np.zeros(n, dtype=bool), np.full((n, task.width), np.nan))
    if left.predictions is None or left.report is None:
        return nothing
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # read ahead, five million rows take 0.4 GB
        file = pq.ParquetFile(left.predictions, pre_buffer=False)
        needed = ("fingerprint", *task.columns)
        if not set(needed) <= set(file.schema_arrow.names):
            return nothing  # written before they were kept
        index = _Index(samples.fingerprints)
        answers = np.full((index.size, task.width), np.nan)
        known = np.zeros(index.size, dtype=bool)
        for batch in file.iter_batches(_BATCH, columns=list(needed)):
            there, places = index.find(_fingerprints_in(batch.column("fingerprint")))
            answers[places] = task.stored(batch, left.report)[there]
            known[places] = True
    except (pa.ArrowException, OSError, ValueError):
        return nothing  # cut short or of another shape: it is asked again
    return Beside(known[index.of_sample], answers[index.of_sample])


class _Index:
    """Our samples by fingerprint: (samples, 32) bytes. Samples of the same content share a place."""

    def __init__(self, fingerprints: NDArray[np.uint8]) -> None:
        # the first 8 bytes sort fast; all 32 are compared
        self._keys, self._first, self.of_sample = np.unique(_keys(fingerprints), return_index=True, return_inverse=True)
        self._whole = fingerprints
        self.size = len(self._first)

    def find(self, fingerprints: NDArray[np.uint8]) -> tuple[Flags, Places]:
        """Which of these we have, and the places of those."""
        keys = _keys(fingerprints)
        places = np.minimum(np.searchsorted(self._keys, keys), self.size - 1)
        there = (self._keys[places] == keys) & (self._whole[self._first[places]] == fingerprints).all(axis=1)
        return there, places[there]


def _keys(fingerprints: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(fingerprints[:, :8]).view(np.uint64)[:, 0]


def _fingerprints_in(column: Any) -> NDArray[np.uint8]:
    """A column of digests, in hexadecimal or in bytes; raises ValueError for anything else."""
    values = column.to_pylist()
    raw = b"".join(bytes.fromhex(value) if isinstance(value, str) else value for value in values)
    return np.frombuffer(raw, dtype=np.uint8).reshape(len(values), _FINGERPRINT)


# What it answers now


def _asked(request: Request, left: _Left, samples: Samples, beside: Beside, task: Answering, score: Score) -> Beside:
    """With its archive's answers to the samples that are not known yet; `problem` says why there are none."""
    if left.archive is None or left.policy is None:
        return beside._replace(problem="the champion's archive or policy is gone")
    if left.policy.model.predictor != "in_process":
        return beside._replace(problem="the champion answered through an endpoint, and is not there any more")
    if request.policy.model.predictor != "in_process":
        return beside._replace(problem="this job asks an endpoint: it has a network, so it loads no model")
    only = frozenset(samples.rows[~beside.known].tolist())
    theirs = replace(request, policy=left.policy, other_archive=left.archive, only=only, seconds={})
    try:
        with request.timed("champion"):
            scored = score(theirs)
            answers = task.asked(scored, left.policy) if len(scored) else np.empty((0, task.width))
    except AssayError as error:
        return beside._replace(problem=f"the champion cannot be asked any more: {error}")
    places = np.searchsorted(samples.rows, scored.samples.rows)
    beside.answers[places] = answers
    beside.known[places] = True
    unread = "" if beside.known.all() else "the champion's policy does not let it read the others"
    return Beside(beside.known, beside.answers, len(places), unread)


# The tasks


class Classes:
    """A classifier's answers: the number of the predicted class, and a score a class, in the order of our labels.

    Args:
        labels: ours.
        classified: from scores by another policy to classes.
    """

    columns = ("predicted", "scores")

    def __init__(self, labels: Sequence[str], classified: Callable[[Scored, Policy], Classified]) -> None:
        self._labels, self._classified = tuple(labels), classified
        self.width = 1 + len(labels)

    def check(self, champion: EvaluationReport) -> None:
        self._check(champion.labels)

    def _check(self, labels: Sequence[str]) -> None:
        if sorted(labels) != sorted(self._labels):
            raise Refused(f"the champion tells {_few(labels)} apart, this model {_few(self._labels)}")

    def stored(self, batch: Any, champion: EvaluationReport) -> Array:
        k = len(self._labels)
        answers = np.full((batch.num_rows, 1 + k), np.nan)
        lists = batch.column("scores")
        there = lists.is_valid().to_numpy(zero_copy_only=False)
        scores = lists.drop_null().flatten().to_numpy(zero_copy_only=False)
        place = {label: number for number, label in enumerate(self._labels)}
        # scores lie in the order of the champion's labels: column j is our class order[j]
        order = [place[label] for label in champion.labels]
        answers[np.ix_(there, np.add(order, 1))] = scores.reshape(-1, k)
        answers[there, 0] = [place[label] for label in batch.column("predicted").drop_null().to_pylist()]
        return answers

    def asked(self, scored: Scored, policy: Policy) -> Array:
        theirs = self._classified(scored, policy)
        self._check(theirs.labels)
        order = np.array([self._labels.index(label) for label in theirs.labels])
        answers = np.empty((len(scored), self.width))
        answers[:, 0] = order[theirs.predicted]
        answers[:, 1 + order] = theirs.probabilities
        return answers

    @staticmethod
    def said(found: Classified, beside: Beside) -> Classified:
        """The champion's answers in place of ours; only those that are known mean anything."""
        predicted = np.nan_to_num(beside.answers[:, 0]).astype(np.int64)
        scores = beside.answers[:, 1:]
        # its report does not say so, but what it stored is 0 or 1 throughout
        labels_only = bool(np.isin(scores[beside.known], (0, 1)).all())
        return replace(found, predicted=predicted, probabilities=scores, labels_only=labels_only)


class Numbers:
    """A regressor's answers: the predicted value."""

    columns = ("predicted",)
    width = 1

    def check(self, _champion: EvaluationReport) -> None:
        """Any regressor answers a number."""

    def stored(self, batch: Any, _champion: EvaluationReport) -> Array:
        predicted = batch.column("predicted").to_numpy(zero_copy_only=False)
        return np.asarray(predicted, dtype=np.float64)[:, None]

    def asked(self, scored: Scored, _policy: Policy) -> Array:
        if scored.scores.shape[1] != 1:
            raise BadModel(f"it has {scored.scores.shape[1]} outputs, a regression needs 1")
        return scored.scores


# What changed


def refused(champion: Champion, archive_sha256: str, why: Refused) -> tuple[Comparison, list[Finding]]:
    """The champion was not compared with; a person should know, unless it is the same archive."""
    same = isinstance(why, SameArchive)
    digest = archive_sha256 if same else champion.archive_sha256
    comparison = Comparison(champion=champion.run, archive_sha256=digest, refused=str(why))
    if same:
        return comparison, []
    return comparison, [Finding(severity="warning", title="Nothing was compared with the champion", text=f"{why}.")]


def compared(
    champion: Champion,
    beside: Beside,
    parts: Sequence[Part],
    ours: Callable[[Places, int], Estimated],
    theirs: Callable[[Places, int], Estimated],
) -> tuple[Comparison, list[Finding]]:
    """The differences on all samples that the champion was asked about, and on the slices of them.

    Args:
        champion: who it is.
        beside: its answers.
        parts: the slices.
        ours, theirs: what the two models' answers at some places come to, resampling at most so many rows.
    """
    n = len(beside.known)
    places = np.flatnonzero(beside.known)
    metrics, per_class = _differences(ours(places, ROWS), theirs(places, ROWS))
    slices = {}
    for part in parts:
        inside = part.places[beside.known[part.places]]
        if len(inside):
            slices[part.name], _ = _differences(ours(inside, SLICE_ROWS), theirs(inside, SLICE_ROWS))
    comparison = Comparison(
        champion=champion.run,
        archive_sha256=champion.archive_sha256,
        rows=len(places),
        rescored=beside.rescored,
        metrics=metrics,
        per_class=per_class,
        slices=slices,
    )
    findings = []
    if len(places) < n:
        text = f"{len(places):,} of {n:,} samples are compared: {beside.problem}."
        findings.append(Finding(severity="warning", title="The champion does not know all samples", text=text))
    return comparison, findings


def _differences(ours: Estimated, theirs: Estimated) -> tuple[dict[str, Difference], dict[str, dict[str, Difference]]]:
    """Of all metrics that are better higher or lower."""
    return _of_each(ours[0], theirs[0]), {
        name: _of_each(classes, theirs[1][name]) for name, classes in ours[1].items() if name in theirs[1]
    }


def _of_each(ours: Mapping[str, Estimate], theirs: Mapping[str, Estimate]) -> dict[str, Difference]:
    return {
        name: difference(estimate, theirs[name])
        for name, estimate in ours.items()
        if name in theirs and estimate.higher_is_better is not None
    }


def with_flips(
    comparison: Comparison, samples: Samples, ours: Classified, theirs: Classified, known: Flags, to: Outputs
) -> Comparison:
    """With the samples that were mended and broken, all of them in flips.csv.

    McNemar 1947, "Note on the sampling error of the difference between correlated proportions", in its exact form: of
    the flipped samples each is as likely to be broken as mended, if the models are equally good.
    """
    at = np.flatnonzero(known)
    if not (ours.answered[at].all() and theirs.answered[at].all()):
        return comparison  # a class that was predicted from no numbers is nothing to compare
    from scipy.stats import binomtest

    right, was_right = ours.right[at], theirs.right[at]
    broken, mended = at[~right & was_right], at[right & ~was_right]
    flipped = len(broken) + len(mended)

    def flips() -> Iterator[Flip]:
        for place in (*broken.tolist(), *mended.tolist()):
            sample = samples[place]
            yield Flip(
                id=sample.id,
                row=sample.row,
                true=ours.labels[ours.true[place]],
                predicted=ours.labels[ours.predicted[place]],
                champion=ours.labels[theirs.predicted[place]],
            )

    content = io.StringIO()
    lines = csv.writer(content, lineterminator="\n")
    lines.writerow(("flip", "id", "row", "true", "predicted", "champion"))
    first = []
    for place, flip in enumerate(flips()):
        if place < MOST_FLIPS:
            first.append(flip)
        texts = (flip.id, str(flip.row), flip.true, flip.predicted, flip.champion)
        lines.writerow(("broken" if place < len(broken) else "mended", *map(as_cell, texts)))
    to.text("flips.csv", content.getvalue())
    return comparison.model_copy(
        update={
            "mended": len(mended),
            "broken": len(broken),
            "mcnemar_p": float(binomtest(len(broken), flipped, 0.5).pvalue) if flipped else 1.0,
            "flips": tuple(first),
        }
    )


def as_cell(text: str) -> str:
    """Text that a spreadsheet takes for text, not for a formula to compute; numbers stay as they are.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    if not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def _few(labels: Sequence[str]) -> str:
    return ", ".join(labels[:5]) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
