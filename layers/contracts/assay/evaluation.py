"""What the evaluator found: `report.json` and `explain/samples.json`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from assay.base import Record
from assay.policy import ColumnType, Task


class Metric(Record):
    """A number with its 95 % interval, or the reason why there is none. Zero means zero."""

    value: float | None = None
    low: float | None = None
    """Lower bound of the interval; None where the metric has none yet."""
    high: float | None = None
    n: int | None = None
    """The samples it was measured on."""
    reason: str | None = None
    higher_is_better: bool | None = None
    """None: neither (a share, a count)."""

    @model_validator(mode="after")
    def _value_or_reason(self) -> Self:
        if (self.value is None) == (self.reason is None):
            raise ValueError("a metric has either a value or the reason why it has none")
        return self


class Tensor(Record):
    """An input or output of the model; None stands for a free dimension, the first is the batch."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class ModelFacts(Record):
    format: str
    """`SavedModel`, `Keras`, `HDF5` or `endpoint`."""
    runtime: str
    """What computed, for people: `TensorFlow 2.21, signature serving_default`."""
    runtime_reason: str | None = None
    """Why this runtime and not a faster one."""
    archive_sha256: str
    handler: bool = False
    """The archive has a `code/inference.py`, by which an endpoint takes more than numbers. Our jobs never run it."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class DataFacts(Record):
    rows: int
    unreadable: int = 0
    unreadable_names: tuple[str, ...] = ()
    """The first 20, each with its reason."""
    sha256: str
    """Over name, size and content of all that was read: two runs with the same one had the same data."""


class Finding(Record):
    """Something a person should know that no gate asks about."""

    severity: Literal["info", "warning", "serious"]
    title: str
    text: str


class ConfusionMatrix(Record):
    """`counts[t][p]`: samples of class t that were predicted as p, in the order of `labels`."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class Slice(Record):
    """A part of the data, measured by itself."""

    name: str
    """`sex=Female`, `age=[30, 50)`: what a gate's `slice` names, by itself or by its column alone (`sex`: each)."""
    columns: tuple[str, ...]
    found: Literal["declared", "discovered"]
    n: int
    small: bool = False
    """Too few rows to stop a model: a gate on it warns at most."""
    metrics: dict[str, Metric]
    per_class: dict[str, dict[str, Metric]] = {}
    """Metric → class → value; left out where slices times classes are too many."""
    p_value: float | None = None
    """Discovered: of a difference from the rest this large by chance, corrected for all parts that were looked at."""


class ReliabilityBin(Record):
    """The samples whose predicted class had a score from `low` to `high`."""

    low: float
    high: float
    n: int
    score: float
    """Their mean score."""
    rate: Metric
    """How many of them were right."""


class Difference(Record):
    """Ours minus the champion's on the same rows, with its 95 % interval; or the reason why there is none."""

    ours: float | None = None
    champion: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    reason: str | None = None
    higher_is_better: bool | None = None

    @model_validator(mode="after")
    def _value_or_reason(self) -> Self:
        if (self.value is None) == (self.reason is None):
            raise ValueError("a difference has either a value or the reason why it has none")
        return self


class Flip(Record):
    """A sample on which exactly one of the two models is right."""

    id: str
    row: int
    true: str
    predicted: str
    champion: str
    """What the champion predicted."""


class Comparison(Record):
    """This model beside the champion of the run's start, on the rows that both were asked about."""

    champion: str
    """The champion's run."""
    archive_sha256: str | None = None
    refused: str | None = None
    """Why nothing was compared: it is the same archive, or the champion cannot be asked any more."""
    rows: int = 0
    rescored: int = 0
    """Rows that the champion had not seen and was asked about in this job."""
    metrics: dict[str, Difference] = {}
    per_class: dict[str, dict[str, Difference]] = {}
    slices: dict[str, dict[str, Difference]] = {}
    """Slice → metric → difference."""
    mended: int | None = None
    """Classification: rows that the champion had wrong and this model has right."""
    broken: int | None = None
    mcnemar_p: float | None = None
    """Of so unequal numbers mended and broken by chance (exact McNemar test)."""
    flips: tuple[Flip, ...] = ()
    """The first of them, the broken ones first; all are in `flips.csv`."""


class Speed(Record):
    """How fast the model answered in this job."""

    per_second: float
    """Samples a second over the whole evaluation, reading included."""
    unit: Literal["rows", "images", "texts"]
    latency_p50_ms: float | None = None
    """Of a single sample, the model alone."""
    latency_p95_ms: float | None = None


class Explainable(Record):
    """What the explanation step needs to know of the samples and the model's answer."""

    kind: Literal["images", "rows"]
    samples: int
    headers: tuple[str, ...] = ()
    """Rows: the columns of `explain/rows/data.csv` (no header row): features, label, and last `assay_id`."""
    types: dict[str, ColumnType] = {}
    """Rows: of the features, as all of the data shows them: a part of it may show less."""
    label: str | None = None
    """Rows: the header of the label among them."""
    label_headers: tuple[str, ...] = ()
    """A name for each of the model's outputs, in their order."""
    positive: str | None = None
    """Rows: the label's value that counts as positive."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Rows: the features that are explained by their tokens, sentences or paragraphs."""
        return tuple(name for name, kind in self.types.items() if kind == "text")


class EvaluationReport(Record):
    """`report.json`."""

    schema_version: Literal[1] = 1
    task: Task
    labels: tuple[str, ...] = ()
    """The classes' names for people, in the order of the model's outputs."""
    metrics: dict[str, Metric]
    per_class: dict[str, dict[str, Metric]] = {}
    """Metric → class → value."""
    confusion: ConfusionMatrix | None = None
    reliability: tuple[ReliabilityBin, ...] = ()
    slices: tuple[Slice, ...] = ()
    bias: dict[str, dict[str, Metric]] = {}
    """Facet (`sex=Female`) → metric (`DPPL`) → value, on all rows."""
    comparison: Comparison | None = None
    """None: there was no champion."""
    model: ModelFacts
    data: DataFacts
    speed: Speed | None = None
    findings: tuple[Finding, ...] = ()
    explain: Explainable | None = None
    """None: no sample was to be explained."""
    plots: tuple[str, ...] = ()
    """Files below `evaluation/`: `plots/confusion.svg`."""
    seconds: dict[str, float] = {}
    """Wall time of each part."""


class ExplainSample(Record):
    """A sample to explain, and why."""

    id: str
    """The image's file name or the row's id."""
    row: int
    """Its place among all rows, from 0."""
    sample: tuple[Literal["representative", "chosen"], ...]
    reason: str
    """A phrase: `broken: 3 taken for 8 with 0.71; the champion said 3`."""
    true: str | None = None
    predicted: str | None = None
    champion: str | None = None
    """What the champion predicted; None: there is none, or it was not asked about this sample."""
    score: float | None = None
    """The predicted class's score, or the predicted value."""
    file: str | None = None
    """Images: the file below `explain/images/`."""
    fingerprint: str | None = None
    """Of its content: another run's sample with the same one is the same."""


class ExplainSamples(Record):
    """`explain/samples.json`: in the order of the rows of `explain/rows/data.csv`."""

    schema_version: Literal[1] = 1
    samples: tuple[ExplainSample, ...]
