"""SageMaker's processing jobs on a laptop: the API's own answers, refusals, states and events around a real run."""

import copy
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.sagemaker.exceptions import AWSValidationException, ResourceInUseException, SagemakerClientError

from assay_local.clients import service_model
from assay_local.constraints import refusal, violations
from assay_local.credentials import Roles
from assay_local.event_bus import Event, EventBus, aws_event
from assay_local.processing_run import Engine, Outcome, ProcessingRun

Json = dict[str, Any]


@dataclass
class Job:
    """A processing job as DescribeProcessingJob tells it, and what only a laptop knows: its progress and its log."""

    name: str
    arn: str
    request: Json
    created: datetime
    modified: datetime
    status: str = "InProgress"
    started: datetime | None = None
    ended: datetime | None = None
    exit_message: str | None = None
    failure_reason: str | None = None
    run: ProcessingRun | None = field(default=None, repr=False)

    @property
    def image(self) -> str:
        return str(self.request["AppSpecification"]["ImageUri"])

    @property
    def progress(self) -> Mapping[str, Any] | None:
        """What the program last wrote to output/progress.json, if it did."""
        return self.run.progress() if self.run else None

    @property
    def log(self) -> str:
        """Everything the program has printed."""
        return self.run.log() if self.run else ""

    def describe(self) -> Json:
        fields = {
            **{k: v for k, v in self.request.items() if k != "Tags"},
            "ProcessingJobArn": self.arn,
            "ProcessingJobStatus": self.status,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "ProcessingStartTime": self.started,
            "ProcessingEndTime": self.ended,
            "ExitMessage": self.exit_message,
            "FailureReason": self.failure_reason,
        }
        return {k: v for k, v in fields.items() if v is not None}


class SageMakerService:
    def __init__(
        self, bus: EventBus, roles: Roles, engine: Engine, *, endpoint: str, folder: Path, parallel: int
    ) -> None:
        self._bus = bus
        self._roles = roles
        self._engine = engine
        self._endpoint = endpoint
        self._folder = folder
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._unfinished: set[str] = set()
        self._refusals: list[Exception] = []
        self._failures: list[tuple[str, str]] = []
        self._closed = False
        self._pool = ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="processing job")

    # The API

    def create_processing_job(self, request: Json) -> Json:
        self._validate("CreateProcessingJob", request)
        name, role = request["ProcessingJobName"], request["RoleArn"]
        check_resources(request)
        if not self._roles.trusts(role, "sagemaker.amazonaws.com"):
            raise AWSValidationException(
                f"Could not assume role {role}. Please ensure that the role exists and allows principal "
                "'sagemaker.amazonaws.com' to assume the role."
            )
        now = datetime.now(UTC)
        job = Job(name, self._arn(name), with_defaults(request), created=now, modified=now)
        with self._lock:
            if name in self._jobs:
                raise ResourceInUseException(
                    "Job name must be unique within an AWS account and region, and a job with this name already "
                    f"exists ({self._jobs[name].arn})"
                )
            if self._refusals:
                raise self._refusals.pop(0)
            self._jobs[name] = job
            self._unfinished.add(name)
        self._announce(job)
        self._pool.submit(self._carry_out, job)
        return {"ProcessingJobArn": job.arn}

    def describe_processing_job(self, request: Json) -> Json:
        self._validate("DescribeProcessingJob", request)
        with self._lock:
            return copy.deepcopy(self._find(request["ProcessingJobName"]).describe())

    def stop_processing_job(self, request: Json) -> Json:
        self._validate("StopProcessingJob", request)
        with self._lock:
            job = self._find(request["ProcessingJobName"])
            if job.status != "InProgress":
                raise AWSValidationException(
                    f"The request was rejected because the processing job is in status {job.status}."
                )
            self._change(job, status="Stopping")
            if job.run:
                job.run.stop()
        self._announce(job)
        return {}

    def list_processing_jobs(self, request: Json) -> Json:
        self._validate("ListProcessingJobs", request)
        with self._lock:
            return page(self.jobs(), request)

    # What only a laptop can ask

    def jobs(self) -> list[Job]:
        """Oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def unfinished(self) -> str | None:
        """Jobs that have not ended or whose last event is not out, in words; None when there are none."""
        with self._lock:
            return f"jobs {', '.join(sorted(self._unfinished))}" if self._unfinished else None

    def refuse(self, code: str, message: str, times: int) -> None:
        """Answer the next good requests for a job with an error."""
        with self._lock:
            self._refusals += [SagemakerClientError(code, message) for _ in range(times)]

    def fail(self, reason: str, times: int, names: str) -> None:
        """End the next jobs whose names end so before they begin, with this FailureReason."""
        with self._lock:
            self._failures += [(names, reason)] * times

    def close(self) -> None:
        """End what runs and begin nothing more."""
        with self._lock:
            self._closed = True
            for job in self._jobs.values():
                if job.run:
                    job.run.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)

    # A job's life

    def _carry_out(self, job: Job) -> None:
        with self._lock:
            if self._closed:
                return
            doomed = self._doomed(job)
            if doomed is None:
                run = ProcessingRun(
                    job.describe(), self._folder / job.name, self._roles, self._endpoint, self._bus.region
                )
                if job.status == "Stopping":
                    run.stop()
                self._change(job, run=run, started=datetime.now(UTC))
        outcome = doomed or run.carry_out(self._engine)
        with self._lock:
            self._change(
                job,
                status=outcome.status,
                ended=datetime.now(UTC),
                exit_message=outcome.exit_message,
                failure_reason=outcome.failure_reason,
            )
        self._announce(job)
        with self._lock:
            self._unfinished.discard(job.name)

    def _doomed(self, job: Job) -> Outcome | None:
        """The end of a job that a test lets fail before it begins."""
        for failure in self._failures:
            names, reason = failure
            if job.name.endswith(names):
                self._failures.remove(failure)
                return Outcome("Failed", failure_reason=reason)
        return None

    def _change(self, job: Job, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(job, name, value)
        job.modified = datetime.now(UTC)

    def _announce(self, job: Job) -> None:
        with self._lock:
            detail = state_change(job)
        self._bus.put(
            aws_event(
                "aws.sagemaker",
                "SageMaker Processing Job State Change",
                detail,
                account=self._bus.account,
                region=self._bus.region,
                resources=[job.arn],
            )
        )

    def _find(self, name: str) -> Job:
        if name not in self._jobs:
            raise AWSValidationException(f"Could not find requested job with name: {name}")
        return self._jobs[name]

    def _arn(self, name: str) -> str:
        return f"arn:aws:sagemaker:{self._bus.region}:{self._bus.account}:processing-job/{name}"

    def _validate(self, operation: str, request: Json) -> None:
        model = service_model("sagemaker").operation_model(operation)
        if model.input_shape and (found := violations(model.input_shape, request)):
            raise AWSValidationException(refusal(found))


def check_resources(request: Json) -> None:
    """What botocore's model cannot say: an instance type, or a list of them, not both."""
    cluster = request["ProcessingResources"]["ClusterConfig"]
    if ("InstanceType" in cluster) == ("InstancePreferences" in cluster):
        raise AWSValidationException("ClusterConfig needs either InstanceType or InstancePreferences")


def with_defaults(request: Json) -> Json:
    """What SageMaker fills in."""
    request = copy.deepcopy(request)
    request.setdefault("StoppingCondition", {"MaxRuntimeInSeconds": 86_400})
    for entry in request.get("ProcessingInputs", []):
        if "S3Input" in entry:
            entry["S3Input"].setdefault("S3DataDistributionType", "FullyReplicated")
            entry["S3Input"].setdefault("S3CompressionType", "None")
    return request


def state_change(job: Job) -> Event:
    """The event's detail: Describe's fields with enumerations in capitals and times in epoch milliseconds."""
    described = job.describe()
    for left_out in ("Environment", "ExitMessage", "ExperimentConfig"):
        described.pop(left_out, None)
    return dict(shouted(described))


SHOUTED = frozenset({"S3DataType", "S3InputMode", "S3DataDistributionType", "S3UploadMode", "S3CompressionType"})


def shouted(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {k: shouted(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [shouted(v) for v in value]
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    return CAPITALS.get(value, str(value).upper()) if key in SHOUTED else value


CAPITALS = {"S3Prefix": "S3_PREFIX", "ManifestFile": "MANIFEST_FILE", "EndOfJob": "END_OF_JOB"}


def page(jobs: list[Job], request: Json) -> Json:
    """ListProcessingJobs: filtered, sorted, cut."""

    def wanted(job: Job) -> bool:
        return (
            request.get("NameContains", "") in job.name
            and request.get("StatusEquals", job.status) == job.status
            and timestamp(request, "CreationTimeAfter", 0) < job.created.timestamp()
            and job.created.timestamp() < timestamp(request, "CreationTimeBefore", float("inf"))
            and timestamp(request, "LastModifiedTimeAfter", 0) < job.modified.timestamp()
            and job.modified.timestamp() < timestamp(request, "LastModifiedTimeBefore", float("inf"))
        )

    keys: dict[str, Callable[[Job], Any]] = {
        "Name": lambda job: job.name,
        "Status": lambda job: job.status,
        "CreationTime": lambda job: job.created,
    }
    found = sorted(filter(wanted, jobs), key=keys[request.get("SortBy", "CreationTime")])
    if request.get("SortOrder", "Descending") == "Descending":
        found.reverse()
    first = int(request.get("NextToken", 0))
    last = first + int(request.get("MaxResults", 10))
    answer: Json = {"ProcessingJobSummaries": [summary(job) for job in found[first:last]]}
    if last < len(found):
        answer["NextToken"] = str(last)
    return answer


def summary(job: Job) -> Json:
    fields = (
        "ProcessingJobName",
        "ProcessingJobArn",
        "CreationTime",
        "ProcessingEndTime",
        "LastModifiedTime",
        "ProcessingJobStatus",
        "FailureReason",
        "ExitMessage",
    )
    described = job.describe()
    return {name: described[name] for name in fields if name in described}


def timestamp(request: Json, name: str, default: float) -> float:
    return float(request.get(name, default))
