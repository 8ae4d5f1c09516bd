"""Who is asked: the archive in this process, an endpoint of that name, or one that the job makes."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from assay.errors import AssayError, BadPolicy, BadSettings
from assay.policy import ModelOptions
from assay.problems import problems_of
from explainer.analysis_config import IMAGES, AnalysisConfig, Predictor
from explainer.coding import Columns
from explainer.inputs import SageMakerModel, describe_model, download_archive
from explainer.passed_over import of_an_endpoint
from explainer.request import Request
from explainer.table import Table
from job.described import described_job
from model.archive import unpack
from model.endpoint import Endpoint, runtime_client
from model.features import Features
from model.load import Model, load_model
from model.shadow import Shadow, sagemaker_client, shadow_endpoint

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

Ask = Callable[[Columns], NDArray[np.float64]]
LabelsBeside = Callable[[int | None], list[Any]]
"""What an endpoint answers beside its scores, for each of the first rows: its label, or one for each score."""
AskMatrix = Callable[[NDArray[np.float64]], NDArray[np.float64]]

logger = logging.getLogger(__name__)

MAX_RECORDS = 500
"""In a request; fewer where they are too large or too slow together."""
DEFAULT_PREFIX = "assay-shadow"
NAME_MAX = 63  # of an endpoint
TENSORFLOW_FILES = {".keras", ".h5", ".hdf5"}
ROWS_AS = ("text/csv", "application/jsonlines", "application/json")
PICTURES_AS = ("image/jpeg", "image/png", "application/x-npy")


class Serving(NamedTuple):
    """An endpoint that is to be asked."""

    name: str
    options: ModelOptions
    client: SageMakerRuntimeClient


@contextmanager
def open_predictor(request: Request, table: Table) -> Iterator[Model | Endpoint]:
    """Who is asked about rows; raises what `who_is_asked` does."""
    with who_is_asked(request) as asked:
        yield _endpoint(asked, request.config, table) if isinstance(asked, Serving) else asked[0]


@contextmanager
def who_is_asked(request: Request) -> Iterator[tuple[Model, Path] | Serving]:
    """The model in this process and its folder where that is possible, else an endpoint.

    A shadow endpoint ends with the block. The archive is loaded here when the job brings it, or when `model_name` is a
    TensorFlow model without a program of its own. What a policy of ours sends to an endpoint is never loaded: such a
    job has a network and credentials.

    Raises:
        BadModel, BadPolicy, BadSettings, JobFailed: it cannot be had; says why.
    """
    predictor = request.config.predictor
    assert predictor is not None
    by_policy = asks_by_policy(request)
    if predictor.endpoint_name is not None:
        logger.info("the endpoint %s is asked: predictor.endpoint_name", predictor.endpoint_name)
        yield _serving(predictor.endpoint_name, request)
    elif predictor.model_name is None or (request.archive.exists() and not by_policy):
        with request.model() as loaded:
            _log_in_process("the job's archive", predictor)
            yield loaded
    elif by_policy:
        with _shadow(predictor.model_name, "the policy says `predictor: endpoint`", request) as serving:
            yield serving
    else:
        with TemporaryDirectory(prefix="model-") as temporary:
            why = _why_served(describe_model(predictor.model_name), Path(temporary))
            if not why:
                _log_in_process(f"the SageMaker Model {predictor.model_name}", predictor)
                folder = Path(temporary) / "model"
                yield load_model(folder).asked_by(request.model_options), folder
                return
        with _shadow(predictor.model_name, why, request) as serving:
            yield serving


def asks_by_policy(request: Request) -> bool:
    """Whether a policy of ours has the model asked through an endpoint."""
    return request.policy is not None and request.model_options.predictor == "endpoint"


def _log_in_process(who: str, predictor: Predictor) -> None:
    unused = of_an_endpoint(predictor)
    more = f"; without effect: {unused}" if unused else ""
    logger.info("%s is loaded in this process, without endpoint%s", who, more)


def _why_served(model: SageMakerModel, folder: Path) -> str:
    """Why a SageMaker Model has to be asked through an endpoint; empty: its archive lies unpacked in `folder`/model."""
    if model.containers > 1:
        return f"it is a pipeline of {model.containers} containers"
    if model.program:
        return f"it has a program of its own, {model.program}"
    if model.archive is None:
        return "it names no model.tar.gz in S3"
    unpack(download_archive(model, folder), folder / "model")
    files = [path.relative_to(folder / "model") for path in (folder / "model").rglob("*") if path.is_file()]
    if Path("code/inference.py") in files:
        return "its archive has a handler, code/inference.py"
    if not any(path.name == "saved_model.pb" or path.suffix in TENSORFLOW_FILES for path in files):
        seen = ", ".join(sorted(map(str, files))[:5]) or "nothing"
        return f"it is no TensorFlow model: its archive has {seen}"
    return ""


@contextmanager
def _shadow(model: str, why: str, request: Request) -> Iterator[Serving]:
    predictor, job = request.config.predictor, described_job(request.folders)
    assert predictor is not None
    if job is None:
        raise BadSettings(
            f"predictor.model_name {model}: {why}, so an endpoint has to serve it, which only a SageMaker job makes; "
            "say predictor.endpoint_name"
        )
    instance_type = predictor.instance_type or job.instance_type
    if instance_type is None:
        raise BadPolicy("predictor.instance_type: missing; the job has several to choose from, its endpoint needs one")
    name = shadow_name(predictor.endpoint_name_prefix, job.name)
    serving = _serving(name, request)  # what is wrong with the options is told before minutes are spent
    logger.info("the SageMaker Model %s is asked through the shadow endpoint %s: %s", model, name, why)
    shadow = Shadow(name, model, instance_type, predictor.initial_instance_count or 1)
    with shadow_endpoint(shadow, sagemaker_client(job.region)):
        yield serving


def shadow_name(prefix: str | None, job: str) -> str:
    """One for each job: a job that begins again finds it."""
    mark = hashlib.sha256(job.encode()).hexdigest()[:8]
    return f"{(prefix or DEFAULT_PREFIX)[: NAME_MAX - 1 - len(mark)].rstrip('-')}-{mark}"


def _serving(name: str, request: Request) -> Serving:
    config, job = request.config, described_job(request.folders)
    assert config.predictor is not None
    options = endpoint_options(config, config.predictor)
    if config.dataset_type == IMAGES and asks_by_policy(request):
        options = request.model_options  # Clarify's configuration has no name for all of its content types
    return Serving(name, options, runtime_client(None if job is None else job.region))


def _endpoint(serving: Serving, config: AnalysisConfig, table: Table) -> Endpoint:
    names = answered_labels(config, table)
    labels = None if names is None else {label: place for place, label in enumerate(names)}
    return Endpoint(serving.name, serving.options, labels, serving.client, max_records=MAX_RECORDS)


def endpoint_options(config: AnalysisConfig, predictor: Predictor) -> ModelOptions:
    """How samples are sent and answers read; by default as the data is, pictures as JPEG.

    Raises:
        BadPolicy: keys that contradict each other.
    """
    images = config.dataset_type == IMAGES
    known = PICTURES_AS if images else ROWS_AS
    default = config.dataset_type if config.dataset_type in ROWS_AS else known[0]
    content_type = predictor.content_type or default
    if content_type not in known:
        what, other = ("images", "rows") if images else ("rows", "images")
        raise BadPolicy(f"predictor.content_type: {content_type} is for {other}; {what} are sent as {', '.join(known)}")
    asked: dict[str, Any] = {
        "predictor": "endpoint",
        "content_type": content_type,
        "accept_type": predictor.accept_type,
        # Clarify, too, passes over what its content type has no use for
        "content_template": predictor.content_template if content_type in ROWS_AS[1:] else None,
        "record_template": predictor.record_template if content_type == "application/json" else None,
        "predicted_label": predictor.label,
        "probability": predictor.probability,
        "custom_attributes": predictor.custom_attributes,
        "target_model": predictor.target_model,
    }
    try:
        return ModelOptions.model_validate(asked)
    except ValidationError as error:
        raise BadPolicy("predictor: " + "; ".join(problems_of(error, ModelOptions))) from error


def answers_label(config: AnalysisConfig) -> bool:
    """Whether an endpoint's answer is a label, or a number that stands in its place."""
    predictor = config.predictor
    return predictor is not None and predictor.label is not None and predictor.probability is None


def answered_labels(config: AnalysisConfig, table: Table) -> tuple[str, ...] | None:
    """The classes of an endpoint that answers labels alone; None where it answers numbers.

    They are `label_headers`, else what the data's label column holds, where that is no number.
    """
    if not answers_label(config):
        return None
    headers = config.label_headers
    if headers is not None:
        return headers if len(headers) > 1 else None
    label = table.meaning.label
    if label is None or table.columns[label].dtype.kind == "f":
        return None
    return tuple(sorted({str(value) for value in table.columns[label].tolist()}))


def asks(model: Model | Endpoint, table: Table, request: Request) -> tuple[Ask, AskMatrix | None]:
    """How the model is asked about features as columns; and as the matrix they are, where it takes it as it stands.

    Raises:
        BadModel: the model takes other features than the data has.
        BadPolicy: `model.inputs` names a column or an input that there is not.
    """
    if isinstance(model, Endpoint):

        def ask(columns: Columns) -> NDArray[np.float64]:
            with own_words(request):
                return model.predict(columns)

        return ask, None
    features = Features(model.inputs, table.features, table.types, request.model_options.inputs)
    return lambda columns: model.predict(features.arrange(columns)), model.predict if features.is_matrix else None


def labels_beside(endpoint: Endpoint, table: Table, request: Request) -> LabelsBeside | None:
    """Where its answer has a label beside the scores: that of the first so many rows, None for all; else None."""
    predictor = request.config.predictor
    if predictor is None or predictor.label is None or predictor.probability is None:
        return None

    def labels(rows: int | None) -> list[Any]:
        with own_words(request):
            return endpoint.labels({name: table.columns[name][:rows] for name in table.features}) or []

    return labels


def named_beside(beside: LabelsBeside | None, config: AnalysisConfig, outputs: int) -> tuple[str, ...] | None:
    """What the answer itself calls its scores, where it lists a label for each and nothing else names them."""
    if beside is None or config.label_headers is not None:
        return None
    (first,) = beside(1)
    return tuple(map(str, first)) if isinstance(first, list) and len(first) == outputs else None


def predicted_of(answered: Sequence[Any], scores: NDArray[np.float64]) -> NDArray[Any]:
    """The predicted label of each row: the one that is answered, or of a list the one with the highest score."""
    predicted = np.empty(len(answered), dtype=object)
    for row, label in enumerate(answered):
        predicted[row] = label[scores[row].argmax()] if isinstance(label, list) and label else label
    return predicted


@contextmanager
def own_words(request: Request) -> Iterator[None]:
    """Where no policy of ours was written, an endpoint's errors name the configuration's keys."""
    try:
        yield
    except AssayError as error:
        if request.policy is not None:
            raise
        raise type(error)(in_clarifys_keys(str(error))) from error


KEYS = {
    "model.predicted_label": "predictor.label",
    "model.probability": "predictor.probability",
    "model.endpoint_name": "predictor.endpoint_name",
    "model.instance_type": "predictor.instance_type",
    "a template of model": "a template of predictor",
    "data.labels": "predictor.label_headers",
}


def in_clarifys_keys(text: str) -> str:
    for ours, theirs in KEYS.items():
        text = text.replace(ours, theirs)
    return text
