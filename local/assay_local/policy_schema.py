"""The policy's JSON Schema, by which an editor completes, explains and checks `assay.yaml`."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from assay.policy import Policy
from assay.problems import models_below

DIALECT = GenerateJsonSchema.schema_dialect


def policy_schema() -> str:
    """The schema as a file."""
    schema = Policy.model_json_schema(schema_generator=_Untitled)
    parts = {"Policy": schema, **schema["$defs"]}
    for model in models_below(Policy):
        for name, text in docstrings(model):
            # pydantic would read them by itself, but whenever a function starts: 30 ms that only this needs
            parts[model.__name__]["properties"][model.model_fields[name].alias or name]["description"] = text
    whole = {"$schema": DIALECT, **schema, "title": "assay.yaml"}
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
