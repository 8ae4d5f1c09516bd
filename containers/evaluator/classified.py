"""From scores to classes, and the report of a classifier: the same for pictures and rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from assay.evaluation import (
    ConfusionMatrix,
    DataFacts,
    EvaluationReport,
    Explainable,
    ExplainSample,
    Finding,
    Metric,
    ModelFacts,
)
from assay.policy import Data
from evaluator import model_quality
from evaluator.choose import Describe
from evaluator.classification import Classified, are_probabilities, classify, measure
from evaluator.labels import names_that_differ, positive_class, resolve_labels
from evaluator.plots import confusion_svg
from evaluator.request import Request
from evaluator.scored import Scored, Unreadable
from model.load import Model


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
    true = np.array([labels.index[sample.label] for sample in scored.samples], dtype=np.int64)
    predicted, probabilities = classify(scored.scores, threshold, positive)
    two = len(labels.names) == 2
    return Classified(true, predicted, probabilities, names_that_differ(labels.names), positive if two else None)


def check_outputs(model: Model, names: Mapping[str, str], data: Data) -> None:
    """Raises what `classified_of` would, before hours of asking, when the signature says how many outputs there are."""
    if model.width is not None:
        resolve_labels(data, names, max(model.width, 2))


def output_names(scored: Scored, found: Classified) -> tuple[str, ...]:
    """A name for each output of the model: a single one is the positive class's score."""
    if found.positive is not None and scored.scores.shape[1] == 1:
        return (found.labels[found.positive],)
    return found.labels


def describe(scored: Scored, found: Classified) -> Describe:
    """What `samples.json` says of a sample, its role and reason aside."""

    def of(place: int) -> ExplainSample:
        sample, predicted = scored.samples[place], int(found.predicted[place])
        return ExplainSample(
            id=sample.id,
            row=sample.row,
            sample=(),
            reason="",
            true=found.labels[found.true[place]],
            predicted=found.labels[predicted],
            score=float(found.probabilities[place, predicted]),
        )

    return of


def classified_report(
    request: Request,
    scored: Scored,
    found: Classified,
    unreadable: Unreadable,
    model: ModelFacts,
    explain: Explainable | None,
) -> EvaluationReport:
    """Measure, and write evaluation.json and the confusion matrix beside the report that is returned."""
    with request.timed("measure"):
        metrics, per_class = measure(found)
    matrix = None
    if found.answered.all():
        matrix = ConfusionMatrix(labels=found.labels, counts=tuple(tuple(map(int, row)) for row in found.counts))
        with request.timed("plots"):
            request.outputs.text("plots/confusion.svg", confusion_svg(matrix))
    request.outputs.json("evaluation.json", model_quality.classification(found, metrics))
    return EvaluationReport(
        task=request.policy.task,
        labels=found.labels,
        metrics=metrics,
        per_class=per_class,
        confusion=matrix,
        model=model,
        data=data_facts(scored, unreadable),
        findings=tuple(_findings(found, metrics)),
        explain=explain,
        seconds=dict(request.seconds),
    )


def data_facts(scored: Scored, unreadable: Unreadable) -> DataFacts:
    return DataFacts(
        rows=len(scored),
        unreadable=unreadable.count,
        unreadable_names=tuple(unreadable.named),
        sha256=scored.fingerprint,
    )


def _findings(found: Classified, metrics: Mapping[str, Metric]) -> list[Finding]:
    findings = []
    broken = int((~found.answered).sum())
    if broken:
        text = f"The model's scores of {broken} of {len(found.true)} samples are NaN or infinite."
        return [Finding(severity="serious", title="Scores that are no numbers", text=text)]
    if not are_probabilities(found.probabilities):
        text = "Scores are not from 0 to 1, or a sample's do not add up to 1: they may be logits, and have no log loss."
        findings.append(Finding(severity="warning", title="Scores that are no probabilities", text=text))
    if len(np.unique(found.predicted)) == 1 and len(np.unique(found.true)) > 1:
        text = f"All {len(found.true)} samples are predicted as {found.labels[found.predicted[0]]}."
        findings.append(Finding(severity="serious", title="Constant predictions", text=text))
    constant, accuracy = metrics["accuracy_best_constant"].value, metrics["accuracy"].value
    if constant is not None and accuracy is not None and accuracy < constant:
        text = f"Accuracy is {accuracy:.3f}; always answering the most frequent class would reach {constant:.3f}."
        findings.append(Finding(severity="serious", title="Worse than the best constant answer", text=text))
    return findings
