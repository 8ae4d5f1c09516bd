"""Which samples are explained, and why: a representative part of the data, and those worth a closer look."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadPolicy
from assay.evaluation import ExplainSample
from assay.policy import Chosen
from evaluator.classification import Classified
from evaluator.scored import Sample

Describe = Callable[[int], ExplainSample]
REPRESENTATIVE_ROWS = 100


def representative(samples: Sequence[Sample], answered: NDArray[np.bool_], size: int, seed: int) -> list[int]:
    """Places of a random part of the samples that depends on their content and the seed, on no model.

    So champion and challenger get the same ones, and rows that were added to the data change few of them. Only a
    sample whose answer is no number, which no explanation can stand on, is not `answered` and left out.
    """

    def by_chance(place: int) -> bytes:
        # the row's place tells samples of the same content apart
        return hashlib.sha256(f"{seed}\0{samples[place].fingerprint}\0{samples[place].row}".encode()).digest()

    return sorted(heapq.nsmallest(size, np.flatnonzero(answered).tolist(), key=by_chance))


def check_only(chosen: Chosen, columns: Iterable[str]) -> None:
    """Raises BadPolicy when `explain.chosen.only` names a column that is not among these."""
    known = list(columns)
    for column in chosen.only:
        if column not in known:
            raise BadPolicy(f"explain.chosen.only: no column {column!r} in the data; found {', '.join(known)}")


def eligible(samples: Sequence[Sample], answered: NDArray[np.bool_], chosen: Chosen) -> list[int]:
    """Places of the samples that `explain.chosen.only` admits."""
    return [
        place
        for place in np.flatnonzero(answered).tolist()
        if all(samples[place].columns[column] == value for column, value in chosen.only.items())
    ]


def worst_classified(found: Classified, places: Sequence[int], size: int) -> list[tuple[int, str]]:
    """Mistakes first, the surest of them first, then the least sure: (place, reason)."""
    own = found.probabilities[np.arange(len(found.true)), found.predicted]
    margins = _margins(found.probabilities)
    at = np.asarray(places, dtype=np.int64)
    wrong = at[found.predicted[at] != found.true[at]]
    right = at[found.predicted[at] == found.true[at]]
    order = [*wrong[np.argsort(-own[wrong], kind="stable")], *right[np.argsort(margins[right], kind="stable")]]
    result = []
    for place in order[:size]:
        true, predicted = found.labels[found.true[place]], found.labels[found.predicted[place]]
        if true != predicted:
            result.append((int(place), f"mistake: {true} taken for {predicted} with {own[place]:.2f}"))
        else:
            result.append((int(place), f"unsure: {true} with {own[place]:.2f}, {margins[place]:.2f} ahead of the next"))
    return result


def worst_predicted(
    true: NDArray[np.float64], predicted: NDArray[np.float64], places: Sequence[int], size: int
) -> list[tuple[int, str]]:
    """The largest errors first: (place, reason)."""
    at = np.asarray(places, dtype=np.int64)
    error = predicted - true
    order = at[np.argsort(-np.abs(error[at]), kind="stable")][:size]
    return [(int(p), f"error: {predicted[p]:.4g} instead of {true[p]:.4g}") for p in order]


def combine(
    representative_places: Sequence[int], chosen: Sequence[tuple[int, str]], describe: Describe
) -> list[tuple[int, ExplainSample]]:
    """Each sample once, with all that it is there for: the chosen ones in their order, then those drawn by chance."""
    drawn, reasons = set(representative_places), dict(chosen)
    result = []
    for place in (*reasons, *sorted(drawn - reasons.keys())):
        roles = [role for role, there in (("representative", place in drawn), ("chosen", place in reasons)) if there]
        update = {"sample": tuple(roles), "reason": reasons.get(place, "drawn by chance")}
        result.append((place, describe(place).model_copy(update=update)))
    return result


def _margins(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the highest score is ahead of the next: (samples, K) → (samples,)."""
    if probabilities.shape[1] < 2:
        return np.zeros(len(probabilities))
    highest = np.sort(probabilities, axis=1)
    margins: NDArray[np.float64] = highest[:, -1] - highest[:, -2]
    return margins
