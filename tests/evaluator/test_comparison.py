"""The champion on the same samples: whom it answers, what is compared, and what is never compared."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from assay.errors import BadModel
from assay.evaluation import Comparison, DataFacts, EvaluationReport, ExplainSamples, Finding, ModelFacts
from assay.events import Upload
from assay.policy import read_policy
from assay.run import Champion, Run
from evaluator.classification import Classified, estimate
from evaluator.comparison import (
    MOST_FLIPS,
    UNKNOWN,
    Beside,
    Classes,
    Estimated,
    Numbers,
    Refused,
    SameArchive,
    Score,
    answers_of_champion,
    as_cell,
    compare_classified,
    compared,
    refused,
    with_flips,
)
from evaluator.outputs import Outputs, classified_columns, predicted_columns
from evaluator.request import Request
from evaluator.scored import Sample, Samples, Scored
from evaluator.slices import Part
from job.folders import Folders
from job.progress import Progress

from .conftest import Job, known, sees_levels

CLASSES: dict[str, Any] = {"task": "tabular_classification", "data": {"source": "test.csv", "labels": ["a", "b", "c"]}}
PRICES: dict[str, Any] = {"task": "tabular_regression", "data": {"source": "test.csv", "label": "price"}}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHAMPION = Champion(model="m", run="c" * 20, uploaded_at=NOW, key="k", version="v", crowned_at=NOW)
OURS = "0" * 64
"""The digest of our archive."""

Array = NDArray[np.float64]


def samples(n: int, contents: Sequence[object] | None = None, rows: Sequence[int] | None = None) -> Samples:
    """Samples whose content is their number unless it is given."""
    contents = range(n) if contents is None else contents
    digests = [hashlib.sha256(str(content).encode()).hexdigest() for content in contents]
    places = range(n) if rows is None else rows
    return Samples.of([Sample(f"id{row}", row, "a", digest, {}) for row, digest in zip(places, digests, strict=True)])


def scores_of(n: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).dirichlet([1, 1, 1], n)


def classified(scores: Array, labels: tuple[str, ...] = ("a", "b", "c"), true: Any = None) -> Classified:
    true = np.zeros(len(scores), dtype=np.int64) if true is None else np.asarray(true)
    return Classified(true, scores.argmax(axis=1).astype(np.int64), scores, labels)


@dataclass
class Stage:
    """A job whose champion left some files behind."""

    root: Path
    asked: list[Request] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        folder = self.root / "processing/input/champion"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def request(self, policy: dict[str, Any] = CLASSES) -> Request:
        folders = Folders(self.root)
        return Request(folders, Progress(folders.progress), read_policy(policy), Outputs(folders.output), CHAMPION)

    def leaves_run(self, policy: dict[str, Any] = CLASSES) -> None:
        upload = Upload(bucket="bucket", key="models/m/1/model.tar.gz", version="v")
        run = Run(id="c" * 20, model="m", upload=upload, opened_at=NOW, policy=read_policy(policy))
        (self.folder / "run.json").write_text(run.to_json())

    def leaves_archive(self, content: bytes = b"the champion's") -> None:
        (self.folder / "input").mkdir()
        (self.folder / "input/model.tar.gz").write_bytes(content)

    def leaves_report(self, labels: tuple[str, ...] = ("a", "b", "c"), archive_sha256: str = "1" * 64) -> None:
        report = EvaluationReport(
            task="tabular_classification",
            labels=labels,
            metrics={},
            model=ModelFacts(format="Keras", runtime="none", archive_sha256=archive_sha256, inputs=(), outputs=()),
            data=DataFacts(rows=1, sha256=""),
        )
        (self.folder / "evaluation").mkdir(exist_ok=True)
        (self.folder / "evaluation/report.json").write_text(report.to_json())

    def leaves_predictions(self, parts: Iterable[Mapping[str, Any]]) -> None:
        Outputs(self.folder).table("evaluation/predictions.parquet", parts)

    def score(self, scores: Array) -> Score:
        """Answers with the row's scores, those rows that are asked for; remembers that it was asked."""

        def answer(request: Request) -> Scored:
            self.asked.append(request)
            rows = sorted(request.only or ())
            return Scored(samples(len(rows), rows=rows), scores[rows])

        return answer


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def classes(labels: tuple[str, ...] = ("a", "b", "c")) -> Classes:
    """The champion's outputs are a, b, c, whatever our order is."""
    return Classes(labels, lambda scored, _policy: classified(scored.scores))


def never(request: Request) -> Scored:
    raise AssertionError("the champion knows these samples")


def answers(
    stage: Stage, ours: Samples, score: Score = never, task: Classes | Numbers | None = None, **options: Any
) -> Beside:
    scored = Scored(ours, np.zeros((len(ours), 1)))
    return answers_of_champion(stage.request(**options), CHAMPION, OURS, scored, task or classes(), score)


# Whom it answers


def test_what_it_answered_in_its_own_run_is_taken_from_there(stage: Stage) -> None:
    theirs, scores = samples(5, [10, 11, 12, 13, 14]), scores_of(5)
    stage.leaves_report()
    stage.leaves_predictions(classified_columns(Scored(theirs, scores), classified(scores)))
    beside = answers(stage, samples(4, [14, 10, 12, 10]))
    assert beside.known.all()
    assert beside.rescored == 0
    assert beside.answers[:, 1:] == pytest.approx(scores[[4, 0, 2, 0]])
    assert beside.answers[:, 0].tolist() == scores[[4, 0, 2, 0]].argmax(axis=1).tolist()


def test_about_rows_that_it_has_not_seen_its_archive_is_asked_by_its_own_policy(stage: Stage) -> None:
    theirs, scores, now = samples(3, [10, 11, 12]), scores_of(3), scores_of(5, seed=1)
    stage.leaves_run({**CLASSES, "evaluate": {"threshold": 0.25}})
    stage.leaves_archive()
    stage.leaves_report()
    stage.leaves_predictions(classified_columns(Scored(theirs, scores), classified(scores)))
    beside = answers(stage, samples(5, [10, 99, 11, 98, 12]), stage.score(now))
    (asked,) = stage.asked
    assert set(asked.only or ()) == {1, 3}
    assert asked.policy.evaluate.threshold == 0.25
    assert asked.archive == stage.folder / "input/model.tar.gz"
    assert beside.known.all()
    assert beside.rescored == 2
    assert beside.answers[:, 1:] == pytest.approx(np.stack([scores[0], now[1], scores[1], now[3], scores[2]]))


def test_labels_in_another_order_are_matched_by_name(stage: Stage) -> None:
    theirs, scores = samples(4, [10, 11, 12, 13]), scores_of(4)
    stage.leaves_run()
    stage.leaves_archive()
    stage.leaves_report()
    stage.leaves_predictions(classified_columns(Scored(theirs, scores), classified(scores)))
    ours = samples(5, [10, 11, 12, 13, 99])
    now = scores_of(5, seed=1)
    beside = answers(stage, ours, stage.score(now), classes(("c", "a", "b")))
    said = np.vstack([scores, now[4]])
    assert beside.answers[:, 1:] == pytest.approx(said[:, [2, 0, 1]])
    assert [("c", "a", "b")[int(k)] for k in beside.answers[:, 0]] == [("a", "b", "c")[k] for k in said.argmax(axis=1)]


@pytest.mark.parametrize("left_out", ["fingerprint", "scores", "predicted"])
def test_answers_of_old_without_what_is_needed_are_asked_for_again(stage: Stage, left_out: str) -> None:
    ours, scores = samples(4), scores_of(4)
    (columns,) = classified_columns(Scored(ours, scores), classified(scores))
    del columns[left_out]
    stage.leaves_run()
    stage.leaves_archive()
    stage.leaves_report()
    stage.leaves_predictions([columns])
    assert answers(stage, ours, stage.score(scores)).rescored == 4


def test_an_answer_file_that_was_cut_short_is_asked_for_again(stage: Stage) -> None:
    stage.leaves_run()
    stage.leaves_archive()
    stage.leaves_report()
    (stage.folder / "evaluation/predictions.parquet").write_bytes(b"PAR1 and no more")
    assert answers(stage, samples(4), stage.score(scores_of(4))).rescored == 4


def test_a_digest_may_be_hexadecimal_or_bytes(stage: Stage) -> None:
    ours, scores = samples(4), scores_of(4)
    (columns,) = classified_columns(Scored(ours, scores), classified(scores))
    digests = [ours[place].fingerprint for place in range(4)]
    stage.leaves_report()
    for fingerprints in (digests, [bytes.fromhex(digest) for digest in digests]):
        stage.leaves_predictions([{**columns, "fingerprint": pa.array(fingerprints)}])
        assert answers(stage, ours).answers[:, 1:] == pytest.approx(scores)


def test_answers_that_were_no_numbers_stay_none(stage: Stage) -> None:
    ours, scores = samples(3), scores_of(3)
    scores[1, 2] = np.nan
    stage.leaves_report()
    stage.leaves_predictions(classified_columns(Scored(ours, scores), classified(scores)))
    beside = answers(stage, ours)
    assert np.isnan(beside.answers[1]).all()
    assert beside.answers[[0, 2], 1:] == pytest.approx(scores[[0, 2]])


def test_a_regressors_values_are_numbers(stage: Stage) -> None:
    ours, predicted = samples(3), np.array([1.5, -2.0, 3.0])
    stage.leaves_run(PRICES)
    stage.leaves_archive()
    stage.leaves_report(labels=())
    stage.leaves_predictions(predicted_columns(Scored(ours, predicted[:, None]), np.zeros(3), predicted))
    now = np.array([[0.0], [0.0], [0.0], [7.0]])
    beside = answers(stage, samples(4, [0, 1, 2, 99]), stage.score(now), Numbers(), policy=PRICES)
    assert beside.answers[:, 0].tolist() == [1.5, -2.0, 3.0, 7.0]
    assert beside.rescored == 1


# What is never compared, and never fails


def test_a_model_is_not_compared_with_itself(stage: Stage) -> None:
    stage.leaves_report(archive_sha256=OURS)
    with pytest.raises(SameArchive, match="the champion's own archive") as caught:
        answers(stage, samples(3))
    comparison, findings = refused(CHAMPION, OURS, caught.value)
    assert (comparison.archive_sha256, findings) == (OURS, [])


def test_the_archives_bytes_tell_more_than_the_record(stage: Stage) -> None:
    stage.leaves_archive(b"same")
    ours = hashlib.sha256(b"same").hexdigest()
    scored = Scored(samples(3), np.zeros((3, 1)))
    with pytest.raises(SameArchive):
        answers_of_champion(stage.request(), CHAMPION, ours, scored, classes(), never)


def fails(request: Request) -> Scored:
    raise BadModel("saved_model.pb: TensorFlow cannot load it: no such op")


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda stage: None, "the champion's archive or policy is gone"),
        (lambda stage: stage.leaves_archive(), "the champion's archive or policy is gone"),
        (lambda stage: stage.leaves_run(PRICES), "the champion's task is tabular_regression"),
        (lambda stage: stage.leaves_report(("a", "b")), "the champion tells a, b apart, this model a, b, c"),
        (lambda stage: (stage.folder / "run.json").write_text("{}"), "the champion's files cannot be read"),
        (
            lambda stage: (stage.leaves_run(), stage.leaves_archive()),
            "the champion cannot be asked any more: saved_model.pb: TensorFlow cannot load it",
        ),
    ],
    ids=["nothing is left", "no policy", "another task", "other classes", "another format", "a broken model"],
)
def test_a_champion_that_cannot_be_asked_is_refused_with_the_reason(stage: Stage, prepare: Any, said: str) -> None:
    prepare(stage)
    with pytest.raises(Refused, match=said) as caught:
        answers(stage, samples(3), fails)
    comparison, (finding,) = refused(CHAMPION, OURS, caught.value)
    assert comparison.refused is not None
    assert said in comparison.refused
    assert finding.severity == "warning"


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ({}, {"model": {"predictor": "endpoint"}}, "the champion answered through an endpoint"),
        ({"model": {"predictor": "endpoint"}}, {}, "this job asks an endpoint: it has a network, so it loads no model"),
    ],
    ids=["the champion", "ours"],
)
def test_where_an_endpoint_is_asked_no_archive_is_loaded_to_compare(
    stage: Stage, ours: dict[str, Any], theirs: dict[str, Any], said: str
) -> None:
    stage.leaves_run(CLASSES | theirs)
    stage.leaves_archive()
    with pytest.raises(Refused, match=said):
        answers(stage, samples(3), never, policy=CLASSES | ours)


def test_a_champion_that_now_tells_other_classes_apart_is_refused(stage: Stage) -> None:
    stage.leaves_run()
    stage.leaves_archive()
    with pytest.raises(Refused, match="the champion tells a, b, c apart, this model x, y, z"):
        answers(stage, samples(3), stage.score(scores_of(3)), classes(("x", "y", "z")))


def test_what_it_knows_is_compared_though_its_archive_is_gone(stage: Stage) -> None:
    theirs, scores = samples(3), scores_of(3)
    stage.leaves_report()
    stage.leaves_predictions(classified_columns(Scored(theirs, scores), classified(scores)))
    beside = answers(stage, samples(4), fails)
    assert beside.known.tolist() == [True, True, True, False]
    ours = classified(scores_of(4, seed=2))
    _, findings = compare(ours, Classes.said(ours, beside), beside)
    assert [finding.text for finding in findings] == [
        "3 of 4 samples are compared: the champion's archive or policy is gone."
    ]


# What changed


def estimates(found: Classified) -> Any:
    def of(places: NDArray[np.int64], most: int) -> Estimated:
        made = estimate(found.part(places), most)
        return made.metrics, made.per_class

    return of


def compare(
    ours: Classified, theirs: Classified, beside: Beside | None = None, parts: Sequence[Part] = ()
) -> tuple[Comparison, list[Finding]]:
    beside = beside or everywhere(ours)
    return compared(CHAMPION, beside, parts, estimates(ours), estimates(theirs))


def everywhere(found: Classified) -> Beside:
    return Beside(np.ones(len(found.true), dtype=bool), np.empty((len(found.true), 1)))


def two_models(n: int, seed: int, ours: float, theirs: float) -> tuple[Classified, Classified]:
    """Right with these chances, and mostly wrong together."""
    rng = np.random.default_rng(seed)
    true, luck = rng.integers(0, 3, n), rng.random(n)
    made = []
    for chance in (ours, theirs):
        right = np.where(rng.random(n) < 0.8, luck, rng.random(n)) < chance
        said = np.where(right, true, (true + 1) % 3)
        scores = np.full((n, 3), 0.1)
        scores[np.arange(n), said] = 0.8
        made.append(classified(scores, true=true))
    return made[0], made[1]


def test_a_difference_is_ours_minus_the_champions_with_its_paired_interval() -> None:
    ours, theirs = two_models(2000, 0, 0.85, 0.80)
    comparison, _ = compare(ours, theirs)
    difference = comparison.metrics["accuracy"]
    change = ours.right.astype(float) - theirs.right
    assert difference.value == pytest.approx(change.mean())
    assert difference.low is not None
    assert difference.high is not None
    # the normal approximation of a paired difference
    half = 1.96 * change.std() / np.sqrt(2000)
    assert (difference.low, difference.high) == pytest.approx((change.mean() - half, change.mean() + half), abs=0.004)
    assert comparison.rows == 2000
    assert "accuracy_best_constant" not in comparison.metrics


def test_pairing_knows_more_than_two_reports() -> None:
    ours, theirs = two_models(2000, 1, 0.85, 0.80)
    difference = compare(ours, theirs)[0].metrics["f1_macro"]
    alone = [estimate(model).metrics["f1_macro"].metric() for model in (ours, theirs)]
    assert difference.low is not None
    assert difference.high is not None
    apart = sum(((one.high or 0) - (one.low or 0)) ** 2 for one in alone) ** 0.5
    assert difference.high - difference.low < 0.8 * apart


def test_the_interval_of_a_difference_covers_at_its_rate() -> None:
    """Of 200 data sets from one population, each side with the same chance of being right: 190 are expected."""
    covered = 0
    for seed in range(200):
        difference = compare(*two_models(150, seed, 0.8, 0.8))[0].metrics["accuracy"]
        assert difference.low is not None
        assert difference.high is not None
        covered += difference.low <= 0 <= difference.high
    assert 180 <= covered <= 199  # 95 % of 200, and more than three standard deviations on each side


def test_slices_are_compared_on_the_rows_that_the_champion_knows() -> None:
    ours, theirs = two_models(300, 2, 0.9, 0.7)
    known = np.arange(300) % 3 > 0
    beside = Beside(known, np.empty((300, 1)), problem="why")
    parts = [Part("s=1", ("s",), np.arange(100)), Part("s=2", ("s",), np.flatnonzero(~known))]
    comparison, _ = compare(ours, theirs, beside, parts)
    inside = np.flatnonzero(known[:100])
    assert list(comparison.slices) == ["s=1"]
    difference = comparison.slices["s=1"]["accuracy"]
    assert difference.n == len(inside)
    assert difference.value == pytest.approx(ours.right[inside].mean() - theirs.right[inside].mean())
    assert comparison.rows == known.sum()


def test_a_slice_of_all_samples_is_paired_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices resample fewer rows: both models then must resample the same ones."""
    monkeypatch.setattr("evaluator.comparison.SLICE_ROWS", 40)
    ours, theirs = two_models(300, 8, 0.8, 0.8)
    theirs = replace(theirs, predicted=ours.predicted, probabilities=ours.probabilities)
    scored = Scored(samples(300), ours.probabilities)
    stage.leaves_report()
    stage.leaves_predictions(classified_columns(scored, theirs))
    comparison, _, said = compare_classified(
        stage.request(), OURS, scored, ours, estimate(ours), [Part("all", ("s",), np.arange(300))], never_asked, never
    )
    assert said is not None and said.tolist() == theirs.predicted.tolist()
    assert comparison is not None
    difference = comparison.slices["all"]["log_loss"]
    assert (difference.value, difference.low, difference.high) == pytest.approx((0, 0, 0), abs=1e-12)


def test_what_the_champion_answered_by_no_numbers_is_no_class_of_its_own(stage: Stage) -> None:
    scores = scores_of(4)
    theirs = scores.copy()
    theirs[2] = np.nan
    scored = Scored(samples(4), scores)
    stage.leaves_report()
    stage.leaves_predictions(classified_columns(Scored(samples(4, [0, 1, 2, 9]), theirs), classified(theirs)))
    ours = classified(scores)
    _, findings, said = compare_classified(stage.request(), OURS, scored, ours, estimate(ours), [], never_asked, never)
    assert said is not None
    assert said.tolist() == [ours.predicted[0], ours.predicted[1], UNKNOWN, UNKNOWN]
    assert [one.title for one in findings] == ["The champion does not know all samples"]


def never_asked(*_: object) -> Classified:
    raise AssertionError("the champion knows these samples")


def test_classes_are_compared_each() -> None:
    ours, theirs = two_models(300, 3, 0.9, 0.7)
    recall = compare(ours, theirs)[0].per_class["recall"]
    for number, label in enumerate(ours.labels):
        of_class = ours.true == number
        expected = ours.right[of_class].mean() - theirs.right[of_class].mean()
        assert recall[label].value == pytest.approx(expected)


# Mended and broken


def flipped(tmp_path: Path, ours: Classified, theirs: Classified, known: Any = None) -> tuple[Comparison, list[Any]]:
    known = np.ones(len(ours.true), dtype=bool) if known is None else known
    blank = Comparison(champion="c" * 20)
    comparison = with_flips(blank, samples(len(ours.true)), ours, theirs, known, Outputs(tmp_path))
    file = tmp_path / "flips.csv"
    return comparison, list(csv.DictReader(io.StringIO(file.read_text()))) if file.exists() else []


def test_what_was_mended_and_broken_is_counted_and_listed_the_broken_first(tmp_path: Path) -> None:
    true = [0, 0, 1, 1, 2, 2, 2, 2]
    ours = classified(np.eye(3)[[0, 0, 1, 0, 2, 2, 2, 0]], true=true)
    theirs = classified(np.eye(3)[[0, 1, 1, 1, 0, 1, 2, 1]], true=true)
    comparison, lines = flipped(tmp_path, ours, theirs)
    assert (comparison.mended, comparison.broken) == (3, 1)
    # 1 of 4, two-sided, of a fair coin: (1 + 4 + 4 + 1) / 16
    assert comparison.mcnemar_p == pytest.approx(10 / 16)
    assert [flip.row for flip in comparison.flips] == [3, 1, 4, 5]
    assert comparison.flips[0].model_dump() == {"id": "id3", "row": 3, "true": "b", "predicted": "a", "champion": "b"}
    assert [(line["flip"], line["row"]) for line in lines] == [
        ("broken", "3"),
        ("mended", "1"),
        ("mended", "4"),
        ("mended", "5"),
    ]


def test_models_that_agree_differ_by_nothing(tmp_path: Path) -> None:
    ours, _ = two_models(50, 4, 0.8, 0.8)
    comparison, lines = flipped(tmp_path, ours, ours)
    assert (comparison.mended, comparison.broken, comparison.mcnemar_p, lines) == (0, 0, 1.0, [])


def test_the_report_holds_the_first_flips_and_the_file_all(tmp_path: Path) -> None:
    ours, theirs = two_models(3000, 5, 0.9, 0.5)
    comparison, lines = flipped(tmp_path, ours, theirs)
    assert len(comparison.flips) == MOST_FLIPS
    assert comparison.mended is not None
    assert comparison.broken is not None
    assert len(lines) == comparison.mended + comparison.broken > MOST_FLIPS
    assert comparison.mcnemar_p is not None
    assert comparison.mcnemar_p < 1e-9


def test_what_the_champion_does_not_know_is_no_flip(tmp_path: Path) -> None:
    ours, theirs = two_models(100, 6, 1.0, 0.0)
    known = np.arange(100) < 7
    comparison, _ = flipped(tmp_path, ours, theirs, known)
    assert (comparison.mended, comparison.broken) == (7, 0)


def test_answers_that_are_no_numbers_flip_nothing(tmp_path: Path) -> None:
    ours, theirs = two_models(20, 7, 0.9, 0.5)
    theirs.probabilities[3] = np.nan
    comparison, lines = flipped(tmp_path, ours, theirs)
    assert (comparison.mended, comparison.mcnemar_p, lines) == (None, None, [])


def test_a_formula_in_a_name_is_text_in_the_file(tmp_path: Path) -> None:
    labels = ("=HYPERLINK(0)", "-2", "@c")
    ours = classified(np.eye(3)[[0, 1, 2]], labels, true=[0, 1, 0])
    theirs = classified(np.eye(3)[[1, 2, 0]], labels, true=[0, 1, 0])
    _, lines = flipped(tmp_path, ours, theirs)
    assert [(line["true"], line["predicted"]) for line in lines] == [
        ("'=HYPERLINK(0)", "'@c"),
        ("'=HYPERLINK(0)", "'=HYPERLINK(0)"),
        ("-2", "-2"),
    ]
    assert [as_cell(text) for text in ("+1", "+a", "\tx", "a=b", "")] == ["+1", "'+a", "'\tx", "a=b", ""]


# The whole job

FLOWERS: dict[str, Any] = {
    "task": "tabular_classification",
    "data": {"source": "test.csv", "labels": ["no", "yes"], "exclude": ["garden"]},
    "evaluate": {"slices": ["garden"]},
}


def above(edge: float) -> Any:
    """A model of one feature x: yes where it is above this."""

    def function(batch: NDArray[Any]) -> NDArray[Any]:
        chance = np.where(batch[:, 0] > edge, 0.9, 0.1)
        return np.stack([1 - chance, chance], axis=1)

    return known(function, (1,), 2)


def flower_rows(n: int, start: int = 0) -> list[tuple[Any, ...]]:
    """The truth: yes above 0.5; every third in the south."""
    rng = np.random.default_rng(start)
    x = rng.random(n).round(4)
    return [(value, "south" if k % 3 == 0 else "north", "yes" if value > 0.5 else "no") for k, value in enumerate(x)]


def flower_job(root: Path, rows: Sequence[tuple[Any, ...]], archive: bytes) -> Job:
    job = Job(root)
    (job.input("model") / "model.tar.gz").write_bytes(archive)
    job.write_rows([("x", "garden", "label"), *rows])
    return job


@pytest.fixture
def champion(tmp_path: Path, archives: dict[bytes, Any]) -> Job:
    """A model whose edge is at 0.6, evaluated on 200 rows."""
    archives[b"old"] = above(0.6)
    archives[b"new"] = above(0.52)
    job = flower_job(tmp_path / "champion", flower_rows(200), b"old")
    assert job.run(FLOWERS) == 0
    assert job.report.comparison is None
    return job


def test_a_second_model_stands_beside_the_first_on_the_same_rows(champion: Job, tmp_path: Path) -> None:
    rows = [*flower_rows(200), *flower_rows(100, start=1)]
    job = flower_job(tmp_path / "new", rows, b"new")
    assert job.run_beside(champion, FLOWERS) == 0
    report = job.report
    comparison = report.comparison
    assert comparison is not None
    assert comparison.refused is None
    assert comparison.rows == 300
    # a row that happens to say the same as an old one is known
    assert comparison.rescored == len({row[:2] for row in rows} - {row[:2] for row in flower_rows(200)})
    x = np.array([row[0] for row in rows])
    between = (x > 0.52) & (x <= 0.6)
    assert (comparison.mended, comparison.broken) == (between.sum(), 0)
    assert comparison.mcnemar_p == pytest.approx(2 * 0.5 ** between.sum())
    difference = comparison.metrics["accuracy"]
    assert difference.value == pytest.approx(between.mean())
    assert difference.low is not None
    assert difference.low > 0
    south = np.arange(len(rows)) % 3 == 0
    south[200:] = np.arange(100) % 3 == 0
    assert comparison.slices["garden=south"]["accuracy"].value == pytest.approx(between[south].mean())
    assert {one.name: one.n for one in report.slices if one.found == "declared"} == {
        "garden=north": (~south).sum(),
        "garden=south": south.sum(),
    }
    assert [finding.title for finding in report.findings if "champion" in finding.title.lower()] == []
    with (job.output / "flips.csv").open(newline="") as file:
        assert sum(1 for _ in csv.DictReader(file)) == between.sum()


def test_what_the_second_model_breaks_is_explained_first(
    champion: Job, tmp_path: Path, archives: dict[bytes, Any]
) -> None:
    """It says no between 0.6 and 0.65, where the champion says yes; between 0.5 and 0.6 both are wrong."""
    archives[b"new"] = above(0.65)
    rows = flower_rows(200)
    job = flower_job(tmp_path / "new", rows, b"new")
    asked = {"chosen": {"samples": 12}, "representative": {"samples": 0}}
    assert job.run_beside(champion, {**FLOWERS, "explain": asked}) == 0
    x = np.array([row[0] for row in rows])
    broken = np.flatnonzero((x > 0.6) & (x <= 0.65)).tolist()
    samples = ExplainSamples.model_validate_json((job.output / "explain/samples.json").read_text()).samples
    assert len(samples) == 12
    assert 0 < len(broken) < 12
    assert [sample.row for sample in samples[: len(broken)]] == broken
    assert {sample.reason for sample in samples[: len(broken)]} == {
        "broken: yes taken for no with 0.90; the champion said yes"
    }
    assert {(sample.reason, sample.champion) for sample in samples[len(broken) :]} == {
        ("mistake: yes taken for no with 0.90", "no")
    }


def test_the_same_archive_again_is_compared_with_nothing(champion: Job, tmp_path: Path) -> None:
    job = flower_job(tmp_path / "new", flower_rows(50), b"old")
    assert job.run_beside(champion, FLOWERS) == 0
    comparison = job.report.comparison
    assert comparison is not None
    assert comparison.refused is not None
    assert "champion's own archive" in comparison.refused
    assert comparison.archive_sha256 == job.report.model.archive_sha256


def test_a_champion_that_cannot_be_loaded_any_more_ends_no_job(
    champion: Job, tmp_path: Path, archives: dict[bytes, Any]
) -> None:
    del archives[b"old"]
    job = flower_job(tmp_path / "new", flower_rows(50, start=1), b"new")
    assert job.run_beside(champion, FLOWERS) == 0
    comparison = job.report.comparison
    assert comparison is not None
    assert comparison.refused == "the champion cannot be asked any more: no model in the archive"
    (finding,) = (one for one in job.report.findings if "champion" in one.title)
    assert finding.severity == "warning"


def test_a_champion_that_reads_other_columns_ends_no_job(champion: Job, tmp_path: Path) -> None:
    job = Job(tmp_path / "new")
    (job.input("model") / "model.tar.gz").write_bytes(b"new")
    job.write_rows([("x", "label"), *((row[0], row[2]) for row in flower_rows(50))])
    policy = {"task": "tabular_classification", "data": {"source": "test.csv", "labels": ["no", "yes"]}}
    assert job.run_beside(champion, policy) == 0
    comparison = job.report.comparison
    assert comparison is not None
    assert comparison.refused is not None
    assert "the champion cannot be asked any more: " in comparison.refused
    assert "garden" in comparison.refused


def test_labels_that_the_policy_now_lists_in_another_order_are_the_same_classes(champion: Job, tmp_path: Path) -> None:
    """The new model's outputs are the other way round, and its policy says so."""
    rows = [*flower_rows(200), *flower_rows(40, start=1)]
    job = flower_job(tmp_path / "new", rows, b"new")
    policy = {**FLOWERS, "data": {**FLOWERS["data"], "labels": ["yes", "no"], "positive": "no"}}
    assert job.run_beside(champion, policy) == 0
    comparison = job.report.comparison
    assert comparison is not None
    x = np.array([row[0] for row in rows])
    # the archive answers as before, so under the new names almost all is wrong that the champion has right
    assert comparison.metrics["accuracy"].champion == pytest.approx(1 - ((x > 0.5) & (x <= 0.6)).mean())
    assert comparison.metrics["accuracy"].ours == pytest.approx(((x > 0.5) & (x <= 0.52)).mean())


def test_regressors_are_compared_by_their_errors(tmp_path: Path, archives: dict[bytes, Any]) -> None:
    policy = {
        "task": "tabular_regression",
        "data": {"source": "test.csv", "label": "price"},
        "evaluate": {"slices": [{"column": "price", "quantiles": 2}]},
    }
    archives[b"old"] = known(lambda batch: batch[:, :1] + 2, (1,), 1)
    archives[b"new"] = known(lambda batch: batch[:, :1] - 1, (1,), 1)
    jobs: list[Job] = []
    for archive in (b"old", b"new"):
        job = Job(tmp_path / archive.decode())
        (job.input("model") / "model.tar.gz").write_bytes(archive)
        job.write_rows([("x", "price"), *((k, k) for k in range(80 if jobs else 60))])
        jobs.append(job)
    assert jobs[0].run(policy) == 0
    assert jobs[1].run_beside(jobs[0], policy) == 0
    comparison = jobs[1].report.comparison
    assert comparison is not None
    difference = comparison.metrics["mae"]
    assert (difference.ours, difference.champion, difference.value) == pytest.approx((1, 2, -1))
    assert difference.higher_is_better is False
    assert (comparison.rows, comparison.rescored, comparison.mended) == (80, 20, None)
    assert list(comparison.slices) == ["price=[0, 39.5)", "price=[39.5, 79]"]
    samples = ExplainSamples.model_validate_json((jobs[1].output / "explain/samples.json").read_text()).samples
    assert samples[0].reason == "error: -1 instead of 0; the champion said 2"
    assert samples[0].champion == "2"


def test_pictures_are_compared_too(tmp_path: Path, archives: dict[bytes, Any]) -> None:
    policy = {
        "task": "image_classification",
        "data": {"source": "test/", "annotations": "a.csv", "label_base": 0},
        "evaluate": {"slices": ["class_name"]},
    }
    archives[b"old"] = known(lambda batch: sees_levels(3)(batch * 0), (6, 5, 3), 3)
    archives[b"new"] = known(sees_levels(3), (6, 5, 3), 3)
    old, new = Job(tmp_path / "old"), Job(tmp_path / "new")
    for job, archive in ((old, b"old"), (new, b"new")):
        (job.input("model") / "model.tar.gz").write_bytes(archive)
    old.write_pictures([0, 1, 2, 2], [0, 10, 20, 21])
    new.write_pictures([0, 1, 2, 2, 1, 0], [0, 10, 20, 21, 11, 22])
    assert old.run(policy) == 0, old.message
    assert new.run_beside(old, policy) == 0, new.message
    comparison = new.report.comparison
    assert comparison is not None
    assert (comparison.rows, comparison.rescored, comparison.mended, comparison.broken) == (6, 2, 4, 1)
    assert [flip.id for flip in comparison.flips] == ["5.png", "1.png", "2.png", "3.png", "4.png"]
    assert comparison.slices["class_name=class 2"]["accuracy"].value == 1
    samples = ExplainSamples.model_validate_json((new.output / "explain/samples.json").read_text()).samples
    assert (samples[0].id, samples[0].champion) == ("5.png", "class 0")
    assert samples[0].reason.startswith("broken: class 0 taken for ")
