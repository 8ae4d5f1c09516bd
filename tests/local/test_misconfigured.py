"""What is wrong in a template breaks the chain here as it does on AWS."""

from collections.abc import Callable
from pathlib import Path

import pytest

from assay_local.cloud import Cloud, FunctionError

Variant = Callable[..., Path]


def run(template: Path) -> Cloud:
    return Cloud(template, schedules=False, programs={"double": "double"})


def upload(cloud: Cloud) -> None:
    cloud.client("s3").put_object(Bucket=cloud.outputs["BucketName"], Key="models/m/model.tar.gz", Body=b"x")
    cloud.drain(timeout=20)


def test_a_wrong_handler_name(variant: Variant) -> None:
    with (
        run(variant(("Handler: probe.handler", "Handler: probe.handle"))) as cloud,
        pytest.raises(FunctionError, match="Handler 'handle' missing on module 'probe'"),
    ):
        cloud.invoke("ProbeFunction", {})


def test_a_wrong_handler_module(variant: Variant) -> None:
    with (
        run(variant(("Handler: probe.handler", "Handler: prob.handler"))) as cloud,
        pytest.raises(FunctionError, match=r"Runtime\.ImportModuleError: No module named 'prob'"),
    ):
        cloud.invoke("ProbeFunction", {})


def test_a_function_without_its_layer(variant: Variant) -> None:
    with run(
        variant(("Handler: start.handler\n      Layers: [!Ref GreetingLayer]", "Handler: start.handler"))
    ) as cloud:
        upload(cloud)
        assert cloud.jobs() == []
        assert "No module named 'greeting'" in cloud.log("StartFunction")


def test_a_missing_variable(variant: Variant) -> None:
    with run(variant(("        JOB_ROLE_ARN: !GetAtt JobRole.Arn\n", ""))) as cloud:
        upload(cloud)
        assert cloud.jobs() == []
        assert "KeyError: 'JOB_ROLE_ARN'" in cloud.log("StartFunction")


def test_a_wrong_pattern(variant: Variant) -> None:
    with run(variant(("models/*/model.tar.gz", "model/*/model.tar.gz"))) as cloud:
        upload(cloud)
        assert cloud.invocations == []


def test_a_rule_that_is_disabled(variant: Variant) -> None:
    with run(variant(("  UploadRule:\n    Type: AWS::Events::Rule\n    Properties:\n", DISABLED))) as cloud:
        upload(cloud)
        assert cloud.invocations == []


DISABLED = "  UploadRule:\n    Type: AWS::Events::Rule\n    Properties:\n      State: DISABLED\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Queues: [!Ref StartQueue, !Ref FinishQueue]", "Queues: [!Ref FinishQueue]"),
        ("Service: events.amazonaws.com", "Service: sns.amazonaws.com"),
        ("aws:SourceArn: [!GetAtt UploadRule.Arn, !GetAtt JobRule.Arn]", "aws:SourceArn: !GetAtt JobRule.Arn"),
    ],
)
def test_a_queue_whose_policy_does_not_let_the_rule_in(variant: Variant, old: str, new: str) -> None:
    with run(variant((old, new))) as cloud:
        upload(cloud)
        assert cloud.invocations == []
        (undelivered,) = cloud.undelivered
        assert undelivered.rule.startswith("assay-UploadRule-")
        assert "does not let events.amazonaws.com send to it from this rule" in undelivered.reason


def test_what_a_target_refuses_goes_to_the_rule_s_dead_letter_queue(variant: Variant) -> None:
    template = variant(
        ("Queues: [!Ref StartQueue, !Ref FinishQueue]", "Queues: [!Ref FinishQueue, !Ref DeadLetterQueue]"),
        ("Resource: [!GetAtt StartQueue.Arn, !GetAtt FinishQueue.Arn]", 'Resource: "*"'),
        (
            "{Id: start, Arn: !GetAtt StartQueue.Arn}",
            "{Id: start, Arn: !GetAtt StartQueue.Arn, DeadLetterConfig: {Arn: !GetAtt DeadLetterQueue.Arn}}",
        ),
    )
    with run(template) as cloud:
        upload(cloud)
        assert cloud.undelivered == []
        messages = cloud.client("sqs").receive_message(QueueUrl=cloud.outputs["DeadLetterQueueUrl"])["Messages"]
        assert "models/m/model.tar.gz" in messages[0]["Body"]


def test_a_bucket_that_does_not_send_its_events(variant: Variant) -> None:
    with run(variant(("EventBridgeEnabled: true", "EventBridgeEnabled: false"))) as cloud:
        upload(cloud)
        assert cloud.events == []


def test_a_job_role_that_does_not_trust_sagemaker(variant: Variant) -> None:
    with run(variant(("Service: sagemaker.amazonaws.com", "Service: ec2.amazonaws.com"))) as cloud:
        upload(cloud)
        assert cloud.jobs() == []
        assert "allows principal 'sagemaker.amazonaws.com' to assume the role" in cloud.log("StartFunction")


def test_a_schedule_that_may_not_invoke_its_function(variant: Variant) -> None:
    with run(variant()) as cloud:
        allowed = cloud.stack.functions["SweepFunction"].policies
        assert allowed[0]["Statement"][0]["Condition"]["ArnLike"]["AWS:SourceArn"] == cloud.stack.schedules[0].arn
        other = cloud.stack.schedules[0].arn.replace("rule/", "rule/other-")
        object.__setattr__(cloud.stack.schedules[0], "arn", other)
        with pytest.raises(PermissionError, match=r"SweepFunction does not let .*other-.* invoke it"):
            cloud.fire("SweepFunction")
