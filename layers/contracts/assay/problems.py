"""What is wrong with a file that a person wrote: every problem at once, in words that name no type of ours."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

_TYPES = frozenset({"str", "int", "float", "bool", "literal"})


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Each problem with its place, what was found and what was expected; for an unknown key the nearest known one.

    Args:
        error: what pydantic found.
        model: what the file was read as.
    """
    return list(dict.fromkeys(_problems(error, model)))


def _problems(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    # pydantic puts the type that it tried for a union into the place of an error
    types = _TYPES | {known.__name__ for known in models_below(model)}
    for problem in error.errors(include_url=False, include_context=False):
        path = [part for part in problem["loc"] if isinstance(part, int) or not ("[" in part or part in types)]
        place = ".".join(str(part) for part in path)
        if problem["type"] == "extra_forbidden":
            known = _keys_beside(path, model)
            nearest = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
            hint = f"did you mean `{nearest[0]}`?" if nearest else f"known here: {', '.join(known)}"
            yield f"{place}: unknown key; {hint}"
        elif problem["type"] == "missing":
            yield f"{place}: missing{_one_of(path, model)}"
        elif problem["type"] == "model_type":
            found = "a list" if isinstance(problem["input"], list) else f"{problem['input']!r:.80}"
            keys = ", ".join(_keys_beside([*path, ""], model)[:8])
            yield f"{place}{': ' if place else ''}expected an object with keys such as {keys}; found {found}"
        else:
            message = problem["msg"].removeprefix("Value error, ")
            found = "" if isinstance(problem["input"], (dict, list)) else f", found {problem['input']!r:.80}"
            yield f"{place}: {message[0].lower()}{message[1:]}{found}" if place else message


def _keys_beside(path: list[int | str], root: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in _fields_beside(path, root).items()]


def _one_of(path: list[int | str], root: type[BaseModel]) -> str:
    """What may stand there, where that is one of a few values."""
    field = _fields_beside(path, root).get(str(path[-1]))
    if field is None or get_origin(field.annotation) is not Literal:
        return ""
    return f"; expected one of {', '.join(map(repr, get_args(field.annotation)))}"


def _fields_beside(path: list[int | str], root: type[BaseModel]) -> dict[str, FieldInfo]:
    model: type[BaseModel] | None = root
    for part in path[:-1]:
        if isinstance(part, int) or model is None:
            continue
        field = next((f for name, f in model.model_fields.items() if part in (name, f.alias)), None)
        model = None if field is None else next(_models_in(field.annotation), None)
    return {} if model is None else model.model_fields


def models_below(model: type[BaseModel]) -> set[type[BaseModel]]:
    """A model, and all that its fields are made of."""
    seen: set[type[BaseModel]] = set()
    waiting = [model]
    while waiting:
        if (known := waiting.pop()) not in seen:
            seen.add(known)
            waiting += [inner for field in known.model_fields.values() for inner in _models_in(field.annotation)]
    return seen


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
