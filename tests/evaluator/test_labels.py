"""Which output a label stands for."""

from __future__ import annotations

from typing import Any

import pytest

from assay.errors import AssayError, BadData, BadModel, BadPolicy
from assay.policy import Data
from evaluator.labels import check_labels, names_that_differ, positive_class, resolve_labels, unknown_labels


def data(**parts: Any) -> Data:
    return Data(source="x", **parts)


def same(*labels: str) -> dict[str, str]:
    return {label: label for label in labels}


def test_labels_stand_in_the_order_that_the_policy_gives_and_not_the_datas() -> None:
    labels = resolve_labels(data(labels=["zebra", "ant", "cow"]), same("ant", "zebra"), 3)
    assert labels.names == ("zebra", "ant", "cow")
    assert labels.index == {"zebra": 0, "ant": 1, "cow": 2}


def test_labels_are_called_by_their_names_for_people_where_the_data_has_them() -> None:
    labels = resolve_labels(data(labels=[3, 5]), {"3": "three"}, 2)
    assert labels.names == ("three", "5")


def test_numbers_with_names_are_known_by_either() -> None:
    labels = resolve_labels(data(labels={2: "dog", 1: "cat"}), same("cat", "2"), 2)
    assert labels.names == ("cat", "dog")
    assert [labels.index[label] for label in ("1", "cat", "2", "dog")] == [0, 0, 1, 1]


def test_yamls_true_is_the_text_true() -> None:
    assert resolve_labels(data(labels=[False, True]), same("true"), 2).index == {"false": 0, "true": 1}


@pytest.mark.parametrize(
    ("labels", "found", "index"),
    [
        ([0, 1], ("0.0", "1.0"), {"0.0": 0, "1.0": 1}),  # a column with a gap is written so by pandas
        ([-1, 1], ("-1", "1", "+1"), {"-1": 0, "1": 1, "+1": 1}),
        ([0.5, 1.5], ("1.50", "0.5"), {"0.5": 0, "1.50": 1}),
        ([False, True], ("True", "FALSE"), {"FALSE": 0, "True": 1}),
        ({1: "cat", 2: "dog"}, ("1.0", "dog"), {"1.0": 0, "dog": 1}),
        (["1.0", "1"], ("1", "1.0"), {"1.0": 0, "1": 1}),  # as text they differ, and text counts first
    ],
)
def test_numbers_and_truth_values_are_known_however_they_are_written(
    labels: Any, found: tuple[str, ...], index: dict[str, int]
) -> None:
    policy = data(labels=labels)
    check_labels(policy, found)
    resolved = resolve_labels(policy, same(*found), 2)
    assert {label: resolved.index[label] for label in index} == index
    assert resolved.names == tuple(labels.values() if isinstance(labels, dict) else map(as_yaml, labels))


def as_yaml(label: object) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)


def test_true_and_false_need_no_list() -> None:
    check_labels(data(), ("True", "False"))
    labels = resolve_labels(data(), same("True", "False"), 2)
    assert labels.names == ("false", "true")
    assert (labels.index["False"], labels.index["True"]) == (0, 1)
    assert positive_class(labels, data(positive=False)) == 0
    with pytest.raises(BadModel, match=r"3 classes apart, .* 2 labels \(false, true\)"):
        resolve_labels(data(), same("true"), 3)


def test_a_name_for_people_is_found_however_the_label_is_written() -> None:
    assert resolve_labels(data(labels=[3, 5]), {"3.0": "three"}, 2).names == ("three", "5")


@pytest.mark.parametrize(
    ("base", "found", "classes", "index"),
    [
        (None, ("0", "2"), 3, {"0": 0, "2": 2}),
        (None, ("1", "3"), 3, {"1": 0, "3": 2}),
        (0, ("1", "2"), 3, {"1": 1, "2": 2}),
        (1, ("1", "2"), 3, {"1": 0, "2": 1}),
        (0, ("1.0", "2"), 3, {"1.0": 1, "2": 2}),
    ],
)
def test_numbers_count_from_their_base(
    base: int | None, found: tuple[str, ...], classes: int, index: dict[str, int]
) -> None:
    labels = resolve_labels(data(label_base=base), same(*found), classes)
    assert labels.index == index
    assert len(labels.names) == classes


def test_a_class_that_the_data_has_not_is_called_by_its_number() -> None:
    assert resolve_labels(data(label_base=1), {"1": "robin", "3": "wren"}, 3).names == ("robin", "2", "wren")


@pytest.mark.parametrize(
    ("policy", "found", "classes", "kind", "said"),
    [
        (
            {},
            {"2": "robin", "3": "wren"},
            5,
            BadPolicy,
            r"label 2 \(robin\) can be output 2 .* or output 1 .*label_base",
        ),
        ({}, same("0", "9"), 9, BadModel, "go from 0 to 9, the model has 9 outputs: they do not fit"),
        ({"label_base": 1}, same("0", "1"), 2, BadModel, "go from 0 to 1, .* do not fit with label_base: 1"),
        ({}, same("-1", "1"), 2, BadModel, r"go from -1 to 1, .* do not fit; say data.labels: \[-1, 1\]"),
        ({"labels": ["a", "b"]}, same("a"), 3, BadModel, r"3 classes apart, the policy names 2 labels \(a, b\)"),
    ],
)
def test_labels_that_do_not_fit_the_outputs_are_shown_beside_them(
    policy: dict[str, Any], found: dict[str, str], classes: int, kind: type[AssayError], said: str
) -> None:
    check_labels(data(**policy), found)
    with pytest.raises(kind, match=said):
        resolve_labels(data(**policy), found, classes)


@pytest.mark.parametrize(
    ("policy", "found", "kind", "said"),
    [
        ({}, ("cat", "1"), BadPolicy, r"labels are text \(cat\): say data.labels"),
        ({}, ("1.5",), BadPolicy, r"labels are text \(1.5\)"),
        ({"labels": ["a", "b", "a"]}, ("a",), BadPolicy, "names a class twice: a, b, a"),
        ({"labels": [1, 1.0]}, ("1",), BadPolicy, "names a class twice: 1, 1.0"),
        ({"labels": ["1", "2"]}, ("1.0",), BadData, r"label '1.0' is none of data.labels \(1, 2\)"),
        ({"labels": [1, 2]}, ("nan",), BadData, r"label 'nan' is none of data.labels \(1, 2\)"),
        ({"labels": ["a", "b"]}, ("a", "c"), BadData, r"label 'c' is none of data.labels \(a, b\)"),
        ({"labels": ["a", "b"], "positive": "c"}, ("a",), BadPolicy, "'c', which is none of the labels a, b"),
    ],
)
def test_what_no_model_can_mend_is_known_without_one(
    policy: dict[str, Any], found: tuple[str, ...], kind: type[AssayError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        check_labels(data(**policy), found)


def test_labels_that_the_policy_does_not_know_are_told_with_a_sentence_while_others_are_known() -> None:
    asked = data(labels=["a", "b"])
    assert unknown_labels(asked, ("a", "c")) == {"c": "label 'c' is none of data.labels (a, b)"}
    assert unknown_labels(asked, ("a",)) == {}
    with pytest.raises(BadData, match=r"label 'c' is none of data\.labels"):
        unknown_labels(asked, ("c",))


def test_the_positive_class_is_the_second_or_the_policys_by_label_or_name() -> None:
    labels = resolve_labels(data(label_base=0), {"0": "ham", "1": "spam"}, 2)
    assert positive_class(labels, data()) == 1
    assert positive_class(labels, data(positive=0)) == 0
    assert positive_class(labels, data(positive="ham")) == 0
    assert positive_class(resolve_labels(data(), same("0.0", "1.0"), 2), data(positive=0)) == 0
    with pytest.raises(BadPolicy, match=r"data\.positive is 'eggs', which is none of the labels ham, spam"):
        positive_class(labels, data(positive="eggs"))


def test_many_labels_are_cut_in_a_message() -> None:
    labels = [f"class {number}" for number in range(200)]
    with pytest.raises(BadModel, match=r"class 9, … 190 more\)$"):
        resolve_labels(data(labels=labels), same("class 0"), 3)


def test_classes_of_one_name_are_told_apart() -> None:
    assert names_that_differ(["a", "b", "a"]) == ("a", "b", "a (2)")
    assert names_that_differ(["a", "a", "a (2)"]) == ("a", "a (2)", "a (2) (2)")
