"""The template is the only router: which event reaches which function, with which environment and permissions."""

import hashlib
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.validate import ParamValidator
from moto.events.models import Rule, events_backends

from assay.events import Upload
from assay.outcome import RunFinished
from assay_aws.settings import EvaluationSettings, ExplanationSettings, Settings, SummarySettings, SweepSettings
from assay_local.clients import service_model
from assay_local.cloud import Cloud
from assay_local.resource_policy import Request, allows
from assay_local.stack import read

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "events"
BUCKET = "assay-bucket-1a2b3c4d5e6f"  # of the event files

SETTINGS: dict[str, type[Settings]] = {
    "StartEvaluationFunction": EvaluationSettings,
    "StartExplanationFunction": ExplanationSettings,
    "PublishSummaryFunction": SummarySettings,
    "SweepFunction": SweepSettings,
}
# What each event file must reach, and nothing else.
TARGETS = {
    "model-uploaded": "assay-start-evaluation",
    "run-requested": "assay-start-evaluation",
    "evaluation-completed": "assay-start-explanation",
    "evaluation-failed": "assay-publish-summary",
    "explanation-completed": "assay-publish-summary",
    "explanation-failed": "assay-publish-summary",
    "run-finished": None,  # for rules of others
    "step-due": None,  # sent to a queue directly
    "schedule": None,  # invokes the sweep directly
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud(parameters={"ExistingBucketName": BUCKET}, buckets=(BUCKET,), schedules=False) as cloud:
        yield cloud


def template() -> dict[str, Any]:
    return read(ROOT / "template.yaml")


def event(name: str) -> dict[str, Any]:
    return dict(json.loads((EVENTS / f"{name}.json").read_text()))


def rules(cloud: Cloud) -> list[Rule]:
    bus = events_backends[cloud.account][cloud.region].event_buses["default"]
    return [rule for rule in bus.rules.values() if rule.event_pattern.get_pattern()]


def queues_reached(cloud: Cloud, event: dict[str, Any]) -> list[str]:
    return [
        target["Arn"].rsplit(":", 1)[-1]
        for rule in rules(cloud)
        if rule.event_pattern.matches_event(event)  # type: ignore[arg-type]
        for target in rule.targets
    ]


def test_there_is_an_event_file_for_each_way_in() -> None:
    assert {path.stem for path in EVENTS.glob("*.json")} == set(TARGETS)


@pytest.mark.parametrize(("name", "queue"), TARGETS.items())
def test_each_event_reaches_its_queue_and_no_other(cloud: Cloud, name: str, queue: str | None) -> None:
    assert queues_reached(cloud, event(name)) == ([] if queue is None else [queue])


@pytest.mark.parametrize("name", ["evaluation-completed", "evaluation-failed", "explanation-completed"])
@pytest.mark.parametrize("prefix", ["assay2", "essay", "x-assay", "assayer"])
def test_another_stacks_jobs_reach_nothing(cloud: Cloud, name: str, prefix: str) -> None:
    changed = event(name)
    job = changed["detail"]["ProcessingJobName"]
    changed["detail"]["ProcessingJobName"] = job.replace("assay-", f"{prefix}-", 1)
    assert queues_reached(cloud, changed) == []


@pytest.mark.parametrize("status", ["InProgress", "Stopping"])
def test_a_job_that_has_not_ended_reaches_nothing(cloud: Cloud, status: str) -> None:
    for name in ("evaluation-completed", "explanation-completed"):
        changed = event(name)
        changed["detail"]["ProcessingJobStatus"] = status
        assert queues_reached(cloud, changed) == []


@pytest.mark.parametrize("stage", ["evaluation", "explanation"])
def test_a_stopped_job_reaches_the_summary(cloud: Cloud, stage: str) -> None:
    changed = event(f"{stage}-completed")
    changed["detail"]["ProcessingJobStatus"] = "Stopped"
    assert queues_reached(cloud, changed) == ["assay-publish-summary"]


@pytest.mark.parametrize(
    ("key", "reaches"),
    [
        ("models/birds/model.tar.gz", True),
        ("models/team a/birds+%2F/ü/7/model.tar.gz", True),
        ("models/model.tar.gz", False),
        ("models/birds/model.tar.gz.bak", False),
        ("models/birds/data.csv", False),
        ("models/birds/", False),
        ("old/models/birds/model.tar.gz", False),
        ("runs/birds/x/input/model.tar.gz", False),
    ],
)
def test_only_archives_below_models_are_uploads(cloud: Cloud, key: str, reaches: bool) -> None:
    uploaded = event("model-uploaded")
    uploaded["detail"]["object"]["key"] = key
    assert queues_reached(cloud, uploaded) == (["assay-start-evaluation"] if reaches else [])


def test_the_example_of_a_schedule_asks_for_a_run(cloud: Cloud) -> None:
    """What EventBridge Scheduler puts on the bus, and the names that its API takes."""
    schedule = json.loads((EVENTS / "schedules" / "nightly.json").read_text())
    taken = service_model("scheduler").operation_model("CreateSchedule").input_shape
    assert taken is not None
    assert not ParamValidator().validate(schedule, taken).has_errors()
    target = schedule["Target"]
    names = target["EventBridgeParameters"]
    detail = json.loads(target["Input"].replace("<aws.scheduler.scheduled-time>", "2026-11-12T02:00:00Z"))
    asked = {**event("run-requested"), "source": names["Source"], "detail-type": names["DetailType"], "detail": detail}
    assert queues_reached(cloud, asked) == ["assay-start-evaluation"]
    assert Upload.of_event(asked).request == "nightly 2026-11-12T02:00:00Z"


@pytest.mark.parametrize("name", ["model-uploaded", "run-requested"])
def test_another_buckets_events_reach_nothing(cloud: Cloud, name: str) -> None:
    text = (EVENTS / f"{name}.json").read_text().replace(BUCKET, "another")
    assert queues_reached(cloud, json.loads(text)) == []


def test_each_rules_queue_lets_it_in_and_so_does_the_dead_letter_queue(cloud: Cloud) -> None:
    found = rules(cloud)
    assert len(found) == 5
    for rule in found:
        for target in rule.targets:
            for arn in (target["Arn"], target["DeadLetterConfig"]["Arn"]):
                queue = arn.rsplit(":", 1)[-1]
                request = Request("events.amazonaws.com", "sqs:SendMessage", arn, {"aws:SourceArn": rule.arn})
                assert allows(cloud.stack.queue_policies[queue], request), f"{rule.name} → {queue}"
                foreign = Request("events.amazonaws.com", "sqs:SendMessage", arn, {"aws:SourceArn": rule.arn + "2"})
                assert not allows(cloud.stack.queue_policies[queue], foreign)


def test_the_messages_hold_the_events_as_they_are() -> None:
    wrapped = {path.stem for path in (EVENTS / "sqs").glob("*.json")}
    assert wrapped == set(TARGETS) - {"schedule", "run-finished"}
    for name in wrapped:
        (record,) = event(f"sqs/{name}")["Records"]
        assert json.loads(record["body"]) == event(name)
        assert record["md5OfBody"] == hashlib.md5(record["body"].encode(), usedforsecurity=False).hexdigest()
        assert record["eventSourceARN"].endswith(TARGETS[name] or "assay-publish-summary")


def functions() -> dict[str, dict[str, Any]]:
    return {
        name: resource["Properties"]
        for name, resource in template()["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def test_every_function_is_known_here() -> None:
    assert set(functions()) == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_functions_handler_can_be_called(name: str) -> None:
    module, _, attribute = functions()[name]["Handler"].rpartition(".")
    assert callable(getattr(importlib.import_module(module), attribute))


@pytest.mark.parametrize(("name", "settings"), SETTINGS.items())
def test_a_functions_environment_is_what_its_settings_read(name: str, settings: type[Settings], cloud: Cloud) -> None:
    environment = cloud.stack.functions[name].environment
    ours = {variable for variable in environment if not variable.startswith("POWERTOOLS_")}
    assert ours == {field.upper() for field in settings.model_fields}
    settings.from_environment(environment)


def test_every_queue_outlives_its_functions_time_out_and_keeps_what_failed() -> None:
    resources = template()["Resources"]
    queues = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::SQS::Queue"]
    assert len(queues) == 4
    for queue in queues:
        assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600
    fed = [queue for queue in queues if "RedrivePolicy" in queue]
    timeout = template()["Globals"]["Function"]["Timeout"]
    assert [(q["VisibilityTimeout"], q["RedrivePolicy"]["maxReceiveCount"]) for q in fed] == [(6 * timeout, 100)] * 3


def test_every_queue_feeds_its_function_two_at_a_time() -> None:
    for name in set(SETTINGS) - {"SweepFunction"}:
        source = functions()[name]["Events"]["Queue"]["Properties"]
        assert source["Queue"] == {"Fn::GetAtt": [name.replace("Function", "Queue"), "Arn"]}
        assert source["ScalingConfig"] == {"MaximumConcurrency": 2}
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_every_parameter_is_described_and_bounded() -> None:
    bounds = {"AllowedPattern", "AllowedValues", "MaxLength", "MaxValue"}
    for name, parameter in template()["Parameters"].items():
        assert parameter.get("Description"), name
        assert bounds & set(parameter) or parameter["Type"] == "CommaDelimitedList", name


def test_no_role_may_do_everything_anywhere() -> None:
    statements = [
        statement for properties in functions().values() for statement in properties["Policies"][0]["Statement"]
    ]
    for policy in template()["Resources"]["JobRole"]["Properties"]["Policies"]:
        statements += policy["PolicyDocument"]["Statement"]
    flat = [
        branch
        for s in statements
        for branch in (s.get("Fn::If", [s]))
        if isinstance(branch, dict) and "Action" in branch
    ]
    assert len(flat) > 30
    unbounded = set()
    for statement in flat:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not any("*" in action for action in actions)
        if statement["Resource"] == "*":
            unbounded |= set(actions)
    assert unbounded == {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData", "sagemaker:ListEndpoints"}


def test_no_role_may_delete_a_job() -> None:
    # A job's name exists until it is deleted: that is what makes a start happen once.
    assert "DeleteProcessingJob" not in (ROOT / "template.yaml").read_text()


def test_the_summary_may_put_the_end_of_a_run_on_the_bus_and_nothing_else() -> None:
    policies = template()["Resources"]["PublishSummaryFunction"]["Properties"]["Policies"]
    statements = [one for policy in policies for one in policy["Statement"] if one.get("Action") == "events:PutEvents"]
    event = RunFinished.model_fields
    (statement,) = statements
    assert statement["Condition"] == {
        "StringEquals": {
            "events:source": event["source"].default,
            "events:detail-type": event["detail_type"].default,
        }
    }
    assert str(statement["Resource"]).count("event-bus/default") == 1
