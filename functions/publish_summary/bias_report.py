"""The bias that the evaluation measured, in the shape of Clarify's `analysis.json`: what the Model Registry shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from assay.evaluation import EvaluationReport, Metric
from assay.policy import Policy

BEFORE_TRAINING = frozenset({"CI", "DPL", "KL", "JS", "LP", "TVD", "KS", "CDDL"})
"""The metrics of the labels; all others are of the predictions."""


def bias_report(policy: Policy, report: EvaluationReport) -> str:
    """Without clock or chance: its digest is part of what is registered."""
    of = {
        "label": "" if policy.data.label is None else str(policy.data.label),
        "label_value_or_threshold": "" if policy.data.positive is None else str(policy.data.positive),
    }
    columns = [] if policy.bias is None else [facet.column for facet in policy.bias.facets]
    content = {
        "version": "1.0",
        "pre_training_bias_metrics": {**of, "facets": _facets(report, columns, before=True)},
        "post_training_bias_metrics": {**of, "facets": _facets(report, columns, before=False)},
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _facets(report: EvaluationReport, columns: list[str], *, before: bool) -> dict[str, list[dict[str, Any]]]:
    facets: dict[str, list[dict[str, Any]]] = {}
    for name, metrics in report.bias.items():
        # `sex=Female`, `age>40`: the longest column that fits, for names may hold these signs themselves
        fitting = [column for column in columns if name.startswith((f"{column}=", f"{column}>"))]
        column = max(fitting, key=len, default=name)
        values = {"value_or_threshold": name[len(column) + 1 :], "metrics": _metrics(metrics, before=before)}
        facets.setdefault(column, []).append(values)
    return facets


def _metrics(metrics: Mapping[str, Metric], *, before: bool) -> list[dict[str, Any]]:
    return [
        {"name": name, "description": name, "value": metric.value}
        | ({} if metric.reason is None else {"error": metric.reason})
        for name, metric in metrics.items()
        if (name in BEFORE_TRAINING) == before
    ]
