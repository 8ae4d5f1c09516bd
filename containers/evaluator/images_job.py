"""A job on pictures."""

from __future__ import annotations

from assay.evaluation import EvaluationReport, Explainable, ExplainSamples
from evaluator.choose import check_only, combine, eligible, representative, worst_classified
from evaluator.classified import check_outputs, classified_of, classified_report, describe, output_names
from evaluator.images_data import find_pictures, read_annotations, score_images
from evaluator.labels import check_labels
from evaluator.outputs import classified_columns
from evaluator.request import Request
from evaluator.scored import Unreadable
from model.preprocessing import ImagePreprocessor


def evaluate_images(request: Request) -> EvaluationReport:
    """Score and measure; what can be wrong with the data is found before the model is loaded."""
    policy = request.policy
    annotations = read_annotations(request.annotations, policy.data)
    names = {annotation.label: annotation.name for annotation in annotations}
    check_labels(policy.data, names)
    check_only(policy.explain.chosen, annotations[0].columns)
    pictures = find_pictures(request.dataset, annotations)
    unreadable = Unreadable(policy.evaluate.max_unreadable)
    for annotation in annotations:
        if annotation.file not in pictures:
            unreadable.add(f"{annotation.file}: no such file")
    unreadable.check()
    asked_about = [one for one in annotations if request.only is None or one.row in request.only]
    present = [annotation for annotation in asked_about if annotation.file in pictures]
    with request.model() as (model, folder):
        facts = request.facts(model, folder)
        check_outputs(model, names, policy.data)
        preprocessor = ImagePreprocessor(request.preprocessing(folder), model.inputs[0])
        with request.timed("score"):
            scored = score_images(present, pictures, model, preprocessor, unreadable, request.progress)
    found = classified_of(scored, names, policy.data, policy.evaluate.threshold)
    request.outputs.table("predictions.parquet", classified_columns(scored, found))
    chosen = worst_classified(
        found, eligible(scored.samples, found.answered, policy.explain.chosen), policy.explain.chosen.samples
    )
    asked = policy.explain.representative.samples or 0  # none by default: pictures have no features in common
    drawn = representative(scored.samples, found.answered, asked, policy.explain.seed)
    samples = [sample for _, sample in combine(drawn, chosen, describe(scored, found))]
    explain = None
    if samples:
        samples = request.outputs.explain_images(pictures, samples)
        request.outputs.record("explain/samples.json", ExplainSamples(samples=tuple(samples)))
        explain = Explainable(kind="images", samples=len(samples), label_headers=output_names(scored, found))
    return classified_report(request, scored, found, unreadable, facts, explain)
