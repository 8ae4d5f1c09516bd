"""The locks pin what pyproject.toml asks for: offline, so that a forgotten `make lock` shows before a push."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())

OURS = {
    "requirements/assay.txt": (),
    "requirements/dev.txt": ("dev",),
    "containers/evaluator/requirements.txt": ("evaluator",),
    "containers/explainer/requirements.txt": ("explainer",),
    "layers/contracts/requirements.txt": ("contracts",),
    "layers/aws/requirements.txt": ("aws",),
}
OF_TOOLS = {f"requirements/{tool}.txt": (tool,) for tool in ("uv", "sam", "sagemaker", "sagemaker2")}
LOCKS = OURS | OF_TOOLS
"""Each lock, and the dependency groups that it pins."""

every_lock = pytest.mark.parametrize("lock", LOCKS)


def pins(lock: str) -> dict[str, str]:
    lines = (line for line in (ROOT / lock).read_text().splitlines() if line[:1].isalnum())
    requirements = [Requirement(line.rstrip("\\ ")) for line in lines]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in requirements}


def asked_for(lock: str) -> Iterator[Requirement]:
    if lock in ("requirements/assay.txt", "requirements/dev.txt"):
        yield from map(Requirement, PROJECT["project"]["dependencies"])
    for group in LOCKS[lock]:
        yield from group_members(group)


def group_members(name: str) -> Iterator[Requirement]:
    for member in PROJECT["dependency-groups"][name]:
        if isinstance(member, dict):
            yield from group_members(member["include-group"])
        else:
            yield Requirement(member)


@every_lock
def test_a_lock_pins_all_that_is_asked_for_within_its_range(lock: str) -> None:
    pinned = pins(lock)
    wrong = [
        f"{wanted}: pinned is {pinned.get(canonicalize_name(wanted.name))}"
        for wanted in asked_for(lock)
        if pinned.get(canonicalize_name(wanted.name), "none") not in wanted.specifier
    ]
    assert not wrong


@every_lock
def test_every_pin_is_one_version_with_hashes(lock: str) -> None:
    for pin in re.split(r"\n(?=\w)", (ROOT / lock).read_text())[1:]:
        assert re.match(r"[\w.-]+==[\w.!+]+ (;.*)?\\\n    --hash=sha256:[0-9a-f]{64}", pin), pin[:200]


@every_lock
def test_no_lock_names_an_address(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text()


@pytest.mark.parametrize("lock", OURS)
def test_locks_that_share_a_package_agree_on_its_version(lock: str) -> None:
    ours = pins("requirements/dev.txt")
    assert {name: version for name, version in pins(lock).items() if ours.get(name) != version} == {}


def test_the_command_that_deploys_and_the_one_that_sets_up_are_one_uv() -> None:
    assert pins("requirements/sam.txt")["uv"] == pins("requirements/uv.txt")["uv"]


def test_a_package_is_asked_for_in_one_range_everywhere() -> None:
    ranges: dict[str, set[str]] = {}
    for lock in LOCKS:
        for wanted in asked_for(lock):
            ranges.setdefault(wanted.name, set()).add(str(wanted.specifier))
    assert {name: found for name, found in ranges.items() if len(found) > 1} == {}
