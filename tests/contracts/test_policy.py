import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.errors import BadPolicy, NotYet
from assay.not_yet import check_is_built
from assay.policy import Blur, Clusters, Gate, Policy, RelativeLimit, SliceByQuantiles, read_policy

SMALLEST = {"task": "image_classification", "data": {"source": "photos/"}}
SHARED = Path(__file__).parents[3] / "shared" / "policies"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not on this machine")


BOXES = {"source": "photos/", "annotations": "annotations.csv"}
ASKED = {"predictor": "endpoint", "endpoint_name": "e"}


def with_(**parts: Any) -> dict[str, Any]:
    return {**SMALLEST, **parts}


def test_everything_but_task_and_data_has_a_default() -> None:
    policy = read_policy(SMALLEST)
    assert policy.gates == ()
    assert policy.evaluate.max_unreadable == 0


@needs_shared
@pytest.mark.parametrize("name", ["adult", "birds", "cells", "houses", "reviews"])
def test_every_kind_of_policy_can_be_said_and_read_back(name: str) -> None:
    policy = read_policy(yaml.safe_load((SHARED / f"{name}.yaml").read_text()))
    assert Policy.model_validate_json(policy.to_json()) == policy


@needs_shared
def test_what_a_policy_says_is_what_is_read() -> None:
    houses = read_policy(yaml.safe_load((SHARED / "houses.yaml").read_text()))
    assert houses.gates[1] == Gate(metric="rmse", max_worse=RelativeLimit(relative=0.02))
    assert houses.evaluate.slices[1] == SliceByQuantiles(column="price", quantiles=4)
    adult = read_policy(yaml.safe_load((SHARED / "adult.yaml").read_text()))
    assert adult.explain.baseline == Clusters(clusters=10)
    cells = read_policy(yaml.safe_load((SHARED / "cells.yaml").read_text()))
    assert cells.data.labels == {1: "RBC", 2: "WBC", 3: "Platelets"}


@needs_shared
def test_the_bird_workshops_policy_is_built() -> None:
    check_is_built(read_policy(yaml.safe_load((SHARED / "birds.yaml").read_text())))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "expected keys such as `task` and `data`, found nothing"),
        (["task"], "found a list"),
        ({"task": "image_classification"}, "data: missing"),
        (with_(gate=[]), "gate: unknown key; did you mean `gates`?"),
        (with_(data={"source": "x", "labl": "y"}), "data.labl: unknown key; did you mean `label`?"),
        (with_(explain={"chosen": {"sample": 3}}), "explain.chosen.sample: unknown key; did you mean `samples`?"),
        (with_(gates=[{"metric": "accuracy", "mim": 1}]), "gates.0.mim: unknown key; did you mean `min`?"),
        (with_(gates=[{"metric": "accuracy"}]), "gates.0: needs one of `min`, `max` (or both), `max_abs`"),
        (with_(gates=[{"metric": "mae", "min": 2, "max": 1}]), "gates.0: contradicts itself: min 2 is above max 1"),
        (
            with_(gates=[{"metric": "mae", "min": 2}, {"metric": "mae", "max": 1}]),
            "gates on mae contradict: min 2 is above max 1",
        ),
        (with_(data={"source": "x", "label_base": 3}), "data.label_base: input should be 0 or 1, found 3"),
        (with_(explain={"chosen": {"only": {"Sex": 3}}}), "explain.chosen.only.Sex: input should be a valid string"),
        (
            with_(explain={"baseline": {"cluster": 3}}),
            "explain.baseline.cluster: unknown key; did you mean `clusters`?",
        ),
        (with_(task="birds"), "task: input should be 'image_classification'"),
        (with_(preprocessing={"scaling": "imagenet"}), "preprocessing.scaling: 'imagenet' is not one of none, 0-1"),
        (
            with_(preprocessing={"scaling": {"mean": [103.9, 116.8, 123.7]}}),
            "preprocessing.scaling: mean 123.7 is beyond pixels of 0-1: say range: 0-255",
        ),
        (
            with_(preprocessing={"scaling": {"mean": [0.5, 0.5]}}),
            "preprocessing.scaling: mean has 2 numbers, expected 3, or 1 for all channels",
        ),
        (with_(evaluate={"max_unreadable": -1}), "evaluate.max_unreadable: input should be greater than or equal to 0"),
    ],
)
def test_a_problem_is_named_with_its_place_and_what_was_expected(content: object, said: str) -> None:
    with pytest.raises(BadPolicy) as caught:
        read_policy(content, "s3://b/assay.yaml")
    assert str(caught.value).startswith("s3://b/assay.yaml: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("said", "meant", "address"),
    [
        ("blur", Blur(blur=10), None),
        ({"blur": 2.5}, Blur(blur=2.5), None),
        ("noise", "noise", None),
        ([[128, 128, 128]], ((128, 128, 128),), None),
        ("grey.png", "grey.png", "grey.png"),
        (None, None, None),
    ],
)
def test_what_segments_are_replaced_by_is_a_word_a_colour_or_an_address(
    said: object, meant: object, address: str | None
) -> None:
    policy = read_policy(with_(task="image_classification", explain={"baseline": said}))
    assert (policy.explain.baseline, policy.explain.baseline_address) == (meant, address)


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(BadPolicy) as caught:
        read_policy({"task": "x", "data": {"sorce": "y"}, "gates": [{"metric": "a"}]})
    for part in ("task:", "data.source: missing", "data.sorce: unknown key", "gates.0: needs one of"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"bias": {"facets": [{"column": "sex", "values": ["F"]}]}}, "bias of task image_classification"),
    ],
)
def test_what_is_not_built_yet_says_so(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(NotYet, match=f"not yet: .*{said}"):
        check_is_built(read_policy(with_(**parts)))


@pytest.mark.parametrize(
    ("task", "parts", "said"),
    [
        (
            "object_detection",
            {"data": {"source": "p/"}},
            "data.annotations: missing; expected a CSV file with a line a",
        ),
        ("object_detection", {"data": BOXES | {"weight": "w"}}, "data.weight: COCO's measures of detections know no"),
        (
            "object_detection",
            {"model": {"output_transform": "exp"}},
            "model.output_transform: a detector's answers are",
        ),
        ("object_detection", {"model": {"predicted_label": "x"}}, "`model.probability` says where they stand"),
        ("image_classification", {"data": {"source": "p/", "weight": "w"}}, "a column of `data.annotations`, which is"),
        (
            "image_classification",
            {"explain": {"baseline": {"clusters": 2}}},
            "explain.baseline: pictures have no clusters",
        ),
        ("image_classification", {"explain": {"baseline": [[1, 2]]}}, "explain.baseline: [(1, 2)] is no colour of 0"),
        ("image_classification", {"explain": {"baseline": [[1, 2, 256]]}}, "expected a colour, [[128, 128, 128]], a"),
        ("image_classification", {"explain": {"baseline": [{"red": 1}]}}, "is no colour of 0 to 255"),
        ("tabular_regression", {"explain": {"baseline": "blur"}}, "explain.baseline: blur and noise are of pictures"),
        ("tabular_regression", {"explain": {"baseline": "noise"}}, "explain.baseline: blur and noise are of pictures"),
        (
            "image_classification",
            {"model": ASKED | {"content_type": "text/csv"}},
            "pictures are sent as image/jpeg, im",
        ),
        (
            "image_classification",
            {"model": ASKED, "preprocessing": {"scaling": "0-1"}},
            "leave it out, or say `model.c",
        ),
        (
            "image_classification",
            {"explain": {"pdp": ["age"]}},
            "explain.pdp: partial dependence is of a row's features",
        ),
        ("tabular_regression", {"model": ASKED | {"content_type": "image/png"}}, "rows are sent as text/csv, applica"),
    ],
)
def test_what_has_no_meaning_for_a_task_says_what_has(task: str, parts: dict[str, Any], said: str) -> None:
    with pytest.raises(BadPolicy, match=re.escape(said)):
        read_policy({"task": task, "data": BOXES} | parts)


def test_arrays_for_an_endpoint_are_prepared_here() -> None:
    asked = {"model": ASKED | {"content_type": "application/x-npy"}, "preprocessing": {"size": [8, 8]}}
    assert read_policy({"task": "image_classification", "data": BOXES} | asked).preprocessing.size == (8, 8)
