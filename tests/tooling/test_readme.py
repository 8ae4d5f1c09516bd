"""The README says what is so: its policies are valid and built, its targets and files exist."""

import re
from pathlib import Path

import yaml

from assay.not_yet import check_is_built
from assay.policy import read_policy

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]


def test_each_policy_in_the_readme_is_valid_and_built() -> None:
    policies = [text for text in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if "task:" in text]
    assert policies
    for text in policies:
        check_is_built(read_policy(yaml.safe_load(text), "README.md"))


def test_each_target_that_is_named_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for page in PAGES for target in re.findall(r"\bmake ([a-z-]+)(?=`| +#|\n)", page.read_text())}
    assert {"demo", "test"} <= named
    assert named <= targets


def test_each_link_leads_to_a_file() -> None:
    links = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text())]
    assert links
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []
