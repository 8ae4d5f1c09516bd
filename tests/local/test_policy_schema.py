"""The policy's JSON Schema is current, says what the policy's own reader says, and explains each key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from assay.errors import BadPolicy
from assay.policy import Policy, read_policy
from assay_local import cli
from assay_local.policy_schema import policy_schema

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads(policy_schema())
POLICIES = ROOT.parent / "shared/policies"


def accepts(policy: object) -> bool:
    # as an editor sees it: a key of YAML is a text
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(json.loads(json.dumps(policy))))


def test_the_schema_in_the_repository_is_current() -> None:
    assert (ROOT / "docs/assay.schema.json").read_text(encoding="utf-8") == policy_schema(), "make schema"


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    assert capsys.readouterr().out == policy_schema()


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_an_editor_shows_what_a_key_means() -> None:
    gate = SCHEMA["$defs"]["Gate"]["properties"]
    assert gate["class"]["description"] == "A class, or `each`."
    assert gate["judge"]["description"].startswith("`bound`: the whole interval must hold;")
    assert SCHEMA["$defs"]["Data"]["properties"]["labels"]["description"].startswith("The classes in the order")
    assert SCHEMA["properties"].keys() == {field.alias or name for name, field in Policy.model_fields.items()}


DIGITS = yaml.safe_load((ROOT / "local/assay_local/digits.yaml").read_text())
CELLS = {
    "task": "object_detection",
    "data": {"source": "images/", "annotations": "boxes.csv", "labels": {1: "RBC", 2: "WBC"}},
    "evaluate": {"slices": ["sex", {"column": "age", "bins": [0, 30, 50]}]},
    "explain": {"baseline": {"clusters": 3}},
    "gates": [{"metric": "rmse", "max_worse": {"relative": 0.02}}],
}


@pytest.mark.parametrize("policy", [DIGITS, CELLS])
def test_what_the_reader_takes_the_schema_takes(policy: dict[str, Any]) -> None:
    read_policy(policy)
    assert accepts(policy)


@pytest.mark.skipif(not POLICIES.is_dir(), reason=f"no {POLICIES}")
def test_policies_of_every_task_fit() -> None:
    files = sorted(POLICIES.glob("*.yaml"))
    assert files
    for file in files:
        policy = yaml.safe_load(file.read_text())
        read_policy(policy)
        assert accepts(policy), file


@pytest.mark.parametrize(
    "policy",
    [
        {**DIGITS, "gate": []},
        {**DIGITS, "task": "image_clasification"},
        {"task": "tabular_regression"},
        {**DIGITS, "data": {**DIGITS["data"], "label_base": 2}},
        {**DIGITS, "gates": [{"min": 0.9}]},
        {**DIGITS, "gates": [{"metric": "accuracy", "min": "high"}]},
        {**DIGITS, "evaluate": {"threshold": 1.5}},
    ],
)
def test_what_the_schema_refuses_the_reader_refuses(policy: dict[str, Any]) -> None:
    assert not accepts(policy)
    with pytest.raises(BadPolicy):
        read_policy(policy)
