"""JSON Schemas: of the policy, by which an editor completes, explains and checks it, and of what programs read."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from assay.outcome import Outcome
from assay.policy import Policy
from assay.problems import models_below
from assay.summary import Summary

DIALECT = GenerateJsonSchema.schema_dialect


class Described(NamedTuple):
    """A kind of file or message, and what its schema is called."""

    model: type[BaseModel]
    title: str
    mode: JsonSchemaMode
    """What may be given (a policy), or what is written, where no key is left out."""


DESCRIBED = {
    "policy": Described(Policy, "assay.yaml", "validation"),
    "summary": Described(Summary, "summary.json, version 1", "serialization"),
    "outcome": Described(
        Outcome, "a notice for programs, and the detail of Assay Run Finished, version 1", "serialization"
    ),
}


def schema(of: str) -> str:
    """The schema as a file."""
    root, title, mode = DESCRIBED[of]
    schema = root.model_json_schema(schema_generator=_Untitled, mode=mode)
    parts = {root.__name__: schema, **schema["$defs"]}
    for model in models_below(root):
        for name, text in docstrings(model):
            # pydantic would read them by itself, but whenever a function starts: 30 ms that only this needs
            parts[model.__name__]["properties"][model.model_fields[name].alias or name]["description"] = text
    whole = {"$schema": DIALECT, **schema, "title": title}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def docstrings(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """A model's fields with the text that stands below each of them, on one line."""
    source = ast.parse(inspect.getsource(model)).body[0]
    assert isinstance(source, ast.ClassDef)
    for field, below in pairwise(source.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            text = ast.literal_eval(below.value)
            yield field.target.id, " ".join(text.split())


class _Untitled(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        """A title only says the key again."""
        return False
