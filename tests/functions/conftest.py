"""The steps in this process, on moto: S3, SQS and SNS are moto's own, SageMaker's jobs do what a test says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.exceptions import JsonRESTError
from moto.sns.models import sns_backends

from assay.evaluation import (
    DataFacts,
    EvaluationReport,
    Explainable,
    ExplainSample,
    ExplainSamples,
    Metric,
    ModelFacts,
)
from assay.events import StepDue
from assay.layout import RunFolder, champion_key
from assay.names import model_name, run_id
from assay.run import Champion, Run, RunState
from assay.title import Title
from assay_aws import clients
from assay_local.moto_corrections import (
    atomic_conditional_writes,
    packages_registered_once,
    processing_jobs,
    unique_models,
)
from assay_local.notices import mail

# Powertools reads these at import, when Lambda has them.
os.environ |= {"POWERTOOLS_METRICS_NAMESPACE": "Assay", "POWERTOOLS_SERVICE_NAME": "assay"}

BUCKET = "archives"
ACCOUNT = "123456789012"
QUEUES = ("start-evaluation", "start-explanation", "publish-summary")
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "of-a-test",
    "AWS_SECRET_ACCESS_KEY": "of-a-test",
    "PREFIX": "assay",
    "BUCKET_NAME": BUCKET,
    **{
        f"{queue.upper().replace('-', '_')}_QUEUE_URL": f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/assay-{queue}"
        for queue in QUEUES
    },
    "TOPIC_ARN": f"arn:aws:sns:us-east-1:{ACCOUNT}:assay-verdicts",
    "JOB_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/jobs",
    "JOB_TIME_LIMIT_SECONDS": "14400",
    "JOB_VOLUME_GB": "30",
    "EVALUATOR_IMAGE_URI": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/assay-evaluator:1",
    "EVALUATION_INSTANCE_TYPES": "ml.m5.xlarge,ml.m6i.xlarge,ml.m7i.xlarge",
    "DATA_OBJECT_ARNS": "",
    "EXPLAINER_ENGINE": "assay",
    "EXPLAINER_IMAGE_URI": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/assay-explainer:1",
    "EXPLANATION_INSTANCE_TYPES": "ml.c5.xlarge,ml.c6i.xlarge",
    "SERVING_IMAGE_URI": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/serving:1",
}
POLICY = """
task: image_classification
data: {source: test/, annotations: test.csv}
gates:
  - {metric: accuracy, min: 0.8}
"""

# FailureReasons as SageMaker writes them
INTERNAL = "InternalServerError: We encountered an internal error.  Please try again."  # two spaces
CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
)
MEMORY = (
    "ClientError: Please use an instance type with more memory, or reduce the size of job data processed on an "
    "instance."
)
EXIT = "AlgorithmError: , exit code: {}"

Json = dict[str, Any]


@dataclass
class SageMaker:
    """Processing jobs that end when a test says so."""

    jobs: dict[str, Json] = field(default_factory=dict)
    creations: int = 0
    refusals: list[tuple[str, str]] = field(default_factory=list)
    """Code and message of the next creations' errors."""
    account: str = "111122223333"
    """Not moto's own, which is a laptop's."""

    def create_processing_job(self, request: Json) -> Json:
        self.creations += 1
        if self.refusals:
            raise JsonRESTError(*self.refusals.pop(0))
        name = request["ProcessingJobName"]
        if name in self.jobs:
            raise JsonRESTError("ResourceInUse", "Job name must be unique within an AWS account and region")
        arn = f"arn:aws:sagemaker:us-east-1:{self.account}:processing-job/{name}"
        self.jobs[name] = {
            **request,
            "ProcessingJobArn": arn,
            "ProcessingJobStatus": "InProgress",
            "CreationTime": datetime.now(UTC),
        }
        return {"ProcessingJobArn": arn}

    def describe_processing_job(self, request: Json) -> Json:
        return dict(self._find(request["ProcessingJobName"]))

    def stop_processing_job(self, request: Json) -> Json:
        self._find(request["ProcessingJobName"])["ProcessingJobStatus"] = "Stopping"
        return {}

    def list_processing_jobs(self, request: Json) -> Json:
        raise NotImplementedError

    def _find(self, name: str) -> Json:
        if name not in self.jobs:
            raise JsonRESTError("ValidationException", f"Could not find requested job with name: {name}")
        return self.jobs[name]

    def end(self, name: str, status: str = "Completed", *, seconds: int = 60, **fields: str) -> None:
        """Let a job end, `seconds` after it began."""
        started = datetime(2026, 11, 12, 8, 20, tzinfo=UTC)
        times = {"ProcessingStartTime": started, "ProcessingEndTime": started + timedelta(seconds=seconds)}
        self._find(name).update({"ProcessingJobStatus": status, **times, **fields})


class Aws:
    """What a user of the account can do and see."""

    def __init__(self, sagemaker: SageMaker) -> None:
        self.sagemaker = sagemaker
        # The steps' own clients, kept for all tests: making one takes longer than most tests do.
        self.s3, self.sqs, self.sns = clients.s3(), clients.sqs(), clients.sns()

    def put(self, key: str, content: str | bytes) -> str:
        """Returns the version."""
        body = content.encode() if isinstance(content, str) else content
        return str(self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"])

    def get(self, key: str) -> str:
        return self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()

    def keys(self, prefix: str = "") -> list[str]:
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]

    def queued(self, queue: str) -> list[Json]:
        """Takes what is in a step's queue."""
        url = ENVIRONMENT[f"{queue.upper().replace('-', '_')}_QUEUE_URL"]
        return self._take(url)

    def due(self, queue: str) -> list[str]:
        """Takes the runs whose step is due from a queue."""
        return [StepDue.parse(event).detail.run for event in self.queued(queue)]

    def notices(self) -> list[Json]:
        """Takes what the topic's subscriber got."""
        return self._take(self.sqs.get_queue_url(QueueName="subscriber")["QueueUrl"])

    def mails(self) -> list[str]:
        """What was sent to people by e-mail, oldest first."""
        topic = sns_backends[ACCOUNT]["us-east-1"].topics[ENVIRONMENT["TOPIC_ARN"]]
        return [mail(sent) for _, sent, *_ in topic.sent_notifications]

    def finished(self) -> list[Json]:
        """Takes the bus's events of runs that have finished, as a rule delivers them."""
        return self._take(self.sqs.get_queue_url(QueueName="pipeline")["QueueUrl"])

    def _take(self, url: str) -> list[Json]:
        found = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def run(self, folder: RunFolder) -> Run:
        return Run.model_validate_json(self.get(folder.run_json))

    def champion(self, model: str = "digits") -> Champion:
        champion = Title.parse(self.get(champion_key(model))).champion
        assert champion is not None
        return champion

    def state(self, folder: RunFolder) -> RunState:
        return RunState.model_validate_json(self.get(folder.state_json))


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # what the clients wait between tries
    sagemaker = SageMaker()
    for replacement in (
        *processing_jobs(sagemaker),  # type: ignore[arg-type]
        *unique_models(),
        *packages_registered_once(),
        *atomic_conditional_writes(),
    ):
        monkeypatch.setattr(*replacement)
    with mock_aws():
        made = Aws(sagemaker)
        made.s3.create_bucket(Bucket=BUCKET)
        made.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        for queue in QUEUES:
            made.sqs.create_queue(QueueName=f"assay-{queue}")
        topic = made.sns.create_topic(Name="assay-verdicts")["TopicArn"]
        made.sqs.create_queue(QueueName="subscriber")
        made.sqs.create_queue(QueueName="pipeline")
        pattern = {"source": ["assay"], "detail-type": ["Assay Run Finished"]}
        clients.events().put_rule(Name="finished", EventPattern=json.dumps(pattern))
        queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:pipeline"
        clients.events().put_targets(Rule="finished", Targets=[{"Id": "pipeline", "Arn": queue}])
        made.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT}:subscriber")
        yield made


Answer = tuple[int, dict[str, str], str | bytes]
Fault = Callable[[Callable[[], Answer | None]], Answer | None]
"""Gets what carries the request out, and decides whether it is, and what is answered."""


class Wire:
    """Faults between our clients and AWS."""

    def __init__(self) -> None:
        self._faults: dict[str, list[Fault]] = {}

    def next(self, operation: str, *faults: Fault) -> None:
        """What becomes of the next requests of an operation."""
        self._faults.setdefault(operation, []).extend(faults)

    def carry(self, stubber: BotocoreStubber, request: AWSPreparedRequest) -> Answer | None:
        def carry_out() -> Answer | None:
            return process_request(stubber, request)

        faults = self._faults.get(operation_of(request), [])
        return faults.pop(0)(carry_out) if faults else carry_out()


process_request = BotocoreStubber.process_request


def operation_of(request: AWSPreparedRequest) -> str:
    target = request.headers.get("X-Amz-Target")
    if target is not None:
        return text_of(target).rpartition(".")[2]
    if request.method == "PUT":
        return "CopyObject" if "x-amz-copy-source" in request.headers else "PutObject"
    return str(request.method)


def text_of(header: str | bytes) -> str:
    return header.decode() if isinstance(header, bytes) else header


def lost_answer(carry_out: Callable[[], Answer | None]) -> Answer:
    """The request takes effect, but its answer never comes: a 500 stands for a broken connection."""
    carry_out()
    return 500, {}, ""


def refused_with(status: int) -> Fault:
    """The request takes no effect."""
    return lambda carry_out: (status, {}, "")


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    made = Wire()

    def carry(stubber: BotocoreStubber, request: AWSPreparedRequest) -> Answer | None:
        return made.carry(stubber, request)

    monkeypatch.setattr(BotocoreStubber, "process_request", carry)
    return made


# A run's usual things

KEY = "models/digits/7/model.tar.gz"


@dataclass(frozen=True)
class Uploaded:
    """An archive that has landed, with the event that says so."""

    key: str
    version: str

    @property
    def folder(self) -> RunFolder:
        return RunFolder(model_name(self.key), run_id(BUCKET, self.key, self.version))

    @property
    def event(self) -> Json:
        return {
            "source": "aws.s3",
            "detail-type": "Object Created",
            "detail": {"bucket": {"name": BUCKET}, "object": {"key": self.key, "version-id": self.version, "size": 3}},
        }

    def job(self, stage: str, attempt: int = 1) -> str:
        return f"assay-{self.folder.run}-{attempt:02d}-{stage}"

    def changed(self, stage: str, status: str = "Completed", attempt: int = 1) -> Json:
        return {
            "source": "aws.sagemaker",
            "detail-type": "SageMaker Processing Job State Change",
            "detail": {"ProcessingJobName": self.job(stage, attempt), "ProcessingJobStatus": status},
        }

    @property
    def due(self) -> Json:
        return StepDue.of(self.folder.run).model_dump(by_alias=True)


def land(aws: Aws, *, key: str = KEY, policy: str | None = POLICY, archive: bytes = b"abc") -> Uploaded:
    """Put policy, data and archive."""
    if policy is not None:
        aws.put("models/assay.yaml", policy)
    aws.put("models/test/1.png", b"png")
    aws.put("models/test.csv", b"image_file_name,class_id,class_name\n")
    return Uploaded(key, aws.put(key, archive))


def report(accuracy: float = 0.9, explain: Explainable | None = None, **fields: Any) -> EvaluationReport:
    metric = Metric(value=accuracy, low=accuracy - 0.05, high=accuracy + 0.05, n=100, higher_is_better=True)
    return EvaluationReport(
        **{
            "task": "image_classification",
            "labels": ("cat", "dog"),
            "metrics": {"accuracy": metric},
            "model": ModelFacts(format="SavedModel", runtime="tensorflow", archive_sha256="00", inputs=(), outputs=()),
            "data": DataFacts(rows=100, sha256="da"),
            "explain": explain,
            **fields,
        }
    )


IMAGES = Explainable(kind="images", samples=2, label_headers=("cat", "dog"))
ROWS = Explainable(
    kind="rows",
    samples=3,
    headers=("age", "hours", "income", "assay_id"),
    label="income",
    label_headers=("low", "high"),
)
SAMPLES = ExplainSamples(
    samples=(
        ExplainSample(
            id="a", row=0, sample=("representative",), reason="drawn", true="low", predicted="low", score=0.9
        ),
        ExplainSample(
            id="b",
            row=1,
            sample=("representative", "chosen"),
            reason="mistake: low taken for high with 0.7",
            true="low",
            predicted="high",
            score=0.7,
        ),
        ExplainSample(
            id="c", row=2, sample=("chosen",), reason="least sure", true="high", predicted="high", score=0.51
        ),
    )
)


def champion(run: str = "c" * 20, **fields: Any) -> Champion:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Champion(
        **{
            "model": "digits",
            "run": run,
            "uploaded_at": now,
            "key": KEY,
            "version": "old",
            "crowned_at": now,
            **fields,
        }
    )


class Context:
    function_name = "assay-start-evaluation"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn"
    aws_request_id = "id"


def messages(*bodies: str) -> dict[str, Any]:
    return {"Records": [{"messageId": str(number), "body": body} for number, body in enumerate(bodies)]}
