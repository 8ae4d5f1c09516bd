"""Metrics that need no more than how many samples of each class there are, were predicted and were right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluator.intervals import divide

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """Sums of weights by class, (K, …) each: a confusion matrix's diagonal and margins, or many matrices'."""

    right: Array
    true: Array
    """Samples of the class."""
    predicted: Array


def of_all(tally: Tally) -> dict[str, Array]:
    """Metrics of all classes together, as scikit-learn defines them (zero_division=0): name → (…).

    A class that is neither in the labels nor predicted counts in no average. Of samples with one label and one
    prediction each, micro-averaged precision, recall and F1 all are the accuracy. NaN: kappa and MCC of one class.
    """
    right, true, predicted = tally.right, tally.true, tally.predicted
    n, hits = true.sum(axis=0), right.sum(axis=0)
    accuracy = divide(hits, n, otherwise=np.nan)
    of_class = of_each(tally)
    result = {"accuracy": accuracy, "balanced_accuracy": _mean(of_class["recall"], true > 0)}
    for name, values in of_class.items():
        result[f"{name}_macro"] = _mean(values, true + predicted > 0)
        result[f"{name}_weighted"] = divide((values * true).sum(axis=0), n)
        result[f"{name}_micro"] = accuracy
    # in shares, since counts of millions lose digits when they are squared
    shares, answers, agreed = divide(true, n), divide(predicted, n), divide(hits, n)
    by_chance = (shares * answers).sum(axis=0)
    spread = np.maximum(1 - (answers**2).sum(axis=0), 0) * np.maximum(1 - (shares**2).sum(axis=0), 0)
    one_class = (true > 0).sum(axis=0) < 2
    one_answer = (predicted > 0).sum(axis=0) < 2
    # Gorodkin 2004: the correlation of true and predicted classes; 0 where there is one answer to everything
    mcc = divide(agreed - by_chance, np.sqrt(np.where(one_answer, 0, spread)))
    result["mcc"] = np.where(one_class, np.nan, mcc)
    # Cohen 1960: agreement beyond chance
    result["kappa"] = np.where(one_class, np.nan, divide(agreed - by_chance, 1 - by_chance))
    return result


def of_each(tally: Tally) -> dict[str, Array]:
    """Precision, recall and F1 of each class against all others: name → (K, …)."""
    return {
        "precision": divide(tally.right, tally.predicted),
        "recall": divide(tally.right, tally.true),
        "f1": f_beta(tally, 1.0),
    }


def f_beta(tally: Tally, beta: float) -> Array:
    """(1 + β²) right / (β² true + predicted), (K, …); 0 of a class that is neither."""
    return divide((1 + beta**2) * tally.right, beta**2 * tally.true + tally.predicted)


def _mean(values: Array, where: NDArray[np.bool_]) -> Array:
    return divide((values * where).sum(axis=0), where.sum(axis=0))
