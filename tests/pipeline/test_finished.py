"""A pipeline goes on from a run's end: a rule of the application's own account sees `Assay Run Finished`, once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.layout import RunFolder
from assay.outcome import RunFinished
from assay_local.cloud import Cloud

from .conftest import POLICY, ROOT, SCRIPTED, Application

pytestmark = pytest.mark.pipeline

PIPELINE = """
  PassedRule:
    Type: AWS::Events::Rule
    Properties:
      EventPattern:
        source: [assay]
        detail-type: [Assay Run Finished]
        detail: {verdict: [pass], task: [tabular_classification], metrics: {accuracy: [{numeric: [">=", 0.85]}]}}
      Targets: [{Id: pipeline, Arn: !GetAtt PipelineQueue.Arn}]

  PipelineQueue:
    Type: AWS::SQS::Queue
    Properties: {QueueName: pipeline}

  PipelineQueuePolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref PipelineQueue]
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {Service: events.amazonaws.com}
            Action: sqs:SendMessage
            Resource: !GetAtt PipelineQueue.Arn
            Condition: {ArnEquals: {aws:SourceArn: !GetAtt PassedRule.Arn}}

Outputs:
"""


@pytest.fixture
def application(scripted: Path, tmp_path: Path) -> Iterator[Application]:
    """The application, beside a pipeline of its users'."""
    shutil.copytree(scripted.parent, tmp_path, symlinks=True, dirs_exist_ok=True)
    source = (ROOT / "template.yaml").read_text()
    (tmp_path / "template.yaml").write_text(source.replace("\nOutputs:\n", PIPELINE, 1))
    with Cloud(tmp_path / "template.yaml", programs=SCRIPTED, schedules=False) as cloud:
        made = Application(cloud)
        made.put("models/census/assay.yaml", POLICY)
        made.put("models/census/test.csv", "age,hours,income\n1,2,low\n")
        yield made


def finished(application: Application) -> list[dict[str, Any]]:
    """What the rule delivered."""
    sqs = application.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName="pipeline")["QueueUrl"]
    found: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"]) for message in messages]
    return found


def run(application: Application, accuracy: float) -> RunFolder:
    """Each completion comes three times, at once and again when all is over."""
    folder = application.upload({"accuracy": accuracy})
    application.cloud.drain(60)
    ends = [*application.events("evaluation", "Completed"), *application.events("explanation", "Completed")]
    for event in ends * 2:
        application.cloud.deliver(event)
    application.cloud.drain(60)
    application.check_is_whole()
    return folder


def test_a_rule_sees_a_runs_end_once_though_its_completion_came_three_times(application: Application) -> None:
    folder = run(application, 0.9)
    (event,) = finished(application)
    assert (event["source"], event["detail-type"]) == ("assay", "Assay Run Finished")
    outcome = RunFinished.parse(event).detail
    assert (outcome.run, outcome.folder, outcome.bucket) == (folder.run, folder.prefix, application.bucket)
    assert (outcome.verdict, outcome.metrics["accuracy"]) == ("pass", 0.9)
    # a queue that is subscribed to the topic gets the same
    (notice,) = application.cloud.notices()
    assert json.loads(notice.body) == event["detail"]
    assert notice.message.startswith("PASS: census passed 1 gate")


def test_a_rule_for_models_that_passed_does_not_see_one_that_failed(application: Application) -> None:
    folder = run(application, 0.1)
    assert finished(application) == []
    assert application.verdicts() == {folder.run: ["fail"]}
