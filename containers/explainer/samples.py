"""The evaluation's `samples.json`, where the job has it: what is true of each sample, and which stand for all data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData
from assay.evaluation import ExplainSample, ExplainSamples
from explainer.picture_files import PictureFile


def read_samples(path: Path) -> tuple[ExplainSample, ...]:
    """The samples in the order of the data; none where the job has no such input."""
    return ExplainSamples.model_validate_json(path.read_bytes()).samples if path.exists() else ()


def true_classes(samples: tuple[ExplainSample, ...]) -> dict[str, str]:
    """A picture's file name → its true class."""
    return {PurePosixPath(sample.file).name: sample.true for sample in samples if sample.file and sample.true}


def chosen_first(files: Sequence[PictureFile], samples: Sequence[ExplainSample]) -> list[PictureFile]:
    """Pictures in the order of the samples, the worst mistakes first; those that are none last, in their own order."""
    order = {PurePosixPath(sample.file).name: place for place, sample in enumerate(samples) if sample.file}
    return sorted(files, key=lambda file: order.get(file.path.name, len(order)))


def why_chosen(samples: tuple[ExplainSample, ...]) -> dict[int, str]:
    """The places of the samples chosen for a local explanation, in their order → why: `mistake: 3 taken for 8`."""
    return {place: sample.reason for place, sample in enumerate(samples) if "chosen" in sample.sample}


def representative(samples: tuple[ExplainSample, ...], rows: int) -> NDArray[np.bool_]:
    """Which rows count for global values: those drawn by chance, not those chosen for being mistakes.

    All where the job has no samples, or all of them were chosen.

    Raises:
        BadData: the samples are not those of this data.
    """
    if samples and len(samples) != rows:
        raise BadData(f"samples.json names {len(samples)} samples, the data has {rows} rows; expected one for each")
    drawn = np.array(["representative" in sample.sample for sample in samples], dtype=np.bool_)
    return drawn if drawn.any() else np.ones(rows, dtype=np.bool_)
