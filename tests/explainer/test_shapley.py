"""The mathematics, held against the definition, the axioms and closed forms."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

import explainer.shapley
from explainer.shapley import (
    NORMAL_95,
    Explanation,
    default_samples,
    explain_game,
    explain_rows,
    logit,
    make_plan,
    too_few,
)
from explainer.shapley.coalitions import _allocate, chain_pairs, draw_pairs, in_steps, pair_sizes, weights_of
from explainer.shapley.plan import _least_squares, _spread
from explainer.shapley.surrogate import FITTED, RIDGE, Surrogate, _kernels, _points, _Ridge, shapley_of_kernel

Game = Callable[[NDArray[np.bool_]], NDArray[np.float64]]


def table_game(values: NDArray[np.float64]) -> Game:
    """The game with these values, (2ⁿ, outputs), by the coalition's number: player i is bit i."""
    players = len(values).bit_length() - 1

    def value(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(values[masks @ (1 << np.arange(players))])

    return value


def random_game(players: int, outputs: int = 1, seed: int = 0) -> Game:
    return table_game(np.random.default_rng(seed).normal(size=(2**players, outputs)))


def by_definition(value: Game, players: int) -> NDArray[np.float64]:
    """Shapley's sum over coalitions without each player, written down as in his paper."""
    result: list[Any] = []
    for player in range(players):
        others = [other for other in range(players) if other != player]
        total: Any = 0
        for size in range(players):
            for members in combinations(others, size):
                masks = np.zeros((2, players), dtype=bool)
                masks[:, list(members)] = True
                masks[1, player] = True
                without, with_ = value(masks)
                total = total + (with_ - without) / (players * comb(players - 1, size))
        result.append(total)
    return np.array(result)


games = st.tuples(st.integers(2, 7), st.integers(1, 3), st.integers(0, 2**32 - 1))
budgets = st.integers(2, 200)
few = settings(max_examples=40, deadline=None)


def relative_error(estimate: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(estimate - truth) / np.linalg.norm(truth))


@pytest.mark.parametrize("players", range(2, 9))
def test_a_budget_that_covers_all_coalitions_gives_the_values_of_the_definition(players: int) -> None:
    game = random_game(players, outputs=2, seed=players)
    explanation = explain_game(game, players, num_samples=2**players - 2)
    assert explanation.exact
    np.testing.assert_allclose(explanation.values, by_definition(game, players), atol=1e-12)


def test_a_budget_one_pair_short_of_all_is_an_estimate_and_says_so() -> None:
    assert not make_plan(6, 2**6 - 3).exact
    assert make_plan(6, 2**6 - 2).exact


@given(games, budgets)
@few
def test_efficiency_values_add_up_whatever_the_budget(game: tuple[int, int, int], budget: int) -> None:
    players, outputs, seed = game
    value = random_game(players, outputs, seed)
    explanation = explain_game(value, players, num_samples=budget, seed=seed)
    nobody, everybody = value(np.array([[False] * players, [True] * players]))
    np.testing.assert_allclose(explanation.values.sum(axis=0), everybody - nobody, atol=1e-12)
    assert np.abs(explanation.gap).max() < 1e-12


@given(games)
@few
def test_symmetry_two_players_that_do_the_same_get_the_same(game: tuple[int, int, int]) -> None:
    players, outputs, seed = game
    random = random_game(players, outputs, seed)

    def value(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        swapped = masks.copy()
        swapped[:, [0, 1]] = masks[:, [1, 0]]
        return random(masks) + random(swapped)

    values = explain_game(value, players, num_samples=2**players).values
    np.testing.assert_allclose(values[0], values[1], atol=1e-12)


@given(games)
@few
def test_dummy_a_player_that_changes_nothing_gets_nothing(game: tuple[int, int, int]) -> None:
    players, outputs, seed = game
    random = random_game(players, outputs, seed)

    def value(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        without = masks.copy()
        without[:, 0] = False
        return random(without)

    values = explain_game(value, players, num_samples=2**players).values
    np.testing.assert_allclose(values[0], 0, atol=1e-12)


@given(games, budgets, st.floats(-5, 5))
@few
def test_linearity_holds_for_estimates_too(game: tuple[int, int, int], budget: int, factor: float) -> None:
    players, outputs, seed = game
    one, other = random_game(players, outputs, seed), random_game(players, outputs, seed + 1)
    explained = [
        explain_game(value, players, num_samples=budget, seed=3).values
        for value in (one, other, lambda masks: one(masks) + factor * other(masks))
    ]
    np.testing.assert_allclose(explained[0] + factor * explained[1], explained[2], atol=1e-9)


@pytest.mark.parametrize(("players", "budget"), [(12, 60), (20, 100), (31, 500)])
def test_games_of_pairwise_interactions_are_exact_from_a_small_sample(players: int, budget: int) -> None:
    rng = np.random.default_rng(players)
    alone, together = rng.normal(size=players), np.triu(rng.normal(size=(players, players)), 1)

    def value(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        present = masks.astype(float)
        return np.asarray(present @ alone + np.einsum("mi,ij,mj->m", present, together, present))[:, None]

    explanation = explain_game(value, players, num_samples=budget)
    assert not explanation.exact
    expected = alone + (together + together.T).sum(axis=1) / 2
    np.testing.assert_allclose(explanation.values[:, 0], expected, atol=1e-9)


def test_an_estimate_comes_close_and_closer_with_more_samples() -> None:
    players = 12
    game, truth = smooth_game(players)
    errors = [
        np.mean([relative_error(explain_game(game, players, num_samples=m, seed=s).values, truth) for s in range(8)])
        for m in (10 * players, 50 * players, 4000)
    ]
    assert errors[0] < 0.35
    assert errors[1] < errors[0] / 2
    assert errors[2] < 0.05 < errors[0]


def smooth_game(players: int, seed: int = 5) -> tuple[Game, NDArray[np.float64]]:
    """Products of sigmoids, with interactions of every order, and its values by enumeration."""
    weights = np.random.default_rng(seed).normal(size=(players, 3)) / 2
    masks = (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)
    game = table_game(np.tanh(masks @ weights).prod(axis=1, keepdims=True))
    return game, explain_game(game, players, num_samples=2**players).values


@pytest.mark.parametrize("budget", [3 * 12, 5 * 12, 10 * 12, 50 * 12])
def test_95_percent_intervals_hold_about_95_percent_of_the_exact_values(budget: int) -> None:
    covered = []
    for seed in range(5):
        game, truth = smooth_game(12, seed)
        for draw in range(20):
            interval = explain_game(game, 12, num_samples=budget, seed=draw).interval
            assert interval is not None
            covered.append((interval[0] <= truth) & (truth <= interval[1]))
    assert 0.90 <= np.mean(covered) <= 0.99


def test_where_half_of_all_coalitions_are_known_intervals_are_rather_too_wide() -> None:
    game, truth = smooth_game(12)
    found = explain_game(game, 12, num_samples=2000)
    assert found.interval is not None
    lower, upper = found.interval
    assert np.mean((lower <= truth) & (truth <= upper)) >= 0.9
    assert np.linalg.norm(upper - lower) < 12 * np.linalg.norm(found.values - truth)


@pytest.mark.parametrize("budget", [3 * 12, 10 * 12, 25 * 12])
def test_with_a_surrogate_intervals_hold_as_much(budget: int) -> None:
    covered = []
    for seed in range(5):
        game, truth = smooth_game(12, seed)
        for draw in range(12):
            interval = explain_game(game, 12, num_samples=budget, seed=draw, surrogate=True).interval
            assert interval is not None
            covered.append((interval[0] <= truth) & (truth <= interval[1]))
    assert 0.90 <= np.mean(covered) <= 0.99


def lopsided_game(players: int, seed: int) -> tuple[Game, NDArray[np.float64]]:
    """A threshold on a few players, and others that only add: where learning who interacts pays."""
    rng = np.random.default_rng(seed)
    few, all_of_them = rng.normal(size=4) * 3, rng.normal(size=(players, 1)) / 10
    masks = (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)
    game = table_game(1 / (1 + np.exp(few.sum() / 2 - masks[:, :4] @ few))[:, None] + masks @ all_of_them)
    return game, explain_game(game, players, num_samples=2**players).values


def test_a_surrogate_that_learns_makes_estimates_closer() -> None:
    def error(surrogate: bool) -> float:
        games = [lopsided_game(12, seed) for seed in range(4)]
        return float(
            np.mean(
                [
                    relative_error(explain_game(game, 12, num_samples=240, surrogate=surrogate).values, truth)
                    for game, truth in games
                ]
            )
        )

    assert error(surrogate=True) < 0.6 * error(surrogate=False)


@given(games, budgets)
@few
def test_efficiency_holds_with_a_surrogate_too(game: tuple[int, int, int], budget: int) -> None:
    players, outputs, seed = game
    explanation = explain_game(
        random_game(players, outputs, seed), players, num_samples=budget, seed=seed, surrogate=True
    )
    assert np.isfinite(explanation.values).all()
    assert np.abs(explanation.gap).max() < 1e-12


@pytest.mark.parametrize("nodes", [12, 100])
def test_the_shapley_values_of_a_kernel_are_those_of_the_definition(nodes: int) -> None:
    rng = np.random.default_rng(8)
    points = _points(draw_pairs(7, 20, rng))
    strength = rng.uniform(0.1, 0.8, 7)

    def value(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray((1 + strength * points * np.where(masks, 1, -1)[:, None]).prod(axis=2))

    np.testing.assert_allclose(shapley_of_kernel(points, strength, nodes), by_definition(value, 7), atol=1e-9)
    same, opposite = _kernels(points, points, strength)
    np.testing.assert_allclose(same, value(points > 0), atol=1e-9)
    np.testing.assert_allclose(opposite, value(points < 0), atol=1e-9)


def test_few_nodes_of_quadrature_are_exact_for_the_strengths_that_are_shared() -> None:
    points = _points(draw_pairs(80, 50, np.random.default_rng(0)))
    strength = np.full(80, 1.5 / 80)
    np.testing.assert_allclose(
        shapley_of_kernel(points, strength, 12), shapley_of_kernel(points, strength, 80), rtol=1e-11
    )


def fit_without(ridge: _Ridge, known: NDArray[np.float64], left_out: int) -> float:
    """What the ridge regression says of a point that it has not seen: solved anew, the linear part unpenalised."""
    same, opposite = ridge.kernels
    kernel, n = (same - opposite) / 2, ridge.points.shape[1]
    basis = np.linalg.qr(ridge.points, mode="complete")[0][:, n:]
    penalty = RIDGE * np.trace(basis.T @ kernel @ basis) / basis.shape[1]
    others = np.delete(np.arange(len(kernel)), left_out)
    points = ridge.points[others]
    system = np.block(
        [[kernel[np.ix_(others, others)] + penalty * np.eye(len(others)), points], [points.T, np.zeros((n, n))]]
    )
    solution = np.linalg.solve(system, np.append(known[others], np.zeros(n)))
    return float(np.append(kernel[left_out, others], ridge.points[left_out]) @ solution)


def test_the_surprise_at_a_pair_is_what_a_fit_without_it_misses() -> None:
    game, _ = smooth_game(8)
    plan = make_plan(8, 80)
    assert plan.errors is not None
    odd, total = plan.odd(game(plan.coalitions)), np.array([0.3])
    known = np.append(odd, total[None] / 2, axis=0)[:, 0]
    shared = _Ridge(_points(plan.masks), np.full(8, 1.5 / 8))
    found = plan.errors.surprise.values(odd, total)[:, 0]
    for pair in (0, 5, 39):
        assert found[pair] == pytest.approx(known[pair] - fit_without(shared, known, pair), abs=1e-9)
    learned = Surrogate(plan.masks).learned(odd, total)
    assert learned is not None and abs(learned.surprise[:, 0] - found).max() > 1e-6


def test_the_surrogate_s_values_and_the_regression_s_of_the_rest_are_one_product() -> None:
    game, _ = smooth_game(12)
    plan = make_plan(12, 300)
    assert plan.errors is not None
    odd, total = plan.odd(game(plan.coalitions)), np.array([0.3])
    ridge = _Ridge(_points(plan.masks), np.full(12, 1.5 / 12))
    weights = ridge.inverse @ np.append(odd, total[None] / 2, axis=0)
    np.testing.assert_allclose(weights.T @ ridge.points, 0, atol=1e-9)  # nothing that is linear
    same, opposite = ridge.kernels
    predicted = (same - opposite) @ weights / 2
    rest = plan.errors.regression.values(odd - predicted[:-1], total - 2 * predicted[-1])
    expected = shapley_of_kernel(ridge.points, ridge.strength, 12) @ weights + rest
    values, _ = plan.attribute(odd, total)
    np.testing.assert_allclose(values, expected, atol=1e-12)


def test_a_part_of_the_pairs_has_of_each_size_its_share_in_whatever_order_they_are() -> None:
    masks = draw_pairs(16, 2000, np.random.default_rng(0))
    some = Surrogate(masks)._evenly(200)
    counts = [np.bincount(pair_sizes(each), minlength=9)[1:] for each in (masks, masks[some])]
    assert len(some) == 200 and np.abs(counts[0] / 10 - counts[1]).max() <= 1
    ordered, _ = in_steps(masks, 64)
    assert (ordered[Surrogate(ordered)._evenly(200)] == masks[some]).all()


def test_what_the_surrogate_foresees_makes_estimates_closer_than_the_regression_alone() -> None:
    errors = []
    for budget in (5 * 12, 20 * 12, 2 * FITTED + 600):  # of the last the surrogate sees every second pair
        for seed in range(6):
            game, truth = smooth_game(12, seed)
            plan = make_plan(12, budget, seed)
            everybody = np.ones((1, 12), dtype=bool)
            odd, total = plan.odd(game(plan.coalitions)), (game(everybody) - game(~everybody))[0]
            assert plan.errors is not None
            regression = relative_error(plan.errors.regression.values(odd, total), truth)
            errors.append((relative_error(plan.attribute(odd, total)[0], truth), regression))
    ratios = np.exp(np.diff(np.log(np.array(errors).reshape(3, 6, 2)).mean(axis=1), axis=1))
    assert (1 / ratios[:, 0] < [0.95, 0.8, 0.5]).all(), 1 / ratios


def test_strengths_learned_from_a_part_of_the_pairs_serve_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    game, truth = lopsided_game(12, 0)

    def error(surrogate: bool = True) -> float:
        return relative_error(explain_game(game, 12, num_samples=600, surrogate=surrogate).values, truth)

    whole = error()
    monkeypatch.setattr("explainer.shapley.surrogate.LEARNING", 100)
    part = error()
    assert part != whole
    assert max(part, whole) < error(surrogate=False)


@pytest.mark.parametrize("surrogate", [False, True])
def test_every_output_of_a_model_is_in_its_own_units(surrogate: bool) -> None:
    game, _ = smooth_game(12)

    def value(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.concatenate([game(masks), 1e6 * game(masks)], axis=1)

    found = explain_game(value, 12, num_samples=100, surrogate=surrogate)
    assert found.standard_errors is not None
    for each in (found.values, found.standard_errors):
        np.testing.assert_allclose(each[:, 1], 1e6 * each[:, 0], rtol=1e-6)


def test_a_game_that_is_linear_needs_no_surrogate() -> None:
    weights = np.arange(12.0)[:, None]
    explanation = explain_game(lambda masks: masks @ weights, 12, num_samples=100, surrogate=True)
    np.testing.assert_allclose(explanation.values, weights, atol=1e-12)


def test_errors_are_smaller_the_more_is_known_and_wider_the_fewer_pairs_there_are_to_judge_by() -> None:
    masks = draw_pairs(12, 100, np.random.default_rng(0))
    regression = _least_squares(masks, weights_of(masks))
    sizes = pair_sizes(masks)
    factor = (_spread(masks, regression, 100) / regression.operator**2)[0]
    drawn, of_size_3 = np.count_nonzero(sizes == 3), comb(12, 3)
    student = (stats.t.ppf(0.975, 100 + 1 - 12) / NORMAL_95) ** 2
    part = student * (1 - 100 / (2**11 - 1))
    np.testing.assert_allclose(factor[sizes == 1], part / 2, rtol=1e-4)  # all twelve
    np.testing.assert_allclose(factor[sizes == 3], part * (1 - drawn / of_size_3 / 2), rtol=1e-4)
    few = _spread(masks, regression, 12 + 4)[0, 0] / _spread(masks, regression, 100)[0, 0]
    assert np.sqrt(few * student) == pytest.approx(stats.t.ppf(0.975, 5) / NORMAL_95, rel=0.03)


def test_standard_errors_are_the_spread_of_the_values_over_seeds() -> None:
    game, _ = smooth_game(12)
    explained = [explain_game(game, 12, num_samples=300, seed=seed) for seed in range(100)]
    spread = np.std([explanation.values for explanation in explained], axis=0)
    given = np.sqrt(np.mean([np.square(explanation.standard_errors) for explanation in explained], axis=0))  # type: ignore[arg-type]
    assert 0.85 < np.linalg.norm(given) / np.linalg.norm(spread) < 1.3
    assert np.corrcoef(given[:, 0], spread[:, 0])[0, 1] > 0.3


def test_exact_values_have_no_error_and_too_small_a_budget_tells_none() -> None:
    game = random_game(8)
    exact = explain_game(game, 8)
    assert exact.standard_errors is not None and not exact.standard_errors.any()
    assert explain_game(game, 8, num_samples=3 * 8).standard_errors is not None
    few_coalitions = explain_game(game, 8, num_samples=3 * 8 - 1)
    assert few_coalitions.standard_errors is None and few_coalitions.interval is None


def test_a_feature_that_equals_the_baseline_has_no_error() -> None:
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(1, 16))
    rows[0, 3] = 0
    (explanation,) = explain_rows(lambda x: np.tanh(x.sum(axis=1, keepdims=True)), rows, np.zeros((1, 16)))
    assert explanation.standard_errors is not None
    assert np.flatnonzero(explanation.standard_errors == 0).tolist() == [3]


def test_one_whole_chain_is_what_each_player_adds_on_arriving_in_an_order_and_its_reverse() -> None:
    players = 9
    masks = chain_pairs(players, players - 1, np.random.default_rng(0))
    assert not make_plan(players, 2 * (players - 1), seed=0).exact
    np.testing.assert_array_equal(make_plan(players, 2 * (players - 1), seed=0).masks, masks)
    order = np.random.default_rng(0).permutation(players)
    game = random_game(players)
    expected = np.zeros((players, 1))
    for arrivals in (order, order[::-1]):
        present = np.zeros((players + 1, players), dtype=bool)
        for position, player in enumerate(arrivals):
            present[position + 1 :, player] = True
        expected[arrivals] += np.diff(game(present), axis=0) / 2
    np.testing.assert_allclose(explain_game(game, players, num_samples=16, seed=0).values, expected, atol=1e-12)


def test_on_a_small_budget_chains_beat_drawn_coalitions() -> None:
    game, truth = smooth_game(12)
    everybody = np.ones((1, 12), dtype=bool)
    total = (game(everybody) - game(~everybody))[0]
    errors = []
    for seed in range(30):
        masks = draw_pairs(12, 12, np.random.default_rng(seed))
        weights = weights_of(masks)
        drawn = _least_squares(masks, weights).values((game(masks) - game(~masks)) / 2, total)
        chained = explain_game(game, 12, num_samples=24, seed=seed).values
        errors.append((relative_error(chained, truth), relative_error(drawn, truth)))
    chains, draws = np.mean(errors, axis=0)
    assert chains < 0.85 * draws


def test_what_a_small_budget_takes_together_in_one_row_it_tells_apart_in_another() -> None:
    rng = np.random.default_rng(0)
    rows, baseline, slopes = rng.normal(size=(300, 14)), np.zeros((1, 14)), np.linspace(0.2, 3, 14)
    found = list(explain_rows(lambda inputs: inputs @ slopes[:, None], rows, baseline, num_samples=15))
    importance = np.abs([one.values[:, 0] for one in found]).mean(axis=0)
    assert len(np.unique(importance.round(9))) == 14
    assert stats.spearmanr(importance, slopes).statistic > 0.9
    assert [one.coalitions for one in found] == [14] * 300


@pytest.mark.parametrize(
    ("players", "budget", "lacking"),
    [
        (14, 15, "too few to tell features apart in each row (26 do), or how sure values are (42 do)"),
        (14, 26, "too few to tell how sure values are (42 do)"),
        (14, 42, None),
        (3, 6, None),
        (1, 0, None),
    ],
)
def test_what_a_budget_is_too_small_for_is_told(players: int, budget: int, lacking: str | None) -> None:
    assert too_few(players, budget) == lacking
    enough = explain_game(random_game(players), players, num_samples=budget).standard_errors is not None
    assert enough == (lacking is None)


def test_a_row_s_values_on_a_small_budget_are_its_own_wherever_it_stands() -> None:
    rows, baseline, slopes = np.random.default_rng(1).normal(size=(30, 14)), np.zeros((1, 14)), np.arange(14.0)
    first, again = (
        [one.values for one in explain_rows(lambda inputs: inputs @ slopes[:, None], order, baseline, num_samples=15)]
        for order in (rows, rows[::-1])
    )
    np.testing.assert_allclose(first, again[::-1], atol=1e-12)


@pytest.mark.parametrize("budget", [1, 2, 5, 18])
def test_too_small_a_budget_still_adds_up_and_stays_finite(budget: int) -> None:
    explanation = explain_game(random_game(10), 10, num_samples=budget)
    assert np.isfinite(explanation.values).all()
    assert np.abs(explanation.gap).max() < 1e-12
    assert explanation.coalitions <= max(budget, 2)


@given(st.integers(3, 40), st.booleans(), st.data())
@few
def test_coalitions_are_proper_different_and_never_each_others_complement(
    players: int, chains: bool, data: Any
) -> None:
    pairs = data.draw(st.integers(1, min(300, 2 ** (players - 1) - 2)))
    rng = np.random.default_rng(data.draw(st.integers(0, 100)))
    masks = chain_pairs(players, min(pairs, 2 * players), rng) if chains else draw_pairs(players, pairs, rng)
    assert masks.shape == (min(pairs, 2 * players) if chains else pairs, players)
    assert masks.any(axis=1).all()
    assert not masks.all(axis=1).any()
    assert (2 * masks.sum(axis=1) <= players).all()
    assert len({row.tobytes() for row in np.concatenate([masks, ~masks])}) == 2 * len(masks)


def test_sizes_are_drawn_equally_often_and_small_ones_whole() -> None:
    counts = _allocate(20, 300)
    assert sum(counts) == 300
    assert counts[0] == comb(20, 1)
    assert max(counts[1:9]) - min(counts[1:9]) <= 1
    assert abs(counts[9] - counts[8] / 2) <= 1  # the middle size is its own complement: half as many pairs


def test_within_a_size_each_player_is_drawn_equally_often() -> None:
    masks = draw_pairs(24, 600, np.random.default_rng(0))
    for size in (4, 5, 7, 10):
        often = masks[masks.sum(axis=1) == size].sum(axis=0)
        assert often.max() - often.min() <= 2


def test_a_linear_model_gets_its_closed_form() -> None:
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(30, 4))
    rows, baseline = rng.normal(size=(5, 30)), rng.normal(size=(7, 30))
    explained = explain_rows(lambda x: x @ weights, rows, baseline, num_samples=200)
    for row, explanation in zip(rows, explained, strict=True):
        expected = (row - baseline.mean(axis=0))[:, None] * weights
        np.testing.assert_allclose(explanation.values, expected, atol=1e-10)
        np.testing.assert_allclose(explanation.base, (baseline @ weights).mean(axis=0))
        np.testing.assert_allclose(explanation.prediction, row @ weights)


@pytest.mark.parametrize("batch", [1, 7, 100, 8192])
def test_rows_with_several_baseline_rows_and_outputs_agree_with_the_definition(batch: int) -> None:
    rng = np.random.default_rng(2)
    weights = rng.normal(size=(6, 3))
    rows, baseline = rng.normal(size=(4, 6)), rng.normal(size=(5, 6))

    def predict(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.tanh(x @ weights) + (x[:, :1] * x[:, 1:2]) ** 2

    for row, explanation in zip(rows, explain_rows(predict, rows, baseline, batch=batch), strict=True):

        def value(masks: NDArray[np.bool_], row: NDArray[np.float64] = row) -> NDArray[np.float64]:
            return np.array([predict(np.where(mask, row, baseline)).mean(axis=0) for mask in masks])

        np.testing.assert_allclose(explanation.values, by_definition(value, 6), atol=1e-12)
        assert np.abs(explanation.gap).max() < 1e-12


def test_features_that_equal_the_baseline_get_zero_and_leave_the_budget_to_the_others() -> None:
    rng = np.random.default_rng(3)
    baseline = rng.normal(size=(1, 40))
    row = baseline[0].copy()
    row[[3, 17, 29]] += 1.0

    def predict(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.prod(1 + x**2, axis=1, keepdims=True) ** 0.1)

    (explanation,) = explain_rows(predict, row[None], baseline, num_samples=6)
    assert explanation.exact
    assert np.flatnonzero(explanation.values[:, 0]).tolist() == [3, 17, 29]
    assert np.abs(explanation.gap).max() < 1e-12


def test_rows_that_differ_from_the_baseline_in_other_features_are_each_asked_about_in_theirs() -> None:
    baseline = np.zeros((1, 5))
    rows = np.array([[1.0, 2.0, 3.0, 0.0, 0.0], [0.0, 0.0, 4.0, 5.0, 6.0], [7.0, 8.0, 9.0, 0.0, 0.0]])
    for row, found in zip(rows, explain_rows(lambda x: x @ np.ones((5, 1)), rows, baseline), strict=True):
        np.testing.assert_allclose(found.values[:, 0], row, atol=1e-12)


def test_a_row_that_is_the_baseline_has_nothing_to_explain() -> None:
    baseline = np.ones((1, 4))
    (explanation,) = explain_rows(lambda x: x @ np.ones((4, 2)), baseline, baseline)
    assert not explanation.values.any()
    assert explanation.exact


def test_with_a_link_values_add_up_in_its_units() -> None:
    rng = np.random.default_rng(4)
    weights = rng.normal(size=(5, 1))
    rows, baseline = rng.normal(size=(3, 5)), rng.normal(size=(1, 5))

    def predict(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(1 / (1 + np.exp(-x @ weights)))

    # The log-odds of a logistic model are linear, so the closed form is known.
    for row, explanation in zip(rows, explain_rows(predict, rows, baseline, link=logit), strict=True):
        np.testing.assert_allclose(explanation.values, (row - baseline[0])[:, None] * weights, atol=1e-9)


def test_log_odds_of_what_is_no_probability_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"need scores between 0 and 1, found 1\.5"):
        logit(np.array([0.5, 1.5]))
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


def test_synthetic_rows_that_are_the_same_are_asked_about_once() -> None:
    rng = np.random.default_rng(3)
    rows, baseline = rng.integers(0, 2, (20, 7)).astype(float), rng.integers(0, 2, (5, 7)).astype(float)
    rows[:, 0], baseline[:2, 0] = np.nan, np.nan  # a missing value equals another
    weights = rng.normal(size=(7, 2))

    def predict(x: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.tanh(np.nan_to_num(x, nan=-1.0) @ weights))

    explained = list(explain_rows(predict, rows, baseline))
    for row, explanation in zip(rows, explained, strict=True):

        def value(masks: NDArray[np.bool_], row: Any = row) -> NDArray[np.float64]:
            asked = np.where(masks[:, None], row, baseline)
            return np.asarray(predict(asked.reshape(-1, 7)).reshape(len(masks), 5, 2).mean(axis=1))

        np.testing.assert_allclose(explanation.values, explain_game(value, 7).values, atol=1e-12)
    assert sum(explanation.calls for explanation in explained) < 20 * 5 * 2**6


def test_a_feature_that_is_missing_in_row_and_baseline_is_no_player() -> None:
    row = np.array([[np.nan, 1.0, 2.0]])
    (found,) = explain_rows(lambda x: np.nan_to_num(x, nan=9.0), row, np.array([[np.nan, 0.0, 0.0]]))
    assert (found.coalitions, found.values[0].tolist()) == (2, [0.0, 0.0, 0.0])
    whole = np.zeros((1, 3))
    (found,) = explain_rows(lambda x: np.nan_to_num(x, nan=9.0), row, whole, features=[1, 2])
    assert (found.coalitions, found.values[0].tolist()) == (2, [0.0, 0.0, 0.0])
    (found,) = explain_rows(lambda x: np.nan_to_num(x, nan=9.0), row, whole)
    assert (found.coalitions, found.values[0].tolist()) == (6, [9.0, 0.0, 0.0])


def test_features_that_are_not_explained_keep_the_rows_values() -> None:
    rows, baseline = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])

    def predict(x: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(x[:, :1] * x[:, 1:2] + 10 * x[:, 2:])

    for row, found in zip(rows, explain_rows(predict, rows, baseline, features=[0, 2]), strict=True):
        # the product with what stays: x2 (x1 - mean of the baseline), and 10 (x3 - mean)
        expected = [row[1] * (row[0] - 0.5), 0.0, 10 * (row[2] - 0.5)]
        np.testing.assert_allclose(found.values[:, 0], expected)
        assert found.base == pytest.approx([row[1] * 0.5 + 5])
        assert np.abs(found.gap).max() < 1e-12


@pytest.mark.parametrize("players", [9, 14, 20])
def test_a_tolerance_stops_where_intervals_are_small_enough(players: int) -> None:
    rng = np.random.default_rng(players)
    rows, weights = rng.normal(size=(6, players)), rng.normal(size=(players, 4)) / np.sqrt(players)

    def predict(x: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.tanh(x @ weights).sum(axis=1, keepdims=True) + 0.05 * x[:, :1] * x[:, 1:2] * x[:, 2:3])

    def explain(tolerance: float | None) -> list[Explanation]:
        return list(explain_rows(predict, rows, np.zeros((1, players)), tolerance=tolerance))

    whole, rough, fine, never = explain(None), explain(0.5), explain(0.02), explain(0.0)
    asked = [sum(one.coalitions for one in found) for found in (rough, fine, whole)]
    assert asked[0] < asked[1] < asked[2]
    for one in fine:
        assert one.standard_errors is not None
        stopped = one.coalitions < whole[0].coalitions
        assert not stopped or 1.959964 * one.standard_errors.max() <= 0.02
    for full, same in zip(whole, never, strict=True):
        np.testing.assert_allclose(same.values, full.values, atol=1e-12)
        assert same.coalitions == full.coalitions


def test_each_step_of_a_tolerance_is_a_sample_by_itself() -> None:
    masks = draw_pairs(16, 900, np.random.default_rng(0))
    ordered, ends = in_steps(masks, 64)
    assert ends == [64, 128, 256, 900]
    assert {mask.tobytes() for mask in ordered} == {mask.tobytes() for mask in masks}
    for end in ends:
        counts = np.bincount(pair_sizes(ordered[:end]), minlength=9)[1:]
        assert counts.tolist() == _allocate(16, end)


@pytest.mark.parametrize("kind", ["f8", "f4", "i8", "u1", "?", "O", "U3"])
def test_synthetic_rows_are_the_row_where_present_and_the_baseline_elsewhere(kind: str) -> None:
    values = np.array([[0, 1, 7, 1], [1, 0, 0, 0], [0, 0, 1, 1]]).astype(kind)
    if kind.startswith("f"):
        values[0, 0], values[1, 1], values[2, 2] = np.nan, np.inf, -0.0
    row, baseline = values[0], values[1:]
    seen: list[NDArray[Any]] = []

    def predict(x: NDArray[Any]) -> NDArray[np.float64]:
        seen.append(x)
        return np.zeros((len(x), 1))

    list(explain_rows(predict, row[None], baseline))
    masks = make_plan(4, default_samples(4)).coalitions
    expected = [row, *(np.where(mask, row, other) for mask in masks for other in baseline)]
    assert {repr(one.tolist()) for one in seen[1]} == {repr(one.tolist()) for one in expected}
    assert seen[1].dtype == values.dtype


def test_calls_of_the_model_are_few_and_bounded() -> None:
    calls: list[int] = []

    def predict(x: NDArray[np.float64]) -> NDArray[np.float64]:
        calls.append(len(x))
        return x[:, :1]

    rng = np.random.default_rng(0)
    rows, baseline = rng.normal(size=(50, 8)), rng.normal(size=(3, 8))
    list(explain_rows(predict, rows, baseline, batch=1000))
    assert sum(calls) == 3 + 50 * (1 + 3 * 254)
    assert max(calls) < 2000
    assert len(calls) <= 1 + sum(calls) // 1000


def test_one_seed_gives_one_result_and_another_seed_another() -> None:
    def values(seed: int) -> bytes:
        return explain_game(random_game(12, seed=9), 12, num_samples=200, seed=seed).values.tobytes()

    assert values(7) == values(7)
    assert values(7) != values(8)


@pytest.mark.parametrize(
    ("features", "samples"), [(1, 0), (2, 2), (8, 254), (11, 2046), (12, 2072), (13, 2074), (100, 2248)]
)
def test_the_default_budget_is_clarifys(features: int, samples: int) -> None:
    assert default_samples(features) == samples


def test_scores_that_are_not_numbers_cannot_be_explained() -> None:
    with pytest.raises(ValueError, match="hold nan, which cannot be explained"):
        list(explain_rows(lambda x: np.full((len(x), 1), np.nan), np.ones((1, 2)), np.zeros((1, 2))))


def test_scores_of_another_count_than_the_inputs_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 1\), expected \(2, outputs\)"):
        list(explain_rows(lambda x: x[:1, :1], np.ones((1, 2)), np.zeros((2, 2))))


def test_a_baseline_of_other_features_is_an_error() -> None:
    with pytest.raises(ValueError, match="equal features"):
        list(explain_rows(lambda x: x, np.ones((1, 2)), np.zeros((1, 3))))


def test_a_game_is_asked_about_only_until_its_intervals_are_small_enough() -> None:
    def value(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        asked.append(masks)
        return np.sin(masks @ np.arange(1.0, 15.0))[:, None]

    asked: list[NDArray[np.bool_]] = []
    whole = explain_game(value, 14, num_samples=8000, seed=3)
    assert len(asked) == 1
    asked.clear()
    loose = explain_game(value, 14, num_samples=8000, seed=3, tolerance=0.25)
    assert len(asked) > 1 and loose.coalitions < whole.coalitions == 8000
    assert sum(map(len, asked)) == loose.calls == loose.coalitions + 2
    seen = {mask.tobytes() for masks in asked for mask in masks}
    assert len(seen) == loose.calls  # nothing is asked twice
    assert loose.interval is not None and NORMAL_95 * loose.standard_errors.max() <= 0.25  # type: ignore[union-attr]
    np.testing.assert_allclose(loose.gap, 0, atol=1e-12)
    assert explain_game(value, 14, num_samples=8000, seed=3, tolerance=1e-9).coalitions == 8000


def test_the_example_in_the_documentation_is_true() -> None:
    assert doctest.testmod(explainer.shapley) == (0, 5)
