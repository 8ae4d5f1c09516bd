"""What the summary reads of an explanation: Clarify's `analysis.json`, whichever engine wrote it."""

from __future__ import annotations

from pydantic import Field

from assay.base import Foreign


class LabelShap(Foreign):
    global_shap_values: dict[str, float] = {}
    expected_value: float | None = None
    global_top_shap_text: dict[str, dict[str, float]] = {}
    """A feature that is text → its tokens, sentences or paragraphs of most weight."""


class FeatureDependence(Foreign):
    """Of one feature; with `error`, why there is none."""

    feature_name: str = ""
    feature_values: tuple[float | str | None, ...] = ()
    data_distribution: tuple[float, ...] = ()
    """The share of the rows at each value."""
    model_predictions: tuple[tuple[float, ...], ...] = ()
    """(labels, values)"""
    label_headers: tuple[str, ...] = ()
    error: str | None = None


class Explanations(Foreign):
    kernel_shap: dict[str, LabelShap] = {}
    pdp: tuple[FeatureDependence, ...] = ()
    error: str | None = None


SHAP_FOLDER = "explanations_shap/"
THUMBNAILS = "assay/thumbnails/"
"""Ours alone, beside SHAP_FOLDER: each of its pictures small, for pages that show many."""


def thumbnail_of(picture: str) -> str:
    """`…/explanations_shap/a.jpeg` → `…/assay/thumbnails/a.webp`: an address below the same folder."""
    folder, _, name = picture.rpartition(SHAP_FOLDER)
    return folder + THUMBNAILS + name.removesuffix(".jpeg") + ".webp"


class ImageExplanation(Foreign):
    """Ours alone, beside each heat map: `explanations_shap/<stem>.json`."""

    image: str
    heat_maps: dict[str, str] = {}
    """Label → file below `explanations_shap/`."""
    objects: str | None = None
    """Detection: the file of the picture with the boxes that are explained."""
    additivity_gap: float | None = None


class Faithfulness(Foreign):
    """Whether what heat maps mark is what counts: means over the explained scores (Petsiuk et al. 2018, "RISE")."""

    explained: int
    """Of how many pictures, in detection objects."""
    shares: tuple[float, ...]
    """Of the segments: where the curves are known."""
    deletion: tuple[float, ...]
    """The score when so many are taken away, those that speak most for it first: it should fall soon."""
    insertion: tuple[float, ...]
    """The score when so many are shown on the baseline, in that order: it should rise soon."""
    random: tuple[float, ...]
    """The score when so many are shown in an order by chance."""
    deletion_area: float
    insertion_area: float
    random_area: float
    """Under the curves."""


class Attributions(Foreign):
    """Of rows; `assay/rows.csv`, `standard_errors.csv`, `lower.csv` and `upper.csv` beside it have each row's.

    Of texts the last three are lines of JSON, in the shape of `out.jsonl`.
    """

    exact: bool
    """No value is an estimate."""
    explained: int
    left_out: int = 0
    """Rows that `time_budget` was too short for; those explained were drawn by chance."""
    left_out_rows: tuple[str, ...] = ()
    """The first 100 of them."""
    half_width: float | None = None
    """How far the widest 95 % interval of an attribution reaches to either side; None where some cannot be told."""
    surrogate: bool = False
    rank_correlations: dict[str, float] = {}
    """Label → how alike two halves of the rows rank the features: the mean of Spearman's correlations, 1 the same."""


class PartialText(Foreign):
    partial_text: str
    start_idx: int
    """Where it begins in its text, in characters."""


class LocalAttribution(Foreign):
    """Of a feature, or of a part of a text."""

    attribution: tuple[float, ...]
    """One for each label."""
    description: PartialText | None = None


class FeatureExplanation(Foreign):
    feature_name: str
    data_type: str
    attributions: tuple[LocalAttribution, ...]


class LocalExplanation(Foreign):
    """A line of `explanations_shap/out.jsonl`; the row's identifier stands beside it under its column's name."""

    explanations: tuple[FeatureExplanation, ...]


class BiasInterval(Foreign):
    """Of a bias metric, where its resamples have values; the metric itself stands in Clarify's place."""

    value: float
    low: float
    high: float


class Runtime(Foreign):
    """What computed the model's answers."""

    name: str
    reason: str | None = None
    """Why this one and not a faster one, or the other way round."""


class AssayAnalysis(Foreign):
    """What our engine adds under the key `assay`, where Clarify's readers do not look."""

    engine: str = ""
    samples: int | None = None
    failed: int = 0
    model_calls: int | None = None
    max_additivity_gap: float | None = None
    """The largest |sum of attributions − (f(x) − f(baseline))| of all samples and outputs."""
    images: tuple[ImageExplanation, ...] = ()
    faithfulness: Faithfulness | None = None
    """Of images."""
    runtime: Runtime | None = None
    """Of images; None where an endpoint answered."""
    attributions: Attributions | None = None
    bias: dict[str, dict[str, BiasInterval]] = {}
    """`sex=Female` → metric → its 95 % interval."""


class AnalysisReport(Foreign):
    """`analysis.json`."""

    version: str = "1.0"
    explanations: Explanations = Field(default_factory=Explanations)
    assay: AssayAnalysis | None = None
