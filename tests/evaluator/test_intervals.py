"""What intervals promise: they cover at their rate, pairs share their resamples, a part stands for millions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.rates import wilson
from evaluator import regression
from evaluator.classification import Classified, estimate, measure
from evaluator.intervals import RESAMPLES, Estimate, Resamples, difference, effective_sizes

Array = NDArray[np.float64]
LABELS = ("a", "b", "c")


def weights_of(strata: list[int], most: int = 100_000) -> tuple[Resamples, Array]:
    resamples = Resamples(np.array(strata), most)
    return resamples, np.concatenate(list(resamples), axis=1)


def world(random: np.random.Generator, n: int, sharpness: float = 1.0, classes: int = 3) -> Classified:
    """Samples whose classes are drawn by the scores themselves, which `sharpness` then falsifies: too sure above 1."""
    truth = random.dirichlet(np.full(classes, 0.5), n)
    true = (random.random((n, 1)) > np.cumsum(truth, axis=1)[:, :-1]).sum(axis=1)
    scores = truth**sharpness
    scores /= scores.sum(axis=1, keepdims=True)
    return Classified(true, scores.argmax(axis=1), scores, LABELS[:classes], 1 if classes == 2 else None)


def test_a_resample_keeps_the_number_of_rows_and_loses_no_stratum() -> None:
    """Whose share varies as that of a random sample: of 7 of 12 rows by √(7/12 · 5/12 / 12), but for 1/13."""
    strata = np.array([0] * 7 + [5] * 2 + [1] * 3)
    resamples, weights = weights_of(strata.tolist())
    assert weights.shape == (12, RESAMPLES)
    assert sorted(resamples.rows) == list(range(12))
    assert weights.sum(axis=0) == pytest.approx(12)
    assert weights.mean(axis=1) == pytest.approx(1, abs=0.15)
    for stratum, size in ((0, 7), (1, 3), (5, 2)):
        inside = weights[strata[resamples.rows] == stratum]
        assert (inside.sum(axis=0) > 0).all()
        share = size / 12
        assert inside.sum(axis=0).std() / 12 == pytest.approx((share * (1 - share) / 13) ** 0.5, rel=0.07)
        drawn = inside / inside.sum(axis=0) * size
        assert drawn == pytest.approx(drawn.round())


def test_rows_of_one_stratum_are_drawn_whole() -> None:
    _, weights = weights_of([0] * 9)
    assert (weights == weights.round()).all()
    assert (weights.sum(axis=0) == 9).all()
    assert weights.var() == pytest.approx(1 - 1 / 9, rel=0.05)


def test_the_same_rows_get_the_same_resamples() -> None:
    strata = [0, 1, 1, 0, 1]
    assert (weights_of(strata)[1] == weights_of(strata)[1]).all()


def test_a_part_keeps_small_strata_whole_and_varies_as_all_rows_would() -> None:
    """A row of 40 that stands for 10,000: mean 250 and variance 250, as of drawing 10,000 of them."""
    resamples, weights = weights_of([0] * 10_000 + [1] * 20 + [2] * 10_000, most=100)
    assert np.bincount(np.searchsorted([10_000, 10_020], resamples.rows, side="right")).tolist() == [40, 20, 40]
    assert set(resamples.stands_for) == {1, 250}
    assert weights.sum(axis=0) == pytest.approx(20_020)
    for inside, size in ((slice(0, 40), 10_000), (slice(40, 60), 20), (slice(60, 100), 10_000)):
        assert weights[inside].sum(axis=0).std() == pytest.approx((size * (1 - size / 20_020)) ** 0.5, rel=0.07)
    drawn = weights[:40] / weights[:40].sum(axis=0) * 10_000
    assert drawn.mean() == pytest.approx(250)
    assert drawn.var() == pytest.approx(250 * (1 - 1 / 40), rel=0.05)
    assert (weights >= 0).all()


def test_one_row_cannot_vary_and_classes_of_one_row_vary_by_their_shares() -> None:
    assert not Resamples(np.array([3])).vary
    resamples, weights = weights_of([2, 0, 1])
    assert resamples.vary
    assert weights.std(axis=1).min() > 0.3


def test_a_bound_lies_where_such_a_number_can_be_though_a_part_is_a_little_off() -> None:
    """The part's value may lie above that of all rows, and its best resamples then above 1."""
    resampled = np.linspace(0.97, 1.01, RESAMPLES)
    metric = Estimate(0.99, 9, resampled, effective=9.0, least=0.0, most=1.0).metric()
    assert (metric.low, metric.high) == pytest.approx((0.971, 1))
    metric = Estimate(0.01, 9, resampled - 0.98, effective=9.0, least=0.0, most=1.0).metric()
    assert (metric.low, metric.high) == pytest.approx((0, 0.029))


WATCHED = ("balanced_accuracy", "f1_macro", "mcc", "log_loss", "brier", "roc_auc", "pr_auc")


def test_the_spread_measured_on_a_part_is_that_of_all_rows() -> None:
    """10 % of the rows, an uneven world: beside the bootstrap of all rows, and beside new data of the same world."""
    random = np.random.default_rng(3)
    found = world(random, 20_000, 1.5)
    keep = (found.true > 0) | (random.random(20_000) < 0.05)  # class a is rare
    found = found.part(keep)
    whole, part = estimate(found), estimate(found, most=2_000)
    again = [estimate(found.part(random.integers(0, len(found.true), len(found.true))), most=2) for _ in range(100)]
    for name in WATCHED:
        ours, full = part.metrics[name], whole.metrics[name]
        assert ours.value == full.value, name
        assert ours.deviation == pytest.approx(full.deviation, rel=0.15), name
        assert np.mean(ours.resampled) == pytest.approx(ours.value, abs=2 * (full.deviation or 0)), name
        new = np.std([one.metrics[name].value for one in again])
        assert ours.deviation == pytest.approx(new, rel=0.25), name
    for label in LABELS:
        ours, full = part.per_class["pr_auc"][label], whole.per_class["pr_auc"][label]
        assert ours.deviation == pytest.approx(full.deviation, rel=0.25), label


def test_the_spread_of_errors_measured_on_a_part_is_that_of_all_rows() -> None:
    random = np.random.default_rng(0)
    true = random.normal(size=20_000)
    predicted = true + random.standard_t(5, 20_000)
    whole, part = regression.estimate(true, predicted), regression.estimate(true, predicted, most=2_000)
    for name in ("mae", "rmse", "r2", "median_absolute_error", "residual_q05", "residual_q50"):
        assert part[name].value == whole[name].value
        assert part[name].deviation == pytest.approx(whole[name].deviation, rel=0.3), name


def coverage(
    names: tuple[str, ...], draw: Callable[[np.random.Generator, int], Classified], n: int
) -> dict[str, float]:
    """How many of 150 data sets have an interval that holds the world's value, which 400,000 samples tell."""
    random = np.random.default_rng(1)
    truth = estimate(draw(random, 400_000), most=2).metrics
    inside = dict.fromkeys(names, 0)
    for _ in range(150):
        metrics, _ = measure(draw(random, n))
        for name in names:
            metric, value = metrics[name], truth[name].value
            assert metric.low is not None and metric.high is not None
            inside[name] += metric.low <= value <= metric.high
    return {name: count / 150 for name, count in inside.items()}


def test_intervals_cover_at_their_rate() -> None:
    """Within three standard errors of 95 % of 150."""
    found = coverage((*WATCHED, "accuracy"), lambda random, n: world(random, n, 1.5), 300)
    assert {name: rate for name, rate in found.items() if not 0.895 <= rate <= 0.995} == {}


def test_intervals_know_that_the_classes_shares_vary() -> None:
    """One class, a tenth, has most of the loss: with fixed shares 62 % and 58 % of the losses' held the truth."""

    def uneven(random: np.random.Generator, n: int) -> Classified:
        true = (random.random(n) < 0.1).astype(np.int64)
        score = np.where(true == 1, random.uniform(0.1, 0.6, n), random.uniform(0.02, 0.2, n))
        return Classified(true, (score > 0.5).astype(np.int64), np.stack([1 - score, score], axis=1), LABELS[:2], 1)

    found = coverage(("log_loss", "brier", "pr_auc"), uneven, 300)
    assert {name: rate for name, rate in found.items() if not 0.895 <= rate <= 0.995} == {}


def test_intervals_of_weighted_samples_cover_at_their_rate() -> None:
    """Weights that go with the score: the surer samples count more."""

    def weighted(random: np.random.Generator, n: int) -> Classified:
        found = world(random, n)
        return replace(found, weights=random.gamma(2, size=n) * found.confidence**2)

    found = coverage((*WATCHED, "accuracy"), weighted, 300)
    assert {name: rate for name, rate in found.items() if not 0.895 <= rate <= 0.995} == {}


def test_intervals_of_errors_cover_at_their_rate() -> None:
    random = np.random.default_rng(0)
    names = ("mae", "rmse", "r2", "median_absolute_error", "residual_q05", "residual_q50")

    def draw(n: int) -> tuple[Array, Array, Array]:
        true = random.normal(size=n)
        return true, true + random.normal(size=n) * (1 + np.abs(true)) / 2, random.exponential(size=n)

    truth = regression.estimate(*draw(1_000_000), most=2)
    inside = dict.fromkeys(names, 0)
    for _ in range(150):
        found = regression.measure(*draw(300))
        for name in names:
            low, high = found[name].low, found[name].high
            assert low is not None and high is not None
            inside[name] += low <= truth[name].value <= high
    assert {name: count for name, count in inside.items() if not 0.895 <= count / 150 <= 1} == {}


def test_differences_on_the_same_rows_are_surer_than_of_two_samples_and_cover() -> None:
    random = np.random.default_rng(0)

    def pair(n: int) -> tuple[Classified, Classified]:
        ours = world(random, n)
        noisy = ours.probabilities * random.uniform(0.6, 1.4, ours.probabilities.shape)
        noisy /= noisy.sum(axis=1, keepdims=True)
        return ours, replace(ours, probabilities=noisy, predicted=noisy.argmax(axis=1))

    names = ("accuracy", "f1_macro", "log_loss", "roc_auc")
    large = [estimate(one, most=2).metrics for one in pair(400_000)]
    truth = {name: large[0][name].value - large[1][name].value for name in names}
    inside = dict.fromkeys(names, 0)
    for _ in range(100):
        ours, theirs = (estimate(one).metrics for one in pair(300))
        for name in names:
            found = difference(ours[name], theirs[name])
            assert found.low is not None and found.high is not None and found.value is not None
            inside[name] += found.low <= truth[name] <= found.high
            deviations = [one[name].deviation or 0.0 for one in (ours, theirs)]
            assert found.high - found.low < 0.8 * 2 * 1.96 * math.hypot(*deviations), name
    assert {name: count for name, count in inside.items() if not 0.88 <= count / 100 <= 1} == {}


def test_a_models_difference_from_itself_is_none_but_not_known_to_be() -> None:
    found = estimate(world(np.random.default_rng(0), 50))
    accuracy = difference(found.metrics["accuracy"], found.metrics["accuracy"])
    open_ = 1 - wilson(50, 50)[0]
    assert accuracy.value == 0
    assert (accuracy.low, accuracy.high) == pytest.approx((-open_, open_))
    loss = difference(found.metrics["log_loss"], found.metrics["log_loss"])
    assert (loss.value, loss.low, loss.high) == (0, 0, 0)


def test_a_difference_from_what_was_not_measured_says_whose() -> None:
    there, not_there = Estimate(0.5, 9, np.ones(3)), Estimate(np.nan, 9, np.ones(3), reason="never predicted")
    assert difference(there, not_there).reason == "champion: never predicted"
    assert difference(not_there, there).reason == "never predicted"
    constant = Estimate(0.5, 9, np.empty(0))
    assert difference(constant, constant).low is None


def test_effective_sizes_are_those_of_the_surveys() -> None:
    """Kish by hand: (1+1+2)²/(1+1+4) = 16/6; equal weights: n itself, whatever the hits."""
    groups = np.zeros(3, dtype=np.int64)
    rates, sizes = effective_sizes(np.array([1.0, 1, 1]), np.array([1.0, 1, 2]), groups, 2)
    assert (rates[0], sizes[0]) == (1, pytest.approx(16 / 6))
    assert np.isnan(rates[1]) and sizes[1] == 0
    _, equal = effective_sizes(np.array([1.0, 0, 1]), np.full(3, 5.0), groups, 1)
    assert equal[0] == pytest.approx(3)
    # a heavy miss: p = 1/3, p(1 − p)/var = (2/9) / ((2·(2/3)² + 16·(1/3)²)/36) = 3
    hits, weights = np.array([1.0, 1, 0]), np.array([1.0, 1, 4])
    assert effective_sizes(hits, weights, groups, 1)[1][0] == pytest.approx(min(36 / 18, (2 / 9) / (24 / 9 / 36)))


def test_rows_that_weigh_nothing_are_not_there() -> None:
    found = world(np.random.default_rng(0), 60)
    weights = np.repeat([1.0, 0.0], 30)
    weighted, alone = measure(replace(found, weights=weights)), measure(found.part(np.arange(30)))
    assert weighted == alone
