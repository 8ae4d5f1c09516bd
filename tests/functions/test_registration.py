"""A judged model becomes a version in the Model Registry, once; what stands in the way holds up nothing."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from assay.evaluation import Metric
from assay.outcome import Outcome
from assay.run import Registration
from assay_aws import claims, clients
from assay_aws.run_store import RunStore
from publish_summary.handler import publish_summary
from start_evaluation.handler import start_evaluation
from start_explanation.handler import start_explanation

from .aws.test_announcing import clock_at
from .conftest import BUCKET, ENVIRONMENT, Aws, Uploaded, Wire, land, lost_answer, refused_with, report

QUALITY = b'{"binary_classification_metrics": {}}'
ANALYSIS = b'{"version": "1.0"}'
REGISTERED = """
task: tabular_classification
data: {source: test.csv, label: income, positive: ">50K"}
bias: {facets: [{column: sex, values: [Female]}]}
explain: {representative: {samples: 0}, chosen: {samples: 0}}
gates: [{metric: accuracy, min: 0.8}]
registry: {group: incomes}
"""


def judged(aws: Aws, policy: str = REGISTERED, group: str | None = "incomes", **fields: Any) -> Uploaded:
    """A run that has all its results, and where it is to be registered."""
    if group is not None:
        clients.sagemaker().create_model_package_group(ModelPackageGroupName=group)
    aws.put("models/test.csv", b"sex,income\n")
    uploaded = land(aws, policy=policy)
    aws.put("models/test.csv", b"sex,income\n")
    start_evaluation(uploaded.event)
    bias = {"sex=Female": {"CI": Metric(value=0.3), "DPPL": Metric(value=-0.1), "AD": Metric(reason="one class")}}
    found = report(**{"task": "tabular_classification", "bias": bias, **fields})
    aws.put(uploaded.folder.report, found.to_json())
    aws.put(uploaded.folder.model_quality, QUALITY)
    aws.put(uploaded.folder.analysis, ANALYSIS)
    aws.sagemaker.end(uploaded.job("evaluation"))
    start_explanation(uploaded.changed("evaluation"))
    aws.queued("publish-summary")
    return uploaded


def versions(group: str = "incomes") -> list[dict[str, Any]]:
    found = clients.sagemaker().list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    return [dict(clients.sagemaker().describe_model_package(ModelPackageName=one["ModelPackageArn"])) for one in found]


def registration(aws: Aws, uploaded: Uploaded) -> Registration:
    found = aws.state(uploaded.folder).registration
    assert found is not None
    return found


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def test_a_judged_model_is_registered_with_its_numbers(aws: Aws) -> None:
    uploaded = judged(aws)
    publish_summary(uploaded.due)
    (version,) = versions()
    folder = f"s3://{BUCKET}/{uploaded.folder.prefix}"
    (container,) = version["InferenceSpecification"]["Containers"]
    assert container["ModelDataUrl"] == f"{folder}input/model.tar.gz"
    assert container["Image"] == ENVIRONMENT["SERVING_IMAGE_URI"]
    assert version["InferenceSpecification"]["SupportedContentTypes"] == ["text/csv", "application/json"]
    assert version["ModelApprovalStatus"] == "PendingManualApproval"
    assert version["ModelPackageDescription"] == "digits passed 1 gate: accuracy 0.9 (at least 0.8)"
    assert version["CustomerMetadataProperties"] == {
        "assay:run": uploaded.folder.run,
        "assay:model": "digits",
        "assay:verdict": "pass",
        "assay:summary": f"{folder}summary.json",
    }
    bias = aws.get(uploaded.folder.bias)
    told = {"ContentType": "application/json"}
    assert version["ModelMetrics"] == {
        "ModelQuality": {
            "Statistics": {**told, "ContentDigest": digest(QUALITY), "S3Uri": f"{folder}evaluation/evaluation.json"}
        },
        "Bias": {"Report": {**told, "ContentDigest": digest(bias.encode()), "S3Uri": f"{folder}bias.json"}},
        "Explainability": {
            "Report": {**told, "ContentDigest": digest(ANALYSIS), "S3Uri": f"{folder}explanation/analysis.json"}
        },
    }
    assert json.loads(bias)["post_training_bias_metrics"] == {
        "label": "income",
        "label_value_or_threshold": ">50K",
        "facets": {
            "sex": [
                {
                    "value_or_threshold": "Female",
                    "metrics": [
                        {"name": "DPPL", "description": "DPPL", "value": -0.1},
                        {"name": "AD", "description": "AD", "value": None, "error": "one class"},
                    ],
                }
            ]
        },
    }


def test_the_package_is_told_to_people_and_programs(aws: Aws) -> None:
    uploaded = judged(aws)
    publish_summary(uploaded.due)
    (version,) = versions()
    package = version["ModelPackageArn"]
    assert registration(aws, uploaded) == Registration(
        group="incomes", approval="PendingManualApproval", package=package
    )
    assert f"\nRegistered   waits for approval: {package}\n" in aws.mails()[0]
    (event,) = aws.finished()
    assert Outcome.model_validate(event["detail"]).registration == registration(aws, uploaded)


@pytest.mark.parametrize(
    ("accuracy", "gates", "auto_approve", "approval"),
    [
        (0.9, "[{metric: accuracy, min: 0.8}]", True, "Approved"),
        (0.9, "[{metric: accuracy, min: 0.8}]", False, "PendingManualApproval"),
        (0.5, "[{metric: accuracy, min: 0.8}]", True, "Rejected"),
        (0.8, "[{metric: accuracy, min: 0.8}]", True, "PendingManualApproval"),  # inconclusive
        (0.9, "[]", True, "PendingManualApproval"),  # not judged
    ],
)
def test_the_verdict_decides_the_approval_and_only_a_pass_is_approved(
    aws: Aws, accuracy: float, gates: str, auto_approve: bool, approval: str
) -> None:
    policy = REGISTERED.replace("[{metric: accuracy, min: 0.8}]", gates)
    policy = policy.replace("incomes}", f"incomes, auto_approve: {str(auto_approve).lower()}}}")
    publish_summary(judged(aws, policy, accuracy=accuracy).due)
    (version,) = versions()
    assert version["ModelApprovalStatus"] == approval


def test_an_error_is_not_registered(aws: Aws) -> None:
    uploaded = judged(aws)
    aws.put(uploaded.folder.report, "{")
    publish_summary(uploaded.due)
    assert versions() == []
    assert aws.state(uploaded.folder).registration is None


def test_a_second_delivery_registers_nothing(aws: Aws) -> None:
    uploaded = judged(aws)
    for _ in range(3):
        publish_summary(uploaded.due)
    assert len(versions()) == 1


def test_a_crash_between_doing_and_marking_registers_once(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    uploaded = judged(aws)
    change = RunStore.change
    with monkeypatch.context() as broken:

        def dies_when_it_keeps(store: RunStore, how: Any) -> Any:
            if versions():
                raise ConnectionError
            return change(store, how)

        broken.setattr(RunStore, "change", dies_when_it_keeps)
        with pytest.raises(ConnectionError):
            publish_summary(uploaded.due)
    assert (len(versions()), aws.mails()) == (1, [])
    publish_summary(uploaded.due)  # the lease of who died holds
    assert aws.mails() == []
    monkeypatch.setattr(claims, "datetime", clock_at(aws.state(uploaded.folder).claims["registration"].until))
    publish_summary(uploaded.due)
    (version,) = versions()
    assert registration(aws, uploaded).package == version["ModelPackageArn"]
    assert len(aws.mails()) == 1


def test_a_lost_answer_registers_once(aws: Aws, wire: Wire) -> None:
    uploaded = judged(aws)
    wire.next("CreateModelPackage", lost_answer)
    publish_summary(uploaded.due)
    assert len(versions()) == 1


def refused(code: str) -> Any:
    body = json.dumps({"__type": code, "message": "User is not authorized"})
    return lambda carry_out: (400, {}, body)


def test_a_group_that_does_not_exist_holds_up_neither_verdict_nor_notice(aws: Aws) -> None:
    uploaded = judged(aws, group=None)
    publish_summary(uploaded.due)
    failure = registration(aws, uploaded).failure
    assert failure is not None
    assert failure.error == "BadSettings"
    assert failure.message.startswith("model package group incomes: ")
    assert "does not exist" in failure.message
    (mail,) = aws.mails()
    assert mail.startswith("PASS: ")
    assert f"\nRegistered   no: {failure.message}\n" in mail
    (event,) = aws.finished()
    assert (event["detail"]["verdict"], event["detail"]["severity"]) == ("pass", "warning")
    publish_summary(uploaded.due)
    assert aws.mails() == [mail]


def test_a_denied_registration_says_what_to_allow(aws: Aws, wire: Wire) -> None:
    uploaded = judged(aws)
    wire.next("CreateModelPackage", refused("AccessDeniedException"))
    publish_summary(uploaded.due)
    failure = registration(aws, uploaded).failure
    assert failure is not None
    assert failure.message == (
        "access denied: sagemaker:CreateModelPackage on group incomes (the stack's ModelPackageGroup): "
        "User is not authorized"
    )


def test_while_the_registry_is_away_the_notice_waits_and_nothing_is_lost(
    aws: Aws, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = judged(aws)
    wire.next("CreateModelPackage", *[refused_with(503)] * 6)
    with pytest.raises(ClientError, match="503"):
        publish_summary(uploaded.due)
    assert (aws.mails(), aws.finished(), versions()) == ([], [], [])
    assert json.loads(aws.get(uploaded.folder.summary_json))["verdict"] == "pass"
    monkeypatch.setattr(claims, "datetime", clock_at(aws.state(uploaded.folder).claims["registration"].until))
    publish_summary(uploaded.due)
    assert (len(aws.mails()), len(versions())) == (1, 1)


def test_without_an_image_that_serves_it_nothing_is_registered(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVING_IMAGE_URI", "")
    uploaded = judged(aws)
    publish_summary(uploaded.due)
    assert versions() == []
    assert "ServingImageUri is empty" in str(registration(aws, uploaded).failure)


@pytest.mark.parametrize(
    ("task", "model", "handler", "takes"),
    [
        ("image_classification", "{}", False, ["application/json"]),
        ("image_classification", "{}", True, ["image/jpeg", "image/png"]),
        ("image_classification", "{predictor: endpoint, content_type: image/png}", True, ["image/png"]),
    ],
)
def test_what_the_endpoint_takes_is_told(aws: Aws, task: str, model: str, handler: bool, takes: list[str]) -> None:
    policy = f"{{task: {task}, data: {{source: test/}}, model: {model}, registry: {{group: incomes}}}}"
    facts = report().model.model_copy(update={"handler": handler})
    with pytest.MonkeyPatch.context() as allowed:
        allowed.setenv("ALLOW_ENDPOINT_PREDICTOR", "true")
        uploaded = judged(aws, policy, task=task, bias={}, model=facts.model_dump())
    publish_summary(uploaded.due)
    (version,) = versions()
    assert version["InferenceSpecification"]["SupportedContentTypes"] == takes
    assert "Bias" not in version["ModelMetrics"]


def test_an_address_that_the_registry_would_refuse_is_left_out(aws: Aws) -> None:
    clients.sagemaker().create_model_package_group(ModelPackageGroupName="incomes")
    uploaded = land(aws, policy=REGISTERED, key="models/a 'name' (1)/model.tar.gz")
    aws.put("models/test.csv", b"sex,income\n")
    start_evaluation(uploaded.event)
    aws.put(uploaded.folder.report, report(task="tabular_classification", explain=None).to_json())
    aws.sagemaker.end(uploaded.job("evaluation"))
    publish_summary(uploaded.due)
    (version,) = versions()
    assert version["CustomerMetadataProperties"] == {"assay:run": uploaded.folder.run, "assay:verdict": "pass"}


def test_a_run_whose_policy_names_no_group_is_not_registered(aws: Aws) -> None:
    uploaded = judged(aws, REGISTERED.replace("registry: {group: incomes}", ""))
    publish_summary(uploaded.due)
    assert versions() == []
    assert "Registered" not in aws.mails()[0]
