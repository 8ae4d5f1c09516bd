"""Explanation drift: other reasons than the champion's are told, noise and another training are not."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

import pytest
from scipy.stats import spearmanr

from assay.evaluation import ExplainSample
from publish_summary.drift import Explained, drift, findings_on_drift, moved, spearman, top_overlap
from publish_summary.importance import LocalValues

Attribution = Callable[[int, int, int], float]
"""Of a row, a feature and an output."""


def explained(rows: int, features: int, outputs: int, of: Attribution) -> Explained:
    values = LocalValues(
        tuple(f"f{f}" for f in range(features)),
        tuple(f"label {label}" for label in range(outputs)),
        {f"row {r}": tuple(of(r, f, o) for o in range(outputs) for f in range(features)) for r in range(rows)},
    )
    return Explained(values, [sample(f"row {r}", f"content {r}") for r in range(rows)])


def sample(id_: str, fingerprint: str | None, kind: str = "representative") -> ExplainSample:
    return ExplainSample.model_validate(
        {"id": id_, "row": 0, "sample": (kind,), "reason": "", "fingerprint": fingerprint}
    )


def noise(seed: int) -> Attribution:
    rng = random.Random(seed)
    return lambda row, feature, output: rng.gauss(0, 1)


def model(weights: list[float], seed: int = 0, error: float = 0.0) -> Attribution:
    """A linear model's Shapley values, weight times value, on the same rows for all; with an estimate's error."""
    rng = random.Random(f"errors {seed}")

    def of(row: int, feature: int, output: int) -> float:
        value = random.Random(f"{row} {feature}").gauss(0.5, 1)
        return weights[feature] * value * (1 - 2 * output) + error * rng.gauss(0, 1)

    return of


@pytest.mark.parametrize("seed", range(20))
def test_the_rank_correlation_is_scipys_with_ties_too(seed: int) -> None:
    rng = random.Random(seed)
    a, b = ([rng.choice([0.0, 1.0, 2.0, rng.random()]) for _ in range(9)] for _ in range(2))
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)


def test_statistics_by_hand() -> None:
    assert spearman([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(0.8)  # 1 − 6·2 / (4·15)
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    assert top_overlap([5, 4, 1, 0], [5, 0, 1, 4], 2) == 0.5
    assert moved([6, 3, 1], [3, 6, 1]) == pytest.approx(0.3)
    assert moved([0, 0], [1, 2]) is None


def test_rows_are_told_by_their_content_and_only_representative_ones_count() -> None:
    weights = [3.0, 2.0, 1.0, 0.5]
    ours, champions = explained(30, 4, 1, model(weights)), explained(30, 4, 1, model(weights))
    # the same contents in other places, with other ids; what one of them was not explained on does not count
    turned = LocalValues(
        champions.values.features,
        champions.values.labels,
        {f"their {id_}": row for id_, row in champions.values.by_id.items()},
    )
    theirs = [sample(f"their row {r}", f"content {r}") for r in reversed(range(10, 30))]
    theirs += [sample("their row 0", "content 0", "chosen"), sample("their row 1", None), sample("gone", "content 2")]
    found = drift(ours, Explained(turned, theirs))
    assert (found.reason, found.rows, found.features, found.top) == (None, 20, 4, 2)
    (only,) = found.outputs
    assert (only.rank_correlation.value, only.top_overlap.value, only.moved.value) == (1.0, 1.0, 0.0)


def test_a_row_that_comes_twice_is_paired_once() -> None:
    one = explained(20, 4, 1, noise(1))
    twice = Explained(
        LocalValues(one.values.features, one.values.labels, {**one.values.by_id, "again": one.values.by_id["row 3"]}),
        [*one.samples, sample("again", "content 3")],
    )
    assert (drift(twice, one).rows, drift(one, twice).rows) == (20, 20)


@pytest.mark.parametrize(
    ("rows", "features", "said"),
    [
        (9, 5, "9 representative rows were explained in both runs, 10 are needed"),
        (30, 2, "2 features are in both models, a ranking needs 3"),
    ],
)
def test_too_little_to_compare_says_so(rows: int, features: int, said: str) -> None:
    found = drift(explained(rows, features, 1, noise(1)), explained(rows, features, 1, noise(2)))
    assert (found.reason, found.outputs) == (said, ())
    assert list(findings_on_drift(found)) == []


def test_other_outputs_cannot_be_compared_but_the_only_one_may_have_another_name() -> None:
    one, two = explained(20, 4, 1, noise(1)), explained(20, 4, 2, noise(2))
    renamed = Explained(LocalValues(one.values.features, ("price",), one.values.by_id), one.samples)
    assert drift(one, renamed).outputs[0].rank_correlation.value == 1
    others = Explained(LocalValues(two.values.features, ("a", "b"), two.values.by_id), two.samples)
    assert drift(two, others).reason == "the champion's outputs have other names"


def test_a_model_that_nothing_moves_has_no_ranking() -> None:
    found = drift(explained(20, 4, 1, noise(1)), explained(20, 4, 1, lambda row, feature, output: 0.0))
    (only,) = found.outputs
    assert only.rank_correlation.value is None
    assert only.rank_correlation.reason == only.moved.reason == "all features weigh the same in one of the models"
    assert list(findings_on_drift(found)) == []


def test_features_that_only_one_has_are_named_and_left_out() -> None:
    ours, champions = explained(20, 5, 1, noise(1)), explained(20, 5, 1, noise(1))
    values = champions.values
    renamed = LocalValues(("f0", "f1", "f2", "f3", "age"), values.labels, values.by_id)
    found = drift(ours, Explained(renamed, champions.samples))
    assert (found.features, found.only_here, found.only_champions) == (4, ("f4",), ("age",))
    assert found.outputs[0].moved.value == 0


@pytest.mark.parametrize("rows", [10, 20, 100])
@pytest.mark.parametrize("features", [3, 14, 50])
def test_two_halves_of_noise_do_not_warn(rows: int, features: int) -> None:
    for seed in range(12):
        ours, champions = (explained(rows, features, 2, noise(100 * seed + which)) for which in (1, 2))
        assert list(findings_on_drift(drift(ours, champions))) == []


def test_another_training_that_shuffles_what_hardly_matters_does_not_warn() -> None:
    for seed in range(12):
        rng = random.Random(seed)
        small = [rng.uniform(0.01, 0.05) for _ in range(17)]
        ours = [3.1, 2.0, 0.9, *small]
        champions = [2.9, 2.1, 1.0, *rng.sample(small, len(small))]
        found = drift(explained(100, 20, 2, model(ours)), explained(100, 20, 2, model(champions)))
        assert (found.outputs[0].rank_correlation.value or 1) < 0.8, "else this shows nothing"
        assert list(findings_on_drift(found)) == []


def test_the_same_ranking_with_other_shares_does_not_warn() -> None:
    found = drift(
        explained(100, 5, 1, model([10, 1, 0.5, 0.2, 0.1])), explained(100, 5, 1, model([3, 2, 1.5, 1.2, 0.9]))
    )
    assert (found.outputs[0].moved.low or 0) > 0.2, "else this shows nothing"
    assert list(findings_on_drift(found)) == []


def test_a_model_that_decides_for_other_reasons_warns_and_says_how_much() -> None:
    found = drift(
        explained(100, 6, 2, model([3, 2, 1, 0.3, 0.2, 0.1], 1, 0.05)),
        explained(100, 6, 2, model([0.1, 0.2, 1, 0.3, 2, 3], 2, 0.05)),
    )
    (warning,) = findings_on_drift(found)
    assert (warning.severity, warning.title) == ("warning", "It decides for other reasons than the champion")
    ranks, gone = found.outputs[0].rank_correlation, found.outputs[0].moved
    assert warning.text == (
        f"On the 100 rows that both were explained on, {gone.value:.0%} of the importance has gone to other features: "
        f"the rankings correlate by {ranks.value:.2f} ({ranks.low:.2f} to {ranks.high:.2f}); "
        "from 0.8 on they are alike."
    )
    assert [one.label for one in found.outputs] == [None, "label 0", "label 1"]
    assert [one.higher_is_better for one in (ranks, found.outputs[0].top_overlap, gone)] == [True, True, False]
    assert found.of("label 1") == found.outputs[2]
    assert found.of("no such") is None


def test_a_feature_that_speaks_the_other_way_is_told_unless_its_output_hardly_counts() -> None:
    ours, champions = [1.0, 2.0, 1.0, 0.5], [-1.0, 2.0, 1.0, 0.5]
    found = drift(explained(200, 4, 2, model(ours)), explained(200, 4, 2, model(champions)))
    (turned,) = found.outputs[1].sign_changes
    assert turned.feature == "f0"
    assert turned.value > 0 > turned.champion
    (warning,) = findings_on_drift(found)
    assert warning.title == "A feature speaks the other way than in the champion"
    assert warning.text.startswith("f0 moves label 0 by +0.")
    assert warning.text.endswith("on the same 200 rows. So do 1 more.")

    def faint(weights: list[float]) -> Attribution:
        of = model(weights)
        return lambda row, feature, output: of(row, feature, 0) * (1 if output == 0 else 1e-4)

    steady = [2.0, 2.0, 1.0, 0.5]

    def only_the_faint_output_turns(row: int, feature: int, output: int) -> float:
        return faint(steady)(row, feature, output) * (-1 if output == 1 else 1)

    found = drift(explained(200, 4, 2, faint(steady)), explained(200, 4, 2, only_the_faint_output_turns))
    assert [one.sign_changes for one in found.outputs] == [(), (), ()]


def test_the_intervals_are_as_wide_as_the_statistics_spread() -> None:
    """Over fresh rows: the half-samples' standard error against the spread that they estimate."""
    weights = [1.0 / (1 + f) for f in range(12)]

    def once(seed: int) -> tuple[float, float]:
        rng = random.Random(seed)
        rows = [[rng.gauss(0, 1) for _ in weights] for _ in range(80)]
        other = [weight * (1.3 if f % 2 else 0.8) for f, weight in enumerate(weights)]
        found = drift(
            explained(80, 12, 1, lambda r, f, o: weights[f] * rows[r][f]),
            explained(80, 12, 1, lambda r, f, o: other[f] * rows[r][f] + 0.3 * rng.gauss(0, 1)),
        ).outputs[0]
        value, high = found.moved.value, found.moved.high
        assert value is not None
        assert high is not None
        return value, (high - value) / 1.96

    runs = [once(seed) for seed in range(60)]
    spread = statistics.stdev(value for value, _ in runs)
    told = statistics.mean(error for _, error in runs)
    assert 0.7 < told / spread < 1.6


def test_the_same_explanations_give_the_same_bytes() -> None:
    ours, champions = explained(30, 6, 2, noise(1)), explained(30, 6, 2, noise(2))
    assert drift(ours, champions).to_json() == drift(ours, champions).to_json()


def test_two_hundred_outputs_of_a_hundred_features_take_seconds() -> None:
    ours, champions = explained(100, 100, 200, noise(1)), explained(100, 100, 200, noise(2))
    began = time.process_time()
    drift(ours, champions)
    assert time.process_time() - began < 8  # measured: 1.2
