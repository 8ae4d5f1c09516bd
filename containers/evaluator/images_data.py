"""Pictures and their labels, by an annotation file or by folders; scored by a thread for each core."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assay.errors import BadData, BadModel, BadPolicy
from assay.policy import Data
from evaluator.checks import PROBE
from evaluator.scored import Sample, Samples, Scored, Unreadable
from job.progress import Progress
from model.endpoint import IN_FLIGHT
from model.images import SUFFIXES, decode_image, read_file
from model.load import Model
from model.picture_endpoint import PictureEndpoint, Prepared
from model.preprocessing import ImagePreprocessor
from model.rows import open_csv
from model.runtime import CORES

T = TypeVar("T")
R = TypeVar("R")
Scores = NDArray[np.float64]

BATCH = 8
"""Pictures a call of the model: at 224 px 5 MB, which stay in the processor's cache (4 to 8 were faster than 32)."""

LABEL, NAME = "class_id", "class_name"
"""The annotations' columns of a class where the policy names none."""
_SHOWN = 10


@dataclass(frozen=True)
class Annotation:
    """A line of the annotation file."""

    row: int
    file: str
    label: str
    name: str
    """The class's name for people, or the label."""
    columns: dict[str, str]

    def weight(self, column: str) -> float:
        """How much it counts; raises BadData when the column says no number from 0 on."""
        with suppress(ValueError):
            weight = float(self.columns[column])
            if weight >= 0 and math.isfinite(weight):
                return weight
        raise BadData(f"{self.file}: {column} is {self.columns[column]!r}, expected a number of 0 or more")


def read_annotations(path: Path, data: Data) -> list[Annotation]:
    """The lines of the annotation file; raises BadData when it has none or a column is missing."""
    file = open_csv(path)
    file_column = file.column(data.file, "data.file")
    if data.weight is not None:
        file.column(data.weight, "data.weight")
    label_column = file.column(LABEL if data.label is None else data.label, "data.label")
    name_column = label_column
    if data.names is not None:
        name_column = file.column(data.names, "data.names")
    elif NAME in file.header:
        name_column = file.header.index(NAME)
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


def annotations_by_folder(folder: Path) -> list[Annotation]:
    """A line for each picture `<class>/…/<file>` below the folder, in the order of their paths.

    Raises:
        BadData: there is none, or one lies in no class's folder.
    """
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if _is_picture(path))
    if not files:
        raise BadData(f"no picture in the data; expected <class>/<file>, {', '.join(sorted(SUFFIXES))}")
    alone = [file for file in files if "/" not in file]
    if alone:
        raise BadData(
            f"{alone[0]} lies in no class's folder; expected <class>/<file>, or data.annotations, a CSV file with the "
            "labels"
        )
    result = []
    for row, file in enumerate(files):
        label = file.partition("/")[0]
        result.append(Annotation(row, file, label, label, {"image_file_name": file, NAME: label}))
    return result


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def labels_by_folder(annotations: Sequence[Annotation], data: Data) -> Data:
    """The policy's part with the labels that the folders give: their names in the order of text, as Keras has them.

    Raises:
        BadPolicy: the names are numbers, in another order as such.
    """
    if data.labels is not None or data.label_base is not None:
        return data
    names = sorted({annotation.label for annotation in annotations})
    if all(name.isdecimal() for name in names) and names != sorted(names, key=int):
        by_number = ", ".join(sorted(names, key=int)[:_SHOWN])
        raise BadPolicy(
            f"the folders are called {', '.join(names[:_SHOWN])}, … as text (Keras's order of classes), {by_number}, … "
            "as numbers: say data.labels, the classes in the order of the model's outputs, or data.label_base"
        )
    return data.model_copy(update={"labels": tuple(names)})


@dataclass(frozen=True)
class Asking(Generic[T]):
    """How a model is asked about pictures."""

    prepare: Callable[[Image.Image, bytes, str], T]
    """A picture, its file's content and its name → what the model takes; raises BadData."""
    predict: Callable[[Sequence[T]], NDArray[np.float64]]
    """Scores, (n, outputs)."""
    batch: int
    """Pictures a call."""
    threads: int
    width: int | None = None
    """How many scores a picture gets, where that is known."""
    labels_only: bool = False


def in_process(
    model: Model, preprocessor: ImagePreprocessor, transform: Callable[[Scores], Scores] = lambda scores: scores
) -> Asking[NDArray[Any]]:
    """A loaded model, on each core; `transform` is `model.output_transform`."""
    return Asking(
        prepare=lambda image, _content, _name: preprocessor.prepare(image),
        predict=lambda inputs: transform(model.predict(np.stack(inputs))),
        batch=model.inputs[0].shape[0] or BATCH,
        threads=CORES,
        width=model.width,
    )


def through(endpoint: PictureEndpoint, transform: Callable[[Scores], Scores]) -> Asking[Prepared]:
    """An endpoint, with several requests under way."""
    return Asking(
        prepare=endpoint.prepare,
        predict=lambda inputs: transform(endpoint.predict(inputs)),
        batch=1 if endpoint.of_files else BATCH,
        threads=IN_FLIGHT,
        labels_only=endpoint.labels_only,
    )


def probe_of(pictures: Sequence[Path], asking: Asking[T]) -> list[T]:
    """The first pictures that can be read, as the model takes them; none of very bad data."""
    inputs: list[T] = []
    for path in pictures[: 4 * PROBE]:
        if len(inputs) < PROBE:
            with suppress(BadData):
                content = read_file(path)
                inputs.append(asking.prepare(decode_image(content, path.name), content, path.name))
    return inputs


def score_images(
    annotations: Sequence[Annotation],
    pictures: Mapping[str, Path],
    asking: Asking[T],
    unreadable: Unreadable,
    progress: Progress,
    weight: str | None = None,
) -> Scored:
    """Ask the model about every picture that can be read; `pictures` says where each of the annotated ones lies.

    `weight` is the annotations' column that says how much a picture counts.

    Each thread reads, decodes and asks by itself: so no core waits, neither for pictures nor for scores.
    """

    def read(annotation: Annotation) -> tuple[Sample, T]:
        if weight is not None:
            annotation.weight(weight)
        content = read_file(pictures[annotation.file])
        prepared = asking.prepare(decode_image(content, annotation.file), content, annotation.file)
        digest = hashlib.sha256(content).hexdigest()
        return Sample(annotation.file, annotation.row, annotation.label, digest, annotation.columns), prepared

    def ask(batch: Sequence[Annotation]) -> tuple[list[Sample], list[str], NDArray[np.float64] | None]:
        samples, problems, inputs = [], [], []
        for annotation in batch:
            try:
                sample, prepared = read(annotation)
            except BadData as error:
                problems.append(str(error))
            else:
                samples.append(sample)
                inputs.append(prepared)
        return samples, problems, asking.predict(inputs) if inputs else None

    size = asking.batch
    batches = [annotations[start : start + size] for start in range(0, len(annotations), size)]
    samples: list[Sample] = []
    scores: list[NDArray[np.float64]] = []
    done = 0
    # The warnings that `decode_image` keeps quiet are quiet for all threads: each by itself would undo the other's.
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(asking.threads) as pool:
        answered = _in_turn(pool, ask, batches, 2 * asking.threads)
        for batch, (read_samples, problems, answers) in zip(batches, answered, strict=True):
            samples += read_samples
            if answers is not None:
                scores.append(answers)
            for problem in problems:
                unreadable.add(problem)
            done += len(batch)
            progress.report("evaluating", done, len(annotations), "images")
    unreadable.check()
    if not samples and annotations:
        raise BadData(f"no picture can be read: {unreadable.named[0]}")
    widths = {answers.shape[1] for answers in scores}
    if len(widths) > 1:
        raise BadModel(f"the model gives some pictures {min(widths)} scores and others {max(widths)}")
    together = np.concatenate(scores or [np.empty((0, asking.width or 0))])
    columns = Samples.of(samples)
    if weight is not None:
        columns = replace(columns, weights=np.array([float(sample.columns[weight]) for sample in samples]))
    return Scored(columns, together, asking.labels_only)


def _in_turn(pool: ThreadPoolExecutor, ask: Callable[[T], R], batches: Sequence[T], most: int) -> Iterator[R]:
    """As `pool.map`, but what fails ends soon: only a few batches are ever under way."""
    waiting: deque[Future[R]] = deque()
    try:
        for batch in batches:
            waiting.append(pool.submit(ask, batch))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
