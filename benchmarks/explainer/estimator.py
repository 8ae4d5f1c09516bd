"""How close and how fast the estimator is, beside shap, shapiq and Leverage SHAP: part of `make benchmark`.

Accuracy: L2 error of all methods on the same games with the same number of model calls, relative to
`shap.KernelExplainer(l1_reg=False)`. Coverage: how many exact values the 95 % intervals hold. Time: relative to the
model's own on as many synthetic rows in calls of 8,192, methods in turns, medians; one thread, so that its processor
time, which other work on the machine hardly changes, is what a quiet machine takes. One BLAS thread.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is imported
sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "containers"), str(Path(__file__).resolve().parent)]

import numpy as np  # noqa: E402
import shap  # noqa: E402
from games import Array, Game, all_games  # noqa: E402
from goals import note  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from shapiq.approximator import KernelSHAP  # noqa: E402

from explainer.shapley import Explanation, explain_game, explain_rows  # noqa: E402

REFERENCE = "shap KernelExplainer, l1_reg=False"


def ours(game: Game, calls: int, seed: int, *, surrogate: bool) -> Explanation:
    return explain_game(
        lambda masks: game.value(masks)[:, None], game.players, num_samples=calls, seed=seed, surrogate=surrogate
    )


def by_shap(game: Game, calls: int, seed: int, **options: Any) -> Array:
    np.random.seed(seed)  # noqa: NPY002  what shap draws from
    explainer = shap.KernelExplainer(lambda x: game.value(x > 0.5), np.zeros((1, game.players)))
    values = explainer.shap_values(np.ones((1, game.players)), nsamples=calls, silent=True, **options)
    return np.asarray(values[0])


def by_shapiq(game: Game, calls: int, seed: int, *, leverage: bool) -> Array:
    weights = np.ones(game.players + 1) if leverage else None
    approximator = KernelSHAP(game.players, pairing_trick=True, sampling_weights=weights, random_state=seed)
    found = approximator.approximate(calls + 2, game.value)  # it counts nobody and everybody
    return np.array([found[(player,)] for player in range(game.players)])


def by_permutations(game: Game, calls: int, seed: int) -> Array:
    explainer = shap.PermutationExplainer(
        lambda x: game.value(x > 0.5), shap.maskers.Independent(np.zeros((1, game.players))), seed=seed
    )
    whole = 2 * game.players + 1  # an order and its reverse
    found = explainer(np.ones((1, game.players)), max_evals=max(calls, whole), silent=True)
    return np.asarray(found.values[0])


def by_leverage(game: Game, calls: int, seed: int) -> Array:
    """Leverage SHAP as Musco and Witter 2025 publish it: Algorithm 1, pairs without replacement, Bernoulli sampling.

    A coalition of size s is drawn with the probability min(1, c / C(n, s)), c such that as many are expected as are to
    be asked about, and weighs 1 / (C(n, s) s (n - s)) over that probability.
    """
    n, rng = game.players, np.random.default_rng(seed)
    sizes = range(1, n // 2 + 1)
    count = {size: math.comb(n, size) // (2 if 2 * size == n else 1) for size in sizes}  # pairs

    def expected(c: float) -> float:
        return sum(count[size] * min(1.0, c / math.comb(n, size)) for size in sizes)

    low, high = 0.0, float(math.comb(n, n // 2))
    for _ in range(100):
        low, high = ((low + high) / 2, high) if 2 * expected((low + high) / 2) < calls else (low, (low + high) / 2)
    masks, weights = [], []
    for size in sizes:
        chance = min(1.0, high / math.comb(n, size))
        wanted = int(rng.binomial(count[size], chance))
        seen: set[bytes] = set()
        while len(seen) < wanted:
            mask = np.zeros(n, dtype=bool)
            mask[rng.permutation(n)[:size]] = True
            if 2 * size == n and not mask[0]:
                mask = ~mask
            if mask.tobytes() not in seen:
                seen.add(mask.tobytes())
                masks += [mask, ~mask]
                weights += [1 / (math.comb(n, size) * size * (n - size) * chance)] * 2
    asked = np.array(masks).reshape(-1, n)
    base, whole = game.value(np.array([[False] * n, [True] * n]))
    root = np.sqrt(np.array(weights))[:, None]
    centred = np.eye(n) - 1 / n
    target = game.value(asked) - base - asked.sum(axis=1) * (whole - base) / n
    solution = np.linalg.lstsq(root * asked @ centred, root[:, 0] * target, rcond=None)[0]
    return np.asarray(centred @ solution + (whole - base) / n)


METHODS: dict[str, Callable[[Game, int, int], Array]] = {
    REFERENCE: lambda game, calls, seed: by_shap(game, calls, seed, l1_reg=False),
    "shap KernelExplainer, default": by_shap,
    "shap PermutationExplainer": by_permutations,
    "shapiq KernelSHAP, paired": lambda game, calls, seed: by_shapiq(game, calls, seed, leverage=False),
    "shapiq KernelSHAP, paired, leverage sizes": lambda game, calls, seed: by_shapiq(game, calls, seed, leverage=True),
    "Leverage SHAP, by its published formula": by_leverage,
    "Assay": lambda game, calls, seed: ours(game, calls, seed, surrogate=False).values[:, 0],
    "Assay, surrogate learned": lambda game, calls, seed: ours(game, calls, seed, surrogate=True).values[:, 0],
}


def accuracy(games: list[Game], seeds: int, goals: Path | None) -> None:
    for factor, goal in ((10, 0.55), (50, 0.35)):
        errors = {
            name: np.array(
                [
                    np.mean(
                        [
                            np.linalg.norm(method(game, factor * game.players, seed) - game.exact)
                            for seed in range(seeds)
                        ]
                    )
                    for game in games
                ]
            )
            for name, method in METHODS.items()
        }
        print(f"\nL2 error / {REFERENCE}, {factor}n calls, {seeds} seeds")
        print(f"{'':44}{'all':>6}  " + " ".join(f"{number:>5}" for number in range(1, len(games) + 1)))
        means: dict[str, float] = {}
        for name, found in errors.items():
            ratios = found / errors[REFERENCE]
            means[name] = float(np.exp(np.log(ratios).mean()))
            print(f"{name:44}{means[name]:6.2f}  " + " ".join(f"{ratio:5.2f}" for ratio in ratios))
        peers = ", ".join(f"{name} {mean:.2f}" for name, mean in means.items() if not name.startswith("Assay"))
        for name in ("Assay", "Assay, surrogate learned"):
            title = f"L2 error / shap(l1_reg=False), {factor}n calls"
            note(goals, title + name.removeprefix("Assay"), means[name], peers, most=goal)


def exactness(games: list[Game], goals: Path | None) -> None:
    """Full enumeration, and a game of pairs of players at a small budget: the largest errors, in units of the game."""
    few = next(game for game in games if game.players <= 15)
    whole = ours(few, 2**few.players, 0, surrogate=False).values[:, 0]
    masks = (np.arange(2**few.players)[:, None] >> np.arange(few.players) & 1).astype(bool)
    # Shapley's definition, in its other form: the mean over sizes of the mean of what a player adds to each size
    sizes, values, expected = masks.sum(axis=1), few.value(masks), np.zeros(few.players)
    for player in range(few.players):
        without = np.flatnonzero(~masks[:, player])
        added = values[without + 2**player] - values[without]
        expected[player] = (np.bincount(sizes[without], added) / np.bincount(sizes[without])).mean()
    rng = np.random.default_rng(0)
    alone, pairs = rng.normal(size=30), np.triu(rng.normal(size=(30, 30)), 1)
    of_pairs = Game(
        "pairs",
        30,
        lambda masks: masks @ alone + np.einsum("mi,ij,mj->m", masks, pairs, masks, optimize=True),
        alone + (pairs + pairs.T).sum(axis=1) / 2,
    )
    peer = np.abs(METHODS[REFERENCE](of_pairs, 300, 0) - of_pairs.exact).max()
    note(goals, "error of full enumeration", float(np.abs(whole - expected).max()), "–", most=1e-9)
    for surrogate in (False, True):
        error = np.abs(ours(of_pairs, 300, 0, surrogate=surrogate).values[:, 0] - of_pairs.exact).max()
        title = "error of a game of pairs, 10n calls" + (", surrogate learned" if surrogate else "")
        note(goals, title, float(error), f"shap(l1_reg=False) {peer:.2g}", most=1e-9)


def coverage(games: list[Game], seeds: int, goals: Path | None) -> None:
    print("\nExact values within the 95 % intervals")
    for surrogate in (False, True):
        for factor in (3, 10, 50):
            shares = []
            for game in games:
                for seed in range(seeds):
                    interval = ours(game, factor * game.players, seed, surrogate=surrogate).interval
                    assert interval is not None
                    shares.append(np.mean((interval[0][:, 0] <= game.exact) & (game.exact <= interval[1][:, 0])))
            print(f"{'Assay, surrogate learned' if surrogate else 'Assay':26}{factor:3}n  {np.mean(shares):.3f}")
            title = f"coverage of the 95 % intervals, {factor}n calls{', surrogate learned' if surrogate else ''}"
            note(goals, title, float(np.mean(shares)), "none has them", least=0.90, most=0.99)


def speed(repeats: int, goals: Path | None, features: int = 30, samples: int = 500) -> None:
    """A network of two layers of 64 in NumPy, float32 inside as networks are."""
    rng = np.random.default_rng(0)
    layers = [
        (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32) for shape in ((features, 64), (64, 64), (64, 1))
    ]

    def predict(x: NDArray[Any]) -> NDArray[np.float32]:
        hidden = x.astype(np.float32)
        for layer in layers[:-1]:
            hidden = np.maximum(hidden @ layer, 0)
        return np.asarray(1 / (1 + np.exp(-hidden @ layers[-1])))

    for baselines, count, goal in ((1, 500, 2.0), (50, 50, 1.4)):
        rows, baseline = rng.normal(size=(count, features)), rng.normal(size=(baselines, features))
        synthetic = rng.normal(size=(8192, features))

        def passes(asked: int, synthetic: Array = synthetic) -> None:
            for start in range(0, asked, len(synthetic)):
                predict(synthetic[: asked - start])

        def by_assay(rows: Array, baseline: Array) -> None:
            for _ in explain_rows(predict, rows, baseline, num_samples=samples):
                pass

        def by_shapiq(rows: Array, baseline: Array) -> None:
            for row in rows:

                def value(masks: NDArray[np.bool_], row: Array = row) -> Array:
                    scores = predict(np.where(masks[:, None], row, baseline).reshape(-1, features))
                    return np.asarray(scores.reshape(len(masks), -1).mean(axis=1), dtype=float)

                KernelSHAP(features, pairing_trick=True, random_state=0).approximate(samples + 2, value)

        explainer = shap.KernelExplainer(lambda x: predict(x)[:, 0], baseline)
        few = rows[: max(2, count // 50)]
        runs: dict[str, tuple[int, Callable[[], object]]] = {
            "Assay": (count, partial(by_assay, rows, baseline)),
            "shap KernelExplainer": (
                len(few),
                partial(explainer.shap_values, few, nsamples=samples, l1_reg=False, silent=True),
            ),
            "shapiq KernelSHAP, paired": (len(few), partial(by_shapiq, few, baseline)),
        }
        ratios: dict[str, list[NDArray[np.float64]]] = {name: [] for name in runs}
        for _ in range(repeats):
            for name, (explained, run) in runs.items():
                pure = timed(partial(passes, explained * samples * baselines))
                ratios[name].append(timed(run) / pure)
        print(f"\nTime / pure forward passes, {features} features, {samples} samples, {baselines} baseline row(s)")
        medians = {name: np.median(found, axis=0) for name, found in ratios.items()}
        for name, (wall, processor) in medians.items():
            print(f"{name:44}{wall:6.2f} on the wall, {processor:6.2f} of processor")
        peers = ", ".join(f"{name} {found[1]:.1f}" for name, found in medians.items() if name != "Assay")
        title = f"processor time / pure passes, {samples} samples, {baselines} baseline row(s)"
        note(goals, title, float(medians["Assay"][1]), peers, most=goal)


def timed(run: Callable[[], object]) -> NDArray[np.float64]:
    """Seconds on the wall, and of processor."""
    started = np.array([time.perf_counter(), time.process_time()])
    run()
    return np.asarray([time.perf_counter(), time.process_time()] - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adult", type=Path, help="a folder with the Adult data's train.csv: two games more")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=7, help="of each timing")
    parser.add_argument("--goals", type=Path, metavar="FILE", help="add what was found, for goals.py")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")  # the peers' own
    logging.getLogger("shap").setLevel(logging.ERROR)
    speed(arguments.repeats, arguments.goals)
    games = list(all_games(arguments.adult))
    print("\nGames: " + "; ".join(f"{i} {game.name} (n = {game.players})" for i, game in enumerate(games, start=1)))
    accuracy(games, arguments.seeds, arguments.goals)
    exactness(games, arguments.goals)
    coverage(games, arguments.seeds, arguments.goals)


if __name__ == "__main__":
    main()
