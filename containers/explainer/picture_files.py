"""Which pictures are explained, and what their results are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData, BadPolicy
from explainer.analysis_config import Debug
from model.image_arrays import SUFFIX as ARRAY
from model.image_arrays import pictures_in, read_array
from model.images import SUFFIXES, read_image


@dataclass(frozen=True)
class PictureFile:
    """A picture of the data: a file, or one of a batch in a `.npy` file."""

    path: Path
    name: str
    """Its path in the data; of a batch with its place, `shop/batch.npy[3]`."""
    stem: str
    """What its results are named after: unique, whatever folders and suffixes the pictures have."""
    index: int | None = None

    def read(self) -> NDArray[np.uint8]:
        """(h, w, 3) RGB, upright; raises BadData."""
        return read_picture(self.path, self.index)


def read_picture(path: Path, index: int | None = None) -> NDArray[np.uint8]:
    """(h, w, 3) RGB, upright, of a JPEG, PNG or NumPy file; raises BadData."""
    return read_array(path, index) if path.suffix.lower() == ARRAY else read_image(path)


def find_pictures(folder: Path, debug: Debug) -> list[PictureFile]:
    """The pictures to explain, in the order of their paths: whether a prefix or a manifest brought them is the same.

    Raises:
        BadData: there are none.
        BadPolicy: `debug` names one that there is not, or leaves none.
    """
    kinds = {*SUFFIXES, ARRAY}
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in kinds and path.name[0] != "."]
    if not paths:
        raise BadData(
            f"Data must contain features. Found no picture in {folder}; expected {', '.join(sorted(kinds))} files"
        )
    if debug.image_names is not None:
        unknown = set(debug.image_names) - {path.name for path in paths}
        if unknown:
            raise BadPolicy(
                f"image_config.debug.image_names: no {', '.join(sorted(unknown))} among {len(paths)} pictures "
                f"such as {', '.join(path.name for path in paths[:3])}"
            )
        paths = [path for path in paths if path.name in debug.image_names]
    found = [
        PictureFile(path, path.relative_to(folder).as_posix() + ("" if index is None else f"[{index}]"), stem, index)
        for path, short in zip(paths, stems(paths, folder), strict=True)
        for index, stem in _each(path, short)
    ]
    chosen = found[debug.sample_from : debug.sample_to]
    if not chosen:
        raise BadPolicy(
            f"image_config.debug: sample_from {debug.sample_from} to {debug.sample_to} leaves none of {len(found)}"
        )
    return chosen


def _each(path: Path, stem: str) -> list[tuple[int | None, str]]:
    """The pictures of a file; one that cannot be read counts as one, and is named when it is its turn."""
    try:
        count = pictures_in(path) if path.suffix.lower() == ARRAY else None
    except BadData:
        count = None
    return [(None, stem)] if count is None else [(index, f"{stem}_{index}") for index in range(count)]


def stems(files: Sequence[Path], folder: Path) -> list[str]:
    """What each file's results are named after: unique, whatever folders and suffixes the files have."""
    plain = [file_safe(str(file.relative_to(folder).with_suffix(""))) for file in files]
    with_suffix = [file_safe(str(file.relative_to(folder))) for file in files]
    short = [stem if plain.count(stem) == 1 else full for stem, full in zip(plain, with_suffix, strict=True)]
    return [stem if short.count(stem) == 1 else f"{stem}-{index}" for index, stem in enumerate(short)]


def file_safe(text: str) -> str:
    """A text as part of a file's name: letters, digits, `.`, `_`, `-`, and `_` for each other character.

    At most 100 bytes: two of them and what we add are below the 255 that file systems take.
    """
    return re.sub(r"[^\w.-]", "_", text).encode()[:100].decode(errors="ignore")


class ResultNames:
    """The heat maps' file names, `shap_<stem>_<label>.jpeg`: each once, whatever the pictures and labels are called."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, stem: str, label: str, output: int) -> str:
        """The file of a picture and an output; where another one has the name, with the output's number."""
        name = f"shap_{stem}_{file_safe(label)}.jpeg"
        if name.lower() in self._taken:  # some file systems do not tell case
            name = f"{name.removesuffix('.jpeg')}-{output}.jpeg"
        self.take([name])
        return name

    def take(self, names: Iterable[str]) -> None:
        """These are files already."""
        self._taken.update(name.lower() for name in names)
