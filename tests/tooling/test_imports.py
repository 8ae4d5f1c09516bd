"""What a layer, a container and the command import is in their own locks, whatever else is installed here."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
DISTRIBUTIONS = packages_distributions()

CONTRACTS = "layers/contracts/assay"
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "contracts": (("contracts",), (CONTRACTS,)),
    "functions": (("contracts", "aws"), (CONTRACTS, "layers/aws/assay_aws", "functions")),
    "evaluator": (
        ("evaluator",),
        (CONTRACTS, "containers/job", "containers/model", "containers/bias", "containers/evaluator"),
    ),
    "explainer": (
        ("explainer",),
        (CONTRACTS, "containers/job", "containers/model", "containers/bias", "containers/explainer"),
    ),
    "command": (("project",), (CONTRACTS, "layers/aws/assay_aws", "functions", "containers", "local/assay_local")),
}
"""What is installed together: its dependency groups, and its folders."""


def asked_for(group: str) -> set[str]:
    if group == "project":
        extras = PROJECT["project"]["optional-dependencies"].values()
        asked = [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]
        return {Requirement(line).name for line in asked}
    members = PROJECT["dependency-groups"][group]
    included = [asked_for(member["include-group"]) for member in members if isinstance(member, dict)]
    return {Requirement(line).name for line in members if isinstance(line, str)}.union(*included)


def imported(node: ast.AST) -> Iterator[str]:
    """The top-level names of all that is imported at run time."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    if isinstance(node, ast.Import):
        yield from (name.name.partition(".")[0] for name in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        yield node.module.partition(".")[0]
    for child in ast.iter_child_nodes(node):
        yield from imported(child)


@pytest.mark.parametrize("part", PARTS)
def test_what_is_imported_is_asked_for(part: str) -> None:
    groups, folders = PARTS[part]
    ours = {path.name for folder in folders for path in [ROOT / folder, *(ROOT / folder).iterdir()]}
    known = set[str]().union(*(asked_for(group) for group in groups))
    if "boto3" in known:
        known.add("botocore")  # its other half
    missing = {
        f"{name} in {path.relative_to(ROOT)}"
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        for name in imported(ast.parse(path.read_text()))
        if name not in sys.stdlib_module_names and name not in ours
        if known.isdisjoint(map(canonicalize_name, DISTRIBUTIONS.get(name, [name])))
    }
    assert not missing
