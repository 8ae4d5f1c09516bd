"""A notebook's SageMakerClarifyProcessor with one line changed, `processor.image_uri = …`: every `run_*` of the SDK.

The SDK is the real one, in an environment of its own, and so are its requests and configurations; a cloud on this
machine takes them and runs our explainer.
"""

from __future__ import annotations

import csv
import io
import json
import random
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay_local.cloud import Cloud, Job

ENVIRONMENTS = Path(__file__).parents[2] / ".envs"
SDKS = {
    "sagemaker": "from sagemaker.core.clarify import *\nfrom sagemaker.core.helper.session_helper import Session\n",
    "sagemaker2": "from sagemaker.clarify import *\nfrom sagemaker import Session\n",
}
"""Environment → where its SDK has what a notebook imports: version 3 (sagemaker-core), and the last of version 2."""

pytestmark = [pytest.mark.pipeline, pytest.mark.tensorflow]

NOTEBOOK = """
import sys

processor = SageMakerClarifyProcessor(
    role=sys.argv[1], instance_count=1, instance_type="ml.m5.large", sagemaker_session=Session()
)
processor.image_uri = "111122223333.dkr.ecr.us-east-1.amazonaws.com/assay-explainer:latest"

def data(name, **how):
    given = dict(label="income", headers=["age", "hours", "edu", "sex", "income"], excluded_columns=["sex"])
    given |= dict(s3_data_input_path="s3://lake/rows.csv", dataset_type="text/csv") | how
    return DataConfig(s3_output_path=f"s3://lake/{name}", **given)

at_once = dict(wait=False, logs=False)
model = ModelConfig(model_name="census", instance_type="ml.m5.large", instance_count=1, accept_type="text/csv")
bias = BiasConfig(label_values_or_threshold=[1], facet_name="sex", facet_values_or_threshold=["x"])
label = ModelPredictedLabelConfig(probability_threshold=0.8)
shap = SHAPConfig(baseline="s3://lake/base/", num_samples=50, agg_method="mean_abs", seed=3)
pdp = PDPConfig(features=["age"], grid_resolution=5)

processor.run_pre_training_bias(data("pre"), bias, job_name="pre", **at_once)
processor.run_post_training_bias(data("post"), bias, model, label, job_name="post", **at_once)
processor.run_post_training_bias(
    data("given", predicted_label_dataset_uri="s3://lake/predicted.csv", predicted_label_headers=["said"],
         predicted_label="said"),
    bias, job_name="given", **at_once,
)
processor.run_bias(data("bias"), bias, model, label, job_name="bias", **at_once)
processor.run_explainability(data("explained"), model, [shap, pdp], job_name="explained", **at_once)
processor.run_bias_and_explainability(
    data("both"), model, shap, bias, model_predicted_label_config=label, job_name="both", **at_once
)
reviews = DataConfig(
    s3_data_input_path="s3://lake/reviews.jsonl", s3_output_path="s3://lake/texts",
    dataset_type="application/jsonlines", features="features", headers=["review", "category"],
)
handler = ModelConfig(
    endpoint_name="reviews-dev", content_type="application/jsonlines", accept_type="application/jsonlines",
    content_template='{"features":$features}',
)
by_token = SHAPConfig(baseline=[["", "Books"]], text_config=TextConfig(granularity="token", language="english"))
processor.run_explainability(reviews, handler, by_token, model_scores="score", job_name="texts", **at_once)
pictures = DataConfig(
    s3_data_input_path="s3://lake/photos/", s3_output_path="s3://lake/pictures", dataset_type="application/x-image"
)
of_images = ModelConfig(model_name="photos", instance_type="ml.m5.large", instance_count=1, content_type="image/jpeg")
segments = SHAPConfig(
    num_samples=20, image_config=ImageConfig(model_type="IMAGE_CLASSIFICATION", num_segments=4, segment_compactness=5)
)
scores = ModelPredictedLabelConfig(label_headers=["dark", "light"])
processor.run_explainability(pictures, of_images, segments, scores, job_name="pictures", **at_once)
processor.run_explainability(
    DataConfig(
        s3_data_input_path="s3://lake/rows.csv", s3_output_path="s3://lake/series", dataset_type="application/json",
        time_series_data_config=TimeSeriesDataConfig(
            target_time_series="target", item_id="id", timestamp="time",
            dataset_format=TimeSeriesJSONDatasetFormat.COLUMNS,
        ),
    ),
    ModelConfig(
        model_name="series", instance_type="ml.m5.large", instance_count=1, content_type="application/json",
        content_template="$records", record_template="$features",
        time_series_model_config=TimeSeriesModelConfig(forecast="forecast"),
    ),
    AsymmetricShapleyValueConfig(direction="chronological", granularity="timewise"),
    job_name="series", **at_once,
)
"""


def rows() -> list[list[Any]]:
    draw = random.Random(3)
    return [[draw.randint(18, 80), draw.randint(10, 60), draw.randint(1, 16), "xy"[n % 2], n % 2] for n in range(40)]


def as_csv(table: list[list[Any]]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(table)
    return written.getvalue().encode()


def good(body: bytes, content_type: str, accept: str) -> str:
    """A handler: how good a review sounds."""
    texts = [json.loads(line)["features"][0] for line in body.decode().split("\n")]
    return "\n".join(json.dumps({"score": 0.5 + 0.25 * ("good" in text) - 0.25 * ("bad" in text)}) for text in texts)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Two SavedModels without handler: of three numbers, and of pictures."""
    import tensorflow as tf

    class Census(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> dict[str, Any]:
            return {"score": tf.sigmoid(0.1 * (x[:, :1] - 40) + 0.02 * x[:, 1:2])}

    class Photos(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> dict[str, Any]:
            light = tf.reduce_mean(x, axis=[1, 2, 3])[:, None]
            return {"scores": tf.concat([1 - light, light], axis=1)}

    found = {}
    for name, module in (("census", Census()), ("photos", Photos())):
        folder = tmp_path_factory.mktemp(name)
        tf.saved_model.save(module, str(folder), signatures={"serving_default": module.__call__})
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            tar.add(folder, "1")
        found[name] = packed.getvalue()
    return found


@pytest.fixture(scope="module", params=SDKS)
def ran(archives: dict[str, bytes], request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """A cloud in which the notebook has run, and its jobs have ended."""
    python = ENVIRONMENTS / request.param / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{python} is missing: `make test` sets it up")
    from PIL import Image

    picture = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 60, 60)).save(picture, format="JPEG")
    objects = {
        "rows.csv": as_csv(rows()),
        "predicted.csv": as_csv([["said"], *([int(row[0] > 40)] for row in rows())]),
        "base/base.csv": as_csv([[40, 30, 10], [20, 40, 5]]),
        "base.csv.bak": b"of no use",
        "reviews.jsonl": "\n".join(
            json.dumps({"features": [text, "Books"]}) for text in ("a good book", "not bad, really good")
        ).encode(),
        "photos/red.jpg": picture.getvalue(),
        **{f"models/{name}.tar.gz": archive for name, archive in archives.items()},
    }
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    with Cloud(buckets=("lake",), endpoints={"reviews-dev": good}, schedules=False) as cloud:
        for key, body in objects.items():
            cloud.client("s3").put_object(Bucket="lake", Key=key, Body=body)
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = cloud.client("iam").create_role(RoleName="notebook", AssumeRolePolicyDocument=document)["Role"]["Arn"]
        for name in archives:
            container = {"Image": "serving", "ModelDataUrl": f"s3://lake/models/{name}.tar.gz"}
            cloud.client("sagemaker").create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=role)
        environment = {
            "AWS_ENDPOINT_URL": cloud.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "of-a-test",
            "AWS_SECRET_ACCESS_KEY": "of-a-test",
            "HOME": str(cloud.folder),
        }
        done = subprocess.run(
            [str(python), "-W", "ignore", "-c", SDKS[request.param] + NOTEBOOK, role],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        cloud.drain(timeout=300)
        yield cloud


def job(ran: Cloud, name: str) -> Job:
    return next(job for job in ran.jobs() if job.name == name)


def analysis(ran: Cloud, name: str) -> dict[str, Any]:
    found = job(ran, name)
    assert found.status == "Completed", f"{found.exit_message}\n{found.log[-2000:]}"
    content: dict[str, Any] = json.loads(read(ran, f"{name}/analysis.json"))
    return content


def read(ran: Cloud, key: str) -> bytes:
    return bytes(ran.client("s3").get_object(Bucket="lake", Key=key)["Body"].read())


def bias(content: dict[str, Any], when: str) -> dict[str, Any]:
    (facet,) = content[f"{when}_training_bias_metrics"]["facets"]["sex"]
    return {metric["name"]: metric["value"] for metric in facet["metrics"]}


def test_bias_before_training_needs_no_model(ran: Cloud) -> None:
    assert bias(analysis(ran, "pre"), "pre")["CI"] == 0
    assert "tensorflow" not in job(ran, "pre").log.lower()


def test_bias_of_a_model_by_name_is_measured_without_endpoint(ran: Cloud) -> None:
    scores = [1 / (1 + 2.718281828459045 ** -(0.1 * (row[0] - 40) + 0.02 * row[1])) for row in rows()]
    share = {
        sex: sum(score >= 0.8 for score, row in zip(scores, rows(), strict=True) if row[3] == sex) / 20 for sex in "xy"
    }
    assert bias(analysis(ran, "post"), "post")["DPPL"] == pytest.approx(share["y"] - share["x"])
    assert "the SageMaker Model census is loaded in this process, without endpoint" in job(ran, "post").log


def test_predictions_at_another_address_are_fetched(ran: Cloud) -> None:
    said = {sex: sum(row[0] > 40 for row in rows() if row[3] == sex) / 20 for sex in "xy"}
    assert bias(analysis(ran, "given"), "post")["DPPL"] == pytest.approx(said["y"] - said["x"])
    assert "fetching s3://lake/predicted.csv, which no input of the job brings" in job(ran, "given").log


def test_both_kinds_of_bias_in_one_job(ran: Cloud) -> None:
    content = analysis(ran, "bias")
    assert bias(content, "pre") == bias(analysis(ran, "pre"), "pre")
    assert bias(content, "post")["DPPL"] == bias(analysis(ran, "post"), "post")["DPPL"]


def test_attributions_and_dependence_with_a_baseline_by_address(ran: Cloud) -> None:
    content = analysis(ran, "explained")["explanations"]
    values = content["kernel_shap"]["income"]["global_shap_values"]
    assert values["age"] > values["hours"] > values["edu"] == pytest.approx(0, abs=1e-6)
    assert [(one["feature_name"], len(one["feature_values"])) for one in content["pdp"]] == [("age", 5)]
    table = list(csv.DictReader(io.StringIO(read(ran, "explained/explanations_shap/out.csv").decode())))
    assert (len(table), list(table[0])) == (40, ["age_income", "hours_income", "edu_income"])
    assert read(ran, "explained/report.html").startswith(b"<!doctype html>")


def test_bias_and_explanation_in_one_job(ran: Cloud) -> None:
    content = analysis(ran, "both")
    assert bias(content, "post")["DPPL"] == bias(analysis(ran, "post"), "post")["DPPL"]
    assert content["explanations"]["kernel_shap"] == analysis(ran, "explained")["explanations"]["kernel_shap"]


def test_texts_are_explained_through_their_endpoint(ran: Cloud) -> None:
    analysis(ran, "texts")
    (first, _) = map(json.loads, read(ran, "texts/explanations_shap/out.jsonl").decode().splitlines())
    review = next(one for one in first["explanations"] if one["feature_name"] == "review")
    told = {one["description"]["partial_text"]: one["attribution"][0] for one in review["attributions"]}
    assert told["good"] == pytest.approx(0.25)


def test_pictures_are_explained(ran: Cloud) -> None:
    analysis(ran, "pictures")
    keys = [found["Key"] for found in ran.client("s3").list_objects_v2(Bucket="lake", Prefix="pictures/")["Contents"]]
    assert any(key.endswith(".jpeg") for key in keys), keys


def test_what_is_not_built_says_so(ran: Cloud) -> None:
    found = job(ran, "series")
    assert found.status == "Failed"
    assert found.exit_message is not None
    assert found.exit_message.startswith("not yet: asymmetric_shapley_value; supported are shap, pdp")


def test_each_job_asks_for_what_the_contract_has(ran: Cloud) -> None:
    for one in ran.jobs():
        request = one.describe()
        assert [given["InputName"] for given in request["ProcessingInputs"]] == ["dataset", "analysis_config"]
        (output,) = request["ProcessingOutputConfig"]["Outputs"]
        assert output["OutputName"] == "analysis_result"
    assert ran.client("sagemaker").list_endpoints()["Endpoints"] == []
