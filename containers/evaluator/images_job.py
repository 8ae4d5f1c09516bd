"""A job on pictures."""

from __future__ import annotations

from assay.evaluation import EvaluationReport, Explainable, ExplainSamples
from evaluator.choose import combine, eligible, representative, worst_classified
from evaluator.classified import classified_of, classified_report, describe
from evaluator.images_data import find_pictures, read_annotations, score_images
from evaluator.outputs import classified_columns
from evaluator.request import Request
from evaluator.scored import Unreadable
from model.preprocessing import ImagePreprocessor


def evaluate_images(request: Request) -> EvaluationReport:
    """Score and measure; what can be wrong with the data is found before the model is loaded."""
    policy = request.policy
    annotations = read_annotations(request.annotations, policy.data)
    pictures = find_pictures(request.dataset, annotations)
    unreadable = Unreadable(policy.evaluate.max_unreadable)
    with request.model() as (model, folder):
        preprocessor = ImagePreprocessor(request.preprocessing(folder), model.inputs[0])
        names = {annotation.label: annotation.name for annotation in annotations}
        with request.timed("score"):
            scored = score_images(annotations, pictures, model, preprocessor, unreadable, request.progress)
    found = classified_of(scored, names, policy)
    request.outputs.table("predictions.parquet", classified_columns(scored, found))
    chosen = worst_classified(found, eligible(scored.samples, policy.explain.chosen), policy.explain.chosen.samples)
    drawn = representative(scored.samples, policy.explain.representative.samples or 0, policy.explain.seed)
    samples = [sample for _, sample in combine(drawn, chosen, describe(scored, found))]
    explain = None
    if samples:
        samples = request.outputs.explain_images(pictures, samples)
        request.outputs.record("explain/samples.json", ExplainSamples(samples=tuple(samples)))
        explain = Explainable(kind="images", samples=len(samples), label_headers=found.labels)
    return classified_report(request, scored, found, unreadable, request.facts(model), explain)
