"""How a picture is explained: a classifier's scores, or the scores of the objects that a detector found."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadPolicy
from assay.explanation import Runtime
from explainer.analysis_config import ImageConfig
from explainer.faithfulness import Curves, curves
from explainer.image_baseline import ImageBaseline
from explainer.image_results import ExplainedPicture, Written, draw_classes, draw_detected, write_numbers
from explainer.masking import Ask, Masked, PictureGame, Pixels, Sampling, superpixels
from explainer.objects import WHOLE, DetectedObject, choose_objects, matched_scores, only_within, surroundings
from explainer.outputs import explained_outputs, output_names
from explainer.picture_files import PictureFile, ResultNames
from explainer.picture_predictor import ServedPictures, is_detection
from explainer.request import Request, unexplainable
from explainer.shapley import Explanation, default_samples, logit
from model.detector import Detector
from model.load import Model
from model.preprocessing import ImagePreprocessor
from model.runtime import SCORES_ALONE, WORTH_PIXELS, failed_at, fastest
from model.transform import output_transform

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shown:
    """A picture as the model meets it."""

    file: PictureFile
    image: Pixels
    """(h, w, 3) RGB in the model's size."""
    masked: Masked


class PictureExplainer(Protocol):
    """Explains pictures: what is prepared and written in a thread beside the model is apart from what asks it."""

    @property
    def runtime(self) -> Runtime | None:
        """What computes the model's answers; None: an endpoint."""

    def show(self, file: PictureFile) -> Shown:
        """Read a picture and cut it into segments; raises BadData."""

    def explain(self, shown: Shown, true: str | None) -> ExplainedPicture:
        """Ask the model; raises BadModel, BadPolicy."""

    def write(self, picture: ExplainedPicture) -> Written:
        """Its files."""


PROBE = 8
"""Masked pictures that a faster runtime is tried on."""


def picture_explainer(
    request: Request,
    asked: tuple[Model, Path] | ServedPictures,
    baseline: ImageBaseline,
    pictures: int,
    threads: ThreadPoolExecutor,
    names: ResultNames,
) -> PictureExplainer:
    """The one for what `image_config.model_type` says.

    Args:
        request: the job.
        asked: the model as it was loaded, and the folder of its archive; or its endpoint.
        baseline: what absent segments show.
        pictures: how many there are; with their size it decides whether a faster runtime is looked for.
        threads: those that ask the model.
        names: of the heat maps that there are.

    Raises:
        BadModel, BadPolicy: the model is none of this type.
    """
    shap = request.shap
    detection = is_detection(request)
    link = logit if shap.use_logit else None
    sampling = Sampling(shap.num_samples, shap.seed, link, shap.surrogate, threads, tolerance=shap.tolerance)
    parts = _Parts(request, shap.image_config or ImageConfig(), baseline, sampling, names)
    if isinstance(asked, ServedPictures):
        parts = replace(parts, sampling=replace(sampling, pieces=asked.pieces))
        return Objects(parts, asked, None) if detection else Classes(parts, asked, asked.preprocessor, pictures)
    model, folder = asked
    preprocessing = request.preprocessing(folder)
    if detection:
        return Objects(parts, Detector(model, preprocessing), runtime_of(model, SCORES_ALONE))
    preprocessor = ImagePreprocessor(preprocessing, model.inputs[0])
    return Classes(parts, model, lambda _height, _width: preprocessor, pictures)


@dataclass(frozen=True)
class _Parts:
    """What both kinds need."""

    request: Request
    settings: ImageConfig
    baseline: ImageBaseline
    sampling: Sampling
    names: ResultNames

    def show(self, file: PictureFile, pixels: Pixels, preprocessor: ImagePreprocessor) -> Shown:
        image = preprocessor.resize(pixels)
        baseline = preprocessor.prepare(self.baseline.of(image, preprocessor))
        segments = superpixels(image, self.settings.num_segments, self.settings.segment_compactness)
        return Shown(file, image, Masked(preprocessor.prepare(image), baseline, segments))


class Classes:
    """A classifier: every class of one forward pass is explained, the predicted and the true one are drawn."""

    def __init__(
        self,
        parts: _Parts,
        model: Model | ServedPictures,
        preprocessor: Callable[[int, int], ImagePreprocessor],
        pictures: int,
    ) -> None:
        self._parts, self._model, self._preprocessor, self._pictures = parts, model, preprocessor, pictures
        self._ask: Ask | None = None
        self._labels: Sequence[str] = ()
        self._as_loaded: str | None = None

    @property
    def runtime(self) -> Runtime | None:
        return None if isinstance(self._model, ServedPictures) else runtime_of(self._model, self._as_loaded)

    def show(self, file: PictureFile) -> Shown:
        pixels = file.read()
        return self._parts.show(file, pixels, self._preprocessor(*pixels.shape[:2]))

    def explain(self, shown: Shown, true: str | None) -> ExplainedPicture:
        if self._ask is None:
            self._ask = self._first_asked(shown.masked)
        game = PictureGame(shown.masked, self._ask, self._parts.sampling)
        with unexplainable():
            explanation = game.explain(len(self._labels))
            best = int(explanation.prediction.argmax())
            (found,) = curves(game, explanation, [best])
        return ExplainedPicture(
            file=shown.file,
            true=true,
            image=shown.image,
            segments=shown.masked.segments,
            names=self._labels,
            explanation=explanation,
            curves={best: found},
            drawn=self._drawn(explanation.prediction, true),
            asked=game.asked,
        )

    def _drawn(self, prediction: NDArray[np.float64], true: str | None) -> list[int]:
        policy, class_ids = self._parts.request.policy, self._parts.settings.debug.class_ids
        wanted: Sequence[str] = WHICHEVER if policy is None else policy.explain.classes
        if class_ids is not None:
            wanted = [self._labels[place] for place in class_ids]
        return outputs_to_draw(prediction, self._labels, true, wanted)

    def _first_asked(self, first: Masked) -> Ask:
        """With the first picture it is known which runtime is asked, how many outputs there are, and their names."""
        request = self._parts.request
        if not isinstance(self._model, ServedPictures):
            self._model = self._on_fastest(self._model, first)
        model = self._model
        transform = output_transform(request.model_options.output_transform)
        ask, outputs = explained_outputs(
            lambda batch: transform(model.predict(batch)), first.inputs[None], request.config
        )
        self._labels = output_names(request.config, None, outputs)
        return ask

    def _on_fastest(self, model: Model, first: Masked) -> Model:
        """On the runtime that is the fastest, where looking for it is worth its time."""
        shap, (height, width) = self._parts.request.shap, first.segments.shape
        coalitions = shap.num_samples or default_samples(first.players)
        if self._pictures * coalitions * height * width < WORTH_PIXELS:
            asked = f"{self._pictures} × {coalitions} pictures of {height} × {width}"
            self._as_loaded = f"{asked} are too few to look for a faster one"
            return model
        masks = np.random.default_rng(shap.seed).random((PROBE, first.players)) < 0.5
        model = fastest(model, first.pictures(masks))
        logger.info("asked on %s: %s", model.runtime, model.runtime_reason)
        return model

    def write(self, picture: ExplainedPicture) -> Written:
        folder = self._parts.request.shap_folder
        of = self._parts.names.of
        names = {output: of(picture.file.stem, self._labels[output], output) for output in picture.drawn}
        heat_maps = draw_classes(folder, picture, names)
        return Written(None, heat_maps, write_numbers(folder, picture, heat_maps))


class Objects:
    """A detector: how sure it still is of each object that it found is what is explained."""

    def __init__(self, parts: _Parts, detector: Detector | ServedPictures, runtime: Runtime | None) -> None:
        self._parts, self._detector, self.runtime = parts, detector, runtime

    def show(self, file: PictureFile) -> Shown:
        pixels = file.read()
        return self._parts.show(file, pixels, self._detector.preprocessor(*pixels.shape[:2]))

    def explain(self, shown: Shown, true: str | None) -> ExplainedPicture:
        settings, config = self._parts.settings, self._parts.request.config
        masked, segments = shown.masked, shown.masked.segments
        (found,) = self._detector.find(masked.inputs[None])
        objects = choose_objects(
            found,
            config.label_headers or (),
            self._detector.first_class,
            config.probability_threshold,
            settings.max_objects,
            settings.debug.class_ids,
        )
        parts = [surroundings(one.box, settings.context, *segments.shape) for one in objects]
        # where all of the picture is looked at, one set of masked pictures serves all objects
        groups = [range(len(objects))] if settings.context == WHOLE else [range(n, n + 1) for n in range(len(objects))]
        answers = [self._explain(masked, [objects[n] for n in group], parts[group[0]]) for group in groups if objects]
        curves_of = [one for answer in answers for one in answer.curves]
        return ExplainedPicture(
            file=shown.file,
            true=true,
            image=shown.image,
            segments=segments,
            names=[one.name for one in objects],
            explanation=together([answer.explanation for answer in answers]) if answers else None,
            curves=dict(enumerate(curves_of)),
            drawn=range(len(objects)),
            asked=1 + sum(answer.asked for answer in answers),
            objects=objects,
            parts=parts,
        )

    def _explain(self, masked: Masked, objects: Sequence[DetectedObject], part: tuple[slice, slice]) -> _Answer:
        """Attributions of the picture's segments to some objects that are looked at in the same part of it."""
        seen, players = only_within(masked.segments, part)
        game = PictureGame(
            replace(masked, segments=seen),
            lambda batch: matched_scores(self._detector.find(batch), objects, self._parts.settings.iou_threshold),
            self._parts.sampling,
        )
        with unexplainable():
            explanation = game.explain(len(objects))
            found = curves(game, explanation, range(len(objects)))
        return _Answer(of_all_segments(explanation, players, masked.players), found, game.asked)

    def write(self, picture: ExplainedPicture) -> Written:
        folder = self._parts.request.shap_folder
        overview, heat_maps = draw_detected(folder, picture)
        return Written(overview, heat_maps, write_numbers(folder, picture, heat_maps))


@dataclass(frozen=True)
class _Answer:
    explanation: Explanation
    curves: Sequence[Curves]
    asked: int


def runtime_of(model: Model, as_loaded: str | None) -> Runtime:
    """What computes a model's answers; `as_loaded`: why no faster one was looked for."""
    reason, failed = model.runtime_reason or as_loaded, failed_at(model)
    if failed is not None:
        reason = f"{reason}; what it failed at the model as it was loaded answered: {failed}"
    return Runtime(name=model.runtime, reason=reason)


def of_all_segments(explanation: Explanation, players: NDArray[np.intp], segments: int) -> Explanation:
    """An explanation of some segments as one of all: the others had no part in it."""

    def spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
        result = np.zeros((segments, values.shape[1]))
        result[players] = values
        return result

    errors = explanation.standard_errors
    return replace(
        explanation,
        values=spread(explanation.values),
        standard_errors=None if errors is None else spread(errors),
    )


def together(explanations: Sequence[Explanation]) -> Explanation:
    """Explanations of a picture's segments, each of outputs of its own, as one of all outputs."""
    errors = [one.standard_errors for one in explanations if one.standard_errors is not None]
    return replace(
        explanations[0],
        values=np.hstack([one.values for one in explanations]),
        prediction=np.hstack([one.prediction for one in explanations]),
        base=np.hstack([one.base for one in explanations]),
        exact=all(one.exact for one in explanations),
        coalitions=sum(one.coalitions for one in explanations),
        standard_errors=np.hstack(errors) if len(errors) == len(explanations) else None,
    )


WHICHEVER = ("predicted", "true")
"""The classes that are drawn where nothing else is said, whatever they are called."""


def outputs_to_draw(
    prediction: NDArray[np.float64], labels: Sequence[str], true: str | None, wanted: Sequence[str]
) -> list[int]:
    """The outputs whose heat maps are drawn, in the order asked for: labels, `predicted`, `true`.

    The predicted one where none of them is known.
    """
    predicted = int(prediction.argmax())
    meant = {label: place for place, label in enumerate(labels)}
    places = {"predicted": predicted, **meant} | ({"true": meant[true]} if true in meant else {})
    return list(dict.fromkeys(places[name] for name in wanted if name in places)) or [predicted]


def check_class_ids(class_ids: Iterable[int] | None, labels: Sequence[str]) -> None:
    """Raises BadPolicy for one that is no place among the labels."""
    for index in class_ids or ():
        if not 0 <= index < len(labels):
            raise BadPolicy(
                f"image_config.debug.class_ids: {index}, expected 0 to {len(labels) - 1} for {len(labels)} labels"
            )
