"""What shap's explainers do with the pictures that `images.py` has laid into a folder, as JSON; run by `.envs/peers`.

Time: relative to ONNX Runtime's passes of as many pictures, in turns. Error: L2 distance from the exact values of a
game whose every coalition is known, relative to `shap.KernelExplainer(l1_reg=False)` with as many calls.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is imported
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "containers"))

import numpy as np
import onnxruntime
import shap
from numpy.typing import NDArray

from explainer.shapley import explain_game

Array = NDArray[Any]
BATCH, CALLS = 32, 500


def times(folder: Path, rounds: int) -> dict[str, float]:
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    given = np.load(folder / "picture.npz")
    picture, baseline, segments = given["picture"], given["baseline"], given["segments"]
    players, name = int(segments.max()) + 1, session.get_inputs()[0].name
    asked = 0

    def predict(pictures: Array) -> Array:
        nonlocal asked
        asked += len(pictures)
        parts = [
            session.run(None, {name: pictures[start : start + BATCH].astype(np.float32)})[0]
            for start in range(0, len(pictures), BATCH)
        ]
        return np.concatenate(parts)

    def masked(present: Array) -> Array:
        parts = [
            predict(np.where(part[:, segments][..., None] > 0.5, picture, baseline))
            for part in np.array_split(present, max(1, len(present) // BATCH))
        ]
        return np.concatenate(parts)

    def kernel() -> None:
        explainer = shap.KernelExplainer(masked, np.zeros((1, players)))
        explainer.shap_values(np.ones((1, players)), nsamples=CALLS, silent=True)

    def partition() -> None:
        masker = shap.maskers.Image(baseline, picture.shape)
        shap.PartitionExplainer(predict, masker)(picture[None], max_evals=CALLS, batch_size=BATCH, silent=True)

    peers: dict[str, Callable[[], None]] = {"shap KernelExplainer": kernel, "shap PartitionExplainer": partition}
    ratios = {}
    for label, work in peers.items():
        found = []
        for _ in range(rounds + 1):
            asked, began = 0, time.perf_counter()
            work()
            took, pictures = time.perf_counter() - began, asked
            began = time.perf_counter()
            predict(np.repeat(picture[None], BATCH, axis=0))
            found.append(took / ((time.perf_counter() - began) * pictures / BATCH))
        ratios[label] = median(found[1:])
    return ratios


def errors(file: Path, seeds: int) -> dict[str, float]:
    """Geometric mean of the errors' ratios by the number of calls, and the largest error with all coalitions.

    The file holds games, (2ⁿ, outputs) each, a row for each coalition by its bits.
    """
    ours: dict[int, list[float]] = {10: [], 50: []}
    exactly = []
    for game in np.load(file)["games"]:
        n = int(np.log2(len(game)))
        bits = 1 << np.arange(n)

        def value(masks: Array, game: Array = game, bits: Array = bits) -> Array:
            return np.asarray(game[(masks > 0.5) @ bits])

        exact = shapley_by_definition(game)
        exactly.append(np.abs(explain_game(value, n, num_samples=2**n).values - exact).max())
        for factor, ratios in ours.items():
            mine, theirs = [], []
            for seed in range(seeds):
                found = explain_game(value, n, num_samples=factor * n, seed=seed, surrogate=True).values
                np.random.seed(seed)  # noqa: NPY002  what shap draws from
                explainer = shap.KernelExplainer(value, np.zeros((1, n)))
                peer = np.asarray(
                    explainer.shap_values(np.ones((1, n)), nsamples=factor * n, l1_reg=False, silent=True)
                )
                mine.append(np.linalg.norm(found - exact))
                theirs.append(np.linalg.norm(peer[0] - exact))
            ratios.append(float(np.mean(mine) / np.mean(theirs)))
    means = {f"{factor}n": float(np.exp(np.mean(np.log(ratios)))) for factor, ratios in ours.items()}
    return means | {"exact": float(max(exactly))}


def shapley_by_definition(game: Array) -> Array:
    """(2ⁿ, outputs) → (n, outputs): Σ (v(S ∪ i) − v(S)) |S|! (n − |S| − 1)! / n!"""
    n = int(np.log2(len(game)))
    coalitions = np.arange(len(game))
    sizes = np.array([int(one).bit_count() for one in coalitions])
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    values = np.empty((n, game.shape[1]))
    for player in range(n):
        without = coalitions[(coalitions >> player) & 1 == 0]
        s = sizes[without]
        weight = np.exp(log_factorial[s] + log_factorial[n - s - 1] - log_factorial[n])
        values[player] = weight @ (game[without | 1 << player] - game[without])
    return values


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    print(json.dumps(errors(folder / "games.npz", seeds=10) if sys.argv[2] == "errors" else times(folder, rounds=3)))
