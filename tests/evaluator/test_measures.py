"""Metrics against scikit-learn, hand-worked numbers and laws; intervals against what they promise."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from assay.rates import wilson
from evaluator import regression
from evaluator.classification import AreaUnderCurve, Classified, measure, of_confusion
from evaluator.intervals import bootstrap_interval, resample_confusion, resample_weights

LABELS = ("a", "b", "c", "d")


def classified(n: int = 200, seed: int = 0, classes: int = 4, positive: int | None = None) -> Classified:
    random = np.random.default_rng(seed)
    true = random.integers(0, classes, n)
    scores = random.dirichlet(np.ones(classes), n).round(2) + 1e-3  # rounded: there are ties
    scores[np.arange(n), true] += random.random(n)
    scores /= scores.sum(axis=1, keepdims=True)
    return Classified(true, scores.argmax(axis=1), scores, LABELS[:classes], positive)


@pytest.mark.parametrize("seed", range(5))
def test_values_are_those_of_scikit_learn(seed: int) -> None:
    found = classified(seed=seed)
    true, predicted, scores = found.true, found.predicted, found.probabilities
    values = {name: metric.value for name, metric in measure(found)[0].items()}
    expected: dict[str, Any] = {
        "accuracy": sklearn_metrics.accuracy_score(true, predicted),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(true, predicted),
        "mcc": sklearn_metrics.matthews_corrcoef(true, predicted),
        "kappa": sklearn_metrics.cohen_kappa_score(true, predicted),
        "log_loss": sklearn_metrics.log_loss(true, scores),
        "roc_auc": sklearn_metrics.roc_auc_score(true, scores, multi_class="ovr"),
        "brier": np.mean(((scores - np.eye(4)[true]) ** 2).sum(axis=1)),
    }
    for average in ("macro", "weighted"):
        expected[f"precision_{average}"] = sklearn_metrics.precision_score(true, predicted, average=average)
        expected[f"recall_{average}"] = sklearn_metrics.recall_score(true, predicted, average=average)
        expected[f"f1_{average}"] = sklearn_metrics.f1_score(true, predicted, average=average)
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, abs=1e-12), name


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_confusion_metrics_are_scikit_learns_whichever_classes_are_missing(pairs: list[tuple[int, int]]) -> None:
    true, predicted = np.array(pairs).T
    counts = sklearn_metrics.confusion_matrix(true, predicted, labels=range(4))
    values = of_confusion(counts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are missing
        assert values["f1_macro"] == pytest.approx(
            sklearn_metrics.f1_score(true, predicted, average="macro", zero_division=0)
        )
        assert values["precision_weighted"] == pytest.approx(
            sklearn_metrics.precision_score(true, predicted, average="weighted", zero_division=0)
        )
        assert values["balanced_accuracy"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(true, predicted))
        if len(set(true)) > 1:
            assert values["mcc"] == pytest.approx(sklearn_metrics.matthews_corrcoef(true, predicted))
            assert values["kappa"] == pytest.approx(sklearn_metrics.cohen_kappa_score(true, predicted))


def test_each_class_has_the_numbers_of_scikit_learn() -> None:
    found = classified()
    per_class = measure(found)[1]
    expected = sklearn_metrics.precision_recall_fscore_support(found.true, found.predicted)
    for name, values in zip(("precision", "recall", "f1"), expected, strict=False):
        assert [per_class[name][label].value for label in LABELS] == pytest.approx(values)


def test_hand_worked_numbers() -> None:
    """3 × 3, by hand: recalls 1/2, 1, 2/3; precisions 1, 2/5, 1 — c is right 2 of 3 times."""
    counts = np.array([[1, 1, 0], [0, 2, 0], [0, 1, 2]])
    values = of_confusion(counts)
    assert values["accuracy"] == pytest.approx(5 / 7)
    assert values["balanced_accuracy"] == pytest.approx((1 / 2 + 1 + 2 / 3) / 3)
    assert values["precision_macro"] == pytest.approx((1 + 2 / 4 + 1) / 3)
    assert values["recall_weighted"] == pytest.approx(5 / 7)
    # chance agreement: (2·1 + 2·4 + 3·2) / 49
    assert values["kappa"] == pytest.approx((5 / 7 - 16 / 49) / (1 - 16 / 49))


def test_renaming_the_classes_renames_their_numbers_and_changes_no_other() -> None:
    found = classified()
    order = np.array([2, 0, 3, 1])
    back = np.argsort(order)
    renamed = Classified(
        back[found.true], back[found.predicted], found.probabilities[:, order], tuple(LABELS[i] for i in order)
    )
    before, after = measure(found), measure(renamed)
    for name, metric in before[0].items():
        assert after[0][name].value == pytest.approx(metric.value), name
    for name, of_class in before[1].items():
        for label, metric in of_class.items():
            assert after[1][name][label].value == pytest.approx(metric.value)


def test_every_sample_twice_changes_no_value_and_narrows_every_interval() -> None:
    found = classified()
    twice = Classified(
        np.tile(found.true, 2), np.tile(found.predicted, 2), np.tile(found.probabilities, (2, 1)), LABELS
    )
    before, after = measure(found)[0], measure(twice)[0]
    for name, metric in before.items():
        assert after[name].value == pytest.approx(metric.value), name
        if metric.low is not None and metric.high is not None:
            other = after[name]
            assert other.low is not None
            assert other.high is not None
            assert other.high - other.low < metric.high - metric.low, name


def test_every_interval_holds_its_value() -> None:
    for seed in range(3):
        metrics, per_class = measure(classified(n=30, seed=seed))
        for metric in [*metrics.values(), *(m for of_class in per_class.values() for m in of_class.values())]:
            if metric.low is not None and metric.high is not None and metric.value is not None:
                assert metric.low <= metric.value <= metric.high


def test_a_model_without_a_mistake_is_not_known_to_be_perfect() -> None:
    true = np.array([0, 1, 2, 3] * 3)
    scores = np.full((12, 4), 0.1) + 0.6 * np.eye(4)[true]
    metrics, per_class = measure(Classified(true, true, scores, LABELS))
    for name in ("accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "mcc", "kappa", "roc_auc"):
        metric = metrics[name]
        assert metric.value == pytest.approx(1), name
        assert metric.low == pytest.approx(wilson(12, 12)[0]), name
        assert metric.high == 1, name
    assert per_class["f1"]["a"].low == pytest.approx(wilson(3, 3)[0])


def test_of_two_classes_the_positive_one_gives_its_numbers() -> None:
    found = classified(classes=2, positive=0)
    metrics, per_class = measure(found)
    assert metrics["recall"] == per_class["recall"]["a"]
    assert metrics["roc_auc"].value == pytest.approx(
        sklearn_metrics.roc_auc_score(found.true == 0, found.probabilities[:, 0])
    )
    assert "recall" not in measure(classified())[0]


def test_one_class_alone_says_what_cannot_be_computed() -> None:
    zeros = np.zeros(5, dtype=np.int64)
    metrics, per_class = measure(Classified(zeros, zeros, np.tile([0.9, 0.1], (5, 1)), ("a", "b")))
    assert metrics["accuracy"].value == 1
    for name in ("roc_auc", "mcc", "kappa"):
        assert metrics[name].reason == "only one class in the labels", name
    assert per_class["recall"]["b"].reason == "no sample of this class"
    assert per_class["precision"]["b"].reason == "never predicted"


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3)), min_size=2, max_size=40).filter(
        lambda rows: len({row[0] for row in rows if row[2]}) == 2
    )
)
@settings(max_examples=100, deadline=None)
def test_the_area_under_the_curve_of_weighted_rows_is_scikit_learns(rows: list[tuple[bool, int, int]]) -> None:
    is_class, scores, weights = (np.array(column) for column in zip(*rows, strict=True))
    expected = sklearn_metrics.roc_auc_score(is_class, scores, sample_weight=weights)
    area = AreaUnderCurve(is_class, scores.astype(float))
    assert area(weights[None].astype(np.int32))[0] == pytest.approx(expected)


def test_wilsons_interval_is_the_published_one() -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I: 81/263, 15/148, 0/20, 1/29."""
    for right, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(right, n) == pytest.approx((low, high), abs=5e-5)


def test_a_resample_keeps_the_size_of_each_class() -> None:
    strata = np.array([0] * 7 + [1] * 3 + [5] * 2)
    weights = np.concatenate(list(resample_weights(strata, np.random.default_rng(0))))
    for stratum, size in ((0, 7), (1, 3), (5, 2)):
        assert (weights[:, strata == stratum].sum(axis=1) == size).all()
    counts = np.array([[5, 1], [0, 4]])
    assert (resample_confusion(counts, np.random.default_rng(0)).sum(axis=2) == [6, 4]).all()


def test_rows_and_counts_are_resampled_alike() -> None:
    """Two ways to the same distribution: row weights, and confusion counts from a multinomial."""
    found = classified(n=100)
    random = np.random.default_rng(0)
    by_counts = of_confusion(resample_confusion(found.counts, random))["accuracy"]
    right = (found.true == found.predicted).astype(float)
    by_rows = np.concatenate([weights @ right / 100 for weights in resample_weights(found.true, random)])
    assert by_counts.mean() == pytest.approx(by_rows.mean(), abs=0.01)
    assert by_counts.std() == pytest.approx(by_rows.std(), rel=0.15)


def test_intervals_cover_at_their_rate() -> None:
    """Of 200 data sets drawn from one world, about 95 % have an interval that holds the world's F1."""
    random = np.random.default_rng(0)
    world = np.array([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.05, 0.15, 0.8]])
    truth = float(of_confusion((world * 1_000_000).astype(np.int64))["f1_macro"])
    covered = 0
    for _ in range(200):
        counts = np.stack([random.multinomial(60, row) for row in world])
        value = float(of_confusion(counts)["f1_macro"])
        resampled = of_confusion(resample_confusion(counts, random))["f1_macro"]
        interval = bootstrap_interval(value, resampled, 180)
        assert interval is not None
        covered += interval[0] <= truth <= interval[1]
    assert 0.90 <= covered / 200 <= 0.99


def prices(n: int = 100, offset: float = 0.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    random = np.random.default_rng(1)
    true = random.normal(size=n) * 10 + offset
    return true, true + random.normal(size=n)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_a_regressions_values_are_those_of_scikit_learn(offset: float) -> None:
    true, predicted = prices(offset=offset)
    found = regression.measure(true, predicted)
    assert found["mae"].value == pytest.approx(sklearn_metrics.mean_absolute_error(true, predicted))
    assert found["mse"].value == pytest.approx(sklearn_metrics.mean_squared_error(true, predicted))
    assert found["rmse"].value == pytest.approx(sklearn_metrics.root_mean_squared_error(true, predicted))
    assert found["r2"].value == pytest.approx(sklearn_metrics.r2_score(true, predicted))
    for name in ("mae", "mse", "rmse", "r2"):
        metric = found[name]
        assert metric.low is not None
        assert metric.high is not None
        assert metric.value is not None
        assert metric.low < metric.value < metric.high
        assert metric.higher_is_better is (name == "r2")


def test_weights_count_as_repeated_rows() -> None:
    true, predicted = prices(20)
    times = np.random.default_rng(2).integers(0, 3, 20)
    weighted = regression.of_weights(true, predicted, times[None].astype(np.int32))
    repeated = regression.of_weights(
        np.repeat(true, times), np.repeat(predicted, times), np.ones((1, times.sum()), dtype=np.int32)
    )
    for name, value in weighted.items():
        assert value == pytest.approx(repeated[name]), name


def test_r2_of_equal_labels_has_a_reason() -> None:
    found = regression.measure(np.full(4, 7.1), np.array([7.0, 7.2, 7.1, 7.3]))
    assert found["r2"].reason == "all labels are equal"
    assert found["mae"].value == pytest.approx(0.1)
