"""The whole chain for a model behind an endpoint: one that the policy names, and one that the job makes."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from assay.evaluation import EvaluationReport
from assay.layout import RunFolder
from assay_local.cloud import Cloud

from .conftest import Application

pytestmark = pytest.mark.pipeline

ALLOWED = {
    "AllowEndpointPredictor": "true",
    "EndpointArns": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/reviews-*",
    "ServingImageUri": "763104351884.dkr.ecr.us-west-2.amazonaws.com/tensorflow-inference:2.19-cpu",
}
SHARED = Path(__file__).parents[3] / "shared"
LABS_OWN, LABS_POLICY = SHARED / "data/reviews/test_data_bias.jsonl", SHARED / "policies/reviews.yaml"
REVIEWS = """
task: text_classification
model:
  predictor: endpoint
  endpoint_name: reviews-dev
  content_type: application/jsonlines
  content_template: '{"features":$features}'
  predicted_label: predicted_label
data:
  source: test.jsonl
  features: features
  headers: [review_body, product_category]
  text: [review_body]
  label: star_rating
  labels: [1, 2, 3, 4, 5]
  language: en
gates:
  - {metric: accuracy, min: 0.5}
"""
ROWS = [
    {"features": [text, category], "star_rating": stars}
    for text, category, stars in [
        ("bad", "Digital_Software", 1),
        ("bad, “really” bad", "Gift Card", 1),
        ("ok", "Digital_Software", 3),
        ("good, but not for me", "Gift Card", 3),
        ("good", "Digital_Software", 5),
        ("good\ngood", "Digital_Video_Games", 5),
    ]
    * 10
]


def stars(body: bytes, content_type: str, accept: str) -> str:
    """A handler like the lab's: five stars when it is good, one when it is bad, else three; no scores."""
    assert (content_type, accept) == ("application/jsonlines", "application/jsonlines")
    said = []
    for line in body.decode().split("\n"):
        text, _category = json.loads(line)["features"]
        said.append({"predicted_label": 5 if "good" in text else 1 if "bad" in text else 3})
    return "\n".join(map(json.dumps, said))


def archive(*folders: Path, **files: str) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for folder in folders:
            tar.add(folder, "1")
        for name, text in files.items():
            member = tarfile.TarInfo(f"code/{name}.py")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return content.getvalue()


HANDLED = archive(inference="open('/tmp/never', 'w')")
"""A model that only its own handler can ask."""


@contextmanager
def application(parameters: dict[str, str], *buckets: str) -> Iterator[Application]:
    with Cloud(parameters=parameters, buckets=buckets, endpoints={"reviews-dev": stars}, schedules=False) as cloud:
        yield Application(cloud)


def report_of(application: Application, folder: RunFolder) -> EvaluationReport:
    return EvaluationReport.model_validate_json(application.get(folder.report))


def run(application: Application, policy: str, name: str, data: str, model: bytes) -> RunFolder:
    application.put("models/m/assay.yaml", policy)
    application.put(f"models/m/{name}", data)
    folder = application.upload(model, "models/m/1/model.tar.gz")
    application.cloud.drain(timeout=120)
    application.check_is_whole()
    return folder


def test_reviews_are_judged_through_their_endpoint() -> None:
    with application(ALLOWED) as app:
        folder = run(app, REVIEWS, "test.jsonl", "\n".join(map(json.dumps, ROWS)), HANDLED)
        summary, report = app.summary(folder), report_of(app, folder)
        assert summary.verdict == "pass", summary
        assert report.metrics["accuracy"].value == pytest.approx(5 / 6)
        assert (report.model.format, report.model.handler) == ("endpoint", True)
        assert report.metrics["log_loss"].reason == "the model answers labels, not scores"
        assert report.confusion is not None
        assert report.confusion.counts[2] == (0, 0, 10, 0, 10)
        titles = [finding.title for finding in report.findings]
        assert {"The model gives no scores", "Answered by a named endpoint"} <= set(titles)
        assert (summary.explanation, summary.explanation_failure) == ("done", None)
        moved = {one.text: one.value for mistake in summary.mistakes for one in mistake.texts["review_body"]}
        assert max(moved, key=lambda text: abs(moved[text])) == "good"
        assert app.verdicts() == {folder.run: ["pass"]}
        jobs = app.cloud.jobs()
        assert [job.describe()["NetworkConfig"] for job in jobs] == [{"EnableNetworkIsolation": False}] * 2
        asked = [call for call in app.cloud.calls if call.action == "InvokeEndpoint"]
        assert {call.caller.name for call in asked} == {job.name for job in jobs}


@pytest.mark.skipif(not (LABS_OWN.exists() and LABS_POLICY.exists()), reason=f"needs {LABS_OWN} and {LABS_POLICY}")
def test_the_labs_own_reviews_are_all_asked_about_by_its_policy() -> None:
    lake = {"DataBucketArns": "arn:aws:s3:::lab", "DataObjectArns": "arn:aws:s3:::lab/*"}
    with application(ALLOWED | lake, "lab") as app:
        app.s3.put_object(Bucket="lab", Key=LABS_OWN.name, Body=LABS_OWN.read_bytes())
        folder = run(app, LABS_POLICY.read_text(), "unused", "", HANDLED)
        report = report_of(app, folder)
        lines = [json.loads(line) for line in LABS_OWN.read_text().splitlines()]
        assert (report.data.rows, report.data.unreadable) == (len(lines), 0)
        said = [json.loads(stars(json.dumps(line).encode(), *["application/jsonlines"] * 2)) for line in lines]
        right = sum(answer["predicted_label"] == line["star_rating"] for answer, line in zip(said, lines, strict=True))
        assert report.metrics["accuracy"].value == pytest.approx(right / len(lines))
        assert app.verdicts() == {folder.run: ["not judged"]}  # it has no gates


def test_without_the_deployers_word_no_endpoint_is_asked() -> None:
    with application({}) as app:
        folder = run(app, REVIEWS, "test.jsonl", json.dumps(ROWS[0]), HANDLED)
        summary = app.summary(folder)
        assert summary.verdict == "error"
        assert summary.failure is not None
        assert "AllowEndpointPredictor=true" in summary.failure.message
        assert app.cloud.jobs() == []


SHADOW = """
task: tabular_classification
model: {predictor: endpoint, content_type: application/json}
data: {source: test.csv, label: income, labels: [low, high]}
gates:
  - {metric: accuracy, min: 0.8}
"""


def left(app: Application) -> list[Any]:
    """Models, endpoints and configurations."""
    sagemaker = app.cloud.client("sagemaker")
    return [
        *sagemaker.list_models()["Models"],
        *sagemaker.list_endpoints()["Endpoints"],
        *sagemaker.list_endpoint_configs()["EndpointConfigs"],
    ]


@pytest.mark.tensorflow
def test_an_archive_is_served_for_as_long_as_its_job_runs(tmp_path: Path) -> None:
    import tensorflow as tf

    class Older(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> dict[str, Any]:
            high = tf.sigmoid(x[:, :1] - 40)
            return {"scores": tf.concat([1 - high, high], axis=1)}

    module = Older()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serving_default": module.__call__})
    rows = "age,hours,income\n" + "".join(f"{age},40,{'high' if age > 40 else 'low'}\n" for age in range(20, 60))
    with application(ALLOWED) as app:
        folder = run(app, SHADOW, "test.csv", rows, archive(tmp_path / "saved"))
        report = report_of(app, folder)
        assert app.summary(folder).verdict == "pass"
        assert report.model.runtime == f"endpoint assay-{folder.run}-01-evaluation, application/json"
        assert report.metrics["log_loss"].value is not None
        assert report.seconds["endpoint"] > 0
        shap = json.loads(app.get(folder.analysis))["explanations"]["kernel_shap"]
        assert list(shap) == ["low", "high"]
        assert shap["high"]["global_shap_values"]["age"] > 0.1
        assert shap["high"]["global_shap_values"]["hours"] == pytest.approx(0, abs=1e-6)
        assert {job.name.rpartition("-")[2]: job.status for job in app.cloud.jobs()} == {
            "evaluation": "Completed",
            "explanation": "Completed",
        }
        for job in app.cloud.jobs():  # neither loads the model
            assert job.describe()["NetworkConfig"] == {"EnableNetworkIsolation": False}
        assert left(app) == []

        # what the laptop does not serve ends with a sentence, and leaves nothing either
        app.put("models/m/2/model.tar.gz", HANDLED)
        app.cloud.drain(timeout=120)
        app.check_is_whole()
        assert "an archive's own code is never run on a laptop" in app.cloud.notices()[-1].message
        assert left(app) == []
