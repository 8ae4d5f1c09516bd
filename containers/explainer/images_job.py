"""A job on pictures: heat maps and their numbers, one picture at a time."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData, BadPolicy, NotYet
from assay.explanation import AssayAnalysis, ImageExplanation
from explainer.analysis import ENGINE, Results, analysis_json
from explainer.analysis_config import ImageConfig, Shap
from explainer.heatmap import draw_heat_map
from explainer.images import (
    Pixels,
    ResultNames,
    check_class_ids,
    explain_image,
    image_files,
    labels_to_draw,
    stems,
    superpixels,
    titles,
    white_noise,
)
from explainer.outputs import explained_outputs, output_names
from explainer.report import HeatMap, images_report
from explainer.request import Request, unexplainable
from explainer.samples import read_samples, true_classes
from explainer.shapley import Explanation, Predict, logit
from model.images import read_image
from model.load import Model
from model.preprocessing import ImagePreprocessor

logger = logging.getLogger(__name__)


class Found(NamedTuple):
    """What is kept of a picture once its files are written: memory stays flat."""

    image: ImageExplanation
    model_calls: int


@dataclass(frozen=True)
class ImageModel:
    """The model as pictures meet it."""

    predict: Predict
    preprocessor: ImagePreprocessor
    baseline: NDArray[Any]
    """(h, w, channels), as the model takes it."""
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """One picture and what was found of it."""

    name: str
    """Its path in the data."""
    stem: str
    """What its results are named after."""
    true: str | None
    image: Pixels
    """(h, w, 3) RGB in the model's size."""
    segments: NDArray[np.intp]
    """(h, w)"""
    explanation: Explanation


def explain_images(request: Request) -> None:
    """Do the job, one picture at a time; one that cannot be read is named, and the others go on."""
    config, settings = request.config, request.shap.image_config or ImageConfig()
    files = image_files(request.dataset, settings.debug)
    check_class_ids(settings.debug.class_ids, config.label_headers or ())
    given = given_baseline(request)
    true = true_classes(read_samples(request.samples_file))
    found: list[Found] = []
    unreadable: list[str] = []
    with request.model() as (loaded, folder):
        model = image_model(request, loaded, folder, given)
        names = ResultNames(model.labels)
        for number, (file, stem) in enumerate(zip(files, stems(files, request.dataset), strict=True), start=1):
            try:
                image = model.preprocessor.resize(read_image(file))
            except BadData as error:
                logger.warning("left out: %s", error)
                unreadable.append(str(error))
                continue
            segments, explanation = explain_picture(model, image, request.shap)
            name = file.relative_to(request.dataset).as_posix()
            picture = Picture(name, stem, true.get(file.name), image, segments, explanation)
            drawn = labels_to_draw(explanation.prediction, model.labels, picture.true, settings.debug.class_ids)
            heat_maps = draw(
                request.shap_folder, picture, model.labels, {output: names.of(stem, output) for output in drawn}
            )
            write_numbers(request.shap_folder, picture, model.labels, heat_maps)
            gap = float(np.abs(explanation.gap).max())
            found.append(
                Found(ImageExplanation(image=name, heat_maps=heat_maps, additivity_gap=gap), explanation.coalitions + 2)
            )
            request.progress.report("explaining", number, len(files), "images")
    if not found:
        raise BadData(f"Data must contain features. None of {len(files)} pictures can be read: {unreadable[0]}")
    write_results(request, found, unreadable, "white noise" if given is None else "given")


def image_model(request: Request, model: Model, folder: Path, baseline: Pixels | None) -> ImageModel:
    """Put together what is the same for all pictures."""
    preprocessor = ImagePreprocessor(request.preprocessing(folder), model.inputs[0])
    if baseline is None:
        baseline = white_noise(preprocessor.size, request.shap.seed)
    prepared = preprocessor.prepare(baseline)
    predict, outputs = explained_outputs(model.predict, prepared[None], request.config)
    return ImageModel(predict, preprocessor, prepared, output_names(request.config, None, outputs))


def explain_picture(model: ImageModel, image: Pixels, shap: Shap) -> tuple[NDArray[np.intp], Explanation]:
    """A picture's segments, and their attributions."""
    settings = shap.image_config or ImageConfig()
    segments = superpixels(image, settings.num_segments, settings.segment_compactness)
    with unexplainable():
        explanation = explain_image(
            model.predict,
            model.preprocessor.prepare(image),
            model.baseline,
            segments,
            num_samples=shap.num_samples,
            seed=shap.seed,
            link=logit if shap.use_logit else None,
        )
    return segments, explanation


def draw(folder: Path, picture: Picture, labels: Sequence[str], names: Mapping[int, str]) -> dict[str, str]:
    """Draw the heat maps of a picture, all on one scale.

    Args:
        folder: where to.
        picture: whose.
        labels: a name for each output.
        names: output to draw → file name.

    Returns:
        label → file name.
    """
    values = picture.explanation.values
    scale = float(np.abs(values[:, list(names)]).max())
    for output, name in names.items():
        title, subtitle = titles(labels, output, picture.explanation, picture.true)
        drawn = draw_heat_map(picture.image, picture.segments, values[:, output], scale, title, subtitle)
        drawn.save(folder / name, quality=92, subsampling=0)
    return {labels[output]: name for output, name in names.items()}


def write_numbers(folder: Path, picture: Picture, labels: Sequence[str], heat_maps: Mapping[str, str]) -> None:
    """What Clarify does not give: `shap_<stem>.json`, and as arrays the segments and all attributions.

    The JSON holds the attributions of the labels that are drawn, `shap_<stem>_attributions.npy` (segments, labels)
    those of all; `shap_<stem>_segments.npy` (h, w) is the segment of each pixel.
    """
    explanation = picture.explanation
    segments_name, attributions_name = f"shap_{picture.stem}_segments.npy", f"shap_{picture.stem}_attributions.npy"
    np.save(folder / segments_name, picture.segments.astype(np.int32))
    np.save(folder / attributions_name, explanation.values)
    numbers = {
        "image": picture.name,
        "label_headers": list(labels),
        "predicted": labels[int(explanation.prediction.argmax())],
        "true": picture.true,
        "prediction": explanation.prediction.tolist(),
        "baseline_prediction": explanation.base.tolist(),
        "additivity_gap": explanation.gap.tolist(),
        "exact": explanation.exact,
        "coalitions": explanation.coalitions,
        "segments": segments_name,
        "all_attributions": attributions_name,
        "attributions": {label: explanation.values[:, labels.index(label)].tolist() for label in heat_maps},
        "heat_maps": dict(heat_maps),
    }
    text = json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    (folder / f"shap_{picture.stem}.json").write_text(text, encoding="utf-8")


def write_results(request: Request, found: Sequence[Found], unreadable: Sequence[str], baseline: str) -> None:
    """`analysis.json` and the report: what was found of all pictures."""
    calls = sum(one.model_calls for one in found)
    max_gap = max(one.image.additivity_gap or 0.0 for one in found)
    assay = AssayAnalysis(
        engine=ENGINE,
        samples=len(found),
        failed=len(unreadable),
        model_calls=calls,
        max_additivity_gap=max_gap,
        images=tuple(one.image for one in found),
    )
    of_rows_only = {
        name: NotYet(f"not yet: {name} of images") for name in request.config.methods.asked if name != "shap"
    }
    request.write_text("analysis.json", analysis_json(request.config, Results(failures=of_rows_only), assay))
    facts = (
        ("Pictures", f"{len(found):,}" + (f" of {len(found) + len(unreadable):,}" if unreadable else "")),
        ("Baseline", baseline),
        ("Model calls", f"{calls:,}"),
        ("Largest additivity gap", f"{max_gap:.1g}"),
    )
    heat_maps = [
        HeatMap(one.image.image, label, request.shap_folder / name)
        for one in found
        for label, name in one.image.heat_maps.items()
    ]
    report = request.config.methods.report
    request.write_text(f"{report.name}.html", images_report(report.title, facts, heat_maps, unreadable))


def given_baseline(request: Request) -> Pixels | None:
    """The picture or the colour that the configuration gives; None for white noise."""
    baseline = request.shap.baseline
    if baseline is None:
        return None
    if isinstance(baseline, str):
        return read_image(request.resolve(baseline))
    colour = baseline[0]
    if (
        len(baseline) == 1
        and len(colour) in (1, 3)
        and all(isinstance(v, (int, float)) and 0 <= v <= 255 for v in colour)
    ):
        return np.full((1, 1, 3), colour, dtype=np.uint8)
    raise BadPolicy(
        "methods.shap.baseline: for images expected the S3 address of a picture, or a colour [[red, green, blue]] or "
        f"[[grey]] of 0 to 255; found {baseline!r:.80}"
    )
