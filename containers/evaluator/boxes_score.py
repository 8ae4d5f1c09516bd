"""Ask a detector about every picture, in a stream: threads decode the next ones while the model works."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from assay.errors import BadData
from assay.policy import Data
from evaluator.boxes_data import AnnotatedPicture, Annotations, ScoredPicture, objects_of
from evaluator.scored import Unreadable
from job.progress import Progress
from model.detections import Detections
from model.detector import Detector
from model.images import SUFFIXES, decode_image, read_file
from model.picture_endpoint import PictureEndpoint

BATCH = 32
"""Pictures of one size that a model is asked about at once."""
AHEAD = 8
"""Pictures of their own sizes that are decoded while the model works; one of a camera has 36 MB."""
DECODERS = min(8, os.cpu_count() or 1)


class Listed(NamedTuple):
    """A picture to be scored."""

    row: int
    """Its place among all pictures, from 0."""
    path: Path
    annotated: AnnotatedPicture


def find_listed(annotations: Annotations, folder: Path, unreadable: Unreadable) -> list[Listed]:
    """The annotated pictures, each at its path below the folder or the one file of its name, then those without a box.

    Raises:
        BadData: not one of the annotated pictures is there.
    """
    for problem in annotations.problems:
        unreadable.add(problem)
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    by_name: dict[str, str | None] = {}
    for name in files:
        short = PurePosixPath(name).name
        by_name[short] = None if short in by_name else name  # two of a name: neither is meant
    listed: list[Listed] = []
    taken: set[str] = set()
    for row, (file, picture) in enumerate(annotations.pictures.items()):
        where = file if file in files else by_name.get(PurePosixPath(file).name)
        if where is None:
            unreadable.add(f"{file}: no such file")
            continue
        taken.add(where)
        for problem in picture.problems:
            unreadable.add(problem)
        if not picture.problems:
            listed.append(Listed(row, files[where], picture))
    if not taken:
        raise BadData(
            f"none of the {len(annotations.pictures)} annotated pictures is in the data: expected "
            f"{next(iter(annotations.pictures))}, found {len(files)} files"
            + (f" such as {min(files)}" if files else "")
        )
    if not annotations.complete:
        others = [name for name in files if name not in taken and PurePosixPath(name).suffix.lower() in SUFFIXES]
        rows = range(len(annotations.pictures), len(annotations.pictures) + len(others))
        listed += [Listed(row, files[name], AnnotatedPicture(name)) for row, name in zip(rows, others, strict=True)]
    return listed


def read_content(path: Path) -> tuple[Image.Image, bytes]:
    """A picture, RGB and upright, and its file's content; raises BadData."""
    content = read_file(path)
    return decode_image(content, path.name), content


def prepare(detector: Detector | PictureEndpoint, image: Image.Image, content: bytes, name: str) -> Any:
    """A picture as the detector takes it; raises BadData."""
    if isinstance(detector, PictureEndpoint):
        return detector.prepare(image, content, name)
    return detector.prepare(image)


def score_boxes(
    listed: Sequence[Listed],
    detector: Detector | PictureEndpoint,
    places: Mapping[str, int],
    data: Data,
    unreadable: Unreadable,
    progress: Progress,
) -> Iterator[ScoredPicture]:
    """Every picture that can be read, and what is found in it.

    Args:
        listed: the pictures.
        detector: who is asked.
        places: label → the class's place.
        data: says what the boxes' coordinates are.
        unreadable: what cannot be read is added here.
        progress: is told after each batch.
    """

    def read(one: Listed) -> tuple[ScoredPicture, Any] | BadData:
        try:
            image, content = read_content(one.path)
            width, height = image.size
            objects = objects_of(one.annotated, places, width, height, data)
            prepared = prepare(detector, image, content, one.annotated.file)
        except BadData as error:
            return error
        digest = hashlib.sha256(content).hexdigest()
        nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64))
        picture = ScoredPicture(one.annotated.file, one.row, (width, height), digest, objects, nothing)
        return picture, prepared

    size = BATCH if detector.size is not None else AHEAD
    # The warnings that decoding keeps quiet are quiet for all threads: each by itself would undo the other's.
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(DECODERS) as pool:
        following = [pool.submit(read, one) for one in listed[:size]]
        for start in range(0, len(listed), size):
            current = following
            following = [pool.submit(read, one) for one in listed[start + size : start + 2 * size]]
            batch = []
            for result in (future.result() for future in current):
                if isinstance(result, BadData):
                    unreadable.add(str(result))
                else:
                    batch.append(result)
            if batch:
                found = detector.find([prepared for _, prepared in batch])
                for (picture, _), detections in zip(batch, found, strict=True):
                    yield picture._replace(detections=detections)
            progress.report("evaluating", start + len(current), len(listed), "images")
