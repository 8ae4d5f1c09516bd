"""The JSON Schemas are current; the policy's says what its own reader says, the others fit what is written."""

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
from assay_local.schemas import DESCRIBED, schema

from ..functions.test_outcome import birds

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads(schema("policy"))
POLICIES = ROOT.parent / "shared/policies"


def accepts(policy: object) -> bool:
    # as an editor sees it: a key of YAML is a text
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(json.loads(json.dumps(policy))))


@pytest.mark.parametrize(
    ("of", "file"), [("policy", "assay"), ("summary", "summary"), ("outcome", "outcome")], ids=list(DESCRIBED)
)
def test_the_schemas_in_the_repository_are_current(of: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema", of]) == 0
    printed = capsys.readouterr().out
    assert (ROOT / f"docs/{file}.schema.json").read_text(encoding="utf-8") == printed, "make schema"
    jsonschema.Draft202012Validator.check_schema(json.loads(printed))


def test_by_default_it_is_the_policys(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    assert capsys.readouterr().out == schema("policy")


def check(of: str, text: str) -> None:
    jsonschema.Draft202012Validator(json.loads(schema(of))).validate(json.loads(text))


def test_a_summary_and_an_outcome_fit_their_schemas() -> None:
    event = json.loads((ROOT / "events/run-finished.json").read_text())
    check("outcome", json.dumps(event["detail"]))
    with pytest.raises(jsonschema.ValidationError, match="'good' is not one of"):
        check("outcome", json.dumps({**event["detail"], "verdict": "good"}))
    check("summary", birds().to_json())


def test_a_schema_says_what_a_key_means() -> None:
    explained = json.loads(schema("summary"))["$defs"]["Costs"]["properties"]["champion"]["description"]
    assert explained.startswith("The total of the run that was champion")


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
    "explain": {"baseline": [[128, 128, 128]]},
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
