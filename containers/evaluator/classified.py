"""From scores to classes, and the report of a classifier: the same for pictures and rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import (
    ConfusionMatrix,
    DataFacts,
    EvaluationReport,
    Explainable,
    ExplainSample,
    Metric,
    ModelFacts,
    ReliabilityBin,
)
from assay.policy import Data, Policy
from evaluator import checks, model_quality, plots
from evaluator.calibration import reliability
from evaluator.choose import Describe
from evaluator.classification import Classified, classify, estimate, measure
from evaluator.comparison import UNKNOWN, Score, compare_classified
from evaluator.labels import check_labels, names_that_differ, positive_class, resolve_labels
from evaluator.request import Request
from evaluator.scored import Scored, Unreadable
from evaluator.slices import SLICE_ROWS, discovery_findings, measured_slices, parts_of
from model.endpoint import Endpoint
from model.load import Model


@dataclass(frozen=True)
class Source:
    """Where more comes from about samples than their scores."""

    names: Mapping[str, str]
    """Each label in the data → its class's name for people."""
    columns: Callable[[NDArray[np.int64]], Mapping[str, NDArray[Any]]]
    """Places of samples → their columns: among them parts are looked for where the model is worse."""
    score: Score
    """Asks another archive, by another policy, about some of the samples."""
    completed: Callable[[Data], Data] = lambda data: data
    """A policy's part with what the data itself says of the labels: the names of folders."""


def classified_of(scored: Scored, names: Mapping[str, str], data: Data, threshold: float) -> Classified:
    """Which class was said of each sample, and which would have been right.

    Args:
        scored: the model's answers.
        names: each label in the data → its class's name for people.
        data: the labels in their order, the positive class.
        threshold: from which probability on the positive class is predicted.

    Raises:
        BadModel, BadPolicy: labels and outputs do not fit.
    """
    # one output is the positive class's score of two
    labels = resolve_labels(data, names, max(scored.scores.shape[1], 2))
    positive = positive_class(labels, data)
    true = scored.samples.numbered(labels.index)
    predicted, probabilities = classify(scored.scores, threshold, positive)
    two = len(labels.names) == 2
    return Classified(
        true,
        predicted,
        probabilities,
        names_that_differ(labels.names),
        positive if two else None,
        scored.samples.weights,
        scored.labels_only,
    )


def check_outputs(model: Model | Endpoint, names: Mapping[str, str], data: Data) -> None:
    """Raises what `classified_of` would, before hours of asking, when the signature says how many outputs there are."""
    if model.width is not None:
        resolve_labels(data, names, max(model.width, 2))


def output_names(scored: Scored, found: Classified) -> tuple[str, ...]:
    """A name for each output of the model: a single one is the positive class's score."""
    if found.positive is not None and scored.scores.shape[1] == 1:
        return (found.labels[found.positive],)
    return found.labels


def describe(scored: Scored, found: Classified, champion: NDArray[np.int64] | None) -> Describe:
    """What `samples.json` says of a sample, its role and reason aside; the champion's classes as they were compared."""

    def of(place: int) -> ExplainSample:
        sample, predicted = scored.samples[place], int(found.predicted[place])
        theirs = UNKNOWN if champion is None else int(champion[place])
        return ExplainSample(
            id=sample.id,
            row=sample.row,
            sample=(),
            reason="",
            true=found.labels[found.true[place]],
            predicted=found.labels[predicted],
            champion=None if theirs == UNKNOWN else found.labels[theirs],
            score=float(found.probabilities[place, predicted]),
            fingerprint=sample.fingerprint,
        )

    return of


def classified_report(
    request: Request,
    scored: Scored,
    found: Classified,
    unreadable: Unreadable,
    model: ModelFacts,
    source: Source,
    explain: Callable[[NDArray[np.int64] | None], Explainable | None],
) -> EvaluationReport:
    """Measure, and write evaluation.json, plots and flips.csv beside the report that is returned.

    Args:
        request: the job.
        scored, found: the model's answers.
        unreadable: what could not be read.
        model: who was asked.
        source: where more comes from about the samples.
        explain: chooses what is explained, by the classes that the champion said; None: there is none to compare with.
    """
    with request.timed("measure"):
        estimates = estimate(found)
        metrics, per_class = estimates.measured()
        calibrated = metrics["ece"].value is not None
        bins = reliability(found.confidence, found.right, found.weights) if calibrated else ()
    losses = np.where(found.answered, ~found.right, np.nan)
    with request.timed("slices"):
        parts, left_out = parts_of(request.policy.evaluate.slices, scored.samples, losses, source.columns)
        slices = measured_slices(parts, lambda places: measure(found.part(places), SLICE_ROWS))

    def by_policy(answers: Scored, policy: Policy) -> Classified:
        data = source.completed(policy.data)
        check_labels(data, source.names)
        return classified_of(answers, source.names, data, policy.evaluate.threshold)

    with request.timed("compare"):
        comparison, of_comparison, champions = compare_classified(
            request, model.archive_sha256, scored, found, estimates, parts, by_policy, source.score
        )
    matrix: ConfusionMatrix | None = None
    drawn: tuple[str, ...] = ()
    if found.answered.all():
        matrix = ConfusionMatrix(labels=found.labels, counts=tuple(tuple(map(int, row)) for row in found.counts))
        with request.timed("plots"):
            pictures = _pictures(found, matrix, per_class, bins)
            pictures["slices"] = plots.slices_svg(slices, "accuracy", metrics["accuracy"])
            drawn = request.outputs.plots(pictures)
    request.outputs.json("evaluation.json", model_quality.classification(found, estimates))
    return EvaluationReport(
        task=request.policy.task,
        labels=found.labels,
        metrics=metrics,
        per_class=per_class,
        confusion=matrix,
        reliability=bins,
        model=model,
        data=data_facts(scored, unreadable),
        slices=slices,
        comparison=comparison,
        findings=(
            *checks.of_classifier(found, metrics),
            *left_out,
            *discovery_findings(slices, "accuracy"),
            *of_comparison,
        ),
        explain=explain(champions),
        plots=drawn,
        seconds=dict(request.seconds),
    )


def _pictures(
    found: Classified,
    matrix: ConfusionMatrix,
    per_class: Mapping[str, Mapping[str, Metric]],
    bins: Sequence[ReliabilityBin],
) -> dict[str, str]:
    pictures = {
        "confusion": plots.confusion_svg(matrix),
        "classes": plots.per_class_svg(per_class, ("recall", "precision")),
    }
    if not found.labels_only:
        pictures["curves"] = plots.curves_svg(found.true, found.probabilities, found.labels, found.positive)
    if bins:
        pictures["reliability"] = plots.reliability_svg(bins)
    return pictures


def data_facts(scored: Scored, unreadable: Unreadable) -> DataFacts:
    return DataFacts(
        rows=len(scored),
        unreadable=unreadable.count,
        unreadable_names=tuple(unreadable.named),
        sha256=scored.fingerprint,
    )
