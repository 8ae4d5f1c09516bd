"""A job on pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadData, BadModel
from assay.evaluation import EvaluationReport, Explainable, ExplainSamples, Finding
from assay.policy import Data
from evaluator import checks
from evaluator.choose import check_only, combine, eligible, representative, worst_classified
from evaluator.classification import Classified
from evaluator.classified import Source, check_outputs, classified_of, classified_report, describe, output_names
from evaluator.images_data import (
    LABEL,
    NAME,
    Annotation,
    Asking,
    annotations_by_folder,
    find_pictures,
    in_process,
    labels_by_folder,
    probe_of,
    read_annotations,
    score_images,
    through,
)
from evaluator.labels import answered_labels, unknown_labels
from evaluator.outputs import classified_columns
from evaluator.request import Request
from evaluator.scored import Scored, Unreadable
from evaluator.slices import check_slices
from evaluator.speed import speed_of
from model.load import Model
from model.picture_endpoint import PictureEndpoint
from model.preprocessing import ImagePreprocessor
from model.runtime import WORTH_PIXELS, failed_at, fastest
from model.transform import output_transform


@dataclass(frozen=True)
class Pictures:
    """What is known of the data before the model is loaded."""

    annotations: Sequence[Annotation]
    """Of all pictures."""
    files: dict[str, Path]
    """Where each annotated picture lies, of those that are there."""
    data: Data
    """The policy's part, with the labels that folders give."""
    by_folder: bool
    """The folders say which classes there are."""
    unknown: Mapping[str, str]
    """Labels of which the model knows nothing, each with a sentence: their pictures are left out."""

    @property
    def other_columns(self) -> list[str]:
        """Those of the annotations that say more than which picture and which class."""
        known = {self.data.file, self.data.label or LABEL, self.data.names, NAME, self.data.weight}
        return [name for name in self.annotations[0].columns if name not in known]

    @property
    def names(self) -> dict[str, str]:
        """Each label → its class's name for people."""
        return {one.label: one.name for one in self.annotations if one.label not in self.unknown}


def look(request: Request) -> Pictures:
    """Read the annotation file, or the folders where there is none; raises BadData, BadPolicy."""
    data = request.policy.data
    if data.annotations is not None:
        annotations = read_annotations(request.annotations, data)
    else:
        annotations = annotations_by_folder(request.dataset)
        data = labels_by_folder(annotations, data)
    unknown = unknown_labels(data, {annotation.label for annotation in annotations})
    by_folder = request.policy.data != data
    return Pictures(annotations, find_pictures(request.dataset, annotations), data, by_folder, unknown)


def evaluate_images(request: Request) -> EvaluationReport:
    """Score and measure; what can be wrong with the data is found before the model is loaded."""
    policy = request.policy
    pictures = look(request)
    check_only(policy.explain.chosen, pictures.annotations[0].columns)
    check_slices(policy.evaluate.slices, dict.fromkeys(pictures.annotations[0].columns))
    unreadable = Unreadable(policy.evaluate.max_unreadable)
    for annotation in pictures.annotations:
        if annotation.label in pictures.unknown:
            unreadable.add(f"{annotation.file}: {pictures.unknown[annotation.label]}")
        elif annotation.file not in pictures.files:
            unreadable.add(f"{annotation.file}: no such file")
    unreadable.check()
    with _asked(request, pictures) as asked:
        facts = request.facts(asked.model, asked.folder)
        with request.timed("score"):
            scored = asked.score(unreadable)
        if scored.samples.weights is not None and not scored.samples.weights.any():
            raise BadData(f"data.weight: {policy.data.weight} is 0 for all pictures")
        with request.timed("probe"):
            findings = [*asked.findings(), *checks.of_runtime(failed_at(asked.model))]
            one = asked.ask_one if asked.probe else None
            speed = speed_of("images", len(scored), request.seconds["score"], one)
        if isinstance(asked.model, PictureEndpoint):
            findings += checks.of_endpoint(policy.model)
            findings += checks.of_files(asked.model, [pictures.files[sample.id] for sample in scored.samples])
    found = classified_of(scored, pictures.names, pictures.data, policy.evaluate.threshold)
    request.outputs.table("predictions.parquet", classified_columns(scored, found))

    def explain(champion: NDArray[np.int64] | None) -> Explainable | None:
        return _explain(request, pictures, scored, found, champion)

    def columns(places: NDArray[np.int64]) -> Mapping[str, NDArray[Any]]:
        return {name: scored.samples.column(name)[places] for name in pictures.other_columns}

    source = Source(pictures.names, columns, score, lambda data: labels_by_folder(pictures.annotations, data))
    report = classified_report(request, scored, found, unreadable, facts, source, explain)
    fingerprints, labels = scored.samples.fingerprints, scored.samples.labels
    findings += checks.of_data(fingerprints, labels, lambda place: scored.samples[place].id, "images")
    return report.model_copy(update={"speed": speed, "findings": (*report.findings, *findings)})


def _explain(
    request: Request, pictures: Pictures, scored: Scored, found: Classified, champion: NDArray[np.int64] | None
) -> Explainable | None:
    """Choose pictures and copy them to `explain/`; None where none is asked for."""
    asked = request.policy.explain
    places = eligible(scored.samples, found.answered, asked.chosen)
    chosen = worst_classified(found, places, asked.chosen.samples, champion)
    wanted = asked.representative.samples or 0  # none by default: pictures have no features in common
    drawn = representative(scored.samples, found.answered, wanted, asked.seed)
    samples = [sample for _, sample in combine(drawn, chosen, describe(scored, found, champion))]
    if not samples:
        return None
    samples = request.outputs.explain_images(pictures.files, samples)
    request.outputs.record("explain/samples.json", ExplainSamples(samples=tuple(samples)))
    return Explainable(kind="images", samples=len(samples), label_headers=output_names(scored, found))


def score(request: Request) -> Scored:
    """Ask the request's archive, by its policy, about those of the pictures that the request is about."""
    with _asked(request, look(request)) as asked:
        return asked.score(Unreadable(request.policy.evaluate.max_unreadable))


@dataclass(frozen=True)
class Asked:
    """A model, and how it is asked about pictures."""

    request: Request
    pictures: Pictures
    model: Model | PictureEndpoint
    folder: Path
    asking: Asking[Any]
    probe: Sequence[Any]
    """The first pictures, as they are asked about; none where no picture could be read."""

    def score(self, unreadable: Unreadable) -> Scored:
        only = self.request.only
        present = [
            annotation
            for annotation in self.pictures.annotations
            if annotation.file in self.pictures.files
            and annotation.label not in self.pictures.unknown
            and (only is None or annotation.row in only)
        ]
        weight = self.pictures.data.weight
        return score_images(present, self.pictures.files, self.asking, unreadable, self.request.progress, weight)

    def findings(self) -> Iterator[Finding]:
        """About answers that depend on how the model is asked."""
        if not self.probe:
            return
        predict = self.asking.predict
        together, again = predict(self.probe), predict(self.probe)
        one_by_one = again if self.asking.batch == 1 else np.concatenate([predict([one]) for one in self.probe])
        yield from checks.of_answers(together, again, one_by_one)

    def ask_one(self) -> object:
        return self.asking.predict(self.probe[:1])


@contextmanager
def _asked(request: Request, pictures: Pictures) -> Iterator[Asked]:
    """The policy's endpoint, or the request's model; raises BadModel, BadPolicy when it fits no pictures."""
    transform = output_transform(request.policy.model.output_transform)
    files = list(pictures.files.values())
    if request.policy.model.predictor == "endpoint":
        labels = answered_labels(request.policy.model_copy(update={"data": pictures.data}))
        with request.picture_endpoint(labels) as (endpoint, folder):
            sent = through(endpoint, transform)
            yield Asked(request, pictures, endpoint, folder, sent, probe_of(files, sent))
        return
    with request.model() as (loaded, folder):
        if len(loaded.inputs) != 1:
            names = ", ".join(tensor.name for tensor in loaded.inputs) or "none"
            raise BadModel(f"the model has {len(loaded.inputs)} inputs ({names}), expected 1 that takes pictures")
        _check_classes(loaded, pictures)
        preprocessor = ImagePreprocessor(request.preprocessing(folder), loaded.inputs[0])
        probe = probe_of(files, in_process(loaded, preprocessor))
        model = _on_fastest(request, loaded, len(pictures.annotations), preprocessor.size, probe)
        yield Asked(request, pictures, model, folder, in_process(model, preprocessor, transform), probe)


def _on_fastest(
    request: Request, model: Model, pictures: int, size: tuple[int, int], probe: Sequence[NDArray[Any]]
) -> Model:
    """On the runtime that is the fastest, where looking for it is worth its time."""
    height, width = size
    if probe and pictures * height * width >= WORTH_PIXELS:
        with request.timed("runtime"):
            return fastest(model, np.stack(probe))
    reason = f"{pictures} pictures of {height} × {width} are too few to look for a faster one"
    return model.with_runtime(model.function, model.runtime, reason)


def _check_classes(model: Model, pictures: Pictures) -> None:
    """Raises BadModel, BadPolicy when the labels cannot be those of the model, as far as its signature says."""
    labels = pictures.data.labels
    if pictures.by_folder and labels is not None and model.width is not None and max(model.width, 2) != len(labels):
        names = ", ".join(str(label) for label in list(labels)[:10])
        raise BadModel(
            f"the model tells {max(model.width, 2)} classes apart, the data has {len(labels)} folders ({names}); where "
            "one has no picture, say data.labels: all classes in the order of the model's outputs"
        )
    check_outputs(model, pictures.names, pictures.data)
