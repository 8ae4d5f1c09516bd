"""Checks: each finds what it is for, and nothing where nothing is."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.evaluation import Finding
from evaluator import checks
from evaluator.classification import Classified, measure


def classified(true: NDArray[np.int64], predicted: NDArray[np.int64], k: int, noise: float = 0.0) -> Classified:
    rng = np.random.default_rng(0)
    predicted = np.where(rng.random(len(true)) < noise, rng.integers(0, k, len(true)), predicted)
    probabilities = np.full((len(true), k), 0.1 / max(k - 1, 1))
    probabilities[np.arange(len(true)), predicted] = 0.9
    return Classified(true, predicted, probabilities, tuple(f"class {i}" for i in range(k)))


def titles(found: Classified) -> list[str]:
    return [finding.title for finding in checks.of_classifier(found, measure(found)[0])]


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1
    return findings[0]


def out_of_order(found: Classified) -> str:
    findings = [f for f in checks.of_classifier(found, measure(found)[0]) if f.title == "Classes out of order"]
    return only(findings).text


def test_nothing_is_said_of_a_good_model() -> None:
    true = np.arange(200) % 5
    assert titles(classified(true, true, 5, noise=0.2)) == []


@pytest.mark.parametrize(("shift", "said"), [(1, "the class after its own"), (-1, "the class before its own")])
def test_labels_shifted_by_one_are_seen(shift: int, said: str) -> None:
    true = np.random.default_rng(1).integers(0, 10, 400)
    text = out_of_order(classified(true, (true + shift) % 10, 10, noise=0.1))
    assert said in text
    assert "data.label_base" in text


def test_labels_in_another_order_are_seen_and_named() -> None:
    true = np.random.default_rng(1).integers(0, 4, 400)
    text = out_of_order(classified(true, np.array([0, 2, 1, 3])[true], 4, noise=0.1))
    assert "class 1 comes out as class 2, class 2 comes out as class 1" in text
    assert "class 3" not in text


@pytest.mark.parametrize("k", [2, 10, 60])
def test_a_model_that_guesses_is_not_taken_for_one_with_other_labels(k: int) -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        found = classified(rng.integers(0, k, 300), rng.integers(0, k, 300), k)
        assert "Classes out of order" not in titles(found)


def test_one_sample_is_enough_for_no_check() -> None:
    assert "Classes out of order" not in titles(classified(np.array([1]), np.array([0]), 2))


def fingerprints(contents: list[str]) -> NDArray[np.uint8]:
    digests = b"".join(hashlib.sha256(content.encode()).digest() for content in contents)
    return np.frombuffer(digests, dtype=np.uint8).reshape(-1, 32)


def test_different_samples_are_no_duplicates() -> None:
    contents = [str(i) for i in range(1000)]
    assert list(checks.of_data(fingerprints(contents), np.array(contents), contents.__getitem__, "rows")) == []


def test_a_picture_that_stands_there_twice_is_named() -> None:
    names = ["a.jpg", "b.jpg", "copy of a.jpg"]
    finding = only(
        list(
            checks.of_data(fingerprints(["x", "y", "x"]), np.array(["cat", "dog", "cat"]), names.__getitem__, "images")
        )
    )
    assert (finding.severity, finding.title) == ("warning", "Duplicates in the test set")
    assert finding.text == "Of 3 images, 1 stands there more than once: a.jpg and copy of a.jpg"


def test_of_many_duplicates_five_are_named() -> None:
    contents = ["x"] * 20
    finding = only(list(checks.of_data(fingerprints(contents), np.zeros(20), str, "rows")))
    assert finding.severity == "warning"
    assert finding.text.startswith("Of 20 rows, 19 stand there more than once: 0 and 1; 1 and 2;")
    assert finding.text.endswith("4 and 5; and 14 more")


def test_the_same_picture_under_two_labels_is_serious() -> None:
    names = ["a.jpg", "b.jpg", "copy of a.jpg"]
    finding = only(
        list(
            checks.of_data(fingerprints(["x", "y", "x"]), np.array(["cat", "dog", "dog"]), names.__getitem__, "images")
        )
    )
    assert finding.severity == "serious"
    assert finding.text.startswith("1 image stands there again under another label: ")
    assert finding.text.endswith("a.jpg (cat) and copy of a.jpg (dog)")


def test_a_few_rows_that_are_alike_are_no_warning() -> None:
    contents = ["x", "x", *(str(i) for i in range(500))]
    finding = only(list(checks.of_data(fingerprints(contents), np.array(["1"] * 502), contents.__getitem__, "rows")))
    assert finding.severity == "info"


SCORES = np.array([[0.2, 0.8], [0.6, 0.4]])


def test_answers_that_stay_the_same_are_no_finding() -> None:
    assert list(checks.of_answers(SCORES, SCORES, SCORES + 1e-6)) == []


def test_scores_that_change_from_one_run_to_the_next_are_seen() -> None:
    finding = only(list(checks.of_answers(SCORES, SCORES + 0.01, SCORES)))
    assert (finding.title, finding.severity) == ("Two runs differ", "serious")
    assert "0.01" in finding.text


@pytest.mark.parametrize("alone", [SCORES + 0.02, np.full_like(SCORES, np.nan)])
def test_scores_that_depend_on_the_batch_are_seen(alone: NDArray[np.float64]) -> None:
    assert only(list(checks.of_answers(SCORES, SCORES, alone))).title == "Scores depend on the batch"


def test_large_logits_may_differ_in_proportion() -> None:
    assert list(checks.of_answers(1e4 * SCORES, 1e4 * SCORES, 1e4 * SCORES + 0.1)) == []


def test_a_runtime_that_failed_is_told() -> None:
    assert list(checks.of_runtime(None)) == []
    assert "no kernel" in only(list(checks.of_runtime("RuntimeError: no kernel"))).text
