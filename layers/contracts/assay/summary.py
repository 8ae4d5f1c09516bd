"""`summary.json`: how a run ended."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from assay.base import Record
from assay.drift import Drift
from assay.evaluation import DataFacts, Finding, Flip, Metric, ModelFacts, Slice, Speed
from assay.events import Upload
from assay.failure import Failure
from assay.names import Stage
from assay.policy import Task
from assay.verdict import GateOutcome, Verdict


class JobTime(Record):
    """A job as SageMaker describes it."""

    name: str
    arn: str = ""
    """By which its console page is found."""
    stage: Stage
    status: str
    instance_type: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_message: str | None = None
    """The container's own words."""
    failure_reason: str | None = None
    """SageMaker's."""

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
    """Time and money of each job, all attempts: its instances, without disks, transfers and endpoints."""

    evaluation: Spent | None = None
    explanation: Spent | None = None
    total: Spent
    champion: Spent | None = None
    """The total of the run that was champion when this one started, at the same prices."""
    previous: Spent | None = None
    """The total of the run that had ended last when this one started, at the same prices."""
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
    """Why it was chosen: `broken: 3 taken for 8 with 0.71; the champion said 3`."""
    heat_maps: tuple[str, ...] = ()
    """Images: keys in the bucket."""
    attributions: dict[str, float] = {}
    """Rows: what moved the predicted output most, the largest first."""
    texts: dict[str, tuple[Passage, ...]] = {}
    """Rows: the beginning of each feature that is a text; `attributions` has the sum of all its passages."""
    broken: bool = False
    """The champion has it right."""
    champion: OfChampion | None = None
    """None: it explained other samples, or nothing."""


class Importance(Record):
    """The global Shapley values of one output, largest first, over the representative sample."""

    label: str
    features: dict[str, float]


class DependenceCurve(Record):
    """What the model answers for one label, on average, by the values of a feature."""

    label: str
    scores: tuple[float, ...]


class PartialDependence(Record):
    """The mean score over all explained rows when all of them had the same value of a feature."""

    feature: str
    values: tuple[float | str, ...] = ()
    """Numbers in order, or categories."""
    shares: tuple[float, ...] = ()
    """Of the rows, at each value."""
    curves: tuple[DependenceCurve, ...] = ()
    """Of the first labels."""
    error: str | None = None
    """Why there are none."""


class FaithfulnessAreas(Record):
    """Pictures: whether what heat maps mark is what counts; areas under the mean curves of the score."""

    explained: int
    """Of how many pictures, in detection objects."""
    deletion: float
    """While what speaks most for the score is taken away: small is good."""
    insertion: float
    """While it is shown on the baseline: large is good, and larger than `random`."""
    random: float
    """While segments are shown in an order by chance."""


class Certainty(Record):
    """How sure the explanations are, beside how well they add up: `max_additivity_gap`."""

    explained: int | None = None
    """Samples."""
    failed: int = 0
    model_calls: int | None = None
    exact: bool | None = None
    """Rows: no value is an estimate; None: not told."""
    half_width: float | None = None
    """Rows: how far the widest 95 % interval of an attribution reaches to either side."""
    rank_correlations: dict[str, float] = {}
    """Rows: label → how alike two halves of the rows rank the features, 1 the same."""
    left_out: int = 0
    """Rows that the time budget was too short for; those explained were drawn by chance."""
    left_out_rows: tuple[str, ...] = ()
    """The first of them."""
    surrogate: bool = False
    """A regression foresaw part of the answers, which makes estimates surer and leaves their expectation as it is."""
    faithfulness: FaithfulnessAreas | None = None


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
    previous: str | None = None
    """The run of this model that had ended last when this one started; it may be the champion's."""
    findings: tuple[Finding, ...] = ()
    rows: int | None = None
    model_facts: ModelFacts | None = None
    data: DataFacts | None = None
    speed: Speed | None = None
    explanation: Literal["done", "failed", "not asked", "not reached"] = "not reached"
    explanation_failure: str | None = None
    max_additivity_gap: float | None = None
    certainty: Certainty | None = None
    """None: nothing was explained, or by another engine than ours."""
    importance: tuple[Importance, ...] = ()
    drift: Drift | None = None
    """Of the importance from the champion's; None where one of them has none."""
    dependence: tuple[PartialDependence, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    jobs: tuple[JobTime, ...] = ()
    costs: Costs | None = None
    """None: no job ran."""
