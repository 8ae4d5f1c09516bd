"""Which samples are explained, and why: a representative part of the data, and those worth a closer look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadPolicy
from assay.evaluation import ExplainSample
from assay.policy import Chosen
from evaluator.classification import Classified
from evaluator.scored import Samples

Describe = Callable[[int], ExplainSample]
REPRESENTATIVE_ROWS = 100


def representative(samples: Samples, answered: NDArray[np.bool_], size: int, seed: int) -> list[int]:
    """Places of a random part of the samples that depends on their content and the seed, on no model.

    So champion and challenger get the same ones, and rows that were added to the data change few of them. Only a
    sample whose answer is no number, which no explanation can stand on, is not `answered` and left out.
    """
    places = np.flatnonzero(answered)
    if not len(places):
        return []
    marks = np.ascontiguousarray(samples.fingerprints[places, :8]).view(np.uint64).ravel()
    chance = _mixed(marks ^ _mixed(np.array([seed % 2**64], dtype=np.uint64)) ^ _mixed(_copies(marks)))
    if size < len(places):
        places = places[np.argpartition(chance, size)[:size]]
    drawn: list[int] = np.sort(places).tolist()
    return drawn


def _copies(marks: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """How many equal ones come before each: it tells samples of the same content apart."""
    order = np.argsort(marks, kind="stable")
    changes = np.concatenate([[True], marks[order[1:]] != marks[order[:-1]]])
    first = np.maximum.accumulate(np.where(changes, np.arange(len(marks)), 0))
    copies = np.empty(len(marks), dtype=np.uint64)
    copies[order] = np.arange(len(marks)) - first
    return copies


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64 (Steele, Lea & Flood 2014, "Fast Splittable Pseudorandom Number Generators")."""
    with np.errstate(over="ignore"):
        z = numbers + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def check_only(chosen: Chosen, columns: Iterable[str]) -> None:
    """Raises BadPolicy when `explain.chosen.only` names a column that is not among these."""
    known = list(columns)
    for column in chosen.only:
        if column not in known:
            raise BadPolicy(f"explain.chosen.only: no column {column!r} in the data; found {', '.join(known)}")


def eligible(samples: Samples, answered: NDArray[np.bool_], chosen: Chosen) -> NDArray[np.int64]:
    """Places of the samples that `explain.chosen.only` admits."""
    admitted = answered.copy()
    for column, value in chosen.only.items():
        admitted &= samples.equal(column, value)
    return np.flatnonzero(admitted)


def worst_classified(
    found: Classified, places: Sequence[int] | NDArray[np.int64], size: int, champion: NDArray[np.int64] | None = None
) -> list[tuple[int, str]]:
    """What the champion has right first, then the other mistakes, of both the surest first; then the least sure.

    Args:
        found: what the model said.
        places: of the samples to choose from.
        size: how many at most.
        champion: (samples,) the class that it said, a number that is none where it was not asked; None: no champion.

    Returns:
        (place, reason) each.
    """
    own = found.probabilities[np.arange(len(found.true)), found.predicted]
    margins = _margins(found.probabilities)
    at = np.asarray(places, dtype=np.int64)
    wrong = at[found.predicted[at] != found.true[at]]
    right = at[found.predicted[at] == found.true[at]]
    broken = np.zeros(len(found.true), dtype=np.bool_) if champion is None else champion == found.true
    wrong = wrong[np.lexsort((-own[wrong], ~broken[wrong]))]
    right = right[np.argsort(margins[right], kind="stable")]
    result = []
    for place in np.concatenate([wrong, right])[:size]:
        true, predicted = found.labels[found.true[place]], found.labels[found.predicted[place]]
        if true != predicted:
            said = f"{true} taken for {predicted} with {own[place]:.2f}"
            reason = f"broken: {said}; the champion said {true}" if broken[place] else f"mistake: {said}"
            result.append((int(place), reason))
        else:
            result.append((int(place), f"unsure: {true} with {own[place]:.2f}, {margins[place]:.2f} ahead of the next"))
    return result


def worst_predicted(
    true: NDArray[np.float64],
    predicted: NDArray[np.float64],
    places: Sequence[int] | NDArray[np.int64],
    size: int,
    champion: NDArray[np.float64] | None = None,
) -> list[tuple[int, str]]:
    """The largest errors first: (place, reason).

    Whatever the champion said: no error of a number is right or wrong, so that none could be said to be broken.
    """
    at = np.asarray(places, dtype=np.int64)
    error = predicted - true
    order = at[np.argsort(-np.abs(error[at]), kind="stable")][:size]
    result = []
    for p in order.tolist():
        theirs = "" if champion is None or np.isnan(champion[p]) else f"; the champion said {champion[p]:.4g}"
        result.append((p, f"error: {predicted[p]:.4g} instead of {true[p]:.4g}{theirs}"))
    return result


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
    highest = np.partition(probabilities, -2, axis=1)
    margins: NDArray[np.float64] = highest[:, -1] - highest[:, -2]
    return margins
