"""`summary.json`: how a run ended."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from assay.base import Record
from assay.evaluation import Finding, Flip, Metric, Slice
from assay.events import Upload
from assay.failure import Failure
from assay.names import Stage
from assay.policy import Task
from assay.verdict import GateOutcome, Verdict


class JobTime(Record):
    """A job as SageMaker describes it."""

    name: str
    stage: Stage
    status: str
    instance_type: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_message: str | None = None

    @property
    def seconds(self) -> float | None:
        """That SageMaker charges for; None: it never began, or has not ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


class Spent(Record):
    """What something took."""

    seconds: float
    usd: float | None = None
    """None: a price is not known."""


class Costs(Record):
    """Time and money of the last attempt of each job: its instance, without disks, transfers and endpoints."""

    evaluation: Spent | None = None
    explanation: Spent | None = None
    total: Spent
    champion: Spent | None = None
    """The total of the run that was champion when this one started, at the same prices."""
    prices_of: date | None = None
    """The day that the prices are of; None: there are none."""
    unpriced: tuple[str, ...] = ()
    """What has no price: `ml.m5.xlarge in us-east-1`."""


class Change(Record):
    """A metric of this run beside the champion's."""

    metric: str
    of: str | None = None
    """A class; None: all."""
    slice: str | None = None
    value: float
    champion: float
    better: bool
    low: float | None = None
    """Of `value - champion`, 95 %, on the same samples; None: the two reports were compared, each on its own."""
    high: float | None = None

    @property
    def by_chance(self) -> bool:
        """Whether chance alone may have made the difference."""
        return self.low is not None and self.high is not None and self.low <= 0 <= self.high


class Flips(Record):
    """The samples on which exactly one of this model and the champion is right."""

    samples: int
    """That both were asked about."""
    mended: int
    broken: int
    mcnemar_p: float
    """Of so unequal numbers by chance."""
    first: tuple[Flip, ...] = ()
    """The broken ones first; all are in `evaluation/flips.csv`."""


class OfChampion(Record):
    """What the champion said of a sample, and why."""

    predicted: str
    score: float | None = None
    heat_maps: tuple[str, ...] = ()
    """Images: keys in the bucket."""
    attributions: dict[str, float] = {}
    """Rows: what moved the predicted output most, the largest first."""


class Passage(Record):
    """A token, sentence or paragraph of a text."""

    text: str
    value: float
    """What it did to the predicted output."""
    apart: bool
    """White space stands before it."""


class Mistake(Record):
    """A sample that was explained and predicted wrongly."""

    id: str
    true: str
    predicted: str
    score: float | None = None
    reason: str
    """Why it was chosen: `mistake: 3 taken for 8 with 0.71`."""
    heat_maps: tuple[str, ...] = ()
    """Images: keys in the bucket."""
    attributions: dict[str, float] = {}
    """Rows: what moved the predicted output most, the largest first."""
    texts: dict[str, tuple[Passage, ...]] = {}
    """Rows: the beginning of each feature that is a text; `attributions` has the sum of all its passages."""
    champion: OfChampion | None = None
    """None: it explained other samples, or nothing."""


class Importance(Record):
    """The global Shapley values of one output, largest first, over the representative sample."""

    label: str
    features: dict[str, float]


class Summary(Record):
    """`summary.json`. Same inputs, same bytes: it holds no clock of its own but the jobs'."""

    schema_version: Literal[1] = 1
    run: str
    model: str
    task: Task | None = None
    """None: there is no policy."""
    upload: Upload
    uploaded_at: datetime | None = None
    verdict: Verdict
    headline: str
    """One sentence: the verdict and the numbers that decided it."""
    failure: Failure | None = None
    to_mend: tuple[str, ...] = ()
    """The commands that mend what went wrong, where they are known; each is a line of a shell."""
    gates: tuple[GateOutcome, ...] = ()
    metrics: dict[str, Metric] = {}
    changes: tuple[Change, ...] = ()
    """Against the champion of the run's start: those that chance does not explain first, then the largest."""
    flips: Flips | None = None
    not_compared: str | None = None
    """Why this model was compared with no champion, though there is one."""
    slices: tuple[Slice, ...] = ()
    """With the metrics that say most, and those that gates ask about."""
    bias: dict[str, dict[str, Metric]] = {}
    """Facet (`sex=Female`) → metric → value."""
    champion: str | None = None
    """The run that was champion when this one started."""
    findings: tuple[Finding, ...] = ()
    rows: int | None = None
    explanation: Literal["done", "failed", "not asked", "not reached"] = "not reached"
    explanation_failure: str | None = None
    max_additivity_gap: float | None = None
    importance: tuple[Importance, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    jobs: tuple[JobTime, ...] = ()
    costs: Costs | None = None
    """None: no job ran."""
