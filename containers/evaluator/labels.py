"""Which output of the model each true label stands for: read from the policy, checked against the output size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assay.errors import BadData, BadModel, BadPolicy
from assay.policy import Data

_SHOWN = 10


@dataclass(frozen=True)
class Labels:
    """The classes in the order of the model's outputs."""

    names: tuple[str, ...]
    """For people."""
    index: Mapping[str, int]
    """A label as it stands in the data → its class."""


def resolve_labels(data: Data, found: Mapping[str, str], classes: int) -> Labels:
    """Read the labels.

    Args:
        data: the policy's part.
        found: each label in the data → its class's name for people (the label itself where it has none).
        classes: how many the model tells apart.

    Raises:
        BadPolicy, BadModel: the labels do not say which output is which, or are not as many as the outputs.
    """
    if not found:
        raise BadData("no rows: there is no label in the data")
    if isinstance(data.labels, dict):
        return _in_order([str(key) for key in sorted(data.labels)], list(_by_key(data.labels)), classes)
    if data.labels is not None:
        names = [_as_text(label) for label in data.labels]
        return _in_order(names, names, classes)
    return _by_number(found, data.label_base, classes)


def _in_order(labels: Sequence[str], names: Sequence[str], classes: int) -> Labels:
    if len(labels) != classes:
        raise BadModel(
            f"the model tells {classes} classes apart, the policy names {len(labels)} labels ({_few(labels)})"
        )
    return Labels(tuple(names), {label: index for index, label in enumerate(labels)})


def _by_number(found: Mapping[str, str], base: int | None, classes: int) -> Labels:
    numbers = {label: _whole_number(label) for label in found}
    texts = sorted(label for label, number in numbers.items() if number is None)
    if texts:
        raise BadPolicy(
            f"the labels are text ({_few(texts)}): say data.labels, the {classes} classes in the order of the "
            "model's outputs"
        )
    whole = {label: number for label, number in numbers.items() if number is not None}
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
        raise BadModel(f"the labels go from {low} to {high}, the model has {classes} outputs: they do not fit{asked}")
    first = fitting[0] if base is None else base
    names = {number - first: found[label] for label, number in whole.items()}
    return Labels(
        tuple(names.get(index, str(index + first)) for index in range(classes)),
        {label: number - first for label, number in whole.items()},
    )


def names_that_differ(names: Iterable[str]) -> tuple[str, ...]:
    """The names with a number behind those that stand twice: reports are keyed by them."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(result)


def _by_key(labels: Mapping[int, str]) -> Iterable[str]:
    return (labels[key] for key in sorted(labels))


def _as_text(label: object) -> str:
    """As it stands in a CSV file: YAML's true is `true`, 1.0 is `1.0`."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _whole_number(label: str) -> int | None:
    try:
        number = float(label)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def _few(labels: Sequence[str]) -> str:
    return ", ".join(labels[:_SHOWN]) + (f", … {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else "")
