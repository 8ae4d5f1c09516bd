"""Pictures with an annotation file, scored in a stream: threads decode the next ones while the model works."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData
from assay.policy import Data
from evaluator.scored import Sample, Scored, Unreadable
from job.progress import Progress
from model.images import read_image
from model.load import Model
from model.preprocessing import ImagePreprocessor
from model.rows import open_csv

BATCH = 32
"""Pictures a call of the model; at 224 px a batch has 19 MB."""
DECODERS = min(8, os.cpu_count() or 1)

_NAME_COLUMN = "class_name"


@dataclass(frozen=True)
class Annotation:
    """A line of the annotation file."""

    row: int
    file: str
    label: str
    name: str
    """The class's name for people, or the label."""
    columns: dict[str, str]


def read_annotations(path: Path, data: Data) -> list[Annotation]:
    """The lines of the annotation file; raises BadData when it has none or a column is missing."""
    file = open_csv(path)
    file_column = file.column(data.file, "data.file")
    label_column = file.column("class_id" if data.label is None else data.label, "data.label")
    name_column = label_column
    if data.names is not None:
        name_column = file.column(data.names, "data.names")
    elif _NAME_COLUMN in file.header:
        name_column = file.header.index(_NAME_COLUMN)
    annotations = [
        Annotation(
            row,
            line.cells[file_column],
            line.cells[label_column],
            line.cells[name_column],
            dict(zip(file.header, line.cells, strict=True)),
        )
        for row, line in enumerate(file.rows())
    ]
    if not annotations:
        raise BadData(f"{path.name}: no rows after the header")
    _check_agree(path, annotations)
    return annotations


def _check_agree(path: Path, annotations: Sequence[Annotation]) -> None:
    """Raises BadData for a picture that is annotated twice, or a class that has two names."""
    names: dict[str, str] = {}
    files: set[str] = set()
    for annotation in annotations:
        if annotation.file in files:
            raise BadData(f"{path.name}: {annotation.file} is annotated twice")
        files.add(annotation.file)
        name = names.setdefault(annotation.label, annotation.name)
        if name != annotation.name:
            raise BadData(f"{path.name}: class {annotation.label} is called {name} and {annotation.name}")


def find_pictures(folder: Path, annotations: Sequence[Annotation]) -> dict[str, Path]:
    """Each annotated file → where it lies: at that path below the folder, or the one file of that name.

    Raises:
        BadData: not one of the annotated files is there.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    by_path = {path.relative_to(folder).as_posix(): path for path in files}
    by_name: dict[str, Path | None] = {}
    for path in files:
        by_name[path.name] = None if path.name in by_name else path  # two of a name: neither is meant
    found = {}
    for annotation in annotations:
        path_or_none = by_path.get(annotation.file) or by_name.get(PurePosixPath(annotation.file).name)
        if path_or_none is not None:
            found[annotation.file] = path_or_none
    if not found:
        raise BadData(
            f"none of the {len(annotations)} annotated pictures is in the data: expected {annotations[0].file}, "
            f"found {len(files)} files" + (f" such as {min(by_path)}" if files else "")
        )
    return found


def score_images(
    annotations: Sequence[Annotation],
    pictures: Mapping[str, Path],
    model: Model,
    preprocessor: ImagePreprocessor,
    unreadable: Unreadable,
    progress: Progress,
) -> Scored:
    """Ask the model about every picture that can be read; `pictures` says where each of the annotated ones lies."""

    def read(annotation: Annotation) -> tuple[Sample, NDArray[Any]] | BadData:
        path = pictures[annotation.file]
        try:
            prepared = preprocessor.prepare(read_image(path))
        except BadData as error:
            return error
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Sample(annotation.file, annotation.row, annotation.label, digest, annotation.columns), prepared

    samples: list[Sample] = []
    scores: list[NDArray[np.float64]] = []
    # The warnings that `read_image` keeps quiet are quiet for all threads: each by itself would undo the other's.
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(DECODERS) as pool:
        following = [pool.submit(read, annotation) for annotation in annotations[:BATCH]]
        for start in range(0, len(annotations), BATCH):
            current = following
            following = [pool.submit(read, annotation) for annotation in annotations[start + BATCH : start + 2 * BATCH]]
            inputs = []
            for result in (future.result() for future in current):
                if isinstance(result, BadData):
                    unreadable.add(str(result))
                else:
                    samples.append(result[0])
                    inputs.append(result[1])
            if inputs:
                scores.append(model.predict(np.stack(inputs)))
            progress.report("evaluating", start + len(current), len(annotations), "images")
    unreadable.check()
    if not samples:
        raise BadData(f"no picture can be read: {unreadable.named[0]}")
    return Scored(samples, np.concatenate(scores))
