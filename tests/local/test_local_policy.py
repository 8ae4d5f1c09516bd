"""A policy whose data lies on this machine is uploaded with its data, and says where the data lies there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.errors import BadPolicy
from assay.policy import read_policy
from assay_local.local_policy import LocalPolicy, read
from assay_local.problem import Problem

GATES = [{"metric": "accuracy", "min": 0.9}]


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """A folder with pictures, one of them in a folder of its own, and annotations."""
    for name in ("cardinal 1+2.png", "more/wren.png"):
        picture = tmp_path / "test" / "images" / name
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(b"picture")
    (tmp_path / "test" / "annotations.csv").write_text("image_file_name,class_id\n")
    (tmp_path / "test" / "annotations.csv.bak").write_text("older\n")
    return tmp_path


def read_with(folder: Path, data: Mapping[str, Any], folders: Mapping[str, Path] | None = None) -> LocalPolicy:
    file = folder / "assay.yaml"
    data = {"annotations": "test/annotations.csv", **data}
    file.write_text(yaml.safe_dump({"task": "image_classification", "data": data, "gates": GATES}))
    return read(file, folders or {})


def test_data_beside_the_policy_is_uploaded_beside_the_policy(birds: Path) -> None:
    local = read_with(birds, {"source": "test/images/", "annotations": "test/annotations.csv", "label_base": 0})
    policy = read_policy(yaml.safe_load(local.text))
    assert (policy.data.source, policy.data.annotations) == ("data/source/", "data/annotations/annotations.csv")
    assert dict(local.files) == {
        "data/source/cardinal 1+2.png": birds / "test/images/cardinal 1+2.png",
        "data/source/more/wren.png": birds / "test/images/more/wren.png",
        "data/annotations/annotations.csv": birds / "test/annotations.csv",
    }


def test_the_rest_of_the_policy_stays_as_it_is(birds: Path) -> None:
    local = read_with(birds, {"source": "test/images/", "label_base": 1})
    assert yaml.safe_load(local.text) == {
        "task": "image_classification",
        "data": {"source": "data/source/", "annotations": "data/annotations/annotations.csv", "label_base": 1},
        "gates": GATES,
    }


def test_a_folder_needs_no_slash_and_a_path_may_be_absolute(birds: Path) -> None:
    local = read_with(birds, {"source": str(birds / "test" / "images")})
    assert yaml.safe_load(local.text)["data"]["source"] == "data/source/"


def test_an_s3_address_is_read_from_its_copy(birds: Path) -> None:
    data = {"source": "s3://lake/birds/images/", "annotations": "s3://lake/birds/annotations.csv"}
    local = read_with(birds, data, {"s3://lake": birds / "nowhere", "s3://lake/birds": birds / "test"})
    assert len(local.files) == 3
    assert yaml.safe_load(local.text)["data"] == {
        "source": "data/source/",
        "annotations": "data/annotations/annotations.csv",
    }


def test_a_mapped_prefix_ends_where_a_folder_ends(birds: Path) -> None:
    with pytest.raises(Problem, match="no AWS on this machine"):
        read_with(birds, {"source": "s3://lake/birds-of-2025/"}, {"s3://lake/birds": birds})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "s3://lake/birds/",
            r"data\.source s3://lake/birds/: there is no AWS on this machine; .* --map s3://lake/birds/=",
        ),
        ("test/pictures/", r"data\.source test/pictures/: .*test/pictures does not exist"),
        ("empty", r"data\.source empty: .*empty is empty"),
    ],
)
def test_data_that_is_not_here_is_named(birds: Path, source: str, message: str) -> None:
    (birds / "empty").mkdir()
    with pytest.raises(Problem, match=message):
        read_with(birds, {"source": source})


def test_an_address_of_another_kind_is_refused(birds: Path) -> None:
    with pytest.raises(BadPolicy, match=r"https://lake/birds/: expected s3://bucket/key, or a path"):
        read_with(birds, {"source": "https://lake/birds/"})


def test_a_policy_is_checked_before_anything_is_started(birds: Path) -> None:
    with pytest.raises(BadPolicy, match="did you mean `source`"):
        read_with(birds, {"souce": "test/images/"})
    with pytest.raises(BadPolicy, match=r"data\.weight: it is a column of `data\.annotations`, which is missing"):
        read_with(birds, {"source": "test/images/", "annotations": None, "weight": "exposure"})


def test_a_baseline_by_address_is_uploaded_beside_the_policy(birds: Path) -> None:
    (birds / "grey.png").write_bytes(b"picture")
    explained = {"seed": 3, "baseline": "grey.png"}
    content = {"task": "image_classification", "data": {"source": "test/images/"}, "explain": explained}
    (birds / "assay.yaml").write_text(yaml.safe_dump(content))
    local = read(birds / "assay.yaml", {})
    assert dict(local.files)["data/baseline/grey.png"] == birds / "grey.png"
    explain = read_policy(yaml.safe_load(local.text)).explain
    assert (explain.baseline, explain.seed) == ("data/baseline/grey.png", 3)


def test_a_policy_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"policy .*assay\.yaml: no such file; `assay init MODEL DATA` writes one"):
        read(tmp_path / "assay.yaml", {})
