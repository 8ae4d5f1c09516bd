"""Games with known Shapley values: models of real data, a row and a baseline row.

The estimator was made on other, synthetic games; see docs/mathematics.md for the one choice that these led to.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC

from explainer.shapley import explain_game

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Game:
    name: str
    players: int
    value: Callable[[NDArray[np.bool_]], Array]
    """(coalitions, players) → (coalitions,)"""
    exact: Array
    """(players,)"""


def all_games(adult: Path | None) -> Iterator[Game]:
    """The games; those of the Adult data where its folder, with a train.csv, is there."""
    for name, data, trees in (("wine", load_wine(), False), ("breast cancer", load_breast_cancer(), True)):
        x, y = data.data, data.target
        row, baseline = x[y == 0][3], x[y == 1][5]
        boosted = GradientBoostingClassifier(max_depth=4, n_estimators=60, random_state=0).fit(x, y == 0)
        forest = RandomForestClassifier(60, max_depth=7, random_state=0).fit(x, y == 0)
        if trees:  # 30 players are too many to enumerate, but the leaves of trees are games of known values
            yield leaves(f"{name}, boosted trees", boosted, row, baseline)
            yield leaves(f"{name}, forest", forest, row, baseline)
            x, row, baseline = x[:, :15], row[:15], baseline[:15]
        else:
            yield enumerated(f"{name}, forest", positive(forest), row, baseline)
        network = make_pipeline(StandardScaler(), MLPClassifier((32, 32), max_iter=300, tol=1e-3, random_state=0))
        network.fit(x, y == 0)
        yield enumerated(f"{name}, network", positive(network), row, baseline)
    yield digits()
    if adult is not None:
        yield from adult_games(adult)


def digits() -> Game:
    """A picture of 8 × 8 in blocks of 2 × 2, against black."""
    data = load_digits()
    model = SVC(gamma=0.001, C=10).fit(data.data, data.target == 8)
    blocks = (np.arange(8)[:, None] // 2 * 4 + np.arange(8) // 2).ravel()
    picture = max(data.data[data.target == 8], key=lambda pixels: len(set(blocks[pixels > 0])))
    inked = np.unique(blocks[picture > 0])
    players = np.minimum(np.searchsorted(inked, blocks), len(inked) - 1)  # whose a black pixel is does not matter
    return tabulated(
        "digits, SVM", lambda masks: model.decision_function(np.where(masks[:, players], picture, 0)), len(inked)
    )


def adult_games(folder: Path) -> Iterator[Game]:
    """Fourteen columns, text among them."""
    with (folder / "train.csv").open(newline="") as stream:
        header, *lines = csv.reader(stream)
    lines = lines[:6000]
    table = np.array([[cell.strip() for cell in line] for line in lines], dtype=object)
    label = header.index("income")
    y = table[:, label] == max(table[:, label])
    x = np.delete(table, label, axis=1)
    numeric = [c for c in range(x.shape[1]) if all(_is_number(cell) for cell in x[:200, c])]
    words = [c for c in range(x.shape[1]) if c not in numeric]
    x[:, numeric] = x[:, numeric].astype(float)
    row = x[np.flatnonzero(y)[0]]
    baseline = x[(x != row).sum(axis=1).argmax()]  # differs from the row in as many columns as one can
    for name, encoder, model in (
        ("boosted trees", OrdinalEncoder(), GradientBoostingClassifier(max_depth=5, random_state=0)),
        ("network", OneHotEncoder(handle_unknown="ignore"), MLPClassifier((32, 32), max_iter=30, random_state=0)),
    ):
        pipeline = make_pipeline(make_column_transformer((StandardScaler(), numeric), (encoder, words)), model)
        pipeline.fit(x, y)
        yield enumerated(f"adult, {name}", positive(pipeline), row, baseline)


def positive(model: Any) -> Callable[[NDArray[Any]], Array]:
    """A classifier's score of its second class."""
    return lambda rows: np.asarray(model.predict_proba(rows)[:, 1])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def enumerated(name: str, predict: Callable[[Any], Array], row: NDArray[Any], baseline: NDArray[Any]) -> Game:
    differ = np.flatnonzero(row != baseline)

    def value(masks: NDArray[np.bool_]) -> Array:
        present = np.zeros((len(masks), len(row)), dtype=bool)
        present[:, differ] = masks
        return predict(np.where(present, row, baseline))

    return tabulated(name, value, len(differ))


def tabulated(name: str, value: Callable[[NDArray[np.bool_]], Array], players: int) -> Game:
    """The game by a table of all its values, which are asked for once."""
    powers = 1 << np.arange(players)
    masks = (np.arange(2**players)[:, None] & powers).astype(bool)
    table = np.concatenate([value(part) for part in np.array_split(masks, max(1, len(masks) // 8192))])
    exact = explain_game(lambda some: table[some @ powers][:, None], players, num_samples=2**players).values[:, 0]
    return Game(name, players, lambda some: table[np.asarray(some, dtype=bool) @ powers], exact)


def leaves(name: str, model: Any, row: Array, baseline: Array) -> Game:
    """Trees: a leaf is reached when some players, `needed`, are in the coalition and others, `barred`, are not.

    The unanimity game with barred players has the values (p - 1)! q! / (p + q)! for the p needed, and minus
    p! (q - 1)! / (p + q)! for the q barred ones.
    """
    forest = isinstance(model, RandomForestClassifier)
    trees = model.estimators_ if forest else model.estimators_[:, 0]
    weight = 1 / len(trees) if forest else model.learning_rate
    exact = np.zeros(len(row))
    row32, baseline32 = row.astype(np.float32), baseline.astype(np.float32)
    for estimator in trees:
        tree = estimator.tree_
        waiting = [(0, frozenset[int](), frozenset[int]())]
        while waiting:
            node, needed, barred = waiting.pop()
            if tree.children_left[node] < 0:
                output = weight * tree.value[node, 0, -1]
                p, q = len(needed), len(barred)
                for player in needed:
                    exact[player] += output * factorial(p - 1) * factorial(q) / factorial(p + q)
                for player in barred:
                    exact[player] -= output * factorial(p) * factorial(q - 1) / factorial(p + q)
                continue
            player, threshold = int(tree.feature[node]), tree.threshold[node]
            for child, left in ((tree.children_left[node], True), (tree.children_right[node], False)):
                in_row, in_baseline = (row32[player] <= threshold) == left, (baseline32[player] <= threshold) == left
                if in_row and in_baseline:
                    waiting.append((child, needed, barred))
                elif in_row and player not in barred:
                    waiting.append((child, needed | {player}, barred))
                elif in_baseline and player not in needed:
                    waiting.append((child, needed, barred | {player}))

    def value(masks: NDArray[np.bool_]) -> Array:
        rows = np.where(masks, row, baseline)
        return positive(model)(rows) if forest else np.asarray(model.decision_function(rows))

    ends = value(np.array([[False] * len(row), [True] * len(row)]))
    np.testing.assert_allclose(exact.sum(), ends[1] - ends[0], atol=1e-9)
    return Game(name, len(row), value, exact)
