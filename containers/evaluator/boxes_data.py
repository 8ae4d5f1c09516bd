"""Pictures with boxes: the annotations, CSV or COCO's JSON, and what becomes of them once a picture's size is known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, FiniteFloat, ValidationError

from assay.errors import BadData, BadPolicy
from assay.policy import Data
from model.detections import Detections
from model.rows import open_csv

OUTSIDE = 1.0
"""Pixels that a box may reach out of its picture: annotation tools count from 0 or 1, and round."""
_CORNERS = ("xmin", "ymin", "xmax", "ymax")

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Annotation:
    """A box as it was annotated."""

    box: Box
    """xmin, ymin, xmax, ymax, in pixels or as shares of the picture's sides."""
    label: str
    where: str
    """`annotations.csv, line 17`"""
    crowd: bool = False
    area: float | None = None
    """Of the object's outline, in pixels."""


@dataclass
class AnnotatedPicture:
    """A picture and its boxes, maybe none."""

    file: str
    boxes: list[Annotation] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Why its boxes are not known: such a picture is not measured."""
    size: tuple[int, int] | None = None
    """Width and height, where the annotations say them."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """What else is said of it, by column."""


@dataclass(frozen=True)
class Annotations:
    """What an annotation file says."""

    pictures: Mapping[str, AnnotatedPicture]
    """By file, in the order of the annotations."""
    problems: Sequence[str]
    """Lines that belong to no picture."""
    names: Mapping[str, str]
    """Label → the class's name for people."""
    numbers: Mapping[int, str] | None
    """COCO's categories: number → label."""
    complete: bool
    """Whether it lists all pictures; else one that it does not name has no box."""
    columns: Sequence[str] = ()
    """What else it says of pictures: a CSV file's other columns, the other keys of COCO's images."""
    of_boxes: Mapping[str, str] = field(default_factory=dict)
    """Those of them that differ among the boxes of a picture, and where."""


@dataclass(frozen=True)
class Objects:
    """What there is to be found in one picture."""

    boxes: NDArray[np.float64]
    """(b, 4): xmin, ymin, xmax, ymax in pixels."""
    classes: NDArray[np.int64]
    """(b,): the class's place among the labels."""
    areas: NDArray[np.float64]
    """(b,): in pixels."""
    crowd: NDArray[np.bool_]
    """(b,)"""


def read_boxes(path: Path, data: Data) -> Annotations:
    """Read the annotation file.

    Raises:
        BadData: it cannot be read, lacks a column, or holds no box.
        BadPolicy: its boxes are not what `data.boxes` says.
    """
    annotations = _read_coco(path) if data.boxes == "coco" else _read_csv(path, data)
    boxes = [box for picture in annotations.pictures.values() for box in picture.boxes]
    problems = [*annotations.problems, *(text for one in annotations.pictures.values() for text in one.problems)]
    if not boxes:
        raise BadData(problems[0] if problems else f"{path.name}: no boxes")
    if data.boxes == "xyxy_pixels" and all(max(box.box) <= 1 for box in boxes):
        raise BadPolicy(f"{path.name}: all {len(boxes)} boxes lie within 0 to 1: say data.boxes: xyxy_relative")
    if data.boxes == "xyxy_relative" and any(max(box.box) > 2 for box in boxes):
        largest = max(boxes, key=lambda box: max(box.box))
        raise BadPolicy(
            f"{largest.where}: data.boxes is xyxy_relative, from 0 to 1, found {max(largest.box):g}; "
            "for pixels say xyxy_pixels"
        )
    return annotations


def _read_csv(path: Path, data: Data) -> Annotations:
    if path.suffix.lower() == ".json":
        raise BadPolicy(f"data.boxes is {data.boxes}, but the annotations are {path.name}: say data.boxes: coco")
    file = open_csv(path)
    file_column = file.column(data.file, "data.file")
    default = "class_id" if "class_id" in file.header else "class_name"
    label_column = file.column(default if data.label is None else data.label, "data.label")
    name_column = label_column
    if data.names is not None:
        name_column = file.column(data.names, "data.names")
    elif "class_name" in file.header:
        name_column = file.header.index("class_name")
    corners = [file.column(name, "data.boxes") for name in _CORNERS]
    known = {file_column, label_column, name_column, *corners}
    others = {name: place for place, name in enumerate(file.header) if place not in known}
    of_boxes: dict[str, str] = {}
    pictures: dict[str, AnnotatedPicture] = {}
    names: dict[str, str] = {}
    problems: list[str] = []
    for line in file.every_row():
        if line.problem:
            problems.append(line.problem)
            continue
        where = f"{path.name}, line {line.line}"
        columns = {name: line.cells[place] for name, place in others.items()}
        name = line.cells[file_column]
        picture = pictures.setdefault(name, AnnotatedPicture(name, columns=columns))
        if picture.columns != columns:
            for other, value in columns.items():
                if picture.columns[other] != value:
                    said = f"{where}: {other} of {name} is {value!r}, before {picture.columns[other]!r}"
                    of_boxes.setdefault(other, said)
        cells = [line.cells[corner] for corner in corners]
        label = line.cells[label_column]
        if not any(cells) and not label:
            continue  # a picture without a box
        box = _numbers(cells)
        problem = _problem_of_box(box, cells)
        name = names.setdefault(label, line.cells[name_column])
        if not label:
            problem = "the box has no class"
        elif name != line.cells[name_column]:
            raise BadData(f"{where}: class {label} is called {line.cells[name_column]}, before {name}")
        if problem:
            picture.problems.append(f"{where}: {problem}")
        else:
            picture.boxes.append(Annotation(box, label, where))
    return Annotations(pictures, problems, names, None, False, tuple(others), of_boxes)


def _numbers(cells: Sequence[str]) -> Box:
    """The corners; NaN for what is no number."""

    def number(cell: str) -> float:
        try:
            return float(cell)
        except ValueError:
            return math.nan

    a, b, c, d = map(number, cells)
    return a, b, c, d


def _problem_of_box(box: Box, cells: Sequence[object]) -> str:
    """What is wrong with a box whatever its picture; empty when nothing is."""
    xmin, ymin, xmax, ymax = box
    shown = ", ".join(f"{name} {cell}" for name, cell in zip(_CORNERS, cells, strict=True))
    if not all(map(math.isfinite, box)):
        return f"expected four numbers, found {shown}"
    if xmin > xmax or ymin > ymax:
        return f"the box is inverted: {shown}"
    if xmin == xmax or ymin == ymax:
        return f"the box is empty: {shown}"
    return ""


class _CocoImage(BaseModel, extra="allow"):
    id: int
    file_name: str
    width: int | None = None
    height: int | None = None


class _CocoCategory(BaseModel):
    id: int
    name: str


class _CocoAnnotation(BaseModel):
    id: int | None = None
    image_id: int
    category_id: int
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    iscrowd: bool = False
    area: FiniteFloat | None = None


class _Coco(BaseModel):
    """https://cocodataset.org/#format-data"""

    images: tuple[_CocoImage, ...]
    annotations: tuple[_CocoAnnotation, ...]
    categories: tuple[_CocoCategory, ...]


def _read_coco(path: Path) -> Annotations:
    try:
        content = _Coco.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        raise BadData(f"{path.name}: not COCO's JSON: {place or 'the file'}: {first['msg']}") from error
    _check_unique(path, "image", (image.id for image in content.images))
    _check_unique(path, "image", (image.file_name for image in content.images))
    _check_unique(path, "category", (category.id for category in content.categories))
    _check_unique(path, "category", (category.name for category in content.categories))
    numbers = {category.id: category.name for category in content.categories}
    by_id = {
        image.id: AnnotatedPicture(
            image.file_name,
            size=(image.width, image.height) if image.width and image.height else None,
            columns={name: str(value) for name, value in (image.model_extra or {}).items() if value is not None},
        )
        for image in content.images
    }
    for number, one in enumerate(content.annotations):
        where = f"{path.name}, annotation {f'number {number}' if one.id is None else f'id {one.id}'}"
        if one.image_id not in by_id:
            raise BadData(f"{where}: no image has the id {one.image_id}")
        if one.category_id not in numbers:
            raise BadData(f"{where}: no category has the id {one.category_id}")
        x, y, width, height = one.bbox
        box = (x, y, x + width, y + height)
        problem = ""
        if width < 0 or height < 0:
            problem = f"the box is inverted: width {width:g}, height {height:g}"
        elif width == 0 or height == 0:
            problem = f"the box is empty: width {width:g}, height {height:g}"
        if problem:
            by_id[one.image_id].problems.append(f"{where}: {problem}")
        else:
            label = numbers[one.category_id]
            by_id[one.image_id].boxes.append(Annotation(box, label, where, one.iscrowd, one.area))
    names = {name: name for name in numbers.values()}
    columns = dict.fromkeys(column for one in by_id.values() for column in one.columns)
    return Annotations({one.file: one for one in by_id.values()}, (), names, numbers, True, tuple(columns))


def _check_unique(path: Path, what: str, values: Iterable[object]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise BadData(f"{path.name}: {what} {value} stands there twice")
        seen.add(value)


def class_numbers(data: Data, annotations: Annotations, first: int | None) -> dict[int, str]:
    """The model's number of each class → its label, in ascending order.

    Args:
        data: `labels` as a map says it, as a list counts from `label_base`.
        annotations: COCO's categories have numbers; labels that are whole numbers are them.
        first: what the model's format calls the first class; None: nobody knows, as of an endpoint.

    Raises:
        BadPolicy: nobody says which number is which class.
        BadData: no label is one of them.
    """
    used = {box.label for picture in annotations.pictures.values() for box in picture.boxes}
    numbers: Mapping[int, str]
    if isinstance(data.labels, Mapping):
        numbers = data.labels
    elif data.labels is not None:
        base = first if data.label_base is None else data.label_base
        if base is None:
            raise BadPolicy(
                "what does the endpoint call the first class? Say data.label_base, 0 or 1, or data.labels as a map, "
                "its number of each class"
            )
        numbers = {base + place: str(label) for place, label in enumerate(data.labels)}
    elif annotations.numbers is not None:
        numbers = annotations.numbers
    else:
        texts = sorted(label for label in used if not label.isdecimal())
        if texts:
            raise BadPolicy(
                f"the labels are text ({', '.join(texts[:10])}): say data.labels, the model's number of each class, "
                f"such as {{{1 if first is None else first}: {texts[0]}}}"
            )
        numbers = {int(label): label for label in used}
    twice = [label for label in numbers.values() if list(numbers.values()).count(label) > 1]
    if twice:
        raise BadPolicy(f"data.labels names a class twice: {twice[0]}")
    unknown = sorted(used - {*label_places(numbers)})
    if len(unknown) == len(used):
        raise BadData(f"label {unknown[0]!r} is {_none_of(numbers)}")
    return {number: numbers[number] for number in sorted(numbers)}


def note_unknown_classes(annotations: Annotations, numbers: Mapping[int, str]) -> None:
    """A picture with an object of a class that the model does not know is not measured: whatever is found there."""
    places = label_places(numbers)
    for picture in annotations.pictures.values():
        for box in picture.boxes:
            if box.label not in places:
                picture.problems.append(f"{box.where}: label {box.label!r} is {_none_of(numbers)}")


def _none_of(numbers: Mapping[int, str]) -> str:
    return f"none of data.labels ({', '.join(list(numbers.values())[:10])})"


def label_places(numbers: Mapping[int, str]) -> dict[str, int]:
    """A label in the data, be it the class's name or its number → the class's place."""
    places = {str(number): place for place, number in enumerate(numbers)}
    return places | {label: place for place, label in enumerate(numbers.values())}


def objects_of(picture: AnnotatedPicture, places: Mapping[str, int], width: int, height: int, data: Data) -> Objects:
    """The picture's boxes in pixels.

    Args:
        picture: the annotations.
        places: label → the class's place.
        width: of the picture as it was read, upright.
        height: likewise.
        data: says what the coordinates are.

    Raises:
        BadData: a box reaches out of the picture, or the annotations are of one of another size.
    """
    if picture.size is not None and picture.size != (width, height):
        said = " × ".join(map(str, picture.size))
        raise BadData(f"{picture.file}: the annotations are of {said} pixels, the picture has {width} × {height}")
    scale = (width, height, width, height) if data.boxes == "xyxy_relative" else (1, 1, 1, 1)
    boxes = np.array([one.box for one in picture.boxes], dtype=np.float64).reshape(-1, 4) * scale
    outside = (boxes < -OUTSIDE).any(axis=1) | (boxes > np.array([width, height, width, height]) + OUTSIDE).any(axis=1)
    if outside.any():
        first = int(outside.argmax())
        shown = ", ".join(f"{name} {value:g}" for name, value in zip(_CORNERS, boxes[first], strict=True))
        more = f", and {outside.sum() - 1} more" if outside.sum() > 1 else ""
        raise BadData(
            f"{picture.boxes[first].where}{more}: the box reaches out of {picture.file}, {width} × {height}: {shown}"
        )
    own = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    given = np.array([math.nan if one.area is None else one.area for one in picture.boxes], dtype=np.float64)
    return Objects(
        boxes,
        np.array([places[one.label] for one in picture.boxes], dtype=np.int64),
        np.where(np.isnan(given), own, given),
        np.array([one.crowd for one in picture.boxes], dtype=np.bool_),
    )


class ScoredPicture(NamedTuple):
    """A picture that was read, and what the model found in it."""

    file: str
    row: int
    """Its place among all pictures, from 0."""
    size: tuple[int, int]
    """Width and height."""
    fingerprint: str
    """SHA-256 of its content."""
    objects: Objects
    detections: Detections

    @property
    def relative(self) -> NDArray[np.float64]:
        """The objects' boxes as shares of the picture's sides."""
        return self.objects.boxes / (self.size * 2)

    @property
    def found(self) -> NDArray[np.float64]:
        """The detections' boxes in pixels."""
        return self.detections.boxes * (self.size * 2)
