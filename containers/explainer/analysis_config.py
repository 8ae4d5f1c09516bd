"""Clarify's `analysis_config.json`: all that it may say. `explainer.not_yet` says what of it is not built yet.

The keys are those of sagemaker-core's ANALYSIS_CONFIG_SCHEMA_V1_0. Where that schema is stricter than Clarify's guide
(a float where it wants an integer) we take both, and `explainer.refused_by_aws` says so.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from assay.errors import BadPolicy
from assay.languages import language_code
from assay.policy import ColumnType
from assay.problems import problems_of

DatasetType = Literal[
    "text/csv",
    "application/jsonlines",
    "application/json",
    "application/x-parquet",
    "application/x-image",
    "application/sagemakercapturejson",
]
IMAGES: DatasetType = "application/x-image"
KINDS: dict[DatasetType, Literal["CSV", "JSON Lines", "JSON", "Parquet"]] = {
    "text/csv": "CSV",
    "application/jsonlines": "JSON Lines",
    "application/json": "JSON",
    "application/x-parquet": "Parquet",
}
"""The kinds of rows, as people call them."""


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _name_or_index(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError("expected a name or a 0-based index")
    return value


def _cell(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError("expected a string or a number")
    return value


def _file_name(value: str) -> str:
    if not value.isprintable() or not value.strip(" .") or "/" in value or "\\" in value or len(value.encode()) > 200:
        raise ValueError(
            "expected a file's name without its suffix, of at most 200 bytes: no folder, no control character"
        )
    return value


def _baseline(value: object) -> object:
    rows = value if isinstance(value, list) else [value]
    of_one_kind = rows and all(one and isinstance(one, type(rows[0])) for one in rows)
    if of_one_kind and isinstance(rows[0], dict):
        return value
    if of_one_kind and isinstance(value, list) and isinstance(rows[0], list):
        if all(cell is None or isinstance(cell, (str, int, float)) for row in value for cell in row):
            return value
    elif of_one_kind and isinstance(value, str):
        return value
    raise ValueError("expected an S3 address, a list of rows [[…], …], a list of records [{…}, …] or a record {…}")


Lower = BeforeValidator(_lower)
Whole = Annotated[int, BeforeValidator(_whole)]
"""An integer; 500.0 is one too."""
NameOrIndex = Annotated[Any, AfterValidator(_name_or_index)]
Cell = Annotated[Any, AfterValidator(_cell)]


class _Part(BaseModel):
    # strict: Clarify takes no "500" for 500, and an integer for a float is all that strict lets pass
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class TextConfig(_Part):
    granularity: Annotated[Literal["token", "sentence", "paragraph"], Lower]
    language: Annotated[str, AfterValidator(language_code)]
    """A code, or an English name, which becomes one."""
    max_top_tokens: Whole = Field(default=50, ge=1)


class Debug(_Part):
    """Which pictures and classes to look at."""

    image_names: list[str] | None = None
    class_ids: list[int] | None = None
    sample_from: Whole = Field(default=0, ge=0)
    sample_to: Whole | None = Field(default=None, ge=0)
    """The first one no longer taken."""


class ImageConfig(_Part):
    model_type: Literal["IMAGE_CLASSIFICATION", "OBJECT_DETECTION"] = "IMAGE_CLASSIFICATION"
    num_segments: Whole = Field(default=20, ge=1)
    segment_compactness: float = Field(default=5, gt=0)
    feature_extraction_method: Literal["segmentation"] = "segmentation"
    max_objects: Whole = Field(default=3, ge=1)
    iou_threshold: float = Field(default=0.5, ge=0, le=1)
    context: float = Field(default=1.0, ge=0, le=1)
    debug: Debug = Debug()


class Shap(_Part):
    baseline: Annotated[Any, AfterValidator(_baseline)] | None = None
    """None: clusters of the data; for images white noise."""
    num_clusters: Whole | None = Field(default=None, ge=1)
    use_logit: bool = False
    num_samples: Whole | None = Field(default=None, ge=1)
    """None: min(2F + 2048, 2^F - 2) for F features."""
    agg_method: Annotated[Literal["mean_abs", "median", "mean_sq"], Lower] = "mean_abs"
    save_local_shap_values: bool = True
    text_config: TextConfig | None = None
    image_config: ImageConfig | None = None
    seed: Whole = Field(default=0, ge=0)
    """0 where none is given: the same job gives the same values."""
    features_to_explain: list[NameOrIndex] | None = Field(default=None, min_length=1)
    tolerance: float | None = Field(default=None, gt=0)
    """Ours: a row is done when its 95 % intervals reach no further than this to either side."""
    time_budget: float | None = Field(default=None, gt=0)
    """Ours: seconds after which no more rows are explained."""
    surrogate: bool | Literal["auto"] = "auto"
    """Ours: smaller errors for milliseconds of each row; by itself where each call of the model is a request."""


def _metrics(*known: str) -> AfterValidator:
    def check(methods: str | list[str]) -> str | list[str]:
        unknown = [one for one in ([methods] if isinstance(methods, str) else methods) if one not in known]
        if methods != "all" and (isinstance(methods, str) or unknown):
            raise ValueError(f'expected "all" or a list of {", ".join(known)}; found {", ".join(map(repr, unknown))}')
        return methods

    return AfterValidator(check)


def _text_or_list(value: object) -> object:
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value)):
        return value
    raise ValueError('expected "all" or a list of metrics by their names')


class PreTrainingBias(_Part):
    methods: Annotated[
        Any, BeforeValidator(_text_or_list), _metrics("CI", "DPL", "KL", "JS", "LP", "TVD", "KS", "CDDL")
    ]


class PostTrainingBias(_Part):
    methods: Annotated[
        Any,
        BeforeValidator(_text_or_list),
        _metrics("DPPL", "DI", "DCA", "DCR", "SD", "RD", "DAR", "DRR", "AD", "TE", "CDDPL", "FT", "GE"),
    ]


class Pdp(_Part):
    features: list[NameOrIndex] | None = None
    grid_resolution: Whole = Field(default=15, ge=1)
    top_k_features: Whole = Field(default=10, ge=1)


class Report(_Part):
    name: Annotated[str, AfterValidator(_file_name)] = "report"
    """The pages' file name without its suffix."""
    title: str = "Analysis Report"


class TimeSeriesBaseline(_Part):
    target_time_series: Annotated[Literal["zero", "mean"], Lower] = "zero"
    related_time_series: Annotated[Literal["zero", "mean"], Lower] | None = None
    static_covariates: Annotated[dict[str, list[Cell]], Field(min_length=1)] | None = None


class AsymmetricShapleyValue(_Part):
    direction: Annotated[Literal["chronological", "anti_chronological", "bidirectional"], Lower] = "chronological"
    granularity: Annotated[Literal["timewise", "fine_grained"], Lower] = "timewise"
    num_samples: Whole | None = Field(default=None, ge=1)
    baseline: str | TimeSeriesBaseline | None = None


class Methods(_Part):
    shap: Shap | None = None
    pre_training_bias: PreTrainingBias | None = None
    post_training_bias: PostTrainingBias | None = None
    pdp: Pdp | None = None
    report: Report = Report()
    asymmetric_shapley_value: AsymmetricShapleyValue | None = None

    @property
    def asked(self) -> list[str]:
        """The analyses asked for, by their keys."""
        return [name for name in type(self).model_fields if name != "report" and getattr(self, name) is not None]


class TimeSeriesPredictor(_Part):
    forecast: str


class Predictor(_Part):
    """How the model is asked. In process only model_name, probability and label_headers matter."""

    endpoint_name: str | None = None
    endpoint_name_prefix: str | None = Field(default=None, pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9])")
    model_name: str | None = None
    target_model: str | None = None
    instance_type: str | None = None
    initial_instance_count: Whole | None = None
    accelerator_type: str | None = None
    content_type: (
        Annotated[
            Literal[
                "text/csv", "application/jsonlines", "application/json", "image/jpeg", "image/png", "application/x-npy"
            ],
            Lower,
        ]
        | None
    ) = None
    accept_type: Annotated[Literal["text/csv", "application/jsonlines", "application/json"], Lower] | None = None
    label: NameOrIndex | None = None
    probability: NameOrIndex | None = None
    """The scores' place in the answer: a 0-based column, or a JMESPath."""
    label_headers: list[Cell] | None = None
    """A name for each of the model's outputs, in their order."""
    content_template: str | Annotated[dict[str, str], Field(min_length=1)] | None = None
    record_template: str | None = None
    custom_attributes: str | None = None
    time_series_predictor_config: TimeSeriesPredictor | None = None


class Facet(_Part):
    name_or_index: NameOrIndex
    value_or_threshold: list[Cell] | None = None


class Segment(_Part):
    name_or_index: NameOrIndex
    segments: list[list[NameOrIndex]]
    config_name: str | None = None
    display_aliases: list[str] | None = None


class TimeSeriesData(_Part):
    target_time_series: NameOrIndex
    item_id: NameOrIndex
    timestamp: NameOrIndex
    related_time_series: list[NameOrIndex] | None = None
    static_covariates: list[NameOrIndex] | None = None
    dataset_format: Annotated[Literal["columns", "item_records", "timestamp_records"], Lower] | None = None


class AnalysisConfig(_Part):
    dataset_type: Annotated[DatasetType, Lower]
    methods: Methods
    version: str | None = None
    dataset_uri: str | None = None
    headers: list[str] | None = None
    label: NameOrIndex | None = None
    """The true answer's column, or its JMESPath."""
    predicted_label: NameOrIndex | None = None
    features: str | None = None
    label_values_or_threshold: list[Cell] | None = None
    probability_threshold: float = 0.5
    segment_config: list[Segment] | None = None
    facet: list[Facet] = []
    facet_dataset_uri: str | None = None
    facet_headers: list[str] | None = None
    predicted_label_dataset_uri: str | None = None
    predicted_label_headers: list[str] | None = None
    excluded_columns: list[NameOrIndex] = []
    joinsource_name_or_index: NameOrIndex | None = None
    group_variable: NameOrIndex | None = None
    time_series_data_config: TimeSeriesData | None = None
    predictor: Predictor | None = None
    column_types: dict[str, ColumnType] = {}
    """Ours alone: types that the values do not show, a number code that is a category."""

    @property
    def predicted_column(self) -> str | int | None:
        """Where the data itself holds predictions; None where they are a data set of their own."""
        return None if self.predicted_label_dataset_uri is not None else self.predicted_label

    @property
    def label_headers(self) -> tuple[str, ...] | None:
        headers = self.predictor and self.predictor.label_headers
        return tuple(str(header) for header in headers) if headers else None

    @model_validator(mode="after")
    def _parts_fit(self) -> AnalysisConfig:
        if not self.methods.asked:
            raise ValueError("methods: no analysis is asked for; expected at least one beside report, such as shap")
        if self.headers is not None:
            _check_distinct("headers", self.headers)
            if isinstance(self.label, str) and self.label not in self.headers and self.dataset_type == "text/csv":
                raise ValueError(f"Headers must contain label. Found no {self.label!r} among {_some(self.headers)}")
        _check_distinct("predictor.label_headers", self.label_headers or ())
        shap = self.methods.shap
        if shap is None:
            return self
        if self.predictor is None:
            raise ValueError("predictor: missing; shap has to ask the model")
        if self.dataset_type == IMAGES and not self.predictor.label_headers:
            raise ValueError(
                "predictor.label_headers: missing; images need a name for each of the model's outputs, in their order"
            )
        if self.dataset_type == IMAGES and shap.text_config is not None:
            raise ValueError(f"methods.shap.text_config: not for dataset_type {IMAGES}")
        if self.dataset_type == IMAGES and shap.features_to_explain is not None:
            raise ValueError(
                "methods.shap.features_to_explain: a picture's segments have no names; image_config.debug says which "
                "pictures and classes are looked at"
            )
        if self.dataset_type != IMAGES and shap.image_config is not None:
            raise ValueError(f"methods.shap.image_config: only for dataset_type {IMAGES}, found {self.dataset_type}")
        return self


def read_analysis_config(path: Path) -> AnalysisConfig:
    """Read the configuration.

    Raises:
        BadPolicy: with Clarify's own words first, then all problems at once: where, what was found, what is right.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadPolicy(f"Unable to load analysis configuration as JSON. There is no {path}") from error
    except UnicodeDecodeError as error:
        raise BadPolicy(f"Unable to load analysis configuration as JSON. {path.name} is not UTF-8: {error}") from error
    return parse_analysis_config(text, path.name)


def parse_analysis_config(text: str, where: str = "analysis_config.json") -> AnalysisConfig:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadPolicy(
            f"Unable to load analysis configuration as JSON. {where}, line {error.lineno}, column {error.colno}: "
            f"{error.msg[0].lower()}{error.msg[1:]}"
        ) from error
    except RecursionError as error:
        raise BadPolicy(f"Unable to load analysis configuration as JSON. {where}: too deep to be read") from error
    _check_text(content, where)
    try:
        return AnalysisConfig.model_validate(content)
    except ValidationError as error:
        problems = problems_of(error, AnalysisConfig)
    own_words = [problem for problem in problems if problem.startswith("Headers must contain label.")]
    raise BadPolicy(
        own_words[0] if own_words else f"Analysis configuration schema validation error. {'; '.join(problems)}"
    )


def _check_text(content: object, where: str) -> None:
    """A half of a surrogate pair cannot be written into any result."""
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        near = error.object[max(0, error.start - 20) : error.end + 20].encode("ascii", "backslashreplace").decode()
        raise BadPolicy(
            f"Unable to load analysis configuration as JSON. {where}: half of a surrogate pair, which is no character, "
            f"stands in …{near}…"
        ) from error


def _check_distinct(key: str, names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ValueError(f"{key}: {', '.join(map(repr, repeated))} stands there more than once")


def _some(names: list[str], limit: int = 20) -> str:
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
