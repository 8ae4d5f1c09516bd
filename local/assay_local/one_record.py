"""Explains one record as the rows of a job are. `python -m assay_local.one_record ROOT`.

The job's data serves for what a single record does not show: columns, their types, and the clusters that are the
baseline where none is given. Runs in a process of its own, with containers/ to import from.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jmespath

from assay.errors import BadData, BadPolicy
from explainer.analysis_config import IMAGES, AnalysisConfig, parse_analysis_config
from explainer.baseline import row_baseline
from explainer.program import explain
from explainer.request import Request, read_request
from explainer.rows_job import read_rows
from explainer.table import Table
from job.folders import Folders
from job.program import run_program
from job.progress import Progress
from model.payloads import plain

BESIDE = "record"
"""The input that holds the record's text, and `values.json` what was read of it."""


def main(root: Path) -> int:
    return run_program("record", explain_record, root)


def explain_record(folders: Folders, progress: Progress) -> None:
    """Rewrite the job as one on the record alone, and do it."""
    file = folders.input("config") / "analysis_config.json"
    text = (folders.input(BESIDE) / "record.txt").read_text(encoding="utf-8-sig").strip()
    if not text:
        raise BadData("--record: nothing came from standard input; expected a line of CSV, or JSON")
    request = read_request(folders, progress)
    content = json.loads(file.read_text(encoding="utf-8-sig"))
    check(request.config)
    known = read_rows(request) if request.dataset.exists() else None
    content, line = alone(content, request, known, text)
    config = parse_analysis_config(json.dumps(content))
    (file.parent / "analysis_config.json").write_text(json.dumps(content), encoding="utf-8")
    folder = folders.input(BESIDE) / "data"
    folder.mkdir()
    (folder / ("record.csv" if config.dataset_type == "text/csv" else "record.json")).write_text(line, encoding="utf-8")
    request = replace(request, config=config)
    table = read_rows(replace(request, folders=_AtRecord(folders.root)))
    if len(table) != 1:
        raise BadData(f"--record: expected one record, found {len(table)}")
    values = {name: plain(table.columns[name])[0] for name in table.features}
    (folders.input(BESIDE) / "values.json").write_text(json.dumps(values), encoding="utf-8")
    explain(_AtRecord(folders.root), progress)


class _AtRecord(Folders):
    """A job whose data is the record."""

    def input(self, name: str) -> Path:
        return super().input(BESIDE) / "data" if name == "data" else super().input(name)


def check(config: AnalysisConfig) -> None:
    """Raises BadPolicy when nothing of it can be said of one record."""
    if config.dataset_type == IMAGES:
        raise BadPolicy(f"--record: explains a row; dataset_type is {IMAGES}")
    if config.methods.shap is None:
        raise BadPolicy("--record: methods.shap is missing; of one record there is no dependence and no bias")


def alone(content: dict[str, Any], request: Request, known: Table | None, text: str) -> tuple[dict[str, Any], str]:
    """The configuration for the record alone, and the record in the form that it then has."""
    config, shap = request.config, dict(content["methods"]["shap"])
    content = {key: value for key, value in content.items() if key != "dataset_uri"}
    content["methods"] = {"shap": shap, **{k: v for k, v in content["methods"].items() if k == "report"}}
    if shap.get("baseline") is None:
        if known is None:
            raise BadPolicy(
                "--record: methods.shap.baseline is missing, and one record has no clusters; give the baseline, or the "
                "data with --dataset"
            )
        assert config.methods.shap is not None
        rows = row_baseline(config, config.methods.shap, known, request.resolve)
        shap["baseline"] = [list(row) for row in zip(*(plain(rows[name]) for name in known.features), strict=True)]
    if known is not None:
        types = {name: known.types[name] for name in known.features}
        content["column_types"] = types | content.get("column_types", {})
    if config.dataset_type in ("text/csv", "application/x-parquet"):
        return of_cells(content, config, known, text)
    return of_json(content, config, text)


def of_cells(
    content: dict[str, Any], config: AnalysisConfig, known: Table | None, text: str
) -> tuple[dict[str, Any], str]:
    """A record of named columns, as a line of CSV: all columns, or the features alone."""
    header = list(known.columns if known is not None else config.headers or ())
    given = parsed(text)
    if isinstance(given, dict):
        header = header or list(given)
        unknown = [name for name in given if name not in header]
        if unknown:
            raise BadData(f"--record: no column {unknown[0]!r}; there are {', '.join(header)}")
        cells = [given.get(name, "") for name in header]
    else:
        cells = given if isinstance(given, list) else csv_cells(text)
    if not header:
        raise BadPolicy("--record: which columns are there? Say headers in the configuration, or give --dataset")
    features = list(known.features) if known is not None else features_of(header, config)
    if len(cells) == len(features) != len(header):
        by_name = dict(zip(features, cells, strict=True))
        cells = [by_name.get(name, "") for name in header]
    if len(cells) != len(header):
        raise BadData(
            f"--record: {len(cells)} values, expected {len(header)} ({', '.join(header)}) or the {len(features)} "
            f"features alone"
        )
    line = io.StringIO()
    csv.writer(line).writerow(["" if cell is None else cell for cell in cells])
    return content | {"dataset_type": "text/csv", "headers": header}, line.getvalue()


def of_json(content: dict[str, Any], config: AnalysisConfig, text: str) -> tuple[dict[str, Any], str]:
    """A JSON record; it may come without its label, which nobody asks for."""
    record = parsed(text)
    if not isinstance(record, (dict, list)):
        raise BadData(f"--record: expected a JSON record, as the {config.dataset_type} of the data has it")
    for key in ("label", "predicted_label"):
        path = content.get(key)
        if isinstance(path, str) and jmespath.search(path, record) is None:
            content = {name: value for name, value in content.items() if name != key}
            if config.headers and key in ("label", "predicted_label"):
                content["headers"] = content["headers"][:-1]
    return content, json.dumps(record)


def features_of(header: Sequence[str], config: AnalysisConfig) -> list[str]:
    from explainer.table import find_meaning

    return list(find_meaning(tuple(header), config).features)


def parsed(text: str) -> Any:
    """JSON, or None for what is none: a line of CSV may be a number."""
    if text[0] not in "[{":
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadData(f"--record: begins like JSON, and is none: {error}") from error


def csv_cells(text: str) -> list[str]:
    rows = list(csv.reader(io.StringIO(text)))
    if len(rows) != 1:
        raise BadData(f"--record: expected one line, found {len(rows)}")
    return rows[0]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
