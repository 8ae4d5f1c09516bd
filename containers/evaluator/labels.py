"""Which output of the model each true label stands for: read from the policy, checked against the output size."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from assay.errors import BadData, BadModel, BadPolicy
from assay.policy import Data, Label, Policy

_SHOWN = 10
_BOOLEANS = ("false", "true")


@dataclass(frozen=True)
class Labels:
    """The classes in the order of the model's outputs."""

    names: tuple[str, ...]
    """For people."""
    index: Mapping[str, int]
    """A label as it stands in the data → its class."""


def check_labels(data: Data, found: Iterable[str]) -> None:
    """As `unknown_labels`, and raises BadData where there are any."""
    for problem in unknown_labels(data, found).values():
        raise BadData(f"{problem}; evaluate.max_unreadable says how many such samples may be left out")


def unknown_labels(data: Data, found: Iterable[str]) -> dict[str, str]:
    """Find what is wrong with the labels whatever the model is: before it is loaded, which takes seconds.

    Returns:
        Labels that the policy does not know, each with a sentence that says so. No model can be right about their
        samples, nor can it be wrong in a way that any metric counts: they are left out as unreadable ones are.

    Raises:
        BadPolicy, BadData: none of the labels in the data is one of the policy's, or they do not say their order.
    """
    texts = sorted(found)
    given = _given(data, texts)
    if given is None:
        words = [label for label in texts if _whole_number(label) is None]
        if words:
            raise BadPolicy(
                f"the labels are text ({_few(words)}): say data.labels, the classes in the order of the model's outputs"
            )
        return {}
    listed = _listed(given, texts)
    if len({_meaning(label) for label in given}) < len(given) or len(set(listed.names)) < len(listed.names):
        raise BadPolicy(f"data.labels names a class twice: {_few(listed.names)}")
    known = _few(listed.names)
    unknown = {
        label: f"label {label!r} is none of data.labels ({known})" for label in texts if label not in listed.index
    }
    if texts and len(unknown) == len(texts):
        raise BadData(unknown[texts[0]])
    if data.positive is not None:
        positive_class(listed, data)
    return unknown


def answered_labels(policy: Policy) -> Mapping[str, int]:
    """A label as an endpoint answers it → its class; empty where it answers scores and data.labels is left out.

    Raises:
        BadPolicy: the endpoint answers labels, and nothing says which there are.
    """
    if policy.data.labels is not None:
        return _listed(policy.data.labels, ()).index
    if policy.model.predicted_label is not None and policy.model.probability is None:
        raise BadPolicy("the endpoint answers labels (model.predicted_label): say data.labels, all that it may answer")
    return {}


def resolve_labels(data: Data, found: Mapping[str, str], classes: int) -> Labels:
    """Read the labels, in which `unknown_labels` has found nothing wrong.

    Args:
        data: the policy's part.
        found: each label in the data → its class's name for people (the label itself where it has none).
        classes: how many the model tells apart.

    Raises:
        BadPolicy, BadModel: the labels do not say which output is which, or are not as many as the outputs.
    """
    given = _given(data, found)
    if given is None:
        return _by_number(found, data.label_base, classes)
    listed = _listed(given, found)
    if len(listed.names) != classes:
        raise BadModel(
            f"the model tells {classes} classes apart, the policy names {len(listed.names)} labels "
            f"({_few(listed.names)})"
        )
    if isinstance(given, Mapping):
        return listed
    named = {listed.index[label]: name for label, name in found.items() if label in listed.index and name != label}
    return Labels(tuple(named.get(place, name) for place, name in enumerate(listed.names)), listed.index)


def positive_class(labels: Labels, data: Data) -> int:
    """The number of the positive class of two: the policy's, by its label or its name, or the second.

    Raises:
        BadPolicy: it is none of them.
    """
    if data.positive is None:
        return 1
    text = _as_text(data.positive)
    if text in labels.index:
        return labels.index[text]
    if text in labels.names:
        return labels.names.index(text)
    for label, place in labels.index.items():
        if _meaning(data.positive) == _reading(label):
            return place
    raise BadPolicy(f"data.positive is {text!r}, which is none of the labels {_few(labels.names)}")


def _given(data: Data, found: Collection[str]) -> Sequence[Label] | Mapping[int, str] | None:
    """The policy's labels; without them, those of data that holds true and false, whose order is plain."""
    if data.labels is None and found and all(label.lower() in _BOOLEANS for label in found):
        return (False, True)
    return data.labels


def _listed(given: Sequence[Label] | Mapping[int, str], found: Iterable[str]) -> Labels:
    """The labels in their order; of a map, number → name, the data may hold either.

    A label in the data is one of these when it equals it as text, else when it is the same number or truth value:
    `1.0` for 1, `True` for true, as other programs write them.
    """
    if isinstance(given, Mapping):
        order: Sequence[Label] = sorted(given)
        names = tuple(given[number] for number in sorted(given))
        index = {text: place for place, n in enumerate(sorted(given)) for text in (str(n), given[n])}
    else:
        order, names = given, tuple(_as_text(label) for label in given)
        index = {name: place for place, name in enumerate(names)}
    places = {_meaning(label): place for place, label in enumerate(order)}
    for text in found:
        reading = _reading(text)
        if text not in index and reading in places:
            index[text] = places[reading]
    return Labels(names, index)


def _by_number(found: Mapping[str, str], base: int | None, classes: int) -> Labels:
    whole = {label: number for label in found if (number := _whole_number(label)) is not None}
    low, high = min(whole.values()), max(whole.values())
    fitting = [b for b in (0, 1) if b <= low and high < classes + b]
    if base is None and len(fitting) == 2:
        example = min(whole, key=lambda label: whole[label])
        name = "" if found[example] == example else f" ({found[example]})"
        raise BadPolicy(
            f"the labels go from {low} to {high} and the model has {classes} outputs, so label {example}{name} can be "
            f"output {low} (label_base: 0) or output {low - 1} (label_base: 1); say data.label_base"
        )
    if (base is None and not fitting) or (base is not None and base not in fitting):
        asked = "" if base is None else f" with label_base: {base}"
        hint = (
            f"; say data.labels: {sorted(set(whole.values()))}" if len(set(whole.values())) == classes <= _SHOWN else ""
        )
        raise BadModel(
            f"the labels go from {low} to {high}, the model has {classes} outputs: they do not fit{asked}{hint}"
        )
    first = fitting[0] if base is None else base
    names = {number - first: found[label] for label, number in whole.items()}
    return Labels(
        tuple(names.get(index, str(index + first)) for index in range(classes)),
        {label: number - first for label, number in whole.items()},
    )


def names_that_differ(names: Iterable[str]) -> tuple[str, ...]:
    """The names with a number behind those that stand twice: reports are keyed by them."""
    taken: dict[str, None] = {}
    for name in names:
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name} ({number})", number + 1
        taken[unique] = None
    return tuple(taken)


def _as_text(label: object) -> str:
    """As it stands in a CSV file: YAML's true is `true`, 1.0 is `1.0`."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _meaning(label: Label) -> object:
    """What makes two labels of a policy the same: 1 and 1.0 are, 1 and true are not."""
    if isinstance(label, bool):
        return str(label).lower(), bool
    return label if isinstance(label, str) else (float(label), float)


def _reading(text: str) -> object:
    """What a label in the data may mean besides its text, as `_meaning` has it; None: nothing."""
    if text.lower() in _BOOLEANS:
        return text.lower(), bool
    try:
        return float(text), float
    except ValueError:
        return None


def _whole_number(label: str) -> int | None:
    try:
        number = float(label)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def _few(labels: Sequence[str]) -> str:
    return ", ".join(labels[:_SHOWN]) + (f", … {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else "")
