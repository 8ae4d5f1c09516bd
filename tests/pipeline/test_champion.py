"""A second upload beside the first, on the same rows: the real containers end to end."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from assay.evaluation import EvaluationReport
from assay.layout import RunFolder
from assay.summary import Summary
from assay_local.cloud import Cloud

from .conftest import Application
from .test_engines import packed

pytestmark = [pytest.mark.pipeline, pytest.mark.tensorflow]

MAKE_MODELS = """
import sys
import tensorflow as tf

def save(folder, age, hours):
    module = tf.Module()
    module.weights = tf.Variable([age, hours])
    def function(x):
        margin = tf.linalg.matvec(x, module.weights)
        return {"scores": tf.nn.softmax(tf.stack([-margin, margin], axis=1))}
    call = tf.function(function, input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    tf.saved_model.save(module, folder, signatures=call)

save(sys.argv[1] + "/old/1", 2.0, 1.0)
save(sys.argv[1] + "/new/1", 2.0, -1.0)
"""
POLICY = """
task: tabular_classification
data: {source: test.csv, label: income, labels: [low, high], exclude: [sex]}
evaluate: {slices: [sex]}
explain: {chosen: {samples: 0}, representative: {samples: 0}}
gates:
  - {metric: accuracy, min: 0.5, judge: estimate}
  - {metric: accuracy, max_worse: 0.0}
  - {metric: accuracy, slice: sex, min: 0.4}
"""
OLD, NEW = 120, 30


@dataclass
class Second:
    """The run of the second upload."""

    first: RunFolder
    folder: RunFolder
    summary: Summary
    report: EvaluationReport
    objects: dict[str, bytes]


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Second]:
    made = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, "-c", MAKE_MODELS, str(made)], check=True, capture_output=True)
    with Cloud(schedules=False) as cloud:
        application = Application(cloud)
        application.put("models/census/assay.yaml", POLICY)
        application.put("models/census/test.csv", table(OLD))
        new = packed(made / "new")
        first = upload(application, packed(made / "old"), 1)
        # more rows than the champion has seen: it is asked about those
        application.put("models/census/test.csv", table(OLD + NEW))
        folder = upload(application, new, 2)
        again = upload(application, new, 3)
        application.check_is_whole()
        assert application.summary(first).verdict == "pass", application.summary(first).headline
        same = application.summary(again)
        assert (same.champion, same.previous) == (folder.run, folder.run)
        assert "own archive" in (same.not_compared or "")
        yield Second(
            first,
            folder,
            application.summary(folder),
            EvaluationReport.model_validate_json(application.get(folder.report)),
            {key: application.get(key) for key in application.keys(folder.prefix)},
        )


def upload(application: Application, archive: bytes, number: int) -> RunFolder:
    folder = application.upload(archive, f"models/census/{number}/model.tar.gz")
    application.cloud.drain(120)
    return folder


def table(n: int) -> str:
    """The truth: 2 age - hours > 0, and a little noise; the same first rows however many there are."""
    random = np.random.default_rng(0)
    lines = ["age,hours,sex,income"]
    for number in range(n):
        age, hours, noise = random.normal(size=3).round(2)
        lines.append(f"{age},{hours},{'fm'[number % 2]},{'high' if 2 * age - hours + noise / 2 > 0 else 'low'}")
    return "\n".join([*lines, ""])


def test_a_second_upload_is_compared_with_the_first_on_the_same_rows(second: Second) -> None:
    comparison = second.report.comparison
    assert comparison is not None
    assert comparison.refused is None
    assert comparison.champion == second.first.run
    assert (comparison.rows, comparison.rescored) == (OLD + NEW, NEW)

    rows = list(csv.DictReader(io.StringIO(table(OLD + NEW))))
    x = np.array([[float(row["age"]), float(row["hours"])] for row in rows])
    high = np.array([row["income"] == "high" for row in rows])
    old, new = ((x @ weights > 0) == high for weights in ([2, 1], [2, -1]))
    assert (comparison.mended, comparison.broken) == ((new & ~old).sum(), (old & ~new).sum())
    accuracy = comparison.metrics["accuracy"]
    assert (accuracy.champion, accuracy.ours) == pytest.approx((old.mean(), new.mean()))
    assert accuracy.low is not None
    assert accuracy.low > 0
    women = np.array([row["sex"] == "f" for row in rows])
    assert comparison.slices["sex=f"]["accuracy"].value == pytest.approx(new[women].mean() - old[women].mean())


def test_the_verdict_rests_on_the_paired_difference_and_on_each_slice(second: Second) -> None:
    assert second.summary.verdict == "pass"
    assert [(gate.result, gate.slice) for gate in second.summary.gates] == [
        ("pass", None),
        ("pass", None),
        ("pass", "sex=f"),
        ("pass", "sex=m"),
    ]
    assert "(difference +" in second.summary.gates[1].reason


def test_what_it_took_stands_beside_what_the_first_one_took(second: Second) -> None:
    assert (second.summary.previous, second.summary.champion) == (second.first.run, second.first.run)
    costs = second.summary.costs
    assert costs is not None and costs.previous is not None
    assert costs.previous == costs.champion


def test_people_are_told_what_changed(second: Second) -> None:
    page = second.objects[second.folder.summary_html].decode()
    assert second.summary.flips is not None
    assert f"{second.summary.flips.mended} samples mended" in page
    flips = second.objects[second.folder.evaluation + "flips.csv"].decode()
    assert len(list(csv.DictReader(io.StringIO(flips)))) == (second.summary.flips.mended + second.summary.flips.broken)
    assert "<h2>Slices</h2>" in page
