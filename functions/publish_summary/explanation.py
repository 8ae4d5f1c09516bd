"""What the summary says of the explanation: what counts for the model."""

from __future__ import annotations

from collections.abc import Iterable

from assay.evaluation import EvaluationReport
from assay.explanation import FeatureDependence
from assay.summary import DependenceCurve, PartialDependence
from publish_summary.certainty import certainty
from publish_summary.evidence import Evidence
from publish_summary.importance import global_importance

MOST_DEPENDENCES = 20
MOST_CURVES = 10
"""Labels with a curve, of one feature."""


def explanation(evidence: Evidence, report: EvaluationReport) -> dict[str, object]:
    """The summary's fields on the explanation."""
    if report.explain is None:
        return {"explanation": "not asked"}
    if evidence.explanation_failure is not None:
        return {"explanation": "failed", "explanation_failure": evidence.explanation_failure.message}
    explained = evidence.explained
    analysis, values = (None, None) if explained is None else (explained.analysis, explained.values)
    ours = None if analysis is None else analysis.assay
    return {
        "explanation": "done",
        "max_additivity_gap": None if ours is None else ours.max_additivity_gap,
        "certainty": None if ours is None else certainty(ours),
        "importance": ()
        if explained is None or values is None
        else global_importance(values, explained.samples.samples),
        "dependence": () if analysis is None else dependence(analysis.explanations.pdp),
    }


def dependence(found: Iterable[FeatureDependence]) -> tuple[PartialDependence, ...]:
    return tuple(
        PartialDependence(
            feature=one.feature_name,
            values=tuple("" if value is None else value for value in one.feature_values),
            shares=one.data_distribution,
            curves=tuple(
                DependenceCurve(label=label, scores=scores)
                for label, scores in list(zip(one.label_headers, one.model_predictions, strict=False))[:MOST_CURVES]
            ),
            error=one.error,
        )
        for one in list(found)[:MOST_DEPENDENCES]
    )
