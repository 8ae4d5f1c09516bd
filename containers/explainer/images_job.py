"""A job on pictures: heat maps and their numbers, one picture at a time."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from model.images import read_image
from model.preprocessing import ImagePreprocessor
from numpy.typing import NDArray

from assay.errors import BadData, BadPolicy
from assay.explanation import AssayAnalysis, ImageExplanation
from explainer.analysis import ENGINE, analysis_json
from explainer.analysis_config import ImageConfig
from explainer.heatmap import draw_heat_map
from explainer.images import (
    Pixels,
    check_class_ids,
    explain_image,
    image_files,
    label_file_names,
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
from explainer.shapley import Explanation, logit

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """One picture and what was found of it."""

    name: str
    stem: str
    """What its results are named after."""
    image: Pixels
    """(h, w, 3) RGB in the model's size."""
    segments: NDArray[np.intp]
    """(h, w)"""
    explanation: Explanation
    true: str | None


def explain_images(request: Request) -> None:
    config, shap = request.config, request.shap
    settings = shap.image_config or ImageConfig()
    files = image_files(request.dataset, settings.debug)
    check_class_ids(settings.debug.class_ids, config.label_headers or ())
    given = given_baseline(request)
    true = true_classes(read_samples(request.samples_file))
    done: list[ImageExplanation] = []
    heat_maps: list[HeatMap] = []
    unreadable: list[str] = []
    calls = 0
    with request.model() as (model, folder):
        preprocessor = ImagePreprocessor(request.preprocessing(folder), model.inputs[0])
        pixels = white_noise(preprocessor.size, shap.seed) if given is None else given
        baseline = preprocessor.prepare(pixels)
        predict, outputs = explained_outputs(model.predict, baseline[None], config)
        labels = output_names(config, None, outputs)
        file_names = label_file_names(labels)
        for number, (file, stem) in enumerate(zip(files, stems(files, request.dataset), strict=True)):
            try:
                image = preprocessor.resize(read_image(file))
            except BadData as error:
                logger.warning("left out: %s", error)
                unreadable.append(str(error))
                continue
            segments = superpixels(image, settings.num_segments, settings.segment_compactness)
            with unexplainable():
                explanation = explain_image(
                    predict,
                    preprocessor.prepare(image),
                    baseline,
                    segments,
                    num_samples=shap.num_samples,
                    seed=shap.seed,
                    link=logit if shap.use_logit else None,
                )
            picture = Picture(file.name, stem, image, segments, explanation, true.get(file.name))
            drawn = labels_to_draw(explanation.prediction, labels, picture.true, settings.debug.class_ids)
            maps = {
                labels[output]: draw(request.shap_folder, picture, labels, drawn, output, file_names[output])
                for output in drawn
            }
            write_numbers(request.shap_folder, picture, labels, maps)
            heat_maps += [HeatMap(file.name, label, request.shap_folder / name) for label, name in maps.items()]
            gap = float(np.abs(explanation.gap).max())
            done.append(ImageExplanation(image=file.name, heat_maps=maps, additivity_gap=gap))
            calls += explanation.coalitions + 2
            request.progress.report("explaining", number + 1, len(files), "images")
    if not done:
        raise BadData(f"Data must contain features. None of {len(files)} pictures can be read: {unreadable[0]}")
    assay = AssayAnalysis(
        engine=ENGINE,
        samples=len(done),
        failed=len(unreadable),
        model_calls=calls,
        max_additivity_gap=max(image.additivity_gap or 0.0 for image in done),
        images=tuple(done),
    )
    request.write_text("analysis.json", analysis_json(config, (), None, assay))
    facts = (
        ("Pictures", f"{len(done):,}" + (f" of {len(files):,}" if unreadable else "")),
        ("Baseline", "white noise" if given is None else "given"),
        ("Model calls", f"{calls:,}"),
        ("Largest additivity gap", f"{assay.max_additivity_gap:.1g}"),
    )
    report = config.methods.report
    request.write_text(f"{report.name}.html", images_report(report.title, facts, heat_maps, unreadable))


def draw(
    folder: Path, picture: Picture, labels: Sequence[str], drawn: Sequence[int], output: int, label_name: str
) -> str:
    """Draw one label's heat map; all that are drawn of a picture share a scale. Returns the file's name."""
    explanation = picture.explanation
    scale = float(np.abs(explanation.values[:, list(drawn)]).max())
    title, subtitle = titles(labels, output, explanation, picture.true)
    name = f"shap_{picture.stem}_{label_name}.jpeg"
    draw_heat_map(picture.image, picture.segments, explanation.values[:, output], scale, title, subtitle).save(
        folder / name, quality=92, subsampling=0
    )
    return name


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
