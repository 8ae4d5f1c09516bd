"""Which pictures of a detector's are explained, and why: those with errors, new ones before all; then unsure ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import Explainable, ExplainSample, ExplainSamples
from evaluator.boxes_compare import ChampionFound
from evaluator.boxes_data import ScoredPicture
from evaluator.choose import combine, representative
from evaluator.detection import Errors
from evaluator.labels import names_that_differ
from evaluator.request import Request
from evaluator.scored import Sample, Samples


def explain_pictures(
    request: Request,
    pictures: Sequence[ScoredPicture],
    classes: tuple[Sequence[int], Sequence[str], int],
    errors: Errors,
    champion: ChampionFound | None,
    paths: dict[str, Path],
) -> Explainable | None:
    """Choose pictures and copy them to `explain/`; None where none is asked for.

    Args:
        request: the job.
        pictures: all of them.
        classes: the model's number of each class, its name, and what the model's format calls the first one.
        errors: what the detections did to the objects.
        champion: what it found; None: there is none to compare with.
        paths: a picture's file as the annotations call it → where it lies.
    """
    asked, (numbers, labels, first) = request.policy.explain, classes
    threshold = request.policy.evaluate.score_threshold
    chosen = worst_detected(pictures, errors, threshold, asked.chosen.samples, champion)
    wanted = asked.representative.samples or 0  # none by default: pictures have no features in common
    all_samples = Samples.of([Sample(one.file, one.row, "", one.fingerprint, {}) for one in pictures])
    drawn = representative(all_samples, np.ones(len(pictures), dtype=np.bool_), wanted, asked.seed)
    name_of = dict(zip(numbers, labels, strict=True))

    def describe(place: int) -> ExplainSample:
        one = pictures[place]
        said = [number for number, score in _detections(one) if score >= threshold]
        true = _counted([labels[number] for number in one.objects.classes.tolist()])
        predicted = _counted([name_of.get(number, f"class {number}") for number in said])
        theirs = None
        if champion is not None and champion.known[place]:
            at = (champion.found.picture == place) & (champion.found.scores >= threshold)
            said_by_champion = _counted([labels[number] for number in champion.found.classes[at].tolist()])
            theirs = _judged(said_by_champion, true, champion.errors, place)
        return ExplainSample(
            id=one.file,
            row=one.row,
            sample=(),
            reason="",
            true=true,
            predicted=_judged(predicted, true, errors, place),
            champion=theirs,
            fingerprint=one.fingerprint,
        )

    samples = [sample for _, sample in combine(drawn, chosen, describe)]
    if not samples:
        return None
    samples = request.outputs.explain_images(paths, samples)
    request.outputs.record("explain/samples.json", ExplainSamples(samples=tuple(samples)))
    return Explainable(kind="images", samples=len(samples), label_headers=class_headers(name_of, first))


def class_headers(name_of: dict[int, str], first: int) -> tuple[str, ...]:
    """A name for each number that a class may have, from the first on: what `label_headers` are in detection."""
    return tuple(names_that_differ(name_of.get(number, f"class {number}") for number in range(first, max(name_of) + 1)))


def worst_detected(
    pictures: Sequence[ScoredPicture],
    errors: Errors,
    threshold: float,
    size: int,
    champion: ChampionFound | None = None,
) -> list[tuple[int, str]]:
    """Pictures with the most errors more than the champion's first, then with the most, then the least sure ones.

    Returns:
        (place, reason) each; the least sure picture is the one with a score closest to the threshold.
    """
    wrong = errors.of_picture
    more = np.zeros_like(wrong)
    if champion is not None:
        more = np.where(champion.known, np.maximum(wrong - champion.errors.of_picture, 0), 0)
    margins = np.array(
        [min((abs(score - threshold) for _, score in _detections(one)), default=np.inf) for one in pictures]
    )
    order = np.lexsort((np.where(wrong, 0, margins), -wrong, -more))  # stable: of equal ones the first
    return list(_with_reasons(order[:size].tolist(), pictures, errors, margins, threshold, champion))


def _with_reasons(
    order: Sequence[int],
    pictures: Sequence[ScoredPicture],
    errors: Errors,
    margins: NDArray[np.float64],
    threshold: float,
    champion: ChampionFound | None,
) -> Iterator[tuple[int, str]]:
    for place in order:
        said = _wrong(errors, place)
        if said and champion is not None and champion.known[place]:
            theirs = _wrong(champion.errors, place)
            if theirs:
                yield place, f"mistake: {said}; the champion: {theirs}"
            else:
                yield place, f"broken: {said}; the champion has all right"
        elif said:
            yield place, f"mistake: {said}"
        elif np.isfinite(margins[place]):
            nearest = min(
                (score for _, score in _detections(pictures[place])), key=lambda score: abs(score - threshold)
            )
            yield place, f"unsure: a score of {nearest:.2f}, and {threshold:g} counts"
        else:
            yield place, "nothing is there, nothing was found"


def _detections(one: ScoredPicture) -> list[tuple[int, float]]:
    return list(zip(one.detections.classes.tolist(), one.detections.scores.tolist(), strict=True))


def _judged(said: str, true: str, errors: Errors, place: int) -> str:
    """`1 RBC (1 missed)`; the truth where all is right."""
    wrong = _wrong(errors, place)
    return f"{said} ({wrong})" if wrong else true


def _wrong(errors: Errors, place: int) -> str:
    """`2 missed, 1 false`; empty where all is right."""
    counts = (
        (errors.missed[place], "missed"),
        (errors.confused[place], "taken for another class"),
        (errors.false[place], "found where nothing is"),
    )
    return ", ".join(f"{count} {what}" for count, what in counts if count)


def _counted(names: Sequence[str]) -> str:
    """`3 RBC, 1 WBC`"""
    return ", ".join(f"{count} {name}" for name, count in sorted(Counter(names).items())) or "nothing"
