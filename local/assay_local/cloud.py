"""The cloud on a laptop: the application's template, deployed and running in this process.

    with Cloud(parameters={"Prefix": "assay"}) as cloud:
        cloud.client("s3").upload_file("model.tar.gz", cloud.outputs["BucketName"], "models/birds/1/model.tar.gz")
        cloud.drain(timeout=60)
        for notice in cloud.notices():
            print(notice.subject)

From the upload on nothing but events drives it. Handlers and jobs run in processes of their own, with the
environment that AWS would give them. One cloud a process at a time: moto keeps its state there.
"""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal.models import moto_api_backend
from moto.s3.models import s3_backends
from moto.sqs.models import sqs_backends

from assay.events import RunRequested, Upload
from assay_local import application, clients, stack
from assay_local.access_log import AccessLog, Call
from assay_local.aws_server import AwsServer
from assay_local.credentials import Roles
from assay_local.endpoints import EndpointService, Handler
from assay_local.event_bus import Event, EventBus, Undelivered, check_targets
from assay_local.event_sources import EventSources
from assay_local.lambda_service import FunctionError, Invocation, LambdaService
from assay_local.moto_corrections import corrected_moto
from assay_local.notices import Notice, Subscriber
from assay_local.processing_run import PROGRAMS, DockerEngine, Engine, ProcessEngine
from assay_local.sagemaker_service import Job, SageMakerService
from assay_local.schedules import Schedules
from assay_local.stack import Stack, TemplateError

__all__ = ["Cloud", "FunctionError", "Invocation", "Job", "Notice", "TemplateError", "Undelivered"]

_one_a_process = threading.Lock()


class Cloud:
    """Deploys a SAM template on entry, and leaves no process and no file on exit.

    template: `template.yaml` of the application; its folder also holds functions/, layers/ and containers/.
    parameters: the template's, as text.
    buckets: made before the stack, as a deployer's own exist before it: those of a template that is given one, those
        with the data.
    engine: `process` runs a job's program as a child process, `docker` its image.
    schedules: False leaves them to `fire`, so that a test is not disturbed by the clock.
    parallel_jobs: processing jobs that run at a time; the others wait in progress, as for an instance.
    programs: which program stands in for an image, by a part of its repository's name.
    endpoints: SageMaker endpoints that are there: name → the address of a container's /invocations, or a handler
        (body, content type, accept) → answer. Those that a job makes serve SavedModels by themselves.
    host: the address to serve on. Other than loopback only for a container engine's bridge.
    """

    def __init__(
        self,
        template: Path | None = None,
        parameters: Mapping[str, str] | None = None,
        *,
        buckets: tuple[str, ...] = (),
        engine: Literal["process", "docker"] = "process",
        schedules: bool = True,
        parallel_jobs: int = 2,
        programs: Mapping[str, str] = PROGRAMS,
        endpoints: Mapping[str, str | Handler] | None = None,
        stack_name: str = "assay",
        region: str = "us-east-1",
        host: str = "127.0.0.1",
    ) -> None:
        self._template = (template or application.root() / "template.yaml").resolve()
        self._parameters = dict(parameters or {})
        self._buckets = buckets
        self._engine = engine
        self._run_schedules = schedules
        self._parallel_jobs = parallel_jobs
        self._programs = programs
        self._named_endpoints = dict(endpoints or {})
        self._stack_name = stack_name
        self._host = host
        self._exit = ExitStack()
        self.region = region
        self.account = DEFAULT_ACCOUNT_ID

    def __enter__(self) -> Self:
        if not _one_a_process.acquire(blocking=False):
            raise RuntimeError("a cloud is running in this process already: only one at a time")
        with ExitStack() as undo:  # what has begun ends if a later part fails
            undo.callback(_one_a_process.release)
            moto_api_backend.reset()
            undo.callback(moto_api_backend.reset)
            self.folder = Path(tempfile.mkdtemp(prefix="assay-"))
            undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
            server = AwsServer(self._host)
            self.endpoint = server.endpoint
            self._log = AccessLog()
            self._bus = EventBus(self.account, self.region)
            roles = Roles(self.endpoint, self.account, self.region, self._log)
            self._sagemaker = SageMakerService(
                self._bus,
                roles,
                self._job_engine(),
                endpoint=self.endpoint,
                folder=self._made("jobs"),
                parallel=self._parallel_jobs,
            )
            self._endpoints = EndpointService(
                self._named_endpoints,
                endpoint=self.endpoint,
                region=self.region,
                folder=self._made("endpoints"),
            )
            undo.enter_context(corrected_moto(self._bus, self._sagemaker, self._endpoints, self._log))
            server.start()
            undo.callback(server.stop)
            for bucket in self._buckets:
                self._create_bucket(bucket)
            self.stack: Stack = stack.deploy(
                self._template, self._parameters, name=self._stack_name, region=self.region
            )
            self._switch_on()
            self._functions = LambdaService(self.stack, roles, self.endpoint, self._made("functions"))
            self._subscriber = Subscriber(self.stack, self.endpoint)
            self._event_sources = EventSources(self.stack, self._functions, roles, self.endpoint)
            self._schedules = Schedules(self.stack, self._functions)
            undo.callback(self._stop)
            self._event_sources.start()
            if self._run_schedules:
                self._schedules.start()
            self._exit = undo.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self._exit.close()

    # What a user sees

    @property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs."""
        return self.stack.outputs

    @property
    def resources(self) -> Mapping[str, str]:
        """Logical id → physical id: a bucket's name, a queue's URL, a topic's ARN."""
        return self.stack.resources

    def client(self, service: str) -> Any:
        """A boto3 client as the account's owner."""
        return clients.client(service, self.endpoint, self.region)

    def jobs(self) -> list[Job]:
        """Processing jobs, oldest first: `name`, `status`, `progress`, `log`, `describe()`."""
        return self._sagemaker.jobs()

    def notices(self) -> list[Notice]:
        """What was published to the stack's topics, oldest first, as a subscriber gets it."""
        return self._subscriber.notices()

    def invoke(self, logical_id: str, event: Any) -> Any:
        """Run a function with an event, as `sam local invoke` does; its result, or FunctionError."""
        return self._functions.invoke(logical_id, event)

    def log(self, logical_id: str) -> str:
        """Everything a function has printed."""
        return self._functions.log(logical_id)

    def waiting(self) -> str | None:
        """What still moves, in words: an invocation, a message that can be received, a job; None when all is done.

        Messages of a failed batch do not count while they are invisible: see `retry`.
        """
        while True:
            before = self._activity()
            moving = self._functions.running() or self._event_sources.waiting() or self._sagemaker.unfinished()
            # Work that passed from a queue to a job or back while we looked has left its trace.
            if moving or self._activity() == before:
                return moving

    def _activity(self) -> tuple[int, int]:
        return len(self._bus.events), len(self._functions.invocations)

    def idle(self) -> bool:
        return self.waiting() is None

    def drain(self, timeout: float) -> None:
        """Wait until nothing moves any more; TimeoutError names what still does."""
        deadline = time.monotonic() + timeout
        while moving := self.waiting():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not done after {timeout} s: {moving}")
            time.sleep(0.05)

    def put_again(self, archive: Path, upload: Upload, uploaded_at: datetime) -> str:
        """Put an archive that was uploaded at another time, and ask for a run of it by `upload.request`.

        As if it had lain here since: S3 would still tell its time, and no upload's event comes. Returns the version.
        """
        s3 = self.client("s3")
        self.drop(lambda event: event["detail"]["object"]["key"] == upload.key)
        s3.upload_file(str(archive), upload.bucket, upload.key)
        stored = s3_backends[self.account]["aws"].get_object(upload.bucket, upload.key)
        assert stored is not None  # it was uploaded just now
        stored.last_modified = uploaded_at.astimezone(UTC).replace(tzinfo=None)  # as moto keeps it
        asked = RunRequested.of(upload.model_copy(update={"version": stored.version_id}))
        entry = {"Source": "assay", "DetailType": asked.detail_type, "Detail": asked.detail.model_dump_json()}
        self.client("events").put_events(Entries=[entry])
        return str(stored.version_id)

    # What a test does and sees

    @property
    def calls(self) -> list[Call]:
        """Each API call made with a role's credentials, oldest first."""
        return self._log.calls()

    @property
    def events(self) -> list[Event]:
        """Each event put on the bus, oldest first, those that were dropped too."""
        return list(self._bus.events)

    @property
    def undelivered(self) -> list[Undelivered]:
        """Events that matched a rule whose target did not take them."""
        return list(self._bus.undelivered)

    @property
    def invocations(self) -> list[Invocation]:
        return list(self._functions.invocations)

    def deliver(self, event: Event) -> None:
        """Put an event on the default bus: a second time, late, or forged."""
        self._bus.put(event)

    def drop(self, matches: Callable[[Event], bool], times: int = 1) -> list[Event]:
        """Lose the next events that match; the list fills with them, so that they can be delivered late.

        An event that lacks what `matches` looks up (KeyError) does not match.
        """
        return self._bus.drop(matches, times)

    def refuse_jobs(self, code: str, message: str, times: int = 1) -> None:
        """Refuse the next CreateProcessingJob: with `ResourceLimitExceeded`, `ThrottlingException`, …"""
        self._sagemaker.refuse(code, message, times)

    def fail_jobs(self, reason: str, times: int = 1, names: str = "") -> None:
        """End the next jobs whose names end so before they begin, with this FailureReason: `CapacityError: …`"""
        self._sagemaker.fail(reason, times, names)

    def fire(self, function: str) -> Any:
        """Fire a function's schedule now; returns the function's result."""
        return self._schedules.fire(function)

    def retry(self) -> None:
        """Let every visibility time-out and delay end now: the messages of failed batches come again."""
        for queue in sqs_backends[self.account][self.region].queues.values():
            with queue._messages_lock:
                for message in queue._messages:
                    message.visible_at = message.delayed_until = 0.0
                queue._messages_lock.notify_all()

    # Parts

    def _job_engine(self) -> Engine:
        if self._engine == "docker":
            return DockerEngine()
        folder = self._template.parent
        return ProcessEngine(self._programs, (folder / "containers", folder / "layers" / "contracts"))

    def _switch_on(self) -> None:
        """What moto's CloudFormation leaves out of the stack."""
        check_targets(self.account, self.region)
        self._bus.queue_policies = self.stack.queue_policies
        s3 = self.client("s3")
        for bucket in self.stack.versioned_buckets:
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for bucket in self.stack.event_buckets:
            s3.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
            )

    def _create_bucket(self, name: str) -> None:
        """As the deployer of a template that is given a bucket has it: versioned, and sending its events."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder

    def _stop(self) -> None:
        """First what starts work, then the work itself."""
        self._schedules.stop()
        self._event_sources.stop()
        self._sagemaker.close()
        self._endpoints.close()
        self._functions.close()
        self._schedules.join()
        self._event_sources.join()
