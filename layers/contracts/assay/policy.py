"""The policy, `assay.yaml`: what to evaluate a model on, what to explain, and what decides.

Everything has a default that works but `task` and `data`. This module says what a policy may say; `assay.not_yet` says
what of it is not built yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from assay.base import Record
from assay.errors import BadPolicy
from assay.languages import language_code
from assay.problems import problems_of

Task = Literal[
    "image_classification", "object_detection", "tabular_classification", "tabular_regression", "text_classification"
]
PICTURES: frozenset[Task] = frozenset({"image_classification", "object_detection"})
ColumnType = Literal["numeric", "categorical", "text"]
Label = str | int | float | bool
InstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]
InstanceTypes = InstanceType | Annotated[tuple[InstanceType, ...], Field(min_length=1, max_length=3)]
"""What a job runs on; of several the next one where there is no capacity."""
ContentType = Literal["text/csv", "application/jsonlines", "application/json"]
PictureType = Literal["image/jpeg", "image/png", "application/x-image", "application/x-npy"]
RANK_CORRELATION = "explanation_rank_correlation"
TOP_OVERLAP = "explanation_top_overlap"


class Data(Record):
    """Where the held-out data lies and what its parts mean. Addresses are `s3://…` or relative to the policy's file."""

    source: str = Field(min_length=1)
    """A file, or a folder (ending with `/`) of images or of tables of one kind: CSV, JSON Lines, Parquet."""
    annotations: str | None = None
    """A CSV file with one line an image (classification) or a box (detection), or COCO's JSON."""
    file: str = "image_file_name"
    """The annotations' column that names the image."""
    boxes: Literal["xyxy_pixels", "xyxy_relative", "coco"] = "xyxy_pixels"
    """Columns xmin, ymin, xmax, ymax in pixels or as shares of the picture's sides; or COCO's JSON."""
    label: str | int | None = None
    """The column (or JMESPath) with the true answer; by default the annotations' `class_id`, or `label`."""
    label_base: Literal[0, 1] | None = None
    """What the first class is called where labels are integers; needed when both would fit."""
    labels: tuple[Label, ...] | dict[int, str] | None = None
    """The classes in the order of the model's outputs; as a map, the model's number of each."""
    names: str | None = None
    """The column with a class's name for people."""
    positive: Label | None = None
    """The class that counts as positive when there are two; by default the second."""
    headers: tuple[str, ...] | None = None
    """The columns' names, where the file does not give them."""
    features: str | None = None
    """JMESPath of the features in a JSON record."""
    text: tuple[str, ...] = ()
    """Columns of free text."""
    language: Annotated[str, AfterValidator(language_code)] | None = None
    """Of the texts: a code such as `en`, or an English name. By default any, `xx`: words by rules that hold in all."""
    exclude: tuple[str, ...] = ()
    """Columns that the model does not see."""
    missing: tuple[str, ...] = ()
    """Values that mean unknown: NaN for a model's numbers, an empty text for its categories."""
    columns: dict[str, ColumnType] = {}
    """Types that the values do not show: a number code that is a category.

    By default a column is numeric when at least half of its values are numbers, and a row with another value there
    cannot be read; text when its values are longer than 50 characters on average; else categorical."""
    id: str | None = None
    """The column that names a row."""
    weight: str | None = None
    """The column that says how much a row counts."""


class ChannelScaling(Record):
    """(pixel − mean) / std, one number a channel of the model's input, in its order; or one for all."""

    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...] = (1.0,)
    range: Literal["0-1", "0-255"] = "0-1"
    """What pixels are brought to before that, and so what `mean` and `std` are of."""

    @model_validator(mode="after")
    def _fit(self) -> ChannelScaling:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, 3):
                raise ValueError(f"{name} has {len(values)} numbers, expected 3, or 1 for all channels")
        if self.range == "0-1" and max(self.mean) > 1:
            raise ValueError(f"mean {max(self.mean):g} is beyond pixels of 0-1: say range: 0-255")
        return self


class Preprocessing(Record):
    """How a picture becomes the model's input. What is left open is read from the model's signature."""

    size: tuple[int, int] | None = None
    """Height and width in pixels."""
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "area"] = "bilinear"
    scaling: str | tuple[float, float] | ChannelScaling | None = None
    """`none` (0 to 255), `0-1`, `-1-1`, `torch`, `caffe`, a family of keras.applications such as `mobilenet_v2`, or
    [scale, offset]: pixel × scale + offset, or numbers a channel: {mean: […], std: […]}.

    By default `none` for a model that takes integers, else `0-1`."""
    color_order: Literal["rgb", "bgr", "grey"] | None = None
    """By default `grey` for a model with one channel, `bgr` for `caffe` and what scales like it, else `rgb`."""
    dtype: Literal["float32", "float16", "uint8", "int32"] | None = None

    @field_validator("scaling")
    @classmethod
    def _known(cls, value: object) -> object:
        if isinstance(value, str) and value not in SCALINGS:
            raise ValueError(f"{value!r} is not one of {', '.join(SCALINGS)}, nor [scale, offset], nor {{mean, std}}")
        return value


class Scaling(NamedTuple):
    """input = (pixel × scale − mean) / std, for red, green and blue."""

    scale: float
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    color_order: Literal["rgb", "bgr"] = "rgb"
    """What the models that are fed so expect, if nothing else is said."""


# Source: keras.applications.imagenet_utils.preprocess_input, whose mode "tf" is -1-1, and the mode of each family.
_MODES = {
    "none": Scaling(1.0),
    "0-1": Scaling(1 / 255),
    "-1-1": Scaling(1 / 127.5, (1.0, 1.0, 1.0)),
    "torch": Scaling(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "caffe": Scaling(1.0, (123.68, 116.779, 103.939), color_order="bgr"),
}
_FAMILIES = {
    "none": ("convnext", "efficientnet", "efficientnet_v2", "mobilenet_v3"),
    "-1-1": ("inception_resnet_v2", "inception_v3", "mobilenet", "mobilenet_v2", "nasnet", "resnet_v2", "xception"),
    "torch": ("densenet",),
    "caffe": ("resnet", "resnet50", "vgg16", "vgg19"),
}
SCALINGS: dict[str, Scaling] = _MODES | {
    family: _MODES[mode] for mode, families in _FAMILIES.items() for family in families
}
"""The scalings by name: modes, and families of keras.applications."""


class ModelOptions(Record):
    """How the model is asked."""

    predictor: Literal["in_process", "endpoint"] = "in_process"
    """`endpoint`: for a model that needs its own handler, or another framework."""
    endpoint_name: str | None = Field(None, pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$")
    """Who is asked. Without one the archive is served by an endpoint of the job's own, deleted at its end."""
    instance_type: InstanceType | None = None
    """Of that endpoint; by default the evaluation job's."""
    content_type: ContentType | PictureType | None = None
    """How an endpoint is asked: about rows by default with `text/csv`, about pictures with each file as it is.

    `image/jpeg` and `image/png`: files of another kind are encoded anew. `application/x-image`: all files go by this
    name. `application/x-npy`: arrays (n, height, width, channels) as `preprocessing` makes them, by default RGB of 0 to
    255 in `preprocessing.size`; of files, the model's handler prepares pictures."""
    accept_type: ContentType | None = None
    """How it is asked to answer; by default as rows are sent, about pictures `application/json`."""
    content_template: str | dict[str, str] | None = None
    """The body of a request: `{"features":$features}` a line of JSON Lines, `{"instances":$records}` for JSON."""
    record_template: str | None = None
    """One record of a JSON request: `$features`, `$features_kvp`, `$feature_names`, `"${Name}"`."""
    predicted_label: str | int | None = None
    """Where the class, or a regression's value, stands in an answer: a JMESPath, or a CSV column's number from 0."""
    probability: str | int | None = None
    """Where the scores stand, or a detector's boxes; by default TensorFlow Serving's `predictions`, of CSV the whole
    row, of boxes also `prediction`, as SageMaker's own detector answers."""
    custom_attributes: str | None = Field(None, max_length=1024)
    """Handed to the model with each request, as it stands."""
    target_model: str | None = Field(None, min_length=1, max_length=1024)
    """Which model of a multi-model endpoint is asked."""
    inputs: dict[str, str] = {}
    """Column → the model's input, where they are named differently."""
    output_transform: Literal["exp", "expm1", "sigmoid", "softmax"] | None = None

    @model_validator(mode="after")
    def _templates_fit(self) -> ModelOptions:
        if self.predictor == "in_process" and self.endpoint_name is not None:
            raise ValueError("`endpoint_name` needs `predictor: endpoint`")
        content, record = self.content_template, self.record_template
        if isinstance(content, dict):
            content = " ".join(content.values())
        if (content or record) and self.content_type not in ("application/jsonlines", "application/json"):
            raise ValueError("templates need `content_type: application/jsonlines` or `application/json`")
        if record is not None and self.content_type == "application/jsonlines":
            raise ValueError("`record_template` is for `application/json`; a line is `content_template`")
        if content is not None and self.content_type == "application/json" and "$record" not in content:
            raise ValueError("`content_template` needs `$records`, or `$record` for one at a time")
        for name, template in (("content_template", content), ("record_template", record)):
            if template is not None and not re.search(r'\$(features|record)|"\$\{[^}"]+\}"', template):
                raise ValueError(
                    f'`{name}` has no place for features: expected `$features`, `$features_kvp` or `"${{Name}}"`, '
                    f"found {template!r}"
                )
        return self


class SliceByBins(Record):
    column: str
    bins: tuple[float, ...] = Field(min_length=2)


class SliceByQuantiles(Record):
    column: str
    quantiles: int = Field(ge=2, le=20)


class Evaluate(Record):
    threshold: float = Field(0.5, ge=0, le=1)
    """The score from which the positive class is predicted when there are two."""
    slices: tuple[str | SliceByBins | SliceByQuantiles, ...] = ()
    """By a column's values, or its numbers; of images a column of the annotations, of detections one that has the same
    value for all boxes of a picture (in COCO's JSON a key of its images)."""
    score_threshold: float = Field(0.5, ge=0, le=1)
    """Detection: the score from which a box counts for precision, recall and the confusion matrix."""
    iou: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.5,)
    """Detection: the overlaps from which a box is right, one precision and recall each: `recall_50`, `recall_75`."""
    max_unreadable: int = Field(0, ge=0)
    """How many rows or pictures may be unreadable before the job fails; those too whose label `data.labels` lacks."""
    instance_type: InstanceTypes | None = None


class Representative(Record):
    """Seeded, the same rows for champion and challenger: for global importance, partial dependence and drift."""

    samples: int | None = Field(None, ge=0)
    """By default 100 rows, and no images: segments of different pictures have nothing in common to add up."""


class Chosen(Record):
    """What the champion has right first, then the other mistakes, then the least sure: for local explanations."""

    samples: int = Field(12, ge=0)
    only: dict[str, str] = {}
    """Only rows whose column has this value."""


class Clusters(Record):
    clusters: int = Field(ge=1, le=100)


class Blur(Record):
    """The picture itself without its details."""

    blur: float = Field(gt=0)
    """Standard deviation of a Gaussian in pixels of the model's input; of 224 pixels 10 leaves colours and no shape."""


NOISE = "noise"
BLUR_PIXELS = 10


class Explain(Record):
    representative: Representative = Representative()
    chosen: Chosen = Chosen()
    num_samples: int | None = Field(None, ge=1)
    """Coalitions a sample; by default min(2F + 2048, 2^F − 2) for F features or segments, 500 for images."""
    num_segments: int = Field(20, ge=2)
    segment_compactness: float = Field(5, gt=0)
    classes: tuple[str, ...] = ("predicted", "true")
    """Pictures: whose heat maps are drawn, `predicted`, `true` or a class's name. Detection: with names alone, only
    objects found of these classes."""
    baseline: Clusters | Blur | tuple[tuple[Any, ...], ...] | tuple[dict[str, Any], ...] | str | None = None
    """What a feature is replaced by: rows, the address of a file of rows (features only), or clusters of the data.

    What a picture's segments are replaced by: a colour, [[128, 128, 128]], the address of a picture, `blur`, the
    picture itself without details (or {blur: 10}, by so many pixels), or `noise`, as without a word."""
    pdp: tuple[str, ...] = ()
    seed: int = 0
    granularity: Literal["token", "sentence", "paragraph"] = "token"
    max_objects: int = Field(3, ge=1)
    context: float = Field(1.0, ge=0, le=1)
    iou_threshold: float = Field(0.5, ge=0, le=1)
    max_cost: Annotated[str, Field(pattern=r"^\d+(\.\d+)? USD$")] | None = None
    """What the explanation's jobs may cost, `5 USD`, by the prices that `assay prices` has read: it bounds their time,
    and samples that it is too short for are left out. Disks, transfers and an endpoint are not counted."""
    instance_type: InstanceTypes | None = None

    @field_validator("baseline", mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        return {"blur": BLUR_PIXELS} if value == "blur" else value

    @property
    def baseline_address(self) -> str | None:
        """Where the baseline lies, if the policy says where."""
        return self.baseline if isinstance(self.baseline, str) and self.baseline != NOISE else None


class Facet(Record):
    """The rows that bias is looked for in."""

    column: str
    values: tuple[Label, ...] | None = None
    above: float | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Facet:
        if (self.values is None) == (self.above is None):
            raise ValueError("needs either `values` or `above`")
        return self


class Bias(Record):
    facets: tuple[Facet, ...] = Field(min_length=1)
    group: str | None = None
    methods: Literal["all"] | tuple[str, ...] = "all"


class Registry(Record):
    """Where the model is registered when it is judged: SageMaker's Model Registry. One that ends in `error` is not."""

    group: str = Field(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$")
    """The model package group's name; it must exist, and the deployer must allow it."""
    auto_approve: bool = False
    """Approve what passed. Else a person does; what failed is registered as rejected, all others as pending."""
    content_types: tuple[str, ...] = ()
    """What its endpoint takes; by default `model.content_type`, else what TensorFlow Serving takes."""
    response_types: tuple[str, ...] = ()
    """What it answers; by default `model.accept_type`, else `application/json`."""


class RelativeLimit(Record):
    relative: float = Field(ge=0)
    """Of the champion's value: 0.02 is two per cent."""


class Gate(Record):
    """What must hold of one metric, for all rows or for a class, a slice or a facet of them."""

    metric: str = Field(min_length=1)
    min: float | None = None
    max: float | None = None
    max_abs: float | None = Field(None, ge=0)
    max_worse: float | RelativeLimit | None = None
    """How much worse than the champion's it may be."""
    class_: str | None = Field(None, alias="class")
    """A class, or `each`."""
    slice: str | None = None
    facet: str | None = None
    judge: Literal["bound", "estimate"] = "bound"
    """`bound`: the whole interval must hold; `estimate`: the value alone."""
    confidence: float = Field(0.95, ge=0.5, lt=1)
    on_inconclusive: Literal["fail", "warn", "pass"] | None = None
    """What an inconclusive gate counts as; by default the verdict is inconclusive."""

    @model_validator(mode="after")
    def _one_limit(self) -> Gate:
        limits = [self.max_abs, self.max_worse]
        given = sum(limit is not None for limit in limits) + (self.min is not None or self.max is not None)
        if given != 1:
            raise ValueError("needs one of `min`, `max` (or both), `max_abs`, `max_worse`")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"contradicts itself: min {self.min:g} is above max {self.max:g}")
        return self


class Policy(Record):
    task: Task
    data: Data
    model: ModelOptions = ModelOptions()
    preprocessing: Preprocessing = Preprocessing()
    evaluate: Evaluate = Evaluate()
    explain: Explain = Explain()
    bias: Bias | None = None
    gates: tuple[Gate, ...] = ()
    registry: Registry | None = None

    @model_validator(mode="after")
    def _fits_the_task(self) -> Policy:
        problems = [*(_of_pictures(self) if self.task in PICTURES else _of_rows(self)), *_of_drift(self)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _gates_agree(self) -> Policy:
        floors: dict[tuple[str, str | None, str | None, str | None], float] = {}
        ceilings: dict[tuple[str, str | None, str | None, str | None], float] = {}
        for gate in self.gates:
            of = (gate.metric, gate.class_, gate.slice, gate.facet)
            if gate.min is not None:
                floors[of] = max(gate.min, floors.get(of, gate.min))
            if gate.max is not None:
                ceilings[of] = min(gate.max, ceilings.get(of, gate.max))
        for of in floors.keys() & ceilings.keys():
            if floors[of] > ceilings[of]:
                raise ValueError(f"gates on {of[0]} contradict: min {floors[of]:g} is above max {ceilings[of]:g}")
        return self


def _of_pictures(policy: Policy) -> Iterator[str]:
    """What a policy on pictures says that has no meaning there."""
    model, data = policy.model, policy.data
    if model.predictor == "endpoint":
        if model.content_type is not None and model.content_type not in get_args(PictureType):
            known = ", ".join(get_args(PictureType))
            yield f"model.content_type: pictures are sent as {known}, found {model.content_type}"
        elif model.content_type != "application/x-npy" and policy.preprocessing != Preprocessing():
            yield (
                "preprocessing: an endpoint gets whole files, which the model's own handler prepares; leave it out, or "
                "say `model.content_type: application/x-npy`, for arrays"
            )
    if data.weight is not None and data.annotations is None:
        yield "data.weight: it is a column of `data.annotations`, which is missing"
    if policy.explain.pdp:
        yield f"explain.pdp: partial dependence is of a row's features, pictures have none: {policy.explain.pdp[0]}"
    expected = "expected a colour, [[128, 128, 128]], a picture's address, `blur` or `noise`"
    if isinstance(policy.explain.baseline, Clusters):
        yield ("explain.baseline: pictures have no clusters, since their segments have nothing in common; " + expected)
    elif isinstance(policy.explain.baseline, tuple) and not _is_colour(policy.explain.baseline):
        yield f"explain.baseline: {str(list(policy.explain.baseline))[:60]} is no colour of 0 to 255; {expected}"
    if policy.task == "object_detection":
        if data.annotations is None:
            yield "data.annotations: missing; expected a CSV file with a line a box, or COCO's JSON"
        if data.weight is not None:
            yield "data.weight: COCO's measures of detections know no weights"
        if model.output_transform is not None:
            yield "model.output_transform: a detector's answers are boxes, not scores alone"
        if model.predicted_label is not None:
            yield "model.predicted_label: a detector's answers are boxes; `model.probability` says where they stand"


def _is_colour(rows: tuple[Any, ...]) -> bool:
    """[[grey]] or [[red, green, blue]]"""
    return (
        len(rows) == 1
        and len(rows[0]) in (1, 3)
        and all(isinstance(value, int | float) and 0 <= value <= 255 for value in rows[0])
    )


def _of_rows(policy: Policy) -> Iterator[str]:
    """What a policy on rows says that only pictures have."""
    if isinstance(policy.explain.baseline, Blur) or policy.explain.baseline == NOISE:
        yield "explain.baseline: blur and noise are of pictures; expected rows, an address or {clusters: 10}"
    if policy.model.content_type in get_args(PictureType):
        said = policy.model.content_type
        yield f"model.content_type: rows are sent as {', '.join(get_args(ContentType))}, found {said}"


def _of_drift(policy: Policy) -> Iterator[str]:
    """What gates on explanation drift ask for that there is not."""
    for place, gate in enumerate(policy.gates):
        if gate.metric not in (RANK_CORRELATION, TOP_OVERLAP):
            continue
        where = f"gates.{place}: {gate.metric}"
        if policy.task in PICTURES:
            yield f"{where}: pictures have no features in common with the champion's, so no global importance"
        elif policy.explain.representative.samples == 0:
            yield f"{where}: needs representative rows, but explain.representative.samples is 0"
        if gate.slice is not None or gate.facet is not None:
            yield f"{where}: is of all representative rows, or of a class; expected no slice and no facet"
        if gate.min is None:
            yield f"{where}: compares with the champion already, 1 is the same; expected `min`"


def read_policy(content: object, where: str = "the policy") -> Policy:
    """The policy in parsed YAML or JSON; `where` names the file in the error.

    Raises:
        BadPolicy: all problems at once, each with its place and, for an unknown key, the nearest known one.
    """
    if not isinstance(content, dict):
        found = "nothing" if content is None else f"a {type(content).__name__}"
        raise BadPolicy(f"{where}: expected keys such as `task` and `data`, found {found}")
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        raise BadPolicy(f"{where}: " + "; ".join(problems_of(error, Policy))) from error
