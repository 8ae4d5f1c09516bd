"""The files that come out; each is renamed into place when it is whole, since they are uploaded while the job runs."""

from __future__ import annotations

import csv
import io
import itertools
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from assay.base import Record
from assay.evaluation import ExplainSample
from evaluator.classification import Classified
from evaluator.scored import Samples, Scored

if TYPE_CHECKING:
    import pyarrow as pa  # a fifth of a second: where it is used, it is imported there

_PART = 65_536
"""Rows of a Parquet file written at a time."""


class Outputs:
    """The job's output folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def text(self, name: str, content: str) -> None:
        path = self.path(name)
        part = path.with_name(f".{path.name}.part")
        part.write_text(content, encoding="utf-8")
        part.replace(path)

    def record(self, name: str, record: Record) -> None:
        self.text(name, record.to_json())

    def json(self, name: str, content: dict[str, Any]) -> None:
        self.text(name, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def plots(self, pictures: Mapping[str, str]) -> tuple[str, ...]:
        """Writes `plots/<name>.svg` for each picture that there is; their files."""
        files = {f"plots/{name}.svg": svg for name, svg in pictures.items() if svg}
        for file, svg in files.items():
            self.text(file, svg)
        return tuple(files)

    def table(self, name: str, parts: Iterable[Mapping[str, pa.Array]]) -> None:
        """A Parquet file, written part by part: column → values each; there is at least one."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.path(name)
        part_file = path.with_name(f".{path.name}.part")
        batches = (pa.RecordBatch.from_pydict(dict(part)) for part in parts)
        first = next(batches)
        with pq.ParquetWriter(part_file, first.schema) as writer:
            for batch in itertools.chain([first], batches):
                writer.write_batch(batch)
        part_file.replace(path)

    def explain_rows(self, columns: Sequence[str], label: str, rows: Iterable[tuple[str, Mapping[str, str]]]) -> None:
        """`explain/rows/data.csv`: features, label, `assay_id`, no header row, as Clarify reads it.

        Args:
            columns: the features.
            label: the label's column.
            rows: each one's id, and its cells as they stand in the data.
        """
        content = io.StringIO()
        writer = csv.writer(content, lineterminator="\n")
        for row_id, cells in rows:
            writer.writerow([*(cells[name] for name in columns), cells[label], row_id])
        self.text("explain/rows/data.csv", content.getvalue())

    def explain_images(self, pictures: dict[str, Path], samples: Sequence[ExplainSample]) -> list[ExplainSample]:
        """Copies the pictures to `explain/images/`; the samples with the file that each became."""
        names = _different([PurePosixPath(sample.id).name for sample in samples])
        result = []
        for sample, name in zip(samples, names, strict=True):
            path = self.path(f"explain/images/{name}")
            part = path.with_name(f".{name}.part")
            shutil.copyfile(pictures[sample.id], part)
            part.replace(path)
            result.append(sample.model_copy(update={"file": name}))
        return result


def _different(names: Sequence[str]) -> list[str]:
    """The names, with a number before those that stand twice: `a/1.jpg` and `b/1.JPG` share a folder here."""
    taken: set[str] = set()
    result = []
    for name in names:
        unique, number = name, 2
        while unique.casefold() in taken:  # some file systems do not tell case
            unique, number = f"{number}_{name}", number + 1
        taken.add(unique.casefold())
        result.append(unique)
    return result


def classified_columns(scored: Scored, found: Classified) -> Iterator[dict[str, pa.Array]]:
    """The columns of predictions.parquet for a classifier, in parts; null where the scores are no numbers."""
    import pyarrow as pa

    labels = pa.array(found.labels)
    for part in _parts(len(scored)):
        probabilities, true, predicted = found.probabilities[part], found.true[part], found.predicted[part]
        n, k = probabilities.shape
        unknown = ~np.isfinite(probabilities).all(axis=1)
        own = probabilities[np.arange(n), predicted]
        scores = pa.ListArray.from_arrays(
            pa.array(np.arange(n + 1, dtype=np.int32) * k), pa.array(probabilities.ravel()), mask=pa.array(unknown)
        )
        yield _sample_columns(scored.samples, part) | {
            "true": labels.take(pa.array(true)),
            "predicted": labels.take(pa.array(predicted, mask=unknown)),
            "correct": pa.array(true == predicted, mask=unknown),
            "score": pa.array(own, mask=unknown),
            "scores": scores,
        }


def predicted_columns(
    scored: Scored, true: NDArray[np.float64], predicted: NDArray[np.float64]
) -> Iterator[dict[str, pa.Array]]:
    """The columns of predictions.parquet for a regressor, in parts."""
    import pyarrow as pa

    for part in _parts(len(scored)):
        columns = {"true": pa.array(true[part]), "predicted": pa.array(predicted[part])}
        yield _sample_columns(scored.samples, part) | columns


def _parts(samples: int) -> Iterator[slice]:
    for start in range(0, max(samples, 1), _PART):
        yield slice(start, min(start + _PART, samples))


def _sample_columns(samples: Samples, part: slice) -> dict[str, pa.Array]:
    import pyarrow as pa

    rows = pa.array(samples.rows[part])
    columns = {
        "id": rows.cast(pa.string()) if samples.ids is None else samples.ids[part],
        "row": rows,
        "fingerprint": _as_hex(samples.fingerprints[part]),
    }
    return columns if samples.weights is None else columns | {"weight": pa.array(samples.weights[part])}


def _as_hex(marks: NDArray[np.uint8]) -> pa.StringArray:
    """(n, 32) → n texts of 64 characters."""
    import pyarrow as pa

    n, size = marks.shape
    offsets = np.arange(n + 1, dtype=np.int32) * 2 * size
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(marks.tobytes().hex().encode()))
