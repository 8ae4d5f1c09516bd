"""Metrics against scikit-learn, hand-worked numbers and laws."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from assay.evaluation import Metric
from assay.rates import wilson
from evaluator import regression
from evaluator.classification import TOP, Classified, classify, measure
from evaluator.ranking import OneVsRest, top_k_hits
from evaluator.tally import Tally, of_all

Array = NDArray[np.float64]
LABELS = ("a", "b", "c", "d", "e", "f")


def classified(n: int = 200, seed: int = 0, classes: int = 6, *, weighted: bool = False) -> Classified:
    random = np.random.default_rng(seed)
    true = random.integers(0, classes, n)
    scores = random.dirichlet(np.ones(classes), n).round(2) + 1e-3  # rounded: there are ties
    scores[np.arange(n), true] += (random.random(n) / 2).round(1)
    scores /= scores.sum(axis=1, keepdims=True)
    weights = random.exponential(size=n).round(1) if weighted else None  # some are 0
    return Classified(true, scores.argmax(axis=1), scores, LABELS[:classes], 1 if classes == 2 else None, weights)


def values(found: Classified) -> tuple[dict[str, float | None], dict[str, dict[str, float | None]]]:
    metrics, per_class = measure(found)
    return (
        {name: metric.value for name, metric in metrics.items()},
        {name: {of: metric.value for of, metric in classes.items()} for name, classes in per_class.items()},
    )


def every(found: Classified) -> list[tuple[str, Metric]]:
    metrics, per_class = measure(found)
    return [*metrics.items(), *((f"{n} of {of}", m) for n, classes in per_class.items() for of, m in classes.items())]


def by_scikit_learn(found: Classified) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Its numbers of all and of each class; its warnings are about classes that nobody predicted."""
    true, predicted, scores, k = found.true, found.predicted, found.probabilities, len(found.labels)
    weight: dict[str, Any] = {"sample_weight": found.weights}
    of_all_samples = {
        "accuracy": sklearn_metrics.accuracy_score(true, predicted, **weight),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(true, predicted, **weight),
        "mcc": sklearn_metrics.matthews_corrcoef(true, predicted, **weight),
        "kappa": sklearn_metrics.cohen_kappa_score(true, predicted, **weight),
        "log_loss": sklearn_metrics.log_loss(true, scores, **weight),
        "brier": sklearn_metrics.brier_score_loss(true, scores if k > 2 else scores[:, 1], **weight),
    }
    for average in ("macro", "weighted", "micro"):
        for name, function in (
            ("precision", sklearn_metrics.precision_score),
            ("recall", sklearn_metrics.recall_score),
            ("f1", sklearn_metrics.f1_score),
        ):
            options: dict[str, Any] = {"average": average, "zero_division": 0}
            of_all_samples[f"{name}_{average}"] = function(true, predicted, **options, **weight)
    rows = sklearn_metrics.precision_recall_fscore_support(true, predicted, labels=range(k), zero_division=0, **weight)
    of_each = {name: list(row) for name, row in zip(("precision", "recall", "f1"), rows, strict=False)}
    ovr: list[tuple[Any, Array]] = [(true == number, scores[:, number]) for number in range(k)]
    of_each["roc_auc"] = [sklearn_metrics.roc_auc_score(*one, **weight) for one in ovr]
    of_each["pr_auc"] = [sklearn_metrics.average_precision_score(*one, **weight) for one in ovr]
    for name, row in of_each.items():
        if found.positive is not None:
            of_all_samples[name] = row[found.positive]
        elif name.endswith("auc"):
            of_all_samples[name] = float(np.mean(row))
    return of_all_samples, of_each


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("classes", "seed"), [(2, 0), (3, 1), (6, 2), (6, 3)])
def test_values_are_those_of_scikit_learn(classes: int, seed: int, weighted: bool) -> None:
    found = classified(seed=seed, classes=classes, weighted=weighted)
    expected, of_each = by_scikit_learn(found)
    of_all_samples, per_class = values(found)
    for name, value in expected.items():
        assert of_all_samples[name] == pytest.approx(value, abs=1e-12), name
    for name, row in of_each.items():
        assert list(per_class[name].values()) == pytest.approx(row, abs=1e-12), name


def test_the_true_class_is_among_the_first_as_often_as_scikit_learn_says() -> None:
    random = np.random.default_rng(0)
    true, scores = random.integers(0, 6, 100), random.random((100, 6))
    weights = random.random(100)
    metrics, _ = measure(Classified(true, scores.argmax(axis=1), scores, LABELS, weights=weights))
    for k in TOP:
        expected = sklearn_metrics.top_k_accuracy_score(true, scores, k=k, sample_weight=weights)
        assert metrics[f"top_{k}_accuracy"].value == pytest.approx(expected)
    assert "top_5_accuracy" not in measure(classified(classes=4))[0]


def test_of_equal_scores_the_true_class_is_first_by_chance() -> None:
    assert top_k_hits(np.array([0, 1]), np.array([[1.0, 1, 1, 1], [3, 2, 2, 0]]), 2).tolist() == [0.5, 0.5]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_tallied_metrics_are_scikit_learns_whichever_classes_are_missing(pairs: list[tuple[int, int]]) -> None:
    true, predicted = np.array(pairs).T
    counts = sklearn_metrics.confusion_matrix(true, predicted, labels=range(4))
    found = of_all(Tally(np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)))
    options: dict[str, Any] = {"zero_division": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are missing
        assert found["f1_macro"] == pytest.approx(sklearn_metrics.f1_score(true, predicted, average="macro", **options))
        assert found["precision_weighted"] == pytest.approx(
            sklearn_metrics.precision_score(true, predicted, average="weighted", **options)
        )
        assert found["balanced_accuracy"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(true, predicted))
        if len(set(true)) > 1:
            assert found["mcc"] == pytest.approx(sklearn_metrics.matthews_corrcoef(true, predicted))
            assert found["kappa"] == pytest.approx(sklearn_metrics.cohen_kappa_score(true, predicted))


def test_hand_worked_numbers() -> None:
    """3 × 3, by hand: recalls 1/2, 1, 2/3; precisions 1, 2/4, 1 — c is right 2 of 3 times."""
    counts = np.array([[1, 1, 0], [0, 2, 0], [0, 1, 2]])
    found = of_all(Tally(np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)))
    assert found["accuracy"] == pytest.approx(5 / 7)
    assert found["balanced_accuracy"] == pytest.approx((1 / 2 + 1 + 2 / 3) / 3)
    assert found["precision_macro"] == pytest.approx((1 + 2 / 4 + 1) / 3)
    assert found["recall_weighted"] == pytest.approx(5 / 7)
    # chance agreement: (2·1 + 2·4 + 3·2) / 49
    assert found["kappa"] == pytest.approx((5 / 7 - 16 / 49) / (1 - 16 / 49))


ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3)), min_size=2, max_size=40)


@given(ROWS.filter(lambda rows: len({row[0] for row in rows if row[2]}) == 2))
@settings(max_examples=200, deadline=None)
def test_the_areas_under_the_curves_of_weighted_rows_are_scikit_learns(rows: list[tuple[bool, int, int]]) -> None:
    inside, scores, weights = (np.array(column) for column in zip(*rows, strict=True))
    expected = (
        sklearn_metrics.roc_auc_score(inside, scores, sample_weight=weights),
        sklearn_metrics.average_precision_score(inside, scores, sample_weight=weights),
    )
    by_times = OneVsRest(inside, scores.astype(float), np.ones(len(rows)))(weights[:, None].astype(float))
    by_weights = OneVsRest(inside, scores.astype(float), weights.astype(float))(None)
    for found in (by_times, by_weights):
        assert (found[0][0], found[1][0]) == pytest.approx(expected)


@st.composite
def classifications(draw: st.DrawFn) -> Classified:
    """Few samples, coarse scores: ties, classes without samples, weights of 0."""
    k = draw(st.integers(2, 5))
    n = draw(st.integers(1, 12))
    rows = st.tuples(st.integers(0, k - 1), st.lists(st.integers(0, 4), min_size=k, max_size=k), st.integers(0, 3))
    true, raw, weights = zip(*draw(st.lists(rows, min_size=n, max_size=n)), strict=True)
    scores = np.array(raw) + 0.5
    if draw(st.booleans()):
        scores /= scores.sum(axis=1, keepdims=True)
    weighted = np.array(weights, dtype=float) if draw(st.booleans()) and any(weights) else None
    return Classified(np.array(true), scores.argmax(axis=1), scores, LABELS[:k], 1 if k == 2 else None, weighted)


def assert_same(before: dict[str, float | None], after: dict[str, float | None]) -> None:
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert after[name] == pytest.approx(value, abs=1e-9), name


@given(classifications(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_renaming_the_classes_renames_their_numbers_and_changes_no_other(found: Classified, random: Any) -> None:
    order = np.array(random.sample(range(len(found.labels)), len(found.labels)))
    back = np.argsort(order)
    renamed = replace(
        found,
        true=back[found.true],
        predicted=back[found.predicted],
        probabilities=found.probabilities[:, order],
        labels=tuple(found.labels[number] for number in order),
        positive=None if found.positive is None else int(back[found.positive]),
    )
    before, after = values(found), values(renamed)
    assert_same(before[0], after[0])
    for name, of_class in before[1].items():
        assert_same(of_class, {label: after[1][name][label] for label in of_class})


@given(classifications())
@settings(max_examples=40, deadline=None)
def test_weights_count_as_repeated_rows(found: Classified) -> None:
    weights = np.ones(len(found.true)) if found.weights is None else found.weights
    repeated = replace(found.part(np.repeat(np.arange(len(weights)), weights.astype(int))), weights=None)
    before, after = values(found), values(repeated)
    assert_same(before[0], after[0])
    for name, of_class in before[1].items():
        assert_same(of_class, after[1][name])


@given(classifications(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_neither_every_row_twice_nor_their_order_nor_the_weights_unit_changes_a_value(
    found: Classified, random: Any
) -> None:
    n = len(found.true)
    twice = found.part(np.array(random.sample([*range(n), *range(n)], 2 * n)))
    if found.weights is not None:
        twice = replace(twice, weights=7 * np.asarray(twice.weights))
    before, after = values(found), values(twice)
    assert_same(before[0], after[0])
    for name, of_class in before[1].items():
        assert_same(of_class, after[1][name])


def test_every_row_twice_narrows_every_interval() -> None:
    found = classified()
    before, after = measure(found)[0], measure(found.part(np.tile(np.arange(200), 2)))[0]
    for name, metric in before.items():
        if metric.low is not None and metric.high is not None:
            other = after[name]
            assert other.low is not None
            assert other.high is not None
            assert other.high - other.low < metric.high - metric.low, name


@given(classifications())
@settings(max_examples=100, deadline=None)
def test_whatever_the_samples_a_number_lies_in_its_interval_or_has_a_reason(found: Classified) -> None:
    for name, metric in every(found):
        if metric.value is None:
            assert metric.reason, name
            continue
        numbers = [x for x in (metric.low, metric.value, metric.high) if x is not None]
        assert all(map(math.isfinite, numbers)), name
        assert numbers == sorted(numbers), name
        if not name.startswith(("log_loss", "brier", "mcc", "kappa")):
            assert numbers[0] >= 0, name
            assert numbers[-1] <= 1, name


def test_a_model_without_a_mistake_is_not_known_to_be_perfect() -> None:
    true = np.array([0, 1, 2, 3] * 3)
    scores = np.full((12, 4), 0.1) + 0.6 * np.eye(4)[true]
    metrics, per_class = measure(Classified(true, true, scores, LABELS[:4]))
    for name in ("accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "mcc", "kappa", "roc_auc", "pr_auc"):
        metric = metrics[name]
        assert metric.value == pytest.approx(1), name
        assert metric.low == pytest.approx(wilson(12, 12)[0]), name
        assert metric.high == 1, name
    for name in ("f1", "roc_auc", "pr_auc"):
        assert per_class[name]["a"].low == pytest.approx(wilson(3, 3)[0]), name


def test_of_two_classes_the_positive_one_gives_its_numbers() -> None:
    found = replace(classified(classes=2), positive=0)
    metrics, per_class = measure(found)
    for name in ("precision", "recall", "f1", "roc_auc", "pr_auc"):
        assert metrics[name] == per_class[name]["a"], name
    assert metrics["roc_auc"].value == pytest.approx(
        sklearn_metrics.roc_auc_score(found.true == 0, found.probabilities[:, 0])
    )
    assert "recall" not in measure(classified())[0]


def test_one_class_alone_says_what_cannot_be_computed() -> None:
    zeros = np.zeros(5, dtype=np.int64)
    metrics, per_class = measure(Classified(zeros, zeros, np.tile([0.9, 0.1], (5, 1)), ("a", "b")))
    assert metrics["accuracy"].value == 1
    for name in ("roc_auc", "pr_auc", "mcc", "kappa"):
        assert metrics[name].reason == "only one class in the labels", name
    assert per_class["recall"]["b"].reason == "no sample of this class"
    assert per_class["roc_auc"]["a"].reason == "only one class in the labels"
    assert per_class["pr_auc"]["b"].reason == "no sample of this class"
    assert per_class["precision"]["b"].reason == "never predicted"


def test_constant_scores_rank_nothing() -> None:
    true = np.array([0, 1, 1, 0, 1])
    metrics, _ = measure(Classified(true, np.zeros(5, dtype=np.int64), np.full((5, 2), 0.5), ("a", "b"), 1))
    assert metrics["roc_auc"].value == 0.5
    assert metrics["roc_auc"].low is not None and metrics["roc_auc"].low < 0.2  # five samples say little
    assert metrics["pr_auc"].value == pytest.approx(0.6)
    assert metrics["mcc"].value == metrics["kappa"].value == 0


def test_a_class_without_samples_counts_in_no_average() -> None:
    found = classified(classes=4)
    scores = np.hstack([found.probabilities, np.zeros((200, 1))])
    wider = Classified(found.true, found.predicted, scores, LABELS[:5])
    before, after = values(found)[0], values(wider)[0]
    for name in before.keys() & after.keys():
        assert after[name] == pytest.approx(before[name]), name


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"probabilities": np.array([[np.nan, 1], [0, 1], [1, 0]])},
            "the scores of 1 of 3 samples are NaN or infinite",
        ),
        ({"weights": np.zeros(3)}, "all weights are 0"),
        ({"weights": np.array([1, -1, 1.0])}, "a weight is negative, NaN or infinite"),
        ({"weights": np.array([1, np.nan, 1.0])}, "a weight is negative, NaN or infinite"),
    ],
)
def test_what_cannot_be_measured_says_why_by_the_names_it_would_have(change: dict[str, Any], reason: str) -> None:
    whole = Classified(np.array([0, 1, 0]), np.array([0, 1, 1]), np.full((3, 2), 0.5), ("a", "b"), 1)
    for found, why in ((replace(whole, **change), reason), (whole.part(np.zeros(3, dtype=bool)), "no samples")):
        metrics, per_class = measure(found)
        assert metrics.keys() == measure(whole)[0].keys()
        assert per_class.keys() == measure(whole)[1].keys()
        assert {metric.reason for _, metric in every(found)} == {why}
        assert metrics["brier"].higher_is_better is False


def test_scores_that_are_no_probabilities_are_ranked_but_have_no_loss() -> None:
    found = classified(classes=3)
    logits = replace(found, probabilities=np.log(found.probabilities) + 1)
    metrics, _ = measure(logits)
    for name in ("log_loss", "brier", "ece"):
        assert metrics[name].reason == "the scores are not probabilities that add up to 1"
    expected = np.mean([sklearn_metrics.roc_auc_score(found.true == c, logits.probabilities[:, c]) for c in range(3)])
    assert metrics["roc_auc"].value == pytest.approx(expected)


def test_the_best_constant_answers_are_those_that_no_constant_beats() -> None:
    true = np.array([0] * 5 + [1] * 3 + [2] * 2)
    shares = np.tile([0.5, 0.3, 0.2], (10, 1))
    metrics, _ = measure(Classified(true, np.zeros(10, dtype=np.int64), shares, LABELS[:3]))
    for name in ("accuracy", "log_loss", "brier"):
        assert metrics[f"{name}_best_constant"].value == pytest.approx(metrics[name].value), name
        assert metrics[f"{name}_best_constant"].higher_is_better is None
    price, weights = np.array([1.0, 2, 2, 9]), np.array([1.0, 2, 1, 4])
    for name, answer in (("mae", 5.5), ("rmse", np.average(price, weights=weights))):
        found = regression.measure(price, np.full(4, answer), weights)
        assert found[f"{name}_best_constant"].value == pytest.approx(found[name].value), name


def test_one_score_is_the_positive_class_of_two() -> None:
    predicted, scores = classify(np.array([[0.7], [0.2]]), 0.6, positive=0)
    assert predicted.tolist() == [0, 1]
    assert scores.tolist() == [[0.7, pytest.approx(0.3)], [0.2, 0.8]]


def prices(n: int = 100, offset: float = 0.0) -> tuple[Array, Array, Array]:
    random = np.random.default_rng(1)
    true = random.normal(size=n) * 10 + offset
    return true, true + random.normal(size=n), random.integers(0, 4, n).astype(float)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_a_regressions_values_are_those_of_scikit_learn(offset: float, weighted: bool) -> None:
    true, predicted, weights = prices(offset=offset)
    found = regression.measure(true, predicted, weights if weighted else None)
    for name, function in (
        ("mae", sklearn_metrics.mean_absolute_error),
        ("mse", sklearn_metrics.mean_squared_error),
        ("rmse", sklearn_metrics.root_mean_squared_error),
        ("r2", sklearn_metrics.r2_score),
        ("median_absolute_error", sklearn_metrics.median_absolute_error),
        ("mape", sklearn_metrics.mean_absolute_percentage_error),
    ):
        expected = function(true, predicted, sample_weight=weights if weighted else None)
        metric = found[name]
        assert metric.value == pytest.approx(expected), name
        assert metric.low is not None and metric.value is not None and metric.high is not None
        assert metric.low < metric.value < metric.high, name
        assert metric.higher_is_better is (name == "r2")
    counted = weights > 0 if weighted else np.ones(100, dtype=bool)
    assert found["max_error"].value == sklearn_metrics.max_error(true[counted], predicted[counted])
    assert found["max_error"].low is None


def test_quantiles_of_the_residuals_are_numpys_and_neither_good_nor_bad() -> None:
    true, predicted, weights = prices()
    found = regression.measure(true, predicted, weights)
    repeated = np.repeat(predicted - true, weights.astype(int))
    for q in regression.QUANTILES:
        metric = found[f"residual_q{100 * q:02.0f}"]
        assert metric.value == pytest.approx(np.quantile(repeated, q, method="averaged_inverted_cdf"))
        assert metric.higher_is_better is None


WEIGHTED = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 3)), min_size=1, max_size=12)


@given(WEIGHTED.filter(lambda rows: any(row[2] for row in rows)))
@settings(max_examples=60, deadline=None)
def test_weighted_labels_count_as_repeated_ones_and_their_unit_does_not_matter(rows: list[tuple[int, ...]]) -> None:
    true, predicted, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    times = weights.astype(int)
    found = regression.measure(true, predicted, 5 * weights)
    repeated = regression.measure(np.repeat(true, times), np.repeat(predicted, times))
    for name, metric in found.items():
        assert repeated[name].value == pytest.approx(metric.value), name
        assert repeated[name].reason == metric.reason, name
        numbers = [x for x in (metric.low, metric.value, metric.high) if x is not None]
        assert numbers == sorted(numbers), name
        assert all(map(math.isfinite, numbers)), name


def test_r2_of_equal_labels_has_a_reason() -> None:
    found = regression.measure(np.full(4, 7.1), np.array([7.0, 7.2, 7.1, 7.3]))
    assert found["r2"].reason == "all labels are equal"
    assert found["mae"].value == pytest.approx(0.1)


def test_percentages_are_of_the_labels_that_are_not_zero() -> None:
    found = regression.measure(np.array([0.0, 2, -4]), np.array([5.0, 3, -3]))["mape"]
    assert found.value == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert found.n == 2
    none = regression.measure(np.zeros(3), np.ones(3))["mape"]
    assert (none.reason, none.n) == ("all labels are 0, of which an error is no percentage", 0)


@pytest.mark.parametrize(
    ("true", "predicted", "weights", "reason"),
    [
        ([], [], None, "no samples"),
        ([1, 2], [np.nan, 2], None, "1 of 2 predictions are NaN or infinite"),
        ([1, np.inf], [1, 2], None, "1 of 2 labels are NaN or infinite"),
        ([1, 2], [1, 2], [0, 0], "all weights are 0"),
        ([1, 2], [1, 2], [2, -1], "a weight is negative, NaN or infinite"),
    ],
)
def test_a_regression_that_cannot_be_measured_says_why(
    true: list[float], predicted: list[float], weights: list[float] | None, reason: str
) -> None:
    given_weights = None if weights is None else np.array(weights, dtype=float)
    found = regression.measure(np.array(true, dtype=float), np.array(predicted, dtype=float), given_weights)
    assert found.keys() == regression.measure(*prices()[:2]).keys()
    assert {metric.reason for metric in found.values()} == {reason}
    assert found["mae"].higher_is_better is False


def test_one_row_has_no_interval_but_of_its_rates() -> None:
    one = regression.measure(np.array([3.0]), np.array([2.0]))
    assert (one["mae"].value, one["mae"].low, one["r2"].reason) == (1, None, "all labels are equal")
    metrics, _ = measure(Classified(np.array([1]), np.array([1]), np.array([[0.2, 0.8]]), ("a", "b"), 1))
    assert (metrics["accuracy"].low, metrics["accuracy"].high) == wilson(1, 1)
    assert metrics["log_loss"].low is None
