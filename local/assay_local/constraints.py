"""Check a request against botocore's service model as the service itself does, and word the refusal alike.

The client checks types, required fields and lower bounds; upper bounds, patterns and enumerations are the service's.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.validate import ParamValidator


def violations(shape: Shape, value: Any) -> list[str]:
    """Everything that is wrong with a value, worded as AWS words it; empty when nothing is."""
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        return [str(report.generate_report())]
    return list(constraint_violations(shape, value, ""))


def refusal(found: list[str]) -> str:
    """The message of the ValidationException."""
    plural = "s" if len(found) > 1 else ""
    return f"{len(found)} validation error{plural} detected: {'; '.join(found)}"


def constraint_violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    for constraint in broken(shape, value):
        yield f"Value '{value}' at '{path}' failed to satisfy constraint: Member must {constraint}"
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        for name, member in value.items():
            yield from constraint_violations(shape.members[name], member, joined(path, name))
    elif isinstance(shape, ListShape) and isinstance(value, list):
        for number, member in enumerate(value, start=1):
            yield from constraint_violations(shape.member, member, f"{path}.{number}.member")
    elif isinstance(shape, MapShape) and isinstance(value, Mapping):
        for key, member in value.items():
            yield from constraint_violations(shape.key, key, f"{path}.{key}.key")
            yield from constraint_violations(shape.value, member, f"{path}.{key}.member")


def broken(shape: Shape, value: Any) -> Iterator[str]:
    """What botocore's own validator leaves out: it knows types, required fields and lower bounds."""
    limits = shape.metadata
    if "max" in limits:
        if isinstance(value, str | list | dict) and len(value) > limits["max"]:
            yield f"have length less than or equal to {limits['max']}"
        if isinstance(value, int | float) and value > limits["max"]:
            yield f"have value less than or equal to {limits['max']}"
    if isinstance(value, str):
        if "pattern" in limits and not matches(limits["pattern"], value):
            yield f"satisfy regular expression pattern: {limits['pattern']}"
        if "enum" in limits and value not in limits["enum"]:
            yield f"satisfy enum value set: [{', '.join(limits['enum'])}]"


def matches(pattern: str, value: str) -> bool:
    """The models' patterns are Java's; those that Python cannot read (`\\p{L}`) are not judged."""
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return True


def joined(path: str, name: str) -> str:
    camel = name[:1].lower() + name[1:]
    return f"{path}.{camel}" if path else camel
