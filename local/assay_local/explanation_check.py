"""What an explanation job would do, without doing it. `python -m assay_local.explanation_check ROOT`.

It is the job's own code on the job's own folders, so it fails with the job's own words. Runs in a process of its own,
with containers/ to import from.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData
from assay.evaluation import Tensor
from assay_local.checked import Checked, Planned
from explainer import not_yet
from explainer.analysis_config import IMAGES, ImageConfig, Pdp, Shap
from explainer.baseline import row_baseline
from explainer.bias_job import facets_of, outcomes_of, predicted_labels
from explainer.coding import Columns, coding_of
from explainer.dependence_job import MOST_CATEGORIES, features_of
from explainer.image_baseline import image_baseline
from explainer.images import check_class_ids
from explainer.passed_over import passed_over
from explainer.picture_files import PictureFile, find_pictures
from explainer.picture_predictor import ServedPictures, is_detection, open_picture_predictor
from explainer.predictor import open_predictor
from explainer.refused_by_aws import refused_by_aws
from explainer.request import Request, read_request
from explainer.rows import explained_features
from explainer.rows_job import read_rows, rows_model
from explainer.shapley import default_samples, too_few
from explainer.table import Table, column_name
from explainer.text.game import grouped
from explainer.text.units import segmenter
from job.folders import Folders
from job.program import run_program
from job.progress import Progress
from model.endpoint import IN_FLIGHT, Endpoint

PROBE_ROWS = 8192
PROBE_RECORDS = 100
"""Of an endpoint: one request."""
PROBE_PICTURES = 16


def main(root: Path) -> int:
    return run_program("check", check, root)


def check(folders: Folders, progress: Progress) -> None:
    """Raises what the job would before it asks the model."""
    request = read_request(folders, progress)
    found = pictures(request) if request.config.dataset_type == IMAGES else rows(request)
    content = json.loads((folders.input("config") / "analysis_config.json").read_text(encoding="utf-8-sig"))
    asked = request.config.methods.asked
    found = found.model_copy(
        update={
            "refused": tuple(refused_by_aws(content)),
            "without_effect": tuple(passed_over(request.config)),
            "not_built": tuple(not_yet.reason(name) for name in asked if name not in not_yet.ANALYSES),
        }
    )
    (folders.root / "checked.json").write_text(found.to_json(), encoding="utf-8")


def rows(request: Request) -> Checked:
    began = time.monotonic()
    config, methods = request.config, request.config.methods
    table = read_rows(request)
    kinds = Counter(table.types[name] for name in table.features)
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    planned: list[Planned] = []
    baseline: Columns | None = None
    if methods.shap is not None:
        baseline = row_baseline(config, methods.shap, table, request.resolve)
        planned.append(_attributions(methods.shap, table, baseline))
    if methods.pdp is not None:
        planned.append(_dependence(methods.pdp, table))
    planned += _bias(request, table)
    result = Checked(
        data=f"{len(table):,} rows, {counted(len(table.features), 'feature')}: {said}", analyses=tuple(planned)
    )
    if not any(one.model_calls for one in planned):
        return result
    coding = coding_of(table.features, table.types, table.columns, *([] if baseline is None else [baseline]))
    with open_predictor(request, table) as loaded:
        model = rows_model(loaded, table, coding, request)
        begin = time.monotonic() - began
        places = np.arange(PROBE_RECORDS if isinstance(loaded, Endpoint) else PROBE_ROWS) % len(table)
        batch = coding.encode({name: table.columns[name][places] for name in table.features})
        model.predict(batch)  # the first answer is the slowest
        began = time.monotonic()
        model.predict(batch)
        each = (time.monotonic() - began) / len(batch)
    outputs = f"{counted(len(model.labels), 'output')}: {', '.join(model.labels[:10])}"
    who = loaded.runtime if isinstance(loaded, Endpoint) else f"{loaded.format} by {loaded.runtime}"
    return result.model_copy(update={"model": f"{who}, {outputs}", "call_seconds": each, "begin_seconds": begin})


def _attributions(shap: Shap, table: Table, baseline: Columns) -> Planned:
    beside = len(next(iter(baseline.values())))
    explained = [table.features[place] for place in explained_features(table, shap)]
    players, noun = [len(explained)] * len(table), "features"
    if shap.text_config is not None:
        players, noun = list(_units(shap, table, explained)), "features and pieces of text"
    coalitions = [coalitions_of(shap, one) for one in players]
    most = f"{max(players):,}" if min(players) == max(players) else f"{min(players):,} to {max(players):,}"
    against = counted(beside, "baseline row")
    how = f"{len(table):,} rows × at most {max(coalitions):,} coalitions of {most} {noun} × {against}"
    lacking = too_few(max(players), max(coalitions))
    if lacking is not None:
        how = f"{how}; num_samples: {lacking}"
    return Planned(name="shap", how=how, model_calls=beside + sum(1 + each * beside for each in coalitions))


def coalitions_of(shap: Shap, players: int) -> int:
    """Clarify's n = min(num_samples, 2^F - 2)."""
    asked = default_samples(players) if shap.num_samples is None else shap.num_samples
    return max(0, min(asked, (1 << players) - 2))


def _units(shap: Shap, table: Table, explained: Sequence[str]) -> Iterator[int]:
    """How many players each row has: features, and the pieces of its texts."""
    assert shap.text_config is not None
    found = segmenter(shap.text_config.granularity, shap.text_config.language)
    texts = [name for name in explained if table.types[name] == "text"]
    for place in range(len(table)):
        pieces = sum(len(grouped(found.split(table.columns[name][place]))) for name in texts)
        yield len(explained) - len(texts) + pieces


def _dependence(pdp: Pdp, table: Table) -> Planned:
    names = [column_name(table.features, "methods.pdp.features", name) for name in features_of(pdp, table, None)]
    points = sum(
        pdp.grid_resolution
        if table.types[name] == "numeric"
        else min(MOST_CATEGORIES, len(set(table.columns[name].tolist())))
        for name in names
    )
    how = f"{counted(len(names), 'feature')}, {points:,} points × {len(table):,} rows"
    return Planned(name="pdp", how=how, model_calls=points * len(table))


def _bias(request: Request, table: Table) -> Iterator[Planned]:
    config, methods = request.config, request.config.methods
    asked = [name for name in ("pre_training_bias", "post_training_bias") if getattr(methods, name) is not None]
    if not asked:
        return
    facets = len(list(facets_of(request, table)))
    predicted = predicted_labels(request, table) if methods.post_training_bias is not None else None
    outcomes_of(config, table, predicted)
    for name in asked:
        calls = len(table) if name == "post_training_bias" and predicted is None else 0
        yield Planned(name=name, how=f"{counted(facets, 'facet')} of {len(table):,} rows", model_calls=calls)


def pictures(request: Request) -> Checked:
    began = time.monotonic()
    settings = request.shap.image_config or ImageConfig()
    files = find_pictures(request.dataset, settings.debug)
    check_class_ids(settings.debug.class_ids, request.config.label_headers or ())
    image_baseline(request)
    coalitions = coalitions_of(request.shap, settings.num_segments)
    how = f"{len(files):,} pictures × at most {coalitions:,} coalitions of {settings.num_segments} segments"
    planned = Planned(name="shap", how=how, model_calls=len(files) * (coalitions + 2))
    with open_picture_predictor(request, files) as asked:
        begin = time.monotonic() - began
        if isinstance(asked, ServedPictures):
            each, who = _request_seconds(asked, request, files), asked.runtime
        else:
            model, _ = asked
            ask = model.answers if is_detection(request) else model.predict
            each, who = _picture_seconds(ask, model.inputs[0]), f"{model.format} by {model.runtime}"
    return Checked(
        data=f"{len(files):,} pictures", analyses=(planned,), model=who, call_seconds=each, begin_seconds=begin
    )


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _picture_seconds(ask: Callable[[NDArray[Any]], object], tensor: Tensor) -> float | None:
    """What a picture takes in a batch; None where the signature leaves its size open."""
    sizes = [size for size in tensor.shape[1:] if size is not None]
    if len(sizes) != len(tensor.shape) - 1:
        return None
    batch = np.zeros((PROBE_PICTURES, *sizes), dtype=tensor.dtype)
    ask(batch)  # the first answer is the slowest
    began = time.monotonic()
    ask(batch)
    return (time.monotonic() - began) / PROBE_PICTURES


def _request_seconds(served: ServedPictures, request: Request, files: Sequence[PictureFile]) -> float | None:
    """What a picture takes where several requests are in flight; None where the first one cannot be read."""
    try:
        pixels = files[0].read()
    except BadData:
        return None
    one = served.preprocessor(*pixels.shape[:2]).prepare(pixels)[None]
    ask: Callable[[NDArray[Any]], object] = served.find if is_detection(request) else served.predict
    ask(one)  # the first answer is the slowest
    began = time.monotonic()
    ask(one)
    return (time.monotonic() - began) / IN_FLIGHT


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
