"""Pictures that an endpoint is asked about, in whole jobs."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.standin import Answer, point_boto3_at, standing_in

from .conftest import Job, write_csv

Answers = Callable[[bytes], Any]
"""From a request's body to its answer, which becomes JSON."""

BIRDS: dict[str, Any] = {
    "task": "image_classification",
    "data": {"source": "photos/", "annotations": "annotations.csv", "labels": ["0", "1", "2"], "names": "class_name"},
    "model": {"predictor": "endpoint", "endpoint_name": "birds"},
}
CELLS: dict[str, Any] = {
    "task": "object_detection",
    "data": {"source": "photos/", "annotations": "annotations.csv", "labels": {0: "RBC", 4: "WBC"}},
    "model": {"predictor": "endpoint", "endpoint_name": "cells"},
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Answers]]:
    """The last function in it is what the endpoint answers."""
    how: list[Answers] = []

    with standing_in(lambda asked: Answer(json.dumps(how[-1](asked.content)))) as there:
        point_boto3_at(there, monkeypatch)
        yield how


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """With an archive that only its handler could ask."""
    made = Job(tmp_path / "ml")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"1"))
    (made.input("model") / "model.tar.gz").write_bytes(gzip.compress(packed.getvalue()))
    return made


def said(content: bytes) -> int:
    """The known model's class of a picture: a tenth of its grey."""
    return round(float(np.asarray(Image.open(io.BytesIO(content)).convert("L")).mean())) // 10


def with_model(policy: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return policy | {"model": policy["model"] | parts}


def test_scores_are_measured_as_those_of_a_loaded_model(job: Job, answers: list[Answers]) -> None:
    answers.append(lambda content: {"predictions": [np.eye(3)[said(content)].tolist()]})
    job.write_pictures([0, 0, 0, 1, 1, 1, 2, 2, 2, 2], [0, 0, 10, 10, 10, 10, 20, 20, 20, 20])
    assert job.run(BIRDS) == 0
    report = job.report
    assert report.metrics["accuracy"].value == 0.9
    assert report.metrics["log_loss"].value is not None
    assert report.confusion is not None
    assert report.confusion.counts == ((2, 1, 0), (0, 3, 0), (0, 0, 4))
    assert (report.model.format, report.model.handler) == ("endpoint", True)
    assert report.model.runtime == "endpoint birds, each file as it is"
    assert [row["id"] for row in job.predictions] == [f"{number}.png" for number in range(10)]
    assert report.speed is not None
    assert report.speed.latency_p50_ms is not None
    titles = [finding.title for finding in report.findings]
    assert "Answered by a named endpoint" in titles
    assert "Pictures that the model's handler has to turn" not in titles
    assert report.explain is not None  # through the endpoint
    assert report.explain.label_headers == ("class 0", "class 1", "class 2")


def test_of_labels_alone_nothing_is_said_that_needs_scores(job: Job, answers: list[Answers]) -> None:
    answers.append(lambda content: {"predicted_label": said(content)})
    job.write_pictures([0, 1, 2, 2], [0, 10, 20, 10])
    assert job.run(with_model(BIRDS, predicted_label="predicted_label")) == 0
    assert job.report.metrics["accuracy"].value == 0.75
    assert job.report.metrics["log_loss"].reason == "the model answers labels, not scores"
    assert "The model gives no scores" in [finding.title for finding in job.report.findings]


def test_folders_say_the_labels_that_are_answered(job: Job, answers: list[Answers]) -> None:
    answers.append(lambda content: ["crow", "jay"][said(content)])
    for name, level in (("crow/a.png", 0), ("crow/b.png", 10), ("jay/a.png", 10)):
        path = job.input("dataset") / name
        path.parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4), level).save(path)
    policy = with_model(BIRDS, predicted_label="@") | {"data": {"source": "photos/"}}
    assert job.run(policy) == 0
    assert job.report.metrics["accuracy"].value == pytest.approx(2 / 3)


def test_scores_without_their_last_step_get_it(job: Job, answers: list[Answers]) -> None:
    answers.append(lambda content: (5 * np.eye(3)[said(content)]).tolist())
    job.write_pictures([0, 1, 2], [0, 10, 20])
    assert job.run(with_model(BIRDS, output_transform="softmax")) == 0
    sure = np.exp(5) / (np.exp(5) + 2)
    assert job.predictions[0]["scores"] == pytest.approx([sure, (1 - sure) / 2, (1 - sure) / 2])


def test_broken_pictures_are_named_and_never_sent(job: Job, answers: list[Answers]) -> None:
    answers.append(lambda content: np.eye(3)[said(content)].tolist())
    job.write_pictures([0, 1, 2], [0, 10, 20])
    (job.input("dataset") / "1.png").write_bytes(b"nothing")
    assert job.run(BIRDS | {"evaluate": {"max_unreadable": 1}}) == 0
    assert (job.report.data.rows, job.report.data.unreadable) == (2, 1)
    assert job.report.data.unreadable_names[0].startswith("1.png: cannot be read as a picture")


def test_pictures_that_the_handler_has_to_turn_are_counted(job: Job, answers: list[Answers]) -> None:
    answers.append(lambda content: np.eye(3)[said(content)].tolist())
    job.write_pictures([0, 1, 2], [0, 10, 20])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("L", (6, 5), 20).save(job.input("dataset") / "2.png", exif=exif)
    assert job.run(BIRDS) == 0
    (finding,) = [one for one in job.report.findings if one.title == "Pictures that the model's handler has to turn"]
    assert finding.text.startswith("1 of 3 pictures are to be turned as their EXIF data says")


def test_an_answer_that_does_not_fit_ends_the_job(job: Job, answers: list[Answers]) -> None:
    answers.append(lambda content: {"boxes": []})
    job.write_pictures([0, 1, 2] * 10, [0, 10, 20] * 10)
    assert job.run(BIRDS) == 1
    assert "endpoint birds: expected numbers, found an object with 'boxes'; say where they stand with" in job.message


def draw(job: Job) -> None:
    """Two pictures of 40 × 20 with a box each, and one with none."""
    for number in range(3):
        Image.new("L", (40, 20), 10 * number).save(job.input("dataset") / f"{number}.png")
    lines = [("image_file_name", "class_name", "xmin", "ymin", "xmax", "ymax")]
    lines += [("0.png", "RBC", "4", "4", "20", "16"), ("1.png", "WBC", "0", "0", "10", "10")]
    write_csv(job.input("annotations") / "annotations.csv", lines)


def test_boxes_are_found_through_an_endpoint(job: Job, answers: list[Answers]) -> None:
    found = {0: [[0, 0.9, 0.1, 0.2, 0.5, 0.8]], 1: [[0, 0.8, 0, 0, 0.25, 0.5], [4, 0.7, 0, 0, 0.25, 0.5]], 2: []}
    answers.append(lambda content: {"prediction": found[said(content)]})
    draw(job)
    assert job.run(CELLS) == 0
    report = job.report
    assert report.labels == ("RBC", "WBC")
    assert report.metrics["recall_50"].value == 1
    assert report.per_class["precision_50"]["RBC"].value == 0.5
    assert report.model.runtime == "endpoint cells, each file as it is"
    assert [row["predicted"] for row in job.predictions] == [["RBC"], ["RBC", "WBC"], []]
    assert "Answered by a named endpoint" in [finding.title for finding in report.findings]
    assert report.explain is not None
    headers = ("RBC", "class 1", "class 2", "class 3", "WBC")  # their places are the endpoint's classes
    assert report.explain.label_headers == headers
    assert job.run(CELLS | {"data": CELLS["data"] | {"labels": {1: "RBC", 4: "WBC"}}}) == 0
    assert job.report.explain is not None
    assert job.report.explain.label_headers == ("class 0", "RBC", *headers[2:])


def test_an_endpoints_first_class_is_asked_for(job: Job, answers: list[Answers]) -> None:
    answers.append(lambda content: [])
    draw(job)
    listed = CELLS["data"] | {"labels": ["RBC", "WBC"]}
    assert job.run(CELLS | {"data": listed}) == 1
    assert "what does the endpoint call the first class? Say data.label_base, 0 or 1, or data.labels" in job.message
    assert job.run(CELLS | {"data": listed | {"label_base": 0}}) == 0
