"""A model behind an endpoint: the same `predict`, for rows, over InvokeEndpoint; and how any endpoint is asked."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadModel, BadPolicy, BadSettings, JobFailed
from assay.evaluation import Tensor
from assay.policy import ModelOptions
from model.payloads import AnswerFormat, RequestFormat, plain, shown

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

BODY_LIMIT = 6 * 1024 * 1024  # bytes of a request, by botocore's model of InvokeEndpoint
MAX_RECORDS = 100
"""In a request, which has to be answered within 60 s; fewer where that is too slow."""
IN_FLIGHT = 4
ANSWER_SECONDS = 70  # more than the 60 s after which SageMaker itself gives up
PATIENCE = {"busy": 8, "failed": 3, "too slow": 3}
"""How often one request is sent: when AWS or the endpoint is busy, when the model fails (5xx), when it is silent."""

_BUSY = {
    "InternalDependencyException",
    "InternalFailure",
    "ModelNotReadyException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_DENIED = {"AccessDenied", "AccessDeniedException"}
_MODEL_FAILED = 424  # SageMaker's own status for it, when the model gave none

T = TypeVar("T")
R = TypeVar("R")
Trouble = Literal["busy", "failed", "too slow", "too large", "final"]


class Endpoint:
    """A SageMaker endpoint that answers about rows.

    Attributes:
        name: the endpoint's.
        labels_only: it answers classes without scores: the answered class gets 1, the others 0.
        inputs, outputs: none: an endpoint has no signature.
    """

    format = "endpoint"
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()

    def __init__(
        self,
        name: str,
        options: ModelOptions,
        labels: Mapping[str, int] | None,
        client: SageMakerRuntimeClient,
        *,
        max_records: int = MAX_RECORDS,
        body_limit: int = BODY_LIMIT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nobody is asked yet.

        Args:
            name: the endpoint's.
            options: how rows are sent, and where in an answer the scores or the label stand.
            labels: a label as it is answered → its class; None for a regression.
            client: of `sagemaker-runtime`, see `runtime_client`.
            max_records: of one request.
            body_limit: of one request, in bytes.
            sleep: between two tries.
        """
        self.name = name
        self._request = RequestFormat(options)
        self._answer = AnswerFormat(options, labels)
        both = options.predicted_label is not None and options.probability is not None
        self._label = AnswerFormat(options.model_copy(update={"probability": None})) if both else None
        self._caller = Caller(name, options, self._answer.accept_type, client, sleep)
        self._max_records = max_records
        self._body_limit = body_limit

    @property
    def labels_only(self) -> bool:
        return self._answer.labels_only

    @property
    def runtime(self) -> str:
        return f"endpoint {self.name}, {self._request.content_type}"

    @property
    def width(self) -> int | None:
        """How many scores a row gets: known only from an answer."""
        return None

    def predict(self, batch: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Scores of rows; raises what `Caller.ask` does.

        Args:
            batch: feature → its values, all of one length, in the order that the model takes them; float64 (NaN:
                missing) or objects (None: missing).

        Returns:
            (n, outputs)
        """
        return together(self._ask(batch, self._answer.scores), self.name)

    def labels(self, batch: Mapping[str, NDArray[Any]]) -> list[Any] | None:
        """What stands at `predicted_label` beside the scores, for each row: a label, or one for each score.

        None where the answer has no such place, or only that one.
        """
        if self._label is None:
            return None
        return [label for part in self._ask(batch, self._label.values) for label in part]

    def _ask(self, batch: Mapping[str, NDArray[Any]], read: Callable[[bytes, str, int], R]) -> list[R]:
        names = tuple(batch)
        rows = zip(*(plain(batch[name]) for name in names), strict=True)
        records = [self._request.record(names, row) for row in rows]
        requests = list(self._request.cut(records, self._max_records, self._body_limit, names))

        def body(part: Sequence[str]) -> Body:
            return Body(self._request.body(part, names), self._request.content_type)

        return self._caller.ask(requests, body, read)


def together(answers: Sequence[NDArray[np.float64]], endpoint: str) -> NDArray[np.float64]:
    """(n, outputs) of several answers; raises BadModel where one has more scores than another."""
    widths = {answer.shape[1] for answer in answers}
    if len(widths) > 1:
        counts = " and ".join(map(str, sorted(widths)))
        raise BadModel(f"endpoint {endpoint}: answered {counts} scores a record, expected always as many")
    return np.concatenate(answers or [np.zeros((0, 1))])


class Body(NamedTuple):
    """Of one request."""

    content: bytes
    content_type: str


class Caller:
    """Sends requests to one endpoint: several at once, each again where that is worth it."""

    def __init__(
        self,
        name: str,
        options: ModelOptions,
        accept: str,
        client: SageMakerRuntimeClient,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nobody is asked yet.

        Args:
            name: the endpoint's.
            options: what it is told beside the records.
            accept: the content type of its answers.
            client: of `sagemaker-runtime`, see `runtime_client`.
            sleep: between two tries.
        """
        self.name = name
        self._client = client
        asked = {"CustomAttributes": options.custom_attributes, "TargetModel": options.target_model}
        self._also: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
        self._also["Accept"] = accept
        self._sleep = sleep
        self._ended = threading.Event()

    def ask(
        self,
        requests: Sequence[Sequence[T]],
        body: Callable[[Sequence[T]], Body],
        read: Callable[[bytes, str, int], R],
    ) -> list[R]:
        """The answers, in the order of the requests; of one that is too much for the endpoint those of its halves.

        Args:
            requests: the records of each.
            body: of a request with these records.
            read: an answer, its content type, and about how many records it is → what it says.

        Raises:
            BadModel: the model behind the endpoint fails, or answers what the policy does not describe.
            BadPolicy: there is no such endpoint, or nothing stands where the policy says.
            BadSettings: the job may not ask it.
            JobFailed: it stays busy, or silent.
        """

        def answers(records: Sequence[T]) -> list[R]:
            try:
                content, content_type = self._invoke(body(records), alone=len(records) == 1)
            except _TooMuch:
                half = len(records) // 2
                return [*answers(records[:half]), *answers(records[half:])]
            try:
                return [read(content, content_type, len(records))]
            except (BadModel, BadPolicy) as error:
                raise type(error)(f"endpoint {self.name}: {error}") from error

        if len(requests) == 1:
            return answers(requests[0])
        self._ended.clear()
        pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="endpoint")
        try:
            return list(chain.from_iterable(pool.map(answers, requests)))
        finally:
            self._ended.set()  # where one failed, or the job is stopped, the others do not try again
            pool.shutdown(cancel_futures=True)

    def _invoke(self, body: Body, *, alone: bool) -> tuple[bytes, str]:
        """The answer and its content type; raises _TooMuch when fewer records may be answered."""
        from botocore.exceptions import BotoCoreError, ClientError

        for attempt in itertools.count(1):
            try:
                answer = self._client.invoke_endpoint(
                    EndpointName=self.name, Body=body.content, ContentType=body.content_type, **self._also
                )
                return answer["Body"].read(), answer["ContentType"]
            except (ClientError, BotoCoreError) as error:
                trouble = trouble_of(error)
                if trouble in {"too large", "too slow"} and not alone:
                    raise _TooMuch from error
                if self._ended.is_set() or attempt >= PATIENCE.get(trouble, 1):
                    raise self._as_ours(error, trouble, attempt) from error
            # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
            self._sleep(random.uniform(0, min(20.0, 0.5 * 2**attempt)))  # noqa: S311  # no secret
        raise AssertionError("counted to the end")

    def _as_ours(self, error: Exception, trouble: Trouble, attempts: int) -> Exception:
        code, status, text = answered(error)
        where = f"endpoint {self.name}"
        if code in _DENIED:
            return BadSettings(
                f"{where}: the job's role may not sagemaker:InvokeEndpoint on it; the template's parameter "
                f"EndpointArns names the endpoints that may be asked ({shown(text)})"
            )
        if code == "ValidationError" and "not found" in text:
            return BadPolicy(f"{where}: there is none of that name in this account and region (model.endpoint_name)")
        tries = f" after {attempts} tries" if attempts > 1 else ""
        said = f"{where}: {status or code}{tries}: {shown(text)}"
        return JobFailed(said) if trouble == "busy" or not status else BadModel(said)


class _TooMuch(Exception):
    """A request that is too large or too slow, and can be halved."""


def trouble_of(error: Exception) -> Trouble:
    """What is to be done about an error of InvokeEndpoint."""
    from botocore.exceptions import ConnectionError as NotConnected
    from botocore.exceptions import HTTPClientError, ReadTimeoutError

    code, status, text = answered(error)
    if isinstance(error, ReadTimeoutError) or "timed out" in text:
        return "too slow"
    if isinstance(error, NotConnected | HTTPClientError) or code in _BUSY:
        return "busy"
    if status == 413:
        return "too large"
    if status == 429:
        return "busy"
    return "failed" if status >= 500 or status == _MODEL_FAILED else "final"


def answered(error: Exception) -> tuple[str, int, str]:
    """The error's code, status (0: nobody answered) and text: the model's own where it is the model that failed."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    code = str(response.get("Error", {}).get("Code", type(error).__name__))
    status = response.get("OriginalStatusCode") or response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = response.get("OriginalMessage") or response.get("Error", {}).get("Message") or str(error)
    return code, int(status), str(text)


def runtime_client(region: str | None = None) -> SageMakerRuntimeClient:
    """boto3's client, which does not try again by itself: `Endpoint` does, and knows what is worth it.

    Raises:
        BadSettings: no region is given, here or in the environment.
    """
    import boto3  # half a second, and only for endpoints
    from botocore.config import Config
    from botocore.exceptions import NoRegionError

    config = Config(
        connect_timeout=5,
        read_timeout=ANSWER_SECONDS,
        retries={"total_max_attempts": 1},
        max_pool_connections=IN_FLIGHT,
    )
    try:
        return boto3.client("sagemaker-runtime", region_name=region, config=config)
    except NoRegionError as error:
        raise BadSettings("in which region is the endpoint? Outside a SageMaker job AWS_DEFAULT_REGION says") from error
