"""The whole application on the embedded AWS: the real template and handlers, with scripted or the real containers."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.layout import RunFolder
from assay.names import model_name, run_id
from assay.summary import Summary
from assay_local.cloud import Cloud

from .permissions import check_calls_are_allowed

ROOT = Path(__file__).parents[2]
SCRIPTED = {
    "assay-evaluator": "scripted_evaluator",
    "assay-explainer": "scripted_explainer",
    "sagemaker-clarify-processing": "scripted_explainer",
}
CLARIFY = {
    "ExplainerEngine": "clarify",
    "ClarifyImageUri": "306415355426.dkr.ecr.us-west-2.amazonaws.com/sagemaker-clarify-processing:1.0",
    "ServingImageUri": "763104351884.dkr.ecr.us-west-2.amazonaws.com/tensorflow-inference:2.19-cpu",
}
POLICY = """
task: tabular_classification
data: {source: test.csv, label: income}
gates:
  - {metric: accuracy, min: 0.8}
"""

Json = dict[str, Any]


class Application:
    """The running application, as its users see it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.bucket = cloud.outputs["BucketName"]
        self.s3 = cloud.client("s3")

    def put(self, key: str, content: bytes | str) -> str:
        body = content.encode() if isinstance(content, str) else content
        return str(self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)["VersionId"])

    def get(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def upload(self, archive: bytes | Json, key: str = "models/census/1/model.tar.gz") -> RunFolder:
        """Let an archive land; a script of what its evaluation does is one too. Returns its run's folder."""
        version = self.put(key, archive if isinstance(archive, bytes) else json.dumps(archive))
        return RunFolder(model_name(key), run_id(self.bucket, key, version))

    def summary(self, folder: RunFolder) -> Summary:
        return Summary.model_validate_json(self.get(folder.summary_json))

    def verdicts(self) -> dict[str, list[str]]:
        """A run's id → the verdicts of all its notices."""
        found: dict[str, list[str]] = {}
        for notice in self.cloud.notices():
            found.setdefault(notice.attributes["run"], []).append(notice.attributes["verdict"])
        return found

    def events(self, job: str, status: str) -> list[Json]:
        return [
            event
            for event in self.cloud.events
            if event["detail"].get("ProcessingJobName", "").endswith(job)
            and event["detail"]["ProcessingJobStatus"] == status
        ]

    def until(self, holds: Callable[[], object], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, self.cloud.waiting()
            time.sleep(0.05)

    def check_is_whole(self) -> None:
        """What holds however a run went: nothing left running, nothing lost, no step that failed or went too far."""
        assert [invocation.error for invocation in self.cloud.invocations if invocation.error] == []
        assert self.cloud.undelivered == []
        assert self.keys("active/") == []
        assert {job.status for job in self.cloud.jobs()} <= {"Completed", "Failed", "Stopped"}
        check_calls_are_allowed(self.cloud)
        sqs = self.cloud.client("sqs")
        assert "Messages" not in sqs.receive_message(QueueUrl=self.cloud.outputs["DeadLetterQueueUrl"])


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real application with scripted containers."""
    folder = tmp_path_factory.mktemp("application")
    shutil.copy(ROOT / "template.yaml", folder)
    for name in ("functions", "layers"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "containers").symlink_to(Path(__file__).with_name("containers"))
    return folder / "template.yaml"


@pytest.fixture
def application(scripted: Path, request: pytest.FixtureRequest) -> Iterator[Application]:
    """With scripted containers; `parametrize(…, indirect=True)` gives the template's parameters."""
    with Cloud(scripted, getattr(request, "param", {}), programs=SCRIPTED, schedules=False) as cloud:
        made = Application(cloud)
        made.put("models/census/assay.yaml", POLICY)
        made.put("models/census/test.csv", "age,hours,income\n1,2,low\n")
        yield made
