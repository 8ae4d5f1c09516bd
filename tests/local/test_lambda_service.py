"""A handler runs as on AWS: in a process of its own, with its function's environment, code and layers only."""

import os
from typing import Any

import pytest

from assay_local.cloud import Cloud, FunctionError


def tell(cloud: Cloud, *modules: str) -> dict[str, Any]:
    return dict(cloud.invoke("ProbeFunction", {"do": "tell", "modules": modules}))


def test_it_has_its_function_s_environment_and_nothing_of_ours(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "secret")
    environment = tell(cloud)["environment"]
    function = cloud.stack.functions["ProbeFunction"]
    assert function.environment.items() <= environment.items()
    ours = {"LC_CTYPE"}  # Python sets it where the machine lacks the locale
    assert set(environment) - set(function.environment) - ours == {
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_TASK_ROOT",
        "LANG",
        "PATH",
        "TZ",
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
    }
    assert environment["AWS_ENDPOINT_URL"] == cloud.endpoint
    assert environment["OWN"] == "yes"


def test_it_sees_its_code_and_its_layers_and_nothing_else_of_the_checkout(cloud: Cloud) -> None:
    modules = ("start", "greeting", "boto3", "assay_local", "double")
    assert tell(cloud, *modules)["importable"] == {
        "start": True,
        "greeting": True,
        "boto3": True,
        "assay_local": False,
        "double": False,
    }


def test_its_context_is_lambda_s(cloud: Cloud) -> None:
    told = tell(cloud)
    assert 0 < told["remaining"] <= 2000
    assert told["arn"] == cloud.stack.functions["ProbeFunction"].arn
    again = tell(cloud)
    assert told["request"] != again["request"]
    assert told["environment"]["_X_AMZN_TRACE_ID"] != again["environment"]["_X_AMZN_TRACE_ID"]


def test_it_stays_warm_in_a_process_of_its_own(cloud: Cloud) -> None:
    first, second = tell(cloud), tell(cloud)
    assert first["pid"] == second["pid"] != os.getpid()


def test_its_calls_are_known_by_its_role(cloud: Cloud) -> None:
    function = cloud.stack.functions["FinishFunction"]
    body = '{"detail": {"ProcessingJobName": "x", "ProcessingJobStatus": "Completed"}}'
    cloud.invoke("FinishFunction", {"Records": [{"body": body}]})
    call = [call for call in cloud.calls if call.action == "Publish"][-1]
    assert (call.caller.name, call.caller.role_arn, call.service) == ("FinishFunction", function.role_arn, "sns")
    assert call.parameters["TopicArn"] == cloud.outputs["TopicArn"]


@pytest.mark.parametrize(
    ("do", "kind", "said"),
    [
        ("raise", "RuntimeError", "as told"),
        ("exit", "Runtime.ExitError", "Runtime exited with status 3"),
        ("unserialisable", "TypeError", "not JSON serializable"),
        ("sleep", "Sandbox.Timedout", "Task timed out after 2.00 seconds"),
    ],
)
def test_a_failure_is_told_and_the_next_invocation_works(cloud: Cloud, do: str, kind: str, said: str) -> None:
    with pytest.raises(FunctionError, match=f"ProbeFunction: {kind}: .*{said}") as raised:
        cloud.invoke("ProbeFunction", {"do": do})
    assert raised.value.error["errorType"] == kind
    assert cloud.invocations[-1].error == raised.value.error
    assert tell(cloud)["pid"]


def test_what_times_out_is_ended(cloud: Cloud) -> None:
    pid = tell(cloud)["pid"]
    with pytest.raises(FunctionError, match="timed out"):
        cloud.invoke("ProbeFunction", {"do": "sleep"})
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_unknown_function_is_named(cloud: Cloud) -> None:
    with pytest.raises(KeyError, match="NoFunction: no such function"):
        cloud.invoke("NoFunction", {})


def test_what_it_prints_is_its_log(cloud: Cloud) -> None:
    with pytest.raises(FunctionError):
        cloud.invoke("ProbeFunction", {"do": "raise"})
    assert "RuntimeError: as told" in cloud.log("ProbeFunction")
