"""The files of one picture: its heat maps, and beside them the numbers that Clarify does not give."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image

from assay.explanation import thumbnail_of
from explainer.faithfulness import Curves, area
from explainer.heatmap import draw_heat_map, draw_objects
from explainer.masking import Pixels, Segments
from explainer.objects import DetectedObject
from explainer.picture_files import PictureFile
from explainer.shapley import Explanation

THUMBNAIL_SIZE = (480, 480)
"""Of a photo's heat map 14 KB on average, as JPEG 23 KB: a page carries hundreds."""

WITHOUT = "with the baseline alone"


@dataclass(frozen=True)
class ExplainedPicture:
    """One picture and what was found of it."""

    file: PictureFile
    true: str | None
    image: Pixels
    """(h, w, 3) RGB in the model's size."""
    segments: Segments
    """(h, w)"""
    names: Sequence[str]
    """Of the scores that are explained: the classes, or the objects found."""
    explanation: Explanation | None
    """None where a detector found nothing."""
    curves: Mapping[int, Curves]
    """Of each score that is drawn."""
    drawn: Sequence[int]
    """Which scores have heat maps."""
    asked: int
    """About how many pictures the model was asked."""
    objects: Sequence[DetectedObject] | None = None
    """What was found; None of a classifier."""
    parts: Sequence[tuple[slice, slice]] = ()
    """The rows and columns that are looked at for each object."""


class Written(NamedTuple):
    """The files of a picture, below `explanations_shap/`."""

    objects: str | None
    """A detector's: the picture with its boxes."""
    heat_maps: dict[str, str]
    """Name of a score → file."""
    arrays: tuple[str, ...]
    """Which there are of `shap_<stem>_<array>.npy`."""


def draw_classes(folder: Path, picture: ExplainedPicture, names: Mapping[int, str]) -> dict[str, str]:
    """The heat maps of a classified picture, all on one scale.

    Args:
        folder: where to.
        picture: whose.
        names: output to draw → file name.

    Returns:
        label → file name.
    """
    found, labels = picture.explanation, picture.names
    assert found is not None
    scale = float(np.abs(found.values[:, list(names)]).max())
    for output, name in names.items():
        title, subtitle = titles(labels, output, found, picture.true)
        drawn = draw_heat_map(picture.image, picture.segments, found.values[:, output], scale, title, subtitle)
        _save(folder / name, drawn)
    return {labels[output]: name for output, name in names.items()}


def draw_detected(folder: Path, picture: ExplainedPicture) -> tuple[str, dict[str, str]]:
    """`<stem>_objects.jpeg`, and a heat map of each object, all on one scale; object → file name."""
    stem, objects, found = picture.file.stem, picture.objects or (), picture.explanation
    overview = f"{stem}_objects.jpeg"
    boxes = [(f"{one.number}: {one.label} {shown(one.score)}", one.box) for one in objects]
    heading = f"{len(objects)} object{'' if len(objects) == 1 else 's'} explained" if objects else "Nothing was found"
    true = "" if picture.true is None else f"true: {picture.true}"
    _save(folder / overview, draw_objects(picture.image, boxes, heading, true))
    heat_maps: dict[str, str] = {}
    if found is None:
        return overview, heat_maps
    scale = float(np.abs(found.values).max())
    for output, (one, part) in enumerate(zip(objects, picture.parts, strict=True)):
        seen = np.full_like(picture.segments, -1)
        seen[part] = picture.segments[part]
        title = f"{one.label}: score {shown(found.prediction[output])}, {WITHOUT} {shown(found.base[output])}"
        subtitle = f"box {one.number}, found with {shown(one.score)}"
        name = f"shap_{stem}_box{one.number}_object.jpeg"
        drawn = draw_heat_map(picture.image, seen, found.values[:, output], scale, title, subtitle, one.box)
        _save(folder / name, drawn)
        heat_maps[one.name] = name
    return overview, heat_maps


def titles(labels: Sequence[str], drawn: int, explanation: Explanation, true: str | None) -> tuple[str, str]:
    """A heat map's title and subtitle: what is explained, what was predicted, what is true."""
    scores, base = explanation.prediction, explanation.base
    best = int(scores.argmax())
    title = f"{labels[drawn]}: score {shown(scores[drawn])}, {WITHOUT} {shown(base[drawn])}"
    predicted = f"predicted {labels[best]} with {shown(scores[best])}"
    if true is None:
        return title, predicted
    place = labels.index(true) if true in labels else None
    of_true = "" if place in (None, best) else f" with {shown(scores[place])}"
    return title, f"{predicted}, true {true}{of_true}"


def shown(score: float) -> str:
    """A score for people: three digits, and none of them for what is as good as nothing."""
    return "0.000" if abs(score) < 0.0005 else f"{score:.3f}" if abs(score) < 10 else f"{score:.3g}"


def write_numbers(folder: Path, picture: ExplainedPicture, heat_maps: Mapping[str, str]) -> tuple[str, ...]:
    """`shap_<stem>.json`, and as arrays what is too much for it.

    `shap_<stem>_segments.npy` (h, w) is the segment of each pixel, `shap_<stem>_attributions.npy` (segments, scores)
    the attributions to all scores, `shap_<stem>_intervals.npy` (2, segments, scores) the lower and upper ends of their
    95 % intervals, where the samples were enough to tell; the JSON holds those of what is drawn.

    Returns:
        Which arrays there are.
    """
    stem, found, names = picture.file.stem, picture.explanation, list(picture.names)
    segments = f"shap_{stem}_segments.npy"
    _save_array(folder / segments, picture.segments.astype(np.int32))
    numbers: dict[str, Any] = {"image": picture.file.name, "true": picture.true, "segments": segments}
    if picture.objects is None:
        numbers["label_headers"] = names
    else:
        numbers["objects"] = [_as_json(one, part) for one, part in zip(picture.objects, picture.parts, strict=True)]
    if found is not None:
        if picture.objects is None:
            numbers["predicted"] = names[int(found.prediction.argmax())]
        numbers |= _numbers_of(folder, stem, found, [names.index(label) for label in heat_maps], names)
        numbers["faithfulness"] = {
            names[output]: {
                "deletion_area": area(one.deletion),
                "insertion_area": area(one.insertion),
                "random_area": area(one.random),
            }
            for output, one in picture.curves.items()
        }
    numbers["heat_maps"] = dict(heat_maps)
    text = json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    _whole(folder / f"shap_{stem}.json", lambda file: file.write(text.encode()))
    if found is None:
        return ("segments",)
    return ("segments", "attributions") if found.interval is None else ("segments", "attributions", "intervals")


def _numbers_of(
    folder: Path, stem: str, found: Explanation, drawn: Sequence[int], names: Sequence[str]
) -> dict[str, Any]:
    attributions, intervals = f"shap_{stem}_attributions.npy", None
    _save_array(folder / attributions, found.values)
    if found.interval is not None:
        intervals = f"shap_{stem}_intervals.npy"
        _save_array(folder / intervals, np.stack(found.interval))
    return {
        "prediction": found.prediction.tolist(),
        "baseline_prediction": found.base.tolist(),
        "additivity_gap": found.gap.tolist(),
        "exact": found.exact,
        "coalitions": found.coalitions,
        "all_attributions": attributions,
        "all_intervals": intervals,
        "attributions": {names[output]: found.values[:, output].tolist() for output in drawn},
        "intervals": None
        if found.interval is None
        else {names[output]: np.stack(found.interval, axis=-1)[:, output].tolist() for output in drawn},
    }


def _as_json(one: DetectedObject, part: tuple[slice, slice]) -> dict[str, Any]:
    rows, columns = part
    return {
        "name": one.name,
        "label": one.label,
        "class": one.class_number,
        "score": one.score,
        "box": list(one.box),
        "pixels_looked_at": [columns.start, rows.start, columns.stop, rows.stop],
    }


def _save(path: Path, drawn: Image.Image) -> None:
    """The picture, and its thumbnail."""
    _whole(path, lambda file: drawn.save(file, "JPEG", quality=92, subsampling=0))
    small = Path(thumbnail_of(path.as_posix()))
    small.parent.mkdir(parents=True, exist_ok=True)
    drawn.thumbnail(THUMBNAIL_SIZE)
    _whole(small, lambda file: drawn.save(file, "WEBP", quality=75))


def _save_array(path: Path, array: Any) -> None:
    _whole(path, lambda file: np.save(file, array))


def _whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """A file that is there whole or not at all: they are uploaded while the job runs."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        write(file)
    part.replace(path)
