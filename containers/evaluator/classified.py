"""From scores to classes, and the report of a classifier: the same for pictures and rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from assay.errors import BadData, BadPolicy
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
from assay.policy import Policy
from evaluator import model_quality
from evaluator.choose import Describe
from evaluator.classification import Classified, are_probabilities, classify, measure
from evaluator.labels import names_that_differ, resolve_labels
from evaluator.plots import confusion_svg
from evaluator.request import Request
from evaluator.scored import Scored, Unreadable


def classified_of(scored: Scored, names: Mapping[str, str], policy: Policy) -> Classified:
    """Which class was said of each sample, and which would have been right.

    Args:
        scored: the model's answers.
        names: each label in the data → its class's name for people.
        policy: labels, threshold, positive class.

    Raises:
        BadModel, BadPolicy, BadData: labels and outputs do not fit, or a label is none of the policy's.
    """
    outputs = scored.scores.shape[1]
    labels = resolve_labels(policy.data, names, max(outputs, 2))
    unknown = [sample for sample in scored.samples if sample.label not in labels.index]
    if unknown:
        known = ", ".join(list(labels.index)[:10])
        raise BadData(f"{unknown[0].id}: label {unknown[0].label!r} is none of data.labels ({known})")
    true = np.array([labels.index[sample.label] for sample in scored.samples], dtype=np.int64)
    predicted, probabilities = classify(scored.scores, policy.evaluate.threshold, positive_class(labels.names, policy))
    return Classified(true, predicted, probabilities, names_that_differ(labels.names))


def positive_class(labels: tuple[str, ...], policy: Policy) -> int:
    """The number of the positive class of two: the policy's, or the second; raises BadPolicy."""
    if policy.data.positive is None:
        return 1
    positive = str(policy.data.positive)
    if positive not in labels:
        raise BadPolicy(f"data.positive is {positive!r}, which is none of the labels {', '.join(labels)}")
    return labels.index(positive)


def describe(scored: Scored, found: Classified) -> Describe:
    """What `samples.json` says of a sample, its role and reason aside."""

    def of(place: int) -> ExplainSample:
        sample, predicted = scored.samples[place], int(found.predicted[place])
        score = float(found.probabilities[place, predicted])
        return ExplainSample(
            id=sample.id,
            row=sample.row,
            sample=(),
            reason="",
            true=found.labels[found.true[place]],
            predicted=found.labels[predicted],
            score=score if np.isfinite(score) else None,
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
    positive = positive_class(found.labels, request.policy) if len(found.labels) == 2 else None
    with request.timed("measure"):
        metrics, per_class = measure(found, positive)
    matrix = ConfusionMatrix(labels=found.labels, counts=tuple(tuple(map(int, row)) for row in found.counts))
    if positive is not None:
        quality = model_quality.binary(found, metrics, per_class, positive)
    else:
        quality = model_quality.multiclass(found, metrics)
    request.outputs.json("evaluation.json", quality)
    with request.timed("plots"):
        request.outputs.text("plots/confusion.svg", confusion_svg(matrix))
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
    broken = int((~np.isfinite(found.probabilities)).any(axis=1).sum())
    if broken:
        text = f"The model's scores of {broken} of {len(found.true)} samples are NaN or infinite."
        findings.append(Finding(severity="serious", title="Scores that are no numbers", text=text))
    elif not are_probabilities(found.probabilities):
        text = "The scores of a sample do not add up to 1: they may be logits. Log loss and Brier score need more."
        findings.append(Finding(severity="warning", title="Scores that are no probabilities", text=text))
    if len(np.unique(found.predicted)) == 1 and len(np.unique(found.true)) > 1:
        text = f"All {len(found.true)} samples are predicted as {found.labels[found.predicted[0]]}."
        findings.append(Finding(severity="serious", title="Constant predictions", text=text))
    constant, accuracy = metrics["accuracy_best_constant"].value, metrics["accuracy"].value
    if constant is not None and accuracy is not None and accuracy < constant:
        text = f"Accuracy is {accuracy:.3f}; always answering the most frequent class would reach {constant:.3f}."
        findings.append(Finding(severity="serious", title="Worse than the best constant answer", text=text))
    return findings
