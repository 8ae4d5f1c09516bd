"""The template is deployed as AWS would deploy it."""

import pytest

from assay_local.cloud import Cloud, TemplateError
from assay_local.stack import rate


def test_names_and_outputs_are_the_stack_s(cloud: Cloud) -> None:
    assert cloud.outputs["BucketName"] == "tiny-bucket-123456789012"
    assert cloud.outputs["TopicArn"] == cloud.resources["Topic"]
    assert cloud.resources["StartQueue"].startswith(
        "https://sqs.us-east-1.amazonaws.com/123456789012/assay-StartQueue-"
    )


def test_a_function_has_its_own_layers_timeout_and_variables(cloud: Cloud) -> None:
    start, probe, sweep = (cloud.stack.functions[f"{name}Function"] for name in ("Start", "Probe", "Sweep"))
    assert [layer.name for layer in start.layers] == ["greeting"]
    assert sweep.layers == ()
    assert (start.timeout, probe.timeout) == (10, 2)
    assert probe.environment["OWN"] == "yes"
    assert probe.environment["JOB_ROLE_ARN"].startswith("arn:aws:iam::123456789012:role/assay-JobRole-")
    assert "OWN" not in start.environment


def test_the_mapping_s_settings_are_read(cloud: Cloud) -> None:
    start, finish = cloud.stack.event_sources
    assert (start.function, start.batch_size, start.concurrency, start.partial_failures) == (
        "StartFunction",
        5,
        2,
        True,
    )
    assert (finish.function, finish.batch_size, finish.partial_failures) == ("FinishFunction", 1, False)


def test_the_bucket_is_versioned(cloud: Cloud) -> None:
    answer = cloud.client("s3").get_bucket_versioning(Bucket=cloud.outputs["BucketName"])
    assert answer["Status"] == "Enabled"


@pytest.mark.parametrize(
    ("expression", "seconds"), [("rate(1 minute)", 60), ("rate(2 minutes)", 120), ("rate(1 day)", 86400)]
)
def test_a_rate_is_read(expression: str, seconds: int) -> None:
    assert rate(expression) == seconds


@pytest.mark.parametrize("expression", ["rate(1 minutes)", "rate(2 minute)", "rate(0 minutes)", "rate(2 seconds)"])
def test_a_rate_that_aws_refuses_is_refused(expression: str) -> None:
    with pytest.raises(TemplateError, match="expected a rate"):
        rate(expression)
