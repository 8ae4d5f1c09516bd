"""The slices that a summary lists, with the metrics that say most of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from assay.evaluation import EvaluationReport, Slice
from assay.policy import Policy

MOST_SLICES = 200
TELLING = ("accuracy", "recall", "precision", "roc_auc", "f1_macro", "mae", "rmse", "r2")
"""Metrics that say most of a slice, the first ones that it has."""
MOST_TELLING = 4


def slices(report: EvaluationReport, policy: Policy) -> Iterator[Slice]:
    """The slices with the metrics that say most, and those that gates on slices ask about."""
    for one in report.slices[:MOST_SLICES]:
        metrics = {name: one.metrics[name] for name in telling(one.metrics, asked_of_slices(policy))}
        yield one.model_copy(update={"metrics": metrics, "per_class": {}})


def asked_of_slices(policy: Policy) -> list[str]:
    return [gate.metric for gate in policy.gates if gate.slice is not None]


def telling(metrics: Collection[str], asked: Collection[str]) -> list[str]:
    """Those of the metrics that say most of a slice, and those that are asked about."""
    most = [name for name in TELLING if name in metrics][:MOST_TELLING]
    return list(dict.fromkeys([*most, *(name for name in asked if name in metrics)]))
