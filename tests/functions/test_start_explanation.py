import json
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest

from assay.errors import BadPolicy
from assay.evaluation import Explainable
from assay.policy import read_policy
from assay.run import Run
from assay_aws.settings import ExplanationSettings
from start_evaluation.handler import start_evaluation
from start_explanation.analysis_config import analysis_config
from start_explanation.handler import start_explanation

from .conftest import BUCKET, ENVIRONMENT, IMAGES, POLICY, ROWS, SAMPLES, Aws, Uploaded, land, report

SAGEMAKER = Path(__file__).parents[2] / ".envs" / "sagemaker" / "bin" / "python"


def evaluated(aws: Aws, explain: Explainable | None = IMAGES, policy: str = POLICY) -> Uploaded:
    """A run whose evaluation is complete."""
    uploaded = land(aws, policy=policy)
    start_evaluation(uploaded.event)
    aws.put(uploaded.folder.report, report(explain=explain).to_json())
    aws.put(uploaded.folder.samples, SAMPLES.to_json())
    aws.sagemaker.end(uploaded.job("evaluation"))
    return uploaded


def inputs_of(job: dict[str, Any]) -> dict[str, str]:
    return {given["InputName"]: given["S3Input"]["LocalPath"] for given in job["ProcessingInputs"]}


def test_a_complete_evaluation_starts_its_explanation_on_our_engine(aws: Aws) -> None:
    uploaded = evaluated(aws)
    start_explanation(uploaded.changed("evaluation"))
    job = aws.sagemaker.jobs[uploaded.job("explanation")]
    assert inputs_of(job) == {
        "analysis_config": "/opt/ml/processing/input/config",
        "dataset": "/opt/ml/processing/input/data",
        "model": "/opt/ml/processing/input/model",
        "run": "/opt/ml/processing/input/run",
        "samples": "/opt/ml/processing/input/samples",
    }
    assert job["NetworkConfig"] == {"EnableNetworkIsolation": True}
    assert [output["OutputName"] for output in job["ProcessingOutputConfig"]["Outputs"]] == ["analysis_result"]
    assert aws.state(uploaded.folder).progress == "explaining"
    assert aws.state(uploaded.folder).serving_model is None


def test_clarify_is_started_exactly_as_its_contract_asks(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLAINER_ENGINE", "clarify")
    monkeypatch.setenv("EXPLAINER_IMAGE_URI", "of-aws/sagemaker-clarify-processing:1.0")
    uploaded = evaluated(aws, ROWS)
    start_explanation(uploaded.changed("evaluation"))
    name = uploaded.job("explanation")
    job = aws.sagemaker.jobs[name]
    assert inputs_of(job) == {
        "analysis_config": "/opt/ml/processing/input/config",
        "dataset": "/opt/ml/processing/input/data",
    }
    assert job["AppSpecification"] == {"ImageUri": "of-aws/sagemaker-clarify-processing:1.0"}
    assert job["NetworkConfig"] == {"EnableNetworkIsolation": False}
    (output,) = job["ProcessingOutputConfig"]["Outputs"]
    assert (output["OutputName"], output["S3Output"]["LocalPath"]) == ("analysis_result", "/opt/ml/processing/output")
    config = json.loads(aws.get(uploaded.folder.analysis_config))
    assert config["predictor"]["model_name"] == name == aws.state(uploaded.folder).serving_model
    model = boto3.client("sagemaker").describe_model(ModelName=name)
    assert model["PrimaryContainer"]["ModelDataUrl"] == f"s3://{BUCKET}/{uploaded.folder.archive}"
    assert model["PrimaryContainer"]["Image"] == ENVIRONMENT["SERVING_IMAGE_URI"]


def test_clarify_is_not_started_on_pictures_that_no_endpoint_would_take(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPLAINER_ENGINE", "clarify")
    uploaded = evaluated(aws, IMAGES)
    start_explanation(uploaded.changed("evaluation"))
    state = aws.state(uploaded.folder)
    assert "expected code/inference.py in the archive, found none" in state.failures["explanation"].message
    assert (state.job("explanation"), state.serving_model) == (None, None)


def test_a_second_completion_event_starts_nothing(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLAINER_ENGINE", "clarify")
    uploaded = evaluated(aws, ROWS)
    for _ in range(3):
        start_explanation(uploaded.changed("evaluation"))
    assert aws.sagemaker.creations == 2


def test_a_lambda_killed_after_the_start_is_followed_by_one_that_finishes(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPLAINER_ENGINE", "clarify")
    uploaded = evaluated(aws, ROWS)
    before = aws.get(uploaded.folder.state_json)
    start_explanation(uploaded.changed("evaluation"))
    aws.put(uploaded.folder.state_json, before)
    start_explanation(uploaded.changed("evaluation"))
    assert len(aws.sagemaker.jobs) == 2
    assert aws.state(uploaded.folder).progress == "explaining"


def test_a_completion_before_our_create_call_returned_converges(aws: Aws) -> None:
    uploaded = evaluated(aws)
    aws.s3.delete_object(Bucket=BUCKET, Key=uploaded.folder.state_json)
    start_explanation(uploaded.changed("evaluation"))
    assert len(aws.sagemaker.jobs) == 1
    start_evaluation(uploaded.due)
    start_explanation(uploaded.changed("evaluation"))
    start_evaluation(uploaded.due)
    assert aws.state(uploaded.folder).progress == "explaining"


def test_describe_decides_and_not_the_event(aws: Aws) -> None:
    uploaded = land(aws)
    start_evaluation(uploaded.event)
    start_explanation(uploaded.changed("evaluation"))
    assert len(aws.sagemaker.jobs) == 1
    aws.sagemaker.end(uploaded.job("evaluation"), "Failed")
    start_explanation(uploaded.changed("evaluation"))
    assert len(aws.sagemaker.jobs) == 1
    assert aws.due("publish-summary") == [uploaded.folder.run]


def test_anothers_job_and_a_run_that_has_ended_do_nothing(aws: Aws) -> None:
    uploaded = evaluated(aws)
    event = uploaded.changed("evaluation")
    event["detail"]["ProcessingJobName"] = event["detail"]["ProcessingJobName"].replace("assay-", "essay-")
    start_explanation(event)
    aws.s3.delete_object(Bucket=BUCKET, Key=f"active/{uploaded.folder.run}")
    start_explanation(uploaded.changed("evaluation"))
    assert len(aws.sagemaker.jobs) == 1


def test_where_nothing_is_to_be_explained_the_summary_is_next(aws: Aws) -> None:
    uploaded = evaluated(aws, None)
    start_explanation(uploaded.changed("evaluation"))
    assert aws.due("publish-summary") == [uploaded.folder.run]
    assert len(aws.sagemaker.jobs) == 1


def test_a_missing_report_is_the_evaluations_failure(aws: Aws) -> None:
    uploaded = evaluated(aws)
    aws.s3.delete_object(Bucket=BUCKET, Key=uploaded.folder.report)
    start_explanation(uploaded.changed("evaluation"))
    assert "report.json is missing" in aws.state(uploaded.folder).failures["evaluation"].message
    assert aws.due("publish-summary") == [uploaded.folder.run]


def test_what_cannot_be_explained_goes_to_the_summary(aws: Aws) -> None:
    uploaded = evaluated(aws)
    aws.sagemaker.refusals = [("AccessDeniedException", "not authorized to perform: iam:PassRole")]
    start_explanation(uploaded.changed("evaluation"))
    assert "iam:PassRole" in aws.state(uploaded.folder).failures["explanation"].message
    assert aws.due("publish-summary") == [uploaded.folder.run]


def test_a_full_quota_lets_the_explanation_wait(aws: Aws) -> None:
    uploaded = evaluated(aws)
    aws.sagemaker.refusals = [("ResourceLimitExceeded", "The account-level service limit 'x' is 2 Instances")]
    start_explanation(uploaded.changed("evaluation"))
    waiting = aws.state(uploaded.folder).waiting
    assert waiting is not None
    assert (waiting.stage, waiting.instance_type) == ("explanation", "ml.c5.xlarge")
    start_explanation(uploaded.due)
    assert aws.state(uploaded.folder).waiting is None


# The configuration

VALIDATE = """
import json, sys
from sagemaker.core.clarify import ANALYSIS_CONFIG_SCHEMA_V1_0
for config in json.load(sys.stdin):
    ANALYSIS_CONFIG_SCHEMA_V1_0.validate(config)
"""


def config(
    explain: Explainable, model: dict[str, Any] | None = None, data: dict[str, Any] | None = None, **explain_policy: Any
) -> dict[str, Any]:
    task = "image_classification" if explain.kind == "images" else "tabular_classification"
    content = {"task": task, "data": {"source": "x/"} | (data or {}), "model": model or {}, "explain": explain_policy}
    policy = read_policy(content)
    run = Run.model_validate(
        {
            "id": "r" * 20,
            "model": "digits",
            "upload": {"bucket": BUCKET, "key": "k"},
            "opened_at": "2026-01-01T00:00:00Z",
            "policy": policy,
        }
    )
    return analysis_config(run, explain, "a-model", ExplanationSettings.from_environment(ENVIRONMENT))


NAMED = {
    "predictor": "endpoint",
    "endpoint_name": "reviews-dev",
    "content_type": "application/json",
    "content_template": {"rows": "$records"},
    "record_template": "$features_kvp",
    "predicted_label": "[*].label",
    "custom_attributes": "a=b",
    "target_model": "one.tar.gz",
}
OWN = {"predictor": "endpoint", "instance_type": "ml.c5.large", "probability": 0}

TEXTS = ROWS.model_copy(
    update={
        "headers": ("review", "kind", "stars", "assay_id"),
        "label": "stars",
        "types": {"review": "text", "kind": "categorical"},
    }
)

CONFIGS: list[tuple[Explainable, dict[str, Any]]] = [
    (ROWS, {"model": NAMED}),
    (ROWS, {"model": OWN}),
    (IMAGES, {}),
    (IMAGES, {"num_samples": 50, "num_segments": 12, "segment_compactness": 10, "seed": 3, "baseline": [[0, 0, 0]]}),
    (ROWS, {}),
    (ROWS, {"baseline": {"clusters": 3}, "num_samples": 100}),
    (ROWS, {"baseline": [[1, 2], [3, 4]]}),
    (ROWS, {"baseline": [{"hours": 2, "age": 1}]}),
    (IMAGES, {"model": {"predictor": "endpoint"}}),
    (IMAGES, {"baseline": "blur", "classes": ["dog"]}),
    (IMAGES, {"model": {"predictor": "endpoint", "content_type": "application/x-npy", "endpoint_name": "birds"}}),
    (IMAGES, {"model": {"predictor": "endpoint", "content_type": "application/x-image", "target_model": "a.tar.gz"}}),
    (TEXTS, {"model": NAMED, "granularity": "sentence", "baseline": [["ok", "Books"]]}),
]


@pytest.mark.skipif(not SAGEMAKER.exists(), reason=f"{SAGEMAKER} is missing: `make test` sets it up")
def test_every_configuration_is_valid_by_awss_own_schema() -> None:
    configs = [config(explain, **policy) for explain, policy in CONFIGS]
    for one in configs:
        one.pop("column_types", None)  # which goes to our engine alone
    done = subprocess.run(
        [str(SAGEMAKER), "-W", "ignore", "-c", VALIDATE],
        input=json.dumps(configs),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_policys_endpoint_is_asked_as_the_evaluation_asked_it() -> None:
    assert config(ROWS, NAMED)["predictor"] == {
        "endpoint_name": "reviews-dev",
        "content_type": "application/json",
        "content_template": {"rows": "$records"},
        "record_template": "$features_kvp",
        "label": "[*].label",
        "custom_attributes": "a=b",
        "target_model": "one.tar.gz",
        "label_headers": ["low", "high"],
    }
    assert config(ROWS, OWN)["predictor"] == {
        "model_name": "a-model",
        "instance_type": "ml.c5.large",
        "initial_instance_count": 1,
        "endpoint_name_prefix": f"assay-{'r' * 20}",
        "content_type": "text/csv",
        "probability": 0,
        "label_headers": ["low", "high"],
    }


@pytest.mark.parametrize(
    ("said", "written"),
    [
        (None, "image/jpeg"),
        ("application/x-image", "image/jpeg"),
        ("image/png", "image/png"),
        ("application/x-npy", "application/x-npy"),
    ],
)
def test_pictures_go_to_the_policys_endpoint_as_awss_schema_can_say_it(said: str | None, written: str) -> None:
    model = {"predictor": "endpoint", "endpoint_name": "birds", "probability": "p"} | (
        {"content_type": said} if said else {}
    )
    assert config(IMAGES, model)["predictor"] == {
        "endpoint_name": "birds",
        "content_type": written,
        "accept_type": "application/json",
        "probability": "p",
        "label_headers": list(IMAGES.label_headers),
    }


def test_clarify_may_ask_the_endpoint_that_answered_about_pictures(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLAINER_ENGINE", "clarify")
    monkeypatch.setenv("ALLOW_ENDPOINT_PREDICTOR", "true")
    monkeypatch.setenv("ENDPOINT_ARNS", "arn:aws:sagemaker:us-east-1:1:endpoint/birds")
    policy = {
        "task": "image_classification",
        "data": {"source": "test/"},
        "model": {"predictor": "endpoint", "endpoint_name": "birds"},
    }
    uploaded = evaluated(aws, IMAGES, json.dumps(policy))
    found = report(explain=IMAGES)
    answered = found.model_copy(update={"model": found.model.model_copy(update={"format": "endpoint"})})
    aws.put(uploaded.folder.report, answered.to_json())
    start_explanation(uploaded.changed("evaluation"))
    assert aws.state(uploaded.folder).failures == {}
    assert json.loads(aws.get(uploaded.folder.analysis_config))["predictor"]["endpoint_name"] == "birds"


@pytest.mark.parametrize("endpoint", [None, "reviews-dev"])
def test_a_job_that_asks_an_endpoint_has_a_network_and_no_model(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, endpoint: str | None
) -> None:
    monkeypatch.setenv("ALLOW_ENDPOINT_PREDICTOR", "true")
    monkeypatch.setenv("ENDPOINT_ARNS", "arn:aws:sagemaker:us-east-1:1:endpoint/reviews-*")
    model = {"predictor": "endpoint"} | ({"endpoint_name": endpoint} if endpoint else {})
    policy = {"task": "tabular_classification", "data": {"source": "test.csv", "label": "income"}, "model": model}
    uploaded = evaluated(aws, ROWS, json.dumps(policy))
    start_explanation(uploaded.changed("evaluation"))
    job = aws.sagemaker.jobs[uploaded.job("explanation")]
    assert set(inputs_of(job)) == {"analysis_config", "dataset", "run", "samples"}
    assert job["NetworkConfig"] == {"EnableNetworkIsolation": False}
    asked = json.loads(aws.get(uploaded.folder.analysis_config))["predictor"]
    if endpoint is None:
        assert asked["model_name"] == aws.state(uploaded.folder).serving_model == uploaded.job("evaluation")
    else:
        assert asked["endpoint_name"] == endpoint
        assert aws.state(uploaded.folder).serving_model is None


def test_texts_are_explained_by_the_policys_units_and_language() -> None:
    found = config(TEXTS, granularity="paragraph", data={"language": "French"})
    assert found["methods"]["shap"]["text_config"] == {"granularity": "paragraph", "language": "fr"}
    assert found["column_types"] == {"review": "text", "kind": "categorical"}
    assert config(TEXTS)["methods"]["shap"]["text_config"] == {"granularity": "token", "language": "xx"}
    assert "baseline" not in found["methods"]["shap"]  # which drops what is absent
    assert "text_config" not in config(ROWS)["methods"]["shap"]


def test_rows_say_which_column_is_what() -> None:
    rows = config(ROWS)
    assert rows["headers"] == ["age", "hours", "income", "assay_id"]
    assert (rows["label"], rows["joinsource_name_or_index"]) == ("income", "assay_id")
    assert rows["predictor"]["label_headers"] == ["low", "high"]
    assert "baseline" not in rows["methods"]["shap"]


def test_a_baseline_row_is_in_the_features_order_however_it_is_given() -> None:
    assert config(ROWS, baseline=[{"hours": 2, "age": 1}])["methods"]["shap"]["baseline"] == [[1, 2]]
    assert config(ROWS, baseline={"clusters": 3})["methods"]["shap"]["num_clusters"] == 3


@pytest.mark.parametrize("engine", ["assay", "clarify"])
def test_a_baseline_by_address_is_an_input_of_our_job_and_clarify_fetches_it(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setenv("EXPLAINER_ENGINE", engine)
    aws.put("models/baseline.csv", "1,2\n")
    uploaded = evaluated(aws, ROWS, POLICY + "explain: {baseline: baseline.csv}\n")
    start_explanation(uploaded.changed("evaluation"))
    asked = json.loads(aws.get(uploaded.folder.analysis_config))
    address = f"s3://{BUCKET}/models/baseline.csv"
    assert asked["methods"]["shap"]["baseline"] == address
    job = aws.sagemaker.jobs[uploaded.job("explanation")]
    given = {one["InputName"]: one["S3Input"] for one in job["ProcessingInputs"]}.get("baseline")
    if engine == "clarify":
        assert given is None
    else:
        assert given is not None
        assert (given["S3Uri"], given["LocalPath"]) == (address, "/opt/ml/processing/input/baseline")


@pytest.mark.parametrize(
    ("address", "said"),
    [("nowhere.csv", "nowhere.csv does not exist"), ("s3://lake/x.csv", "location not allowed; the deployer allows")],
)
def test_a_baseline_that_cannot_be_had_is_told_before_anything_is_started(aws: Aws, address: str, said: str) -> None:
    uploaded = land(aws, policy=POLICY + f"explain: {{baseline: {address}}}\n")
    start_evaluation(uploaded.event)
    rejected = aws.run(uploaded.folder).rejected
    assert rejected is not None
    assert said in rejected.message
    assert not aws.sagemaker.jobs


@pytest.mark.parametrize(
    ("baseline", "said"),
    [([[1, 2, 3]], "row 1: 3 values, expected 2: age, hours"), ([{"age": 1}], "row 1: has age, expected age, hours")],
)
def test_a_baseline_of_other_features_is_refused(baseline: Any, said: str) -> None:
    with pytest.raises(BadPolicy, match=said):
        config(ROWS, baseline=baseline)


def test_images_have_a_bounded_number_of_coalitions_and_an_integer_compactness() -> None:
    shap = config(IMAGES)["methods"]["shap"]
    assert shap["num_samples"] == 500
    assert type(shap["image_config"]["segment_compactness"]) is int


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("blur", {"blur": 10.0}),
        ({"blur": 3}, {"blur": 3.0}),
        ("noise", None),
        (None, None),
        ([[9, 9, 9]], [[9, 9, 9]]),
    ],
)
def test_what_a_pictures_segments_are_replaced_by(said: Any, written: Any) -> None:
    assert config(IMAGES, baseline=said)["methods"]["shap"].get("baseline") == written


@pytest.mark.parametrize(("baseline", "said"), [("blur", "Blur(blur=10.0)"), ([[0]], "((0,),)")])
def test_clarify_is_not_asked_for_a_baseline_that_it_does_not_know(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, baseline: Any, said: str
) -> None:
    monkeypatch.setenv("EXPLAINER_ENGINE", "clarify")
    policy = {"task": "image_classification", "data": {"source": "test/"}, "explain": {"baseline": baseline}}
    uploaded = evaluated(aws, IMAGES, json.dumps(policy))
    start_explanation(uploaded.changed("evaluation"))
    message = aws.state(uploaded.folder).failures["explanation"].message
    assert f"explain.baseline: Clarify knows noise and the address of a picture, found {said}" in message


def test_named_classes_are_those_that_clarify_looks_at_too() -> None:
    def debug(*classes: str) -> Any:
        return config(IMAGES, classes=classes)["methods"]["shap"]["image_config"].get("debug")

    assert debug("dog", "cat") == {"class_ids": [1, 0]}
    assert debug("dog") == {"class_ids": [1]}
    assert debug("predicted", "dog") is None  # Clarify has no word for the predicted one
    assert debug("predicted", "true") is None
    assert debug() is None
    with pytest.raises(BadPolicy, match=r"explain\.classes: 'cow' is neither predicted nor true nor .* cat, dog$"):
        debug("predicted", "cow")


def test_a_detectors_explanation_says_which_objects_and_how_much_around_them() -> None:
    content: dict[str, Any] = {
        "task": "object_detection",
        "data": {"source": "x/", "annotations": "boxes.csv"},
        "evaluate": {"score_threshold": 0.6},
        "explain": {"max_objects": 5, "context": 0, "iou_threshold": 1},
    }
    run = Run.model_validate(
        {
            "id": "r" * 20,
            "model": "cells",
            "upload": {"bucket": BUCKET, "key": "k"},
            "opened_at": "2026-01-01T00:00:00Z",
            "policy": read_policy(content),
        }
    )
    found = analysis_config(run, IMAGES, "a-model", ExplanationSettings.from_environment(ENVIRONMENT))
    image_config = found["methods"]["shap"]["image_config"]
    assert image_config["model_type"] == "OBJECT_DETECTION"
    assert (image_config["max_objects"], image_config["context"], image_config["iou_threshold"]) == (5, 0.0, 1.0)
    assert [type(image_config[key]) for key in ("context", "iou_threshold")] == [float, float]  # AWS's schema wants it
    assert found["probability_threshold"] == 0.6
    assert "max_objects" not in config(IMAGES)["methods"]["shap"]["image_config"]
