"""How close and how fast the estimator is, beside shap and shapiq: `make benchmark`.

Accuracy: L2 error of all methods on the same games with the same number of model calls, relative to
`shap.KernelExplainer(l1_reg=False)`. Coverage: how many exact values the 95 % intervals hold. Time: relative to the
model's own on the same number of synthetic rows, methods interleaved, medians. One BLAS thread.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is imported
sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "containers"), str(Path(__file__).resolve().parent)]

import numpy as np  # noqa: E402
import shap  # noqa: E402
from games import Array, Game, all_games  # noqa: E402
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
    return np.asarray(values)[0]


def by_shapiq(game: Game, calls: int, seed: int, *, leverage: bool) -> Array:
    weights = np.ones(game.players + 1) if leverage else None
    approximator = KernelSHAP(game.players, pairing_trick=True, sampling_weights=weights, random_state=seed)
    found = approximator.approximate(calls + 2, game.value)  # it counts nobody and everybody
    return np.array([found[(player,)] for player in range(game.players)])


METHODS: dict[str, Callable[[Game, int, int], Array]] = {
    REFERENCE: lambda game, calls, seed: by_shap(game, calls, seed, l1_reg=False),
    "shap KernelExplainer, default": by_shap,
    "shapiq KernelSHAP, paired": lambda game, calls, seed: by_shapiq(game, calls, seed, leverage=False),
    "shapiq KernelSHAP, paired, leverage sizes": lambda game, calls, seed: by_shapiq(game, calls, seed, leverage=True),
    "Assay": lambda game, calls, seed: ours(game, calls, seed, surrogate=False).values[:, 0],
    "Assay, surrogate": lambda game, calls, seed: ours(game, calls, seed, surrogate=True).values[:, 0],
}


def accuracy(games: list[Game], seeds: int) -> None:
    for factor in (10, 50):
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
        for name, found in errors.items():
            ratios = found / errors[REFERENCE]
            print(f"{name:44}{np.exp(np.log(ratios).mean()):6.2f}  " + " ".join(f"{ratio:5.2f}" for ratio in ratios))


def coverage(games: list[Game], seeds: int) -> None:
    print("\nExact values within the 95 % intervals")
    for surrogate in (False, True):
        for factor in (3, 10, 50):
            shares = []
            for game in games:
                for seed in range(seeds):
                    interval = ours(game, factor * game.players, seed, surrogate=surrogate).interval
                    assert interval is not None
                    shares.append(np.mean((interval[0][:, 0] <= game.exact) & (game.exact <= interval[1][:, 0])))
            print(f"{'Assay, surrogate' if surrogate else 'Assay':20}{factor:3}n  {np.mean(shares):.3f}")


def speed(repeats: int, features: int = 30, samples: int = 500) -> None:
    """A network of two layers of 64 in NumPy, float32 inside as networks are."""
    rng = np.random.default_rng(0)
    layers = [
        (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32) for shape in ((features, 64), (64, 64), (64, 1))
    ]

    def predict(x: NDArray[Any]) -> NDArray[np.float32]:
        hidden = x.astype(np.float32)
        for layer in layers[:-1]:
            hidden = np.maximum(hidden @ layer, 0)
        return 1 / (1 + np.exp(-hidden @ layers[-1]))

    for baselines, count in ((1, 100), (50, 10)):
        rows, baseline = rng.normal(size=(count, features)), rng.normal(size=(baselines, features))
        synthetic = rng.normal(size=(8192, features))

        def passes(asked: int, synthetic: Array = synthetic) -> None:
            for start in range(0, asked, len(synthetic)):
                predict(synthetic[: asked - start])

        def shapiq_row(row: Array, baseline: Array = baseline) -> None:
            def value(masks: NDArray[np.bool_]) -> Array:
                scores = predict(np.where(masks[:, None], row, baseline).reshape(-1, features))
                return scores.reshape(len(masks), -1).mean(axis=1).astype(float)

            KernelSHAP(features, pairing_trick=True, random_state=0).approximate(samples + 2, value)

        explainer = shap.KernelExplainer(lambda x: predict(x)[:, 0], baseline)
        few = rows[: max(2, count // 10)]
        runs: dict[str, tuple[int, Callable[[], object]]] = {
            "Assay": (count, lambda r=rows, b=baseline: list(explain_rows(predict, r, b, num_samples=samples))),
            "shap KernelExplainer": (
                len(few),
                lambda r=few, e=explainer: e.shap_values(r, nsamples=samples, l1_reg=False, silent=True),
            ),
            "shapiq KernelSHAP, paired": (len(few), lambda r=few: [shapiq_row(row) for row in r]),
        }
        ratios: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(repeats):
            for name, (explained, run) in runs.items():
                pure = timed(lambda n=explained * samples * baselines: passes(n))
                ratios[name].append(timed(run) / pure)
        print(f"\nTime / pure forward passes, {features} features, {samples} samples, {baselines} baseline row(s)")
        for name, found in ratios.items():
            print(f"{name:44}{np.median(found):6.2f}")


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adult", type=Path, help="a folder with the Adult data's train.csv: two games more")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=7, help="of each timing")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")  # the peers' own
    logging.getLogger("shap").setLevel(logging.ERROR)
    speed(arguments.repeats)
    games = list(all_games(arguments.adult))
    print("\nGames: " + "; ".join(f"{i} {game.name} (n = {game.players})" for i, game in enumerate(games, start=1)))
    accuracy(games, arguments.seeds)
    coverage(games, arguments.seeds)


if __name__ == "__main__":
    main()
