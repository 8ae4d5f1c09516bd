"""Guess what pictures, and what is said of them, mean to a model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from assay.errors import BadData, BadPolicy
from assay.policy import SCALINGS, Data, Preprocessing
from assay_local.guessed import Guess
from assay_local.readings import TRIED, Reading, as_good, little_better, readings, spread, told, trial, usual_first
from evaluator.boxes_data import Annotations, objects_of, read_boxes
from evaluator.classification import classify
from evaluator.images_data import annotations_by_folder
from job.progress import Progress
from model.detector import Detector
from model.images import SUFFIXES, read_image
from model.load import Model
from model.preprocessing import ImagePreprocessor, preprocessing_of
from model.rows import CsvFile, open_csv

USUAL_SIZE = (224, 224)
TRIED_SCALINGS = ("-1-1", "0-1", "none", "torch", "caffe")
"""The different ones: each family of models is fed by one of them."""
MOST_NAMES = 4
TRIED_DETECTOR = 30
"""Pictures: a detector is slow."""
SAME_OBJECT = 0.5
"""Intersection over union."""
CORNERS = ("xmin", "ymin", "xmax", "ymax")


class Line(NamedTuple):
    """A picture and what is said of it."""

    path: Path
    cells: Mapping[str, str]


def pictures_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file()]


def guess_pictures(
    place: Path, pictures: Sequence[Path], annotations: Path | None, model: Model, folder: Path, progress: Progress
) -> Guess:
    """Boxes, or classes by an annotation file or by folders.

    Args:
        place: the data's folder.
        pictures: those below it.
        annotations: the file that speaks of them, where a person has said which.
        model: the model.
        folder: the archive's.
        progress: is told.
    """
    annotations = annotations or find_annotations(place, pictures)
    if annotations is None:
        # raises BadData: expected <class>/<file>, or an annotation file
        by_folder = [Line(place / one.file, {"folder": one.label}) for one in annotations_by_folder(place)]
        guess = classified({"source": f"{place}/"}, by_folder, ["folder"], model, folder, progress)
        del guess.data["label"]
        if guess.data.get("labels") == sorted(guess.supports):
            del guess.data["labels"]  # what folders say by themselves
        return guess
    source = os.path.commonpath([path.parent for path in pictures])
    said = {"source": f"{source}/", "annotations": str(annotations)}
    if annotations.suffix.lower() == ".json":
        return detected({**said, "boxes": "coco"}, pictures, model, folder, progress)
    file = open_csv(annotations)
    column, lines = annotated(file, pictures)
    if column != "image_file_name":
        said["file"] = column
    if set(CORNERS) <= set(file.header):
        return detected(said, pictures, model, folder, progress)
    return classified(said, lines, [name for name in file.header if name != column], model, folder, progress)


def find_annotations(place: Path, pictures: Sequence[Path]) -> Path | None:
    """The one CSV or COCO file in the folder, or beside it, that speaks of these pictures."""
    near = dict.fromkeys([*sorted(place.rglob("*")), *sorted(place.parent.glob("*"))])
    names = {path.name for path in pictures[:TRIED]}
    found = []
    for path in near:
        if path.suffix.lower() in (".csv", ".json") and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            if 2 * sum(name in text for name in names) > len(names):
                found.append(path)
    if len(found) > 1:
        shown = ", ".join(map(str, found[:5]))
        raise BadData(f"{len(found)} files speak of these pictures: {shown}; say which with --annotations")
    return found[0] if found else None


def annotated(file: CsvFile, pictures: Sequence[Path]) -> tuple[str, list[Line]]:
    """The column that names the pictures, and the lines whose picture is there."""
    by_name = {path.name: path for path in pictures}
    rows = [row.cells for row in file.rows()]
    counts = [sum(Path(cells[place]).name in by_name for cells in rows) for place in range(len(file.header))]
    if not any(counts):
        raise BadData(f"{file.path.name}: no column names the pictures; found {', '.join(file.header)}")
    best = int(np.argmax(counts))
    named = [(by_name.get(Path(cells[best]).name), cells) for cells in rows]
    return file.header[best], [
        Line(path, dict(zip(file.header, cells, strict=True))) for path, cells in named if path is not None
    ]


def classified(
    said: dict[str, Any],
    lines: Sequence[Line],
    columns: Sequence[str],
    model: Model,
    folder: Path,
    progress: Progress,
) -> Guess:
    """Pictures with classes: try each scaling with each reading of each column that may be the label."""
    classes = max(model.width or 2, 2)
    ways = list(_ways(lines, columns, classes))
    if not ways:
        raise BadData(
            f"no column fits the model's {classes} classes: found {', '.join(columns)}; expected whole numbers from 0 "
            f"or 1 up, or {classes} different names"
        )
    places = spread([line.cells[ways[0].data["label"]] for line in lines])
    images = []
    for number, place in enumerate(places, 1):
        progress.report("reading", number, len(places), "pictures")
        images.append(read_image(lines[place].path))
    given = preprocessing_of(None, folder)
    free = given is None and None in model.inputs[0].shape[1:3]
    answers = _answers(model, images, given, USUAL_SIZE if free else None, progress)
    found = {
        (scaling, number): trial(way.true[places], *answer)
        for scaling, answer in answers.items()
        for number, way in enumerate(ways)
    }
    good = as_good(found)
    scaling, number = good[0]
    way = ways[number]
    of_scalings = {name: found[name, number] for name in answers}
    of_ways = {
        other.text: found[scaling, at] for at, other in enumerate(ways) if other.data["label"] == way.data["label"]
    }
    notes = {f"data.{way.key}": told(of_ways, way.text, close=False)}
    preprocessing: dict[str, Any] = {}
    unsure = {}
    if given is None:
        preprocessing = {"size": list(USUAL_SIZE), "scaling": scaling} if free else {"scaling": scaling}
        close = [name for name in answers if name != scaling and (name, number) in good]
        notes["preprocessing.scaling"] = told(of_scalings, scaling, close=bool(close))
        family = [name for name, known in SCALINGS.items() if known == SCALINGS[scaling] and name != scaling]
        if family and model.inputs[0].shape[3] != 1:
            notes["preprocessing.scaling"] += f"; as for {', '.join(family[:MOST_NAMES])}"
        if close:
            unsure["preprocessing.scaling"] = (
                f"{' and '.join(close)} may be meant as well: say what it was trained with"
            )
    if free:
        unsure["preprocessing.size"] = "the model takes any size; this one is only usual: say what it was trained with"
    if poor := little_better(found[good[0]].rate, way, places):
        unsure["data.label"] = poor
    return Guess(
        task="image_classification",
        data={**said, **way.data, **_names(way, columns)},
        preprocessing=preprocessing,
        notes=notes,
        unsure=unsure,
        supports=way.supports,
        samples=len(lines),
    )


def _answers(
    model: Model,
    images: Sequence[NDArray[np.uint8]],
    given: Preprocessing | None,
    size: tuple[int, int] | None,
    progress: Progress,
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Predicted classes (n,) and scores (n, classes) by each scaling that the input takes, or by the archive's own."""
    tries = {name: Preprocessing(scaling=name, size=size) for name in TRIED_SCALINGS}
    if given is not None:
        tries = {"assay.json": given}
    found = {}
    for number, (name, preprocessing) in enumerate(tries.items(), 1):
        progress.report("trying", number, len(tries), "scalings")
        with suppress(BadPolicy):  # grey pictures know no mean a channel, whole numbers no share
            preprocessor = ImagePreprocessor(preprocessing, model.inputs[0])
            scores = model.predict(np.stack([preprocessor.prepare(image) for image in images]))
            found[name] = classify(scores, 0.5, 1)
    if not found:
        ImagePreprocessor(given, model.inputs[0])  # raises what is wrong
    return found


def _ways(lines: Sequence[Line], columns: Sequence[str], classes: int) -> Iterator[Reading]:
    for column in usual_first(columns):
        labels = [line.cells[column] for line in lines]
        named = "class_name" if "class_name" in lines[0].cells else column
        yield from readings(column, labels, {line.cells[column]: line.cells[named] for line in lines}, classes)


def _names(way: Reading, columns: Sequence[str]) -> dict[str, str]:
    """The column with the classes' names, beside one with their numbers."""
    return {"names": "class_name"} if way.key == "label_base" and "class_name" in columns else {}


def detected(said: dict[str, Any], pictures: Sequence[Path], model: Model, folder: Path, progress: Progress) -> Guess:
    """Pictures with boxes: which of the model's numbers is which class its boxes tell, where they lie on objects."""
    path = Path(said["annotations"])
    try:
        found = read_boxes(path, Data(**said))
    except BadPolicy:  # all lie within 0 to 1
        said = {**said, "boxes": "xyxy_relative"}
        found = read_boxes(path, Data(**said))
    detector = Detector(model, preprocessing_of(None, folder))
    labels = sorted({box.label for picture in found.pictures.values() for box in picture.boxes})
    notes, unsure = {}, {}
    if found.numbers is None and not all(label.isdecimal() for label in labels):
        counts = _met(found, labels, pictures, detector, Data(**said), progress)
        numbers = {detector.first_class + place: label for place, label in enumerate(labels)}
        if counts.any():
            rows, columns = linear_sum_assignment(-counts)
            numbers = {
                detector.first_class + int(row): labels[column] for row, column in zip(rows, columns, strict=True)
            }
            shares = counts[rows, columns] / np.maximum(counts.sum(axis=1), 1e-9)
            named = ", ".join(f"{label} {share:.2f}" for label, share in zip(numbers.values(), shares, strict=True))
            notes["data.labels"] = f"of each number's boxes on objects, so many lie on this class: {named}"
        if not (counts.sum(axis=1) > 0).all():
            unsure["data.labels"] = "say which of the model's numbers is which class: not all were seen on objects"
        said = {**said, "labels": numbers}
    return Guess(task="object_detection", data=said, notes=notes, unsure=unsure, samples=len(found.pictures))


def _met(
    found: Annotations,
    labels: Sequence[str],
    pictures: Sequence[Path],
    detector: Detector,
    data: Data,
    progress: Progress,
) -> NDArray[np.float64]:
    """(classes, classes): how often a detection of each number lies on an object of each label, half and more of it."""
    paths = {path.name: path for path in pictures}
    places = {label: place for place, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)))
    annotated = [one for one in found.pictures.values() if one.boxes and Path(one.file).name in paths][:TRIED_DETECTOR]
    for number, one in enumerate(annotated, 1):
        progress.report("looking for objects", number, len(annotated), "pictures")
        with suppress(BadData):  # a picture or a box that cannot be read is for the evaluation to name
            image = read_image(paths[Path(one.file).name])
            height, width = image.shape[:2]
            objects = objects_of(one, places, width, height, data)
            seen = detector.find([detector.prepare(image)])[0]
            overlaps = ious(seen.boxes * (width, height, width, height), objects.boxes)
            for detection in np.flatnonzero(overlaps.max(axis=1, initial=0) >= SAME_OBJECT):
                class_number = int(seen.classes[detection]) - detector.first_class
                if 0 <= class_number < len(labels):
                    counts[class_number, objects.classes[overlaps[detection].argmax()]] += seen.scores[detection]
    return counts


def ious(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of boxes (n, 4) and (m, 4), xmin, ymin, xmax, ymax: (n, m)."""
    low = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    high = np.minimum(ours[:, None, 2:], theirs[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (ours, theirs)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    found: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return found
