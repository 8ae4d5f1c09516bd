"""The ways in which labels may stand for a model's outputs, to be tried against what it answers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from assay.errors import BadData, BadModel, BadPolicy
from assay.policy import Data
from evaluator.classification import are_probabilities
from evaluator.labels import resolve_labels

Key = TypeVar("Key")

TRIED = 100
"""Samples."""
LABELS = ("class_id", "label", "class", "target", "category_id", "y", "class_name", "category", "species", "outcome")
"""Columns that usually hold the true answer, the surest first."""


class Reading(NamedTuple):
    """One way to take labels for the model's outputs."""

    data: dict[str, Any]
    """What a policy says for it."""
    key: str
    """What it is about: `label_base` or `labels`."""
    text: str
    """The way, for people."""
    true: NDArray[np.int64]
    """(n,): each sample's class."""
    supports: dict[str, int]
    """A class's name for people → how many samples it has."""


def readings(column: str, labels: Sequence[str], names: Mapping[str, str], classes: int) -> Iterator[Reading]:
    """The ways in which these labels may be the model's outputs; none where they cannot.

    Args:
        column: where they stand.
        labels: (n,), as they stand in the data.
        names: a label → its class's name for people.
        classes: how many the model tells apart.
    """
    different = list(dict.fromkeys(labels))
    ways: list[tuple[dict[str, Any], str, str]] = []
    if all(is_whole(label) for label in different):
        ways = [({"label_base": base}, "label_base", str(base)) for base in (0, 1)]
    elif len(different) == classes:
        orders = {
            "in the order of text": sorted(different),
            "in the order of the data": different,
            "in the order of text backwards": sorted(different, reverse=True),
        }
        orders = orders if classes == 2 else dict(list(orders.items())[:2])
        first_of = {tuple(order): text for text, order in reversed(orders.items())}
        ways = [({"labels": list(order)}, "labels", text) for order, text in reversed(first_of.items())]
    for said, key, text in ways:
        with suppress(BadModel, BadPolicy, BadData):
            found = resolve_labels(Data(source="-", label=column, **said), names, classes)
            true = np.array([found.index[label] for label in labels], dtype=np.int64)
            counts = np.bincount(true, minlength=classes).tolist()
            yield Reading({"label": column, **said}, key, text, true, dict(zip(found.names, counts, strict=True)))


def usual_first(columns: Sequence[str]) -> list[str]:
    """The columns, those first that usually hold the true answer, then the last one, where it mostly stands."""
    order = {name: number for number, name in enumerate(LABELS)}
    return sorted(columns, key=lambda column: (order.get(column.casefold(), len(order)), -columns.index(column)))


def spread(labels: Iterable[str], size: int = TRIED) -> NDArray[np.int64]:
    """At most so many places, as many of each label as far as there are so many."""
    seen: Counter[str] = Counter()
    nth = []
    for label in labels:
        nth.append(seen[label])
        seen[label] += 1
    return np.sort(np.argsort(nth, kind="stable")[:size])


class Tried(NamedTuple):
    """What came of one way to ask, or of one reading of what was answered."""

    right: NDArray[np.bool_]
    """(n,)"""
    log_loss: float

    @property
    def rate(self) -> float:
        return float(self.right.mean())


def trial(true: NDArray[np.int64], predicted: NDArray[np.int64], scores: NDArray[np.float64]) -> Tried:
    """Scores (n, classes) that are no probabilities count as logits."""
    if not are_probabilities(scores):
        scores = softmax(scores, axis=1)
    own = np.clip(scores[np.arange(len(true)), true], 1e-15, 1)
    return Tried(predicted == true, float(-np.log(own).mean()))


def as_good(found: Mapping[Key, Tried]) -> list[Key]:
    """Those by which the model is right most often, or so nearly that chance may be all (McNemar's test at 95 %).

    The first has the lowest log loss: of a picture scaled wrongly a model may still say the class, but less surely.
    """
    most = max(found.values(), key=lambda one: one.rate)

    def differs(one: Tried) -> bool:
        better, worse = int((most.right & ~one.right).sum()), int((one.right & ~most.right).sum())
        return better - worse > 1.96 * math.sqrt(better + worse)

    return sorted((key for key, one in found.items() if not differs(one)), key=lambda key: found[key].log_loss)


def told(found: Mapping[str, Tried], chosen: str, *, close: bool) -> str:
    """`right on 100 samples: -1-1 0.93, 0-1 0.41`: what was chosen first; with log losses where that was close."""
    order = sorted(found, key=lambda name: (name != chosen, -found[name].rate))
    losses = {name: f" (log loss {found[name].log_loss:.2g})" if close else "" for name in order}
    samples = len(found[chosen].right)
    return f"right on {samples} samples: " + ", ".join(f"{name} {found[name].rate:.2f}{losses[name]}" for name in order)


def little_better(rate: float, reading: Reading, places: NDArray[np.int64]) -> str:
    """A sentence when a model that is right so often does little better than always answering the same class."""
    most = float(np.bincount(reading.true[places]).max() / len(places))
    if rate > most + 0.05:
        return ""
    return (
        f"by no reading is the model right much more often ({rate:.2f}) than always answering one class would be "
        f"({most:.2f}): check labels, preprocessing and the model itself"
    )


def is_whole(label: str) -> bool:
    try:
        return float(label).is_integer()
    except ValueError:
        return False


def is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
