"""Endpoints of the embedded AWS: named ones, and those that serve an archive."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
from argparse import ArgumentTypeError
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from assay.policy import ModelOptions
from assay_local.cloud import Cloud
from assay_local.commands.arguments import endpoint
from assay_local.endpoints import EndpointService, Handler
from assay_local.problem import Problem
from assay_local.run import endpoint_parameters

TEMPLATE = Path(__file__).parent / "application" / "template.yaml"


class Container(BaseHTTPRequestHandler):
    """Answers what it was asked, or the status that the body is."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        answer = f"{self.path} {self.headers['Content-Type']} {self.headers['Accept']} {body}".encode()
        self.send_response(int(body) if body.isdigit() else 200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


def shouting(body: bytes, content_type: str, accept: str) -> str:
    if body == b"bug":
        raise KeyError("features")
    return f"{body.decode().upper()} {content_type} {accept}"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    server = HTTPServer(("127.0.0.1", 0), Container)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/invocations"
    endpoints: dict[str, str | Handler] = {
        "Reviews-dev": url,
        "shout": shouting,
        "nobody": "http://127.0.0.1:9/invocations",
    }
    with Cloud(TEMPLATE, endpoints=endpoints, schedules=False) as cloud:
        cloud.client("s3").create_bucket(Bucket="archives")
        yield cloud
    server.shutdown()
    server.server_close()


def ask(cloud: Cloud, name: str, body: bytes) -> tuple[str, str]:
    answer = cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=name, Body=body, ContentType="application/jsonlines", Accept="text/csv"
    )
    return answer["Body"].read().decode(), answer["ContentType"]


def test_an_endpoint_is_an_address_or_a_handler(cloud: Cloud) -> None:
    asked = "/invocations application/jsonlines text/csv naïve \n\0"
    assert ask(cloud, "reviews-dev", "naïve \n\0".encode()) == (asked, "text/plain")
    assert ask(cloud, "shout", b"a") == ("A application/jsonlines text/csv", "text/csv")


@pytest.mark.parametrize(
    ("name", "body", "code", "status", "says"),
    [
        ("reviews-dev", b"418", "ModelError", 418, "/invocations application/jsonlines"),
        ("shout", b"bug", "ModelError", 500, "KeyError: 'features'"),
        ("nobody", b"x", "ServiceUnavailable", None, "nobody answers at http://127.0.0.1:9"),
        ("somebody", b"x", "ValidationError", None, "Endpoint somebody of account 123456789012 not found"),
        ("shout", b"x" * (6 * 1024 * 1024 + 1), "RequestEntityTooLarge", None, "at most 6291456"),
    ],
)
def test_what_goes_wrong_is_told_as_sagemaker_does(
    cloud: Cloud, name: str, body: bytes, code: str, status: int | None, says: str
) -> None:
    with pytest.raises(ClientError) as caught:
        ask(cloud, name, body)
    response: dict[str, Any] = dict(caught.value.response)
    assert response["Error"]["Code"] == code
    assert response.get("OriginalStatusCode") == status
    assert says in response.get("OriginalMessage", response["Error"]["Message"])


def test_an_address_is_of_http(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="endpoint x: expected an address that begins with http://, found file:///etc"):
        EndpointService({"x": "file:///etc/passwd"}, endpoint="", region="", folder=tmp_path)


# Those that serve an archive


def archive_of(folder: Path, **files: str) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        if folder.is_dir():
            tar.add(folder, "1")
        for name, text in files.items():
            member = tarfile.TarInfo(name.replace("__", "/") + ".py")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return content.getvalue()


def make(cloud: Cloud, name: str, archive: bytes) -> dict[str, Any]:
    """The endpoint, once it is no longer being made."""
    cloud.client("s3").put_object(Bucket="archives", Key=f"{name}.tar.gz", Body=archive)
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn="arn:aws:iam::123456789012:role/jobs",
        PrimaryContainer={"Image": "tensorflow-inference", "ModelDataUrl": f"s3://archives/{name}.tar.gz"},
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.g6.xlarge",  # moto does not know it
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    until = time.monotonic() + 60
    while (found := dict(sagemaker.describe_endpoint(EndpointName=name)))["EndpointStatus"] == "Creating":
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def test_an_archives_own_code_is_never_run(cloud: Cloud, tmp_path: Path) -> None:
    found = make(cloud, "handler", archive_of(tmp_path / "none", code__inference="open('/tmp/ran', 'w')"))
    assert found["EndpointStatus"] == "Failed"
    assert "an archive's own code is never run on a laptop" in found["FailureReason"]
    with pytest.raises(ClientError, match="already existing endpoint"):
        cloud.client("sagemaker").create_endpoint(EndpointName="handler", EndpointConfigName="handler")
    cloud.client("sagemaker").delete_endpoint(EndpointName="handler")


def test_what_is_no_model_fails_with_its_reason(cloud: Cloud) -> None:
    found = make(cloud, "empty", b"")
    assert (found["EndpointStatus"], "the archive is empty" in found["FailureReason"]) == ("Failed", True)


@pytest.mark.tensorflow
def test_a_saved_model_answers_as_tensorflow_serving_does(cloud: Cloud, tmp_path: Path) -> None:
    import tensorflow as tf

    class Doubler(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> dict[str, Any]:
            return {"y": 2 * x}

    module = Doubler()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serving_default": module.__call__})
    assert make(cloud, "doubler", archive_of(tmp_path / "saved"))["EndpointStatus"] == "InService"
    runtime = cloud.client("sagemaker-runtime")
    for content_type, body in (
        ("application/json", '{"instances": [[1, 2], [3, 4]]}'),
        ("application/json", '{"instances": [{"x": [1, 2]}, {"x": [3, 4]}]}'),
        ("application/jsonlines", "[1, 2]\n[3, 4]"),
        ("text/csv", "1,2\n3,4\n"),
    ):
        answer = runtime.invoke_endpoint(EndpointName="doubler", Body=body.encode(), ContentType=content_type)
        assert json.loads(answer["Body"].read()) == {"predictions": [[2, 4], [6, 8]]}
    for content_type, body, status in (("image/png", "x", 415), ("text/csv", "1,2,3", 400), ("text/csv", "a,b", 400)):
        with pytest.raises(ClientError) as caught:
            runtime.invoke_endpoint(EndpointName="doubler", Body=body.encode(), ContentType=content_type)
        assert caught.value.response["OriginalStatusCode"] == status  # type: ignore[typeddict-item]
    cloud.client("sagemaker").delete_endpoint(EndpointName="doubler")
    assert not (cloud.folder / "endpoints" / "doubler").exists()
    with pytest.raises(ClientError, match="not found"):
        ask(cloud, "doubler", b"")


# What `assay run` makes of them


def test_the_command_lets_the_policys_endpoint_be_asked_and_no_other() -> None:
    named = ModelOptions(predictor="endpoint", endpoint_name="Reviews-dev")
    parameters = endpoint_parameters(named, {"Reviews-dev": "http://localhost:8080/invocations", "other": "http://x"})
    assert parameters["AllowEndpointPredictor"] == "true"
    assert parameters["EndpointArns"] == "arn:aws:sagemaker:us-east-1:123456789012:endpoint/reviews-dev"
    assert "EndpointArns" not in endpoint_parameters(ModelOptions(predictor="endpoint"), {})
    assert endpoint_parameters(ModelOptions(), {}) == {}
    with pytest.raises(Problem, match=r"endpoint_name Reviews-dev: there is no AWS on this machine; .* --endpoint Rev"):
        endpoint_parameters(named, {"reviews": "http://localhost"})


@pytest.mark.parametrize("text", ["reviews-dev", "=http://x", "a=localhost:8080", "a=file:///etc/passwd"])
def test_an_endpoint_of_the_command_is_a_name_and_an_address(text: str) -> None:
    assert endpoint("a=http://localhost:8080/invocations") == ("a", "http://localhost:8080/invocations")
    with pytest.raises(ArgumentTypeError, match="expected NAME=http://localhost:8080/invocations"):
        endpoint(text)
