"""The files that come out; each is renamed into place when it is whole, since they are uploaded while the job runs."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.base import Record
from assay.evaluation import ExplainSample
from evaluator.classification import Classified
from evaluator.rows_data import Table, cells_of
from evaluator.scored import Sample, Scored


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

    def table(self, name: str, columns: dict[str, Any]) -> None:
        """A Parquet file: column → values."""
        import pyarrow as pa  # a fifth of a second, and only here
        import pyarrow.parquet as pq

        path = self.path(name)
        part = path.with_name(f".{path.name}.part")
        pq.write_table(pa.table(columns), part)
        part.replace(path)

    def explain_rows(self, table: Table, samples: Sequence[Sample]) -> tuple[str, ...]:
        """`explain/rows/data.csv`: features, label, `assay_id`, no header row, as Clarify reads it; its headers."""
        cells = cells_of(table, {sample.row for sample in samples})
        content = io.StringIO()
        writer = csv.writer(content, lineterminator="\n")
        for sample in samples:
            row = cells[sample.row]
            writer.writerow([*(row[place] for place in table.features), sample.label, sample.id])
        self.text("explain/rows/data.csv", content.getvalue())
        return (*table.feature_names, table.label_name, "assay_id")

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


def classified_columns(scored: Scored, found: Classified) -> dict[str, Any]:
    """The columns of predictions.parquet for a classifier; null where the scores are no numbers."""
    labels = np.array(found.labels)
    own = found.probabilities[np.arange(len(scored)), found.predicted]

    def known(values: NDArray[Any]) -> list[Any]:
        return [value if answered else None for value, answered in zip(values.tolist(), found.answered, strict=True)]

    return _sample_columns(scored) | {
        "true": labels[found.true].tolist(),
        "predicted": known(labels[found.predicted]),
        "correct": known(found.true == found.predicted),
        "score": known(own),
        "scores": known(found.probabilities),
    }


def predicted_columns(scored: Scored, true: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, Any]:
    """The columns of predictions.parquet for a regressor."""
    return _sample_columns(scored) | {"true": true, "predicted": predicted}


def _sample_columns(scored: Scored) -> dict[str, Any]:
    return {
        "id": [sample.id for sample in scored.samples],
        "row": [sample.row for sample in scored.samples],
        "fingerprint": [sample.fingerprint for sample in scored.samples],
    }
