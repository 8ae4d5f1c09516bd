"""Which pictures are explained already: a job that was killed goes on where it was.

A picture's results are files of their own anyway. What is noted beside them, when all of them are written, is what the
job as a whole says: in a folder that is named by what it depends on, as `Request.parts` has it.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np

from assay.base import Foreign
from assay.explanation import SHAP_FOLDER, ImageExplanation, Runtime, thumbnail_of
from explainer.faithfulness import Curves
from explainer.image_results import ExplainedPicture, Written
from explainer.picture_files import PictureFile
from explainer.request import Request
from explainer.shapley import NORMAL_95

logger = logging.getLogger(__name__)


class Done(Foreign):
    """What is kept of a picture once its files are written: memory stays flat."""

    picture: str
    """What it depends on, digested: its pixels and what is true of it."""
    image: ImageExplanation
    files: tuple[str, ...]
    """Below the output."""
    model_calls: int
    exact: bool
    runtime: Runtime | None
    """None: an endpoint answered."""
    half_width: float | None
    """How far its widest 95 % interval reaches to either side; None where that is not known."""
    curves: tuple[tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]], ...]

    @property
    def faithfulness(self) -> list[Curves]:
        return [Curves(*(np.array(curve) for curve in one)) for one in self.curves]


def done_with(picture: ExplainedPicture, written: Written, digest: str, runtime: Runtime | None) -> Done:
    """What is to be kept of a picture whose files are written."""
    found = picture.explanation
    errors = None if found is None else found.standard_errors
    half_width = None if errors is None else float(NORMAL_95 * errors.max(initial=0.0))
    return Done(
        picture=digest,
        image=ImageExplanation(
            image=picture.file.name,
            heat_maps=written.heat_maps,
            objects=written.objects,
            additivity_gap=None if found is None else float(np.abs(found.gap).max()),
        ),
        files=tuple(_files(picture.file.stem, written)),
        model_calls=picture.asked,
        exact=found is None or found.exact,
        runtime=runtime,
        half_width=0.0 if found is None else half_width,
        curves=tuple(
            (tuple(one.deletion.tolist()), tuple(one.insertion.tolist()), tuple(one.random.tolist()))
            for one in picture.curves.values()
        ),
    )


def _files(stem: str, written: Written) -> Iterator[str]:
    for name in (*written.heat_maps.values(), *([] if written.objects is None else [written.objects])):
        yield SHAP_FOLDER + name
        yield thumbnail_of(SHAP_FOLDER + name)
    for name in (".json", *(f"_{array}.npy" for array in written.arrays)):
        yield f"{SHAP_FOLDER}shap_{stem}{name}"


class PictureParts:
    """Notes of the pictures that are done, on disk."""

    def __init__(self, request: Request, baseline: str) -> None:
        """`baseline`: what absent segments show, digested."""
        said = "" if request.policy is None else request.policy.model_dump_json()
        self._folder = request.parts(f"{baseline}\n{said}")
        self._output, self._before = request.folders.output, request.folders.input("resume")

    def known(self, file: PictureFile, digest: str) -> Done | None:
        """A picture that the attempt before had done, whose files are put where they belong."""
        note = self._note(file)
        if not note.exists():
            return None
        done = Done.model_validate_json(note.read_bytes())
        if done.picture != digest:
            return None
        for name in done.files:
            place, before = self._output / name, self._before / name
            if not place.exists():
                if not before.exists():  # the upload was cut short
                    return None
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(before, place)
        return done

    def note(self, file: PictureFile, done: Done) -> None:
        note = self._note(file)
        note.parent.mkdir(parents=True, exist_ok=True)
        part = note.with_name(f".{note.name}.part")
        part.write_text(done.model_dump_json(), encoding="utf-8")
        part.replace(note)

    def forget(self) -> None:
        """Delete the notes: all is written that is made of them."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):  # not there, or another job's parts are in it
            self._folder.parent.rmdir()

    def _note(self, file: PictureFile) -> Path:
        return self._folder / f"{file.stem}.json"


def digest_of(file: PictureFile, true: str | None) -> str:
    """What a picture's results depend on beside configuration and model."""
    return hashlib.sha256(f"{content_digest(file.path)}\n{file.name}\n{true}".encode()).hexdigest()


@lru_cache(maxsize=1)  # the pictures of a batch lie in one file
def content_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
