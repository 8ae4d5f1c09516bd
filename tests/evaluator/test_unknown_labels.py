"""A label in the data that the model does not know: never a crash, and never a silent loss."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import GiveModel, Job, sees_levels

ROWS: dict[str, Any] = {
    "task": "tabular_classification",
    "data": {"source": "test.csv", "label": "income", "labels": ["low", "high"]},
}
IMAGES: dict[str, Any] = {
    "task": "image_classification",
    "data": {"source": "photos/", "annotations": "annotations.csv", "label": "class_id", "labels": ["0", "1"]},
}


def with_limit(policy: dict[str, Any], limit: int) -> dict[str, Any]:
    return policy | {"evaluate": {"max_unreadable": limit}}


def rows(job: Job, give_model: GiveModel) -> None:
    """A model that says high from 50 on; rows 2 and 4 have a label that it does not know, row 5 is wrong."""
    give_model(lambda batch: (batch[:, 0] >= 50).astype("f4"), 1)
    labels = ["low", "high", "maybe", "high", "often", "high"]
    ages = [20, 60, 60, 60, 20, 20]
    job.write_rows([("age", "income"), *zip(ages, labels, strict=True)])


def test_by_default_it_ends_the_job_before_the_model_is_loaded(job: Job, no_model_is_loaded: None) -> None:
    job.write_rows([("age", "income"), ("20", "low"), ("60", "maybe")])
    assert job.run(ROWS) == 1
    assert "label 'maybe' is none of data.labels (low, high); evaluate.max_unreadable says how many" in job.message
    job.write_pictures([0, 1, 7], [0, 10, 0])
    assert job.run(IMAGES) == 1
    assert "1 unreadable, at most 0 allowed (evaluate.max_unreadable): 2.png: label '7' is none of" in job.message


def test_within_the_limit_its_rows_are_left_out_counted_and_named(job: Job, give_model: GiveModel) -> None:
    rows(job, give_model)
    assert job.run(with_limit(ROWS, 2)) == 0
    report = job.report
    assert (report.data.rows, report.data.unreadable) == (4, 2)
    assert report.data.unreadable_names == (
        "row 2: label 'maybe' is none of data.labels (low, high)",
        "row 4: label 'often' is none of data.labels (low, high)",
    )
    assert report.labels == ("low", "high")
    assert report.metrics["accuracy"].value == pytest.approx(3 / 4)
    assert [row["row"] for row in job.predictions] == [0, 1, 3, 5]


def test_beyond_the_limit_its_rows_end_the_job(job: Job, give_model: GiveModel) -> None:
    rows(job, give_model)
    assert job.run(with_limit(ROWS, 1)) == 1
    assert "2 unreadable, at most 1 allowed (evaluate.max_unreadable): row 2: label 'maybe' is none" in job.message


def test_within_the_limit_its_pictures_are_left_out_counted_and_named(job: Job, give_model: GiveModel) -> None:
    give_model(sees_levels(2), 4, 4, 1, outputs=2)
    job.write_pictures([0, 1, 7, 1], [0, 10, 10, 0])
    assert job.run(with_limit(IMAGES, 1)) == 0
    assert (job.report.data.rows, job.report.data.unreadable) == (3, 1)
    assert job.report.data.unreadable_names == ("2.png: label '7' is none of data.labels (0, 1)",)
    assert job.report.labels == ("class 0", "class 1")
    assert job.report.metrics["accuracy"].value == pytest.approx(2 / 3)


def test_where_no_label_is_known_no_limit_helps(job: Job, no_model_is_loaded: None) -> None:
    job.write_rows([("age", "income"), ("20", "yes"), ("60", "no")])
    assert job.run(with_limit(ROWS, 100)) == 1
    assert job.message == "label 'no' is none of data.labels (low, high)"
    (job.input("dataset") / "test.csv").unlink()
    job.write_pictures([7, 8], [0, 10])
    assert job.run(with_limit(IMAGES, 100)) == 1
    assert job.message == "label '7' is none of data.labels (0, 1)"


def test_a_class_that_has_no_row_has_no_metric_and_says_so(job: Job, give_model: GiveModel) -> None:
    give_model(lambda batch: (batch[:, 0] >= 50).astype("f4"), 1)
    job.write_rows([("age", "income"), ("20", "low"), ("60", "low")])
    assert job.run(ROWS) == 0
    assert job.report.per_class["recall"]["high"].reason
    assert job.report.metrics["roc_auc"].reason
    assert job.report.metrics["accuracy"].value == 0.5
