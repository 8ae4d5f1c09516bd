"""The whole program on pictures."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from assay.errors import BadModel
from assay.evaluation import Tensor
from assay.failure import Failure
from assay.policy import read_policy
from assay.rates import wilson
from evaluator.images_job import score
from evaluator.outputs import Outputs
from evaluator.request import Request
from job.folders import Folders
from job.progress import Progress
from model.load import Model

from .conftest import GiveModel, Job, sees_levels, write_csv

IMAGES: dict[str, Any] = {
    "task": "image_classification",
    "data": {"source": "photos/", "annotations": "annotations.csv", "label_base": 0, "names": "class_name"},
}


def with_data(**parts: Any) -> dict[str, Any]:
    return {**IMAGES, "data": {**IMAGES["data"], **parts}}


def test_pictures_are_scored_measured_and_the_telling_ones_chosen(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(3), 4, 4, 1, outputs=3)
    job.write_pictures([0, 0, 0, 1, 1, 1, 2, 2, 2, 2], [0, 0, 10, 10, 10, 10, 20, 20, 20, 20])
    assert job.run(IMAGES | {"explain": {"chosen": {"samples": 3}}}) == 0

    report = job.report
    assert report.labels == ("class 0", "class 1", "class 2")
    accuracy = report.metrics["accuracy"]
    assert (accuracy.value, accuracy.n) == (0.9, 10)
    assert (accuracy.low, accuracy.high) == pytest.approx(wilson(9, 10))
    assert report.per_class["recall"]["class 0"].value == pytest.approx(2 / 3)
    assert report.per_class["precision"]["class 1"].value == pytest.approx(3 / 4)
    assert report.confusion is not None
    assert report.confusion.counts == ((2, 1, 0), (0, 3, 0), (0, 0, 4))
    assert (report.data.rows, report.data.unreadable) == (10, 0)
    assert report.explain is not None
    assert (report.explain.kind, report.explain.samples, report.explain.label_headers) == ("images", 3, report.labels)

    by_id = {sample.id: sample for sample in job.samples}
    assert len(by_id) == 3
    mistake = by_id["2.png"]
    assert (mistake.true, mistake.predicted, mistake.sample) == ("class 0", "class 1", ("chosen",))
    assert mistake.reason == "mistake: class 0 taken for class 1 with 0.90"
    assert mistake.score == pytest.approx(0.9)
    for sample in job.samples:
        assert sample.file is not None
        copy = job.output / "explain/images" / sample.file
        assert copy.read_bytes() == (job.input("dataset") / sample.id).read_bytes()

    rows = job.predictions
    assert [row["id"] for row in rows] == [f"{number}.png" for number in range(10)]
    assert [row["row"] for row in rows] == list(range(10))
    assert [row["correct"] for row in rows].count(False) == 1
    assert rows[2]["scores"] == pytest.approx([0.05, 0.9, 0.05])
    assert len({row["fingerprint"] for row in rows}) == 3  # three different pictures
    assert (job.output / "plots/confusion.svg").read_text().rstrip().endswith("</svg>")
    progress = json.loads((job.root / "output/progress.json").read_text())
    assert progress == {"stage": "evaluating", "done": 10, "total": 10, "unit": "images"}
    assert not [path for path in job.output.rglob("*") if path.name.startswith(".")]


def test_pictures_that_stand_for_all_are_explained_only_when_asked_for(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    job.write_pictures([0, 1] * 10, [0, 10] * 10)
    assert job.run(IMAGES | {"explain": {"chosen": {"samples": 2}}}) == 0
    assert {sample.sample for sample in job.samples} == {("chosen",)}
    assert job.run(IMAGES | {"explain": {"chosen": {"samples": 0}, "representative": {"samples": 5}}}) == 0
    assert [sample.sample for sample in job.samples] == [("representative",)] * 5


def test_nothing_is_explained_when_nothing_is_asked_for(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    job.write_pictures([0, 1], [0, 10])
    assert job.run(IMAGES | {"explain": {"chosen": {"samples": 0}}}) == 0
    assert job.report.explain is None
    assert not (job.output / "explain").exists()


def test_only_pictures_of_a_class_are_chosen_when_the_policy_says_so(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    job.write_pictures([0, 1, 0, 1], [0, 10, 10, 0])
    assert job.run(IMAGES | {"explain": {"chosen": {"only": {"class_name": "class 1"}}}}) == 0
    assert {sample.id for sample in job.samples} == {"1.png", "3.png"}


def test_the_same_job_writes_the_same_bytes(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(3), 4, 4, 1, outputs=3)
    job.write_pictures([0, 1, 2, 1], [0, 10, 20, 20])
    names = ["evaluation.json", "predictions.parquet", "plots/confusion.svg", "explain/samples.json"]
    found = []
    for _ in range(2):
        assert job.run(IMAGES) == 0
        report = job.report.model_copy(update={"seconds": {}, "speed": None})
        found.append([report.to_json().encode(), *((job.output / name).read_bytes() for name in names)])
    assert found[0] == found[1]


def test_the_same_pictures_have_the_same_digest_and_others_another(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    digests = []
    for labels, levels in (([0, 1], [0, 10]), ([0, 1], [0, 10]), ([1, 0], [0, 10]), ([0, 1], [0, 11])):
        job.write_pictures(labels, levels)
        assert job.run(IMAGES) == 0
        digests.append(job.report.data.sha256)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_pictures_lie_in_folders_and_share_names(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    job.write_pictures([0, 1], [0, 10])
    folder = job.input("dataset")
    for name, number in (("a", 0), ("b", 1)):
        (folder / name).mkdir()
        (folder / f"{number}.png").rename(folder / name / "x.png")
    lines = [("image_file_name", "class_id", "class_name"), ("a/x.png", 0, "zero"), ("b/x.png", 1, "one")]
    write_csv(job.input("annotations") / "annotations.csv", lines)
    assert job.run(IMAGES) == 0
    assert job.report.metrics["accuracy"].value == 1
    assert {sample.id for sample in job.samples} == {"a/x.png", "b/x.png"}
    assert len({(sample.file or "").lower() for sample in job.samples}) == 2


FOLDERS: dict[str, Any] = {"task": "image_classification", "data": {"source": "photos/"}}


def write_folders(job: Job, levels: Mapping[str, Sequence[int]]) -> None:
    """`<class>/<number>.png` for each level that the known model is to see."""
    for label, of_class in levels.items():
        folder = job.input("dataset") / label
        folder.mkdir(parents=True)
        for number, level in enumerate(of_class):
            Image.fromarray(np.full((6, 5), level, dtype=np.uint8)).save(folder / f"{number}.png")


def test_folders_are_classes_in_the_order_of_their_names(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(3), 4, 4, 1, outputs=3)
    write_folders(job, {"shirt & tie": [10, 20], "hat": [0, 0, 0], "skirt/long": [20]})
    (job.input("dataset") / "skirt/.DS_Store").write_bytes(b"")
    (job.input("dataset") / "LICENSE").write_bytes(b"")
    assert job.run(FOLDERS | {"explain": {"chosen": {"samples": 1, "only": {"class_name": "shirt & tie"}}}}) == 0
    report = job.report
    assert report.labels == ("hat", "shirt & tie", "skirt")
    assert report.confusion is not None
    assert report.confusion.counts == ((3, 0, 0), (0, 1, 1), (0, 0, 1))
    assert [row["id"] for row in job.predictions] == [
        *(f"hat/{number}.png" for number in range(3)),
        *(f"shirt & tie/{number}.png" for number in range(2)),
        "skirt/long/0.png",
    ]
    assert [sample.id for sample in job.samples] == ["shirt & tie/1.png"]


def test_folders_of_numbers_may_be_counted(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(11), 4, 4, 1, outputs=11)
    write_folders(job, {str(number): [10 * (number - 1)] for number in range(1, 12)})
    assert job.run(FOLDERS) == 1
    assert "1, 10, 11, 2" in job.message
    assert "say data.labels, the classes in the order of the model's outputs, or data.label_base" in job.message
    assert job.run({**FOLDERS, "data": {"source": "photos/", "label_base": 1}}) == 0
    assert job.report.metrics["accuracy"].value == 1


def test_a_class_without_a_folder_is_named_by_the_policy(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(3), 4, 4, 1, outputs=3)
    write_folders(job, {"hat": [0], "skirt": [20]})
    assert job.run(FOLDERS) == 1
    assert "the model tells 3 classes apart, the data has 2 folders (hat, skirt)" in job.message
    assert job.run({**FOLDERS, "data": {"source": "photos/", "labels": ["hat", "shirt", "skirt"]}}) == 0
    assert job.report.metrics["accuracy"].value == 1
    assert job.report.per_class["recall"]["shirt"].reason


@pytest.mark.parametrize(
    ("names", "data", "said"),
    [
        (["x.png"], {}, "x.png lies in no class's folder; expected <class>/<file>, or data.annotations"),
        (["hat/notes.txt"], {}, "no picture in the data; expected <class>/<file>, .jpeg, .jpg, .png"),
        (["hat/x.png", "cap/x.png"], {"labels": ["hat", "shirt"]}, "label 'cap' is none of data.labels (hat, shirt)"),
        (["hat/x.png"], {"label_base": 0}, "the labels are text (hat): say data.labels"),
    ],
)
@pytest.mark.usefixtures("no_model_is_loaded")
def test_what_is_wrong_with_the_folders_is_found_before_the_model_is_loaded(
    job: Job, names: Sequence[str], data: dict[str, Any], said: str
) -> None:
    for name in names:
        file = job.input("dataset") / name
        file.parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4)).save(file, "png")
    assert job.run({**FOLDERS, "data": {"source": "photos/", **data}}) == 1
    assert said in job.message


def test_pictures_of_every_mode_and_size_are_seen_alike(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    folder = job.input("dataset")
    for label, level in (("dark", 4), ("light", 14)):
        (folder / label).mkdir()
        for number, mode in enumerate(["L", "RGB", "RGBA", "LA", "P", "CMYK", "I;16"]):
            size = (3 + 7 * number, 40 - 5 * number)
            if mode == "I;16":
                image = Image.fromarray(np.full(size, 257 * level, dtype=np.uint16))
            else:
                image = Image.new("L", size, level).convert(mode)
            suffix = "JPEG" if mode == "CMYK" else "png"
            image.save(folder / label / f"{mode[0]}{number} ü+.{suffix}")
    assert job.run(FOLDERS) == 0
    assert job.report.data.rows == 14
    assert job.report.metrics["accuracy"].value == 1


def test_the_order_of_answers_is_that_of_the_data_whoever_is_ready_first(job: Job, give_model: GiveModel) -> None:
    def slow_first(batch: NDArray[Any]) -> NDArray[Any]:
        time.sleep(0.05 if batch.mean() < 5 / 255 else 0)
        return sees_levels(2)(batch)

    give_model(slow_first, 4, 4, 1, outputs=2)
    job.write_pictures([0] * 20 + [1] * 30, [0] * 20 + [10] * 30)
    assert job.run(IMAGES) == 0
    assert [row["row"] for row in job.predictions] == list(range(50))
    assert job.report.metrics["accuracy"].value == 1


def test_a_model_that_fails_ends_the_job_at_once(job: Job, give_model: GiveModel) -> None:
    calls = []

    def fails(batch: NDArray[Any]) -> NDArray[Any]:
        calls.append(len(batch))
        raise BadModel("the model fails")

    give_model(fails, 4, 4, 1, outputs=2)
    job.write_pictures([0, 1] * 200, [0, 10] * 200)
    assert job.run(IMAGES) == 1
    assert job.message == "the model fails"
    assert len(calls) < 25  # of 50 batches


def test_a_part_of_the_pictures_is_scored_for_a_comparison(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    job.write_pictures([0, 1] * 10, [0, 10] * 10)
    assert job.run(IMAGES) == 0
    folders = Folders(job.root)
    request = Request(folders, Progress(folders.progress), read_policy(IMAGES), Outputs(folders.output))
    whole = score(request)
    part = score(replace(request, only=frozenset({3, 11, 12})))
    assert part.samples.rows.tolist() == [3, 11, 12]
    assert np.array_equal(part.scores, whole.scores[[3, 11, 12]])
    assert np.array_equal(part.samples.fingerprints, whole.samples.fingerprints[[3, 11, 12]])
    assert len(score(replace(request, only=frozenset()))) == 0


def test_the_report_says_how_fast_it_was_and_what_computed(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    job.write_pictures([0, 1], [0, 10])
    assert job.run(IMAGES) == 0
    report = job.report
    assert report.speed is not None
    assert report.speed.unit == "images"
    assert report.speed.per_second > 0
    assert report.speed.latency_p95_ms is not None and report.speed.latency_p50_ms is not None
    assert 0 < report.speed.latency_p50_ms <= report.speed.latency_p95_ms
    assert report.model.runtime == "known"
    assert report.model.runtime_reason == "2 pictures of 4 × 4 are too few to look for a faster one"


def test_a_picture_that_stands_there_twice_is_told(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(3), 4, 4, 1, outputs=3)
    job.write_pictures([0, 1, 2, 2], [0, 10, 20, 21])
    assert job.run(IMAGES) == 0
    assert not job.report.findings
    job.write_pictures([0, 1, 2, 2], [0, 10, 20, 20])
    assert job.run(IMAGES) == 0
    assert ["2.png and 3.png" in finding.text for finding in job.report.findings] == [True]


def test_a_model_that_answers_otherwise_alone_is_told(job: Job, give_model: GiveModel) -> None:
    def normalises(batch: NDArray[Any]) -> NDArray[Any]:
        moved = batch.mean(axis=(1, 2, 3)) - batch.mean()
        return np.stack([0.5 - moved, 0.5 + moved], axis=1)

    give_model(normalises, 4, 4, 1, outputs=2)
    job.write_pictures([0, 0, 1, 1], [0, 1, 90, 91])
    assert job.run(IMAGES) == 0
    assert any("Asked one by one, 4 samples" in finding.text for finding in job.report.findings)


@pytest.mark.tensorflow
def test_a_real_archive_is_answered_alike_on_both_runtimes(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(8, 5, activation="relu")(inputs))
    network = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    network.export(job.root / "export", verbose=False)
    with tarfile.open(job.input("model") / "model.tar.gz", "w:gz") as archive:
        archive.add(job.root / "export", "1")
    write_folders(job, {"dark": range(0, 60, 3), "light": range(100, 160, 3), "white": range(200, 255, 3)})
    (job.input("dataset") / "dark/0.png").write_bytes(b"no picture")
    policy = {**FOLDERS, "evaluate": {"max_unreadable": 1}}

    assert job.run(policy) == 0
    assert job.report.model.runtime.startswith("TensorFlow")
    theirs = job.predictions
    found = []
    monkeypatch.setattr("evaluator.images_job.WORTH_PIXELS", 1000)
    for _ in range(2):
        assert job.run(policy) == 0
        assert job.report.model.runtime.startswith("ONNX Runtime"), job.report.model.runtime_reason
        assert job.report.data.unreadable_names == ("dark/0.png: cannot be read as a picture: not a picture",)
        found.append((job.output / "predictions.parquet").read_bytes())
    assert found[0] == found[1]
    assert [row["id"] for row in job.predictions] == [row["id"] for row in theirs]
    for ours, other in zip(job.predictions, theirs, strict=True):
        assert ours["scores"] == pytest.approx(other["scores"], abs=1e-5)


def test_a_model_of_two_inputs_takes_no_pictures(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [Tensor(name=name, shape=(None, 4, 4, 3), dtype="float32") for name in "ab"]
    model = Model(lambda arrays: arrays, inputs, inputs[:1], "SavedModel", "known")
    monkeypatch.setattr("evaluator.request.unpack", lambda _archive, into: into.mkdir())
    monkeypatch.setattr("evaluator.request.load_model", lambda _: model)
    job.write_pictures([0, 1], [0, 10])
    assert job.run(IMAGES) == 1
    assert job.message == "the model has 2 inputs (a, b), expected 1 that takes pictures"


def test_too_many_unreadable_pictures_end_the_job_with_their_list(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    job.write_pictures([0, 1, 0, 1], [0, 10, 0, 10])
    (job.input("dataset") / "1.png").write_bytes(b"no picture")
    (job.input("dataset") / "2.png").unlink()
    assert job.run(IMAGES | {"evaluate": {"max_unreadable": 1}}) == 1
    failure = Failure.model_validate_json((job.output / "failure.json").read_bytes())
    assert failure.error == "BadData"
    assert "2 unreadable, at most 1 allowed (evaluate.max_unreadable)" in job.message
    assert "1.png: cannot be read as a picture: not a picture" in job.message
    assert "2.png: no such file" in job.message
    assert not (job.output / "report.json").exists()


def test_unreadable_pictures_within_the_limit_are_counted_and_named(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    job.write_pictures([0, 1, 0, 1], [0, 10, 0, 10])
    (job.input("dataset") / "1.png").write_bytes(b"no picture")
    assert job.run(IMAGES | {"evaluate": {"max_unreadable": 1}}) == 0
    data = job.report.data
    assert (data.rows, data.unreadable) == (3, 1)
    assert data.unreadable_names == ("1.png: cannot be read as a picture: not a picture",)
    assert [row["row"] for row in job.predictions] == [0, 2, 3]


def test_a_failure_leaves_no_results_of_an_earlier_try_to_be_taken_for_its_own(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    job.write_pictures([0, 1], [0, 10])
    assert job.run(with_data(label="nothing")) == 1
    assert job.message == Failure.model_validate_json((job.output / "failure.json").read_bytes()).message
    assert [path.name for path in job.output.iterdir()] == ["failure.json"]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (with_data(label="species"), "no column 'species' for data.label; found image_file_name, class_id, class_name"),
        (with_data(file="photo"), "no column 'photo' for data.file; found image_file_name, class_id, class_name"),
        (with_data(names="nom"), "no column 'nom' for data.names; found"),
        (
            IMAGES | {"explain": {"chosen": {"only": {"colour": "red"}}}},
            "explain.chosen.only: no column 'colour' in the data; found image_file_name, class_id, class_name",
        ),
        (
            with_data(label="class_name", label_base=None),
            "the labels are text (class 0, class 1): say data.labels",
        ),
        (with_data(labels=["0", "2"]), "label '1' is none of data.labels (0, 2)"),
    ],
)
@pytest.mark.usefixtures("no_model_is_loaded")
def test_what_is_wrong_with_the_annotations_is_found_before_the_model_is_loaded(
    job: Job, policy: dict[str, Any], said: str
) -> None:
    job.write_pictures([0, 1], [0, 10])
    assert job.run(policy) == 1
    assert said in job.message


@pytest.mark.usefixtures("no_model_is_loaded")
def test_annotations_of_other_pictures_say_what_was_looked_for_and_found(job: Job) -> None:
    job.write_pictures([0], [0])
    (job.input("dataset") / "0.png").rename(job.input("dataset") / "renamed.png")
    assert job.run(IMAGES) == 1
    assert job.message == (
        "none of the 1 annotated pictures is in the data: expected 0.png, found 1 files such as renamed.png"
    )


@pytest.mark.usefixtures("no_model_is_loaded")
def test_data_that_is_missing_is_named_by_its_address(job: Job) -> None:
    assert job.run(IMAGES) == 1
    assert "annotations.csv" in job.message
    write_csv(job.input("annotations") / "annotations.csv", [("image_file_name", "class_id"), ("0.png", 0)])
    assert job.run(with_data(names=None)) == 1
    assert "photos/" in job.message


@pytest.mark.usefixtures("no_model_is_loaded")
def test_annotations_without_a_line_are_no_rows(job: Job) -> None:
    job.write_pictures([], [])
    assert job.run(IMAGES) == 1
    assert "annotations.csv: no rows" in job.message


@pytest.mark.usefixtures("no_model_is_loaded")
def test_a_picture_that_is_annotated_twice_is_refused(job: Job) -> None:
    job.write_pictures([0, 1], [0, 10])
    lines = [("image_file_name", "class_id", "class_name"), ("0.png", 0, "a"), ("1.png", 1, "b"), ("0.png", 1, "b")]
    write_csv(job.input("annotations") / "annotations.csv", lines)
    assert job.run(IMAGES) == 1
    assert "0.png is annotated twice" in job.message


def test_a_label_base_that_is_open_shows_both_readings(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(4), 4, 4, 1, outputs=4)
    job.write_pictures([1, 2, 3], [10, 20, 30])
    assert job.run(with_data(label_base=None)) == 1
    assert "label 1 (class 1) can be output 1 (label_base: 0) or output 0 (label_base: 1)" in job.message


@pytest.mark.parametrize("base", [0, 1])
def test_a_label_base_that_only_fits_one_way_need_not_be_said(job: Job, give_model: GiveModel, base: int) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    job.write_pictures([base, base + 1], [0, 10])
    assert job.run(with_data(label_base=None)) == 0
    assert job.report.metrics["accuracy"].value == 1
    assert job.report.labels == (f"class {base}", f"class {base + 1}")


def test_a_model_with_other_outputs_than_labels_says_both_numbers(job: Job, give_model: GiveModel) -> None:
    give_model(lambda _: pytest.fail("asked the model"), 4, 4, 1, outputs=3)
    job.write_pictures([0, 1], [0, 10])
    assert job.run(with_data(labels=[0, 1])) == 1
    assert job.message == "the model tells 3 classes apart, the policy names 2 labels (0, 1)"


def test_labels_that_are_beyond_the_outputs_say_so(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    job.write_pictures([0, 5], [0, 10])
    assert job.run(IMAGES) == 1
    assert "the labels go from 0 to 5, the model has 2 outputs: they do not fit with label_base: 0" in job.message


def test_scores_that_are_no_numbers_are_flagged_and_never_reach_a_file(job: Job, give_model: GiveModel) -> None:
    def broken(batch: NDArray[Any]) -> NDArray[Any]:
        scores = sees_levels(2)(batch)
        scores[0] = np.nan
        return scores

    give_model(broken, 4, 4, 1, outputs=2)
    job.write_pictures([0, 1, 0, 1], [0, 10, 0, 10])
    assert job.run(IMAGES) == 0
    report = job.report
    serious = [finding for finding in report.findings if finding.severity == "serious"]
    assert [finding.title for finding in serious] == ["Scores that are no numbers"]
    assert "1 of 4 samples" in serious[0].text
    for name in ("accuracy", "log_loss", "roc_auc", "f1_macro"):
        assert report.metrics[name].value is None, name
        assert "1 of 4" in (report.metrics[name].reason or ""), name
    assert job.evaluation  # strict JSON
    assert "NaN" not in (job.output / "explain/samples.json").read_text()
    assert "0.png" not in {sample.id for sample in job.samples}


def test_one_class_alone_is_measured_as_far_as_it_goes(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    job.write_pictures([0, 0, 0], [0, 0, 10])
    assert job.run(IMAGES) == 0
    report = job.report
    assert report.metrics["accuracy"].value == pytest.approx(2 / 3)
    for name in ("roc_auc", "mcc"):
        assert report.metrics[name].value is None
        assert report.metrics[name].reason
    assert report.per_class["recall"]["class 0"].value == pytest.approx(2 / 3)
    assert report.per_class["recall"]["1"].value is None
    assert job.evaluation["binary_classification_metrics"]["accuracy"]["value"] == pytest.approx(2 / 3)


def test_the_program_says_what_it_was_not_given(job: Job) -> None:
    from evaluator.program import main

    assert main(job.root) == 1
    assert "run.json" in job.message


def test_tensorflow_is_not_imported_for_a_mistake_in_the_data(job: Job) -> None:
    job.write_pictures([0], [0])
    assert job.run(with_data(label="nothing")) == 1
    program = (
        "import sys; from pathlib import Path; from evaluator.program import main;"
        "print(main(Path(sys.argv[1])), sorted({'tensorflow', 'sklearn', 'matplotlib', 'pyarrow'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(job.root)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.splitlines()[-1] == "1 []"


def test_pictures_count_as_much_as_their_annotations_say(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    job.write_pictures([0, 1, 0], [0, 10, 10])
    lines = [("image_file_name", "class_id", "seen"), ("0.png", "0", "2"), ("1.png", "1", "1"), ("2.png", "0", "5")]
    write_csv(job.input("annotations") / "annotations.csv", lines)
    weighted = {**IMAGES, "data": {**IMAGES["data"], "weight": "seen", "names": None}}
    assert job.run(weighted) == 0
    assert job.report.metrics["accuracy"].value == pytest.approx(3 / 8)
    assert [row["weight"] for row in job.predictions] == [2, 1, 5]
    assert not [slice_ for slice_ in job.report.slices if "seen" in slice_.columns]
    write_csv(job.input("annotations") / "annotations.csv", [*lines[:3], ("2.png", "0", "-5")])
    assert job.run(weighted) == 1
    assert "2.png: seen is '-5', expected a number of 0 or more" in job.message
    write_csv(job.input("annotations") / "annotations.csv", [lines[0], *((*line[:2], "0") for line in lines[1:])])
    assert job.run(weighted) == 1
    assert "data.weight: seen is 0 for all pictures" in job.message
    assert job.run(with_data(weight="sene")) == 1
    assert "data.weight" in job.message


def test_pictures_scores_get_the_step_that_the_model_leaves_out(job: Job, give_model: GiveModel) -> None:
    give_model(lambda batch: 9 * sees_levels(2, sure=1.0)(batch), 4, 4, 1, outputs=2)
    job.write_pictures([0, 1], [0, 10])
    assert job.run(IMAGES | {"model": {"output_transform": "softmax"}}) == 0
    sure = 1 / (1 + np.exp(-9))
    assert job.predictions[1]["scores"] == pytest.approx([1 - sure, sure])


def test_a_slice_by_a_column_that_is_not_there_is_told(job: Job, no_model_is_loaded: None) -> None:
    job.write_pictures([0, 1], [0, 10])
    assert job.run(IMAGES | {"evaluate": {"slices": ["camera"]}}) == 1
    assert "evaluate.slices: no column 'camera' in the data; found image_file_name, class_id, class_name" in job.message
