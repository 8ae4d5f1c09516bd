"""Explanation drift between real models: what a new training, another kind of model and other features do to it.

Eleven classifiers of Adult's income, eight of them two kinds trained four times on other samples, one on all but two
features that say much. Their Shapley values on the same 100 rows are estimated by 60 permutations, the same for all.

    python benchmarks/summary/drift.py --adult ../shared/data/adult
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("functions", "layers/contracts", "layers/aws")]

from assay.drift import DriftOf  # noqa: E402
from assay.evaluation import ExplainSample  # noqa: E402
from publish_summary.drift import Explained, drift, findings_on_drift  # noqa: E402
from publish_summary.importance import LocalValues  # noqa: E402

Array = NDArray[np.float64]
TRAINED_ON = 12_000
EXPLAINED = 100
PERMUTATIONS = 60
SAID_MUCH = {"without family": ("relationship", "marital_status"), "without money": ("capital_gain", "education_num")}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--adult", type=Path, default=ROOT.parent / "shared/data/adult")
    folder = parser.parse_args().adult
    if not (folder / "train.csv").is_file():
        sys.exit(f"{folder}: no train.csv; expected Adult's train.csv and test.csv")
    warnings.simplefilter("ignore", ConvergenceWarning)
    names, (train, labels), (test, truths) = read(folder)
    baseline = np.median(train, axis=0)
    rows = test[np.random.default_rng(0).choice(len(test), EXPLAINED, replace=False)]
    found = {}
    for name, model, seed, left_out in models():
        places = [names.index(feature) for feature in left_out]
        fitted = trained(model, train, labels, seed, places)

        def predict(batch: Array, fitted: Any = fitted, places: list[int] = places) -> Array:
            return np.asarray(fitted.predict_proba(without(batch, places))[:, 1], float)

        right = float(((predict(test) > 0.5) == truths).mean())
        found[name] = explained(names, shapley(predict, rows, baseline))
        print(f"{name:18} accuracy {right:.3f}")
    for title, pairs in groups(list(found)).items():
        compared = [(one, drift(found[one[0]], found[one[1]])) for one in pairs]
        tell(
            title, [each.outputs[0] for _, each in compared], sum(bool(list(findings_on_drift(d))) for _, d in compared)
        )


def read(folder: Path) -> tuple[list[str], tuple[Array, NDArray[np.bool_]], tuple[Array, NDArray[np.bool_]]]:
    parts = []
    for part in ("train", "test"):
        with (folder / f"{part}.csv").open(newline="") as file:
            parts.append(list(csv.DictReader(file)))
    names = [name for name in parts[0][0] if name != "income"]
    codes: dict[str, dict[str, float]] = {}
    for name in names:
        values = sorted({row[name] for rows in parts for row in rows})
        numeric = all(value.lstrip("-").isdigit() for value in values)
        codes[name] = {value: float(value) if numeric else float(code) for code, value in enumerate(values)}

    def arrays(rows: list[dict[str, str]]) -> tuple[Array, NDArray[np.bool_]]:
        values = np.array([[codes[name][row[name]] for name in names] for row in rows])
        return values, np.array([">50K" in row["income"] for row in rows])

    return names, arrays(parts[0]), arrays(parts[1])


def models() -> list[tuple[str, Any, int, tuple[str, ...]]]:
    """Name, model, the seed of its sample, the features that it does not see."""
    return [
        *((f"boosted {s}", HistGradientBoostingClassifier(max_iter=80, random_state=s), s, ()) for s in range(4)),
        *(
            (f"network {s}", make_pipeline(StandardScaler(), MLPClassifier((32,), max_iter=15, random_state=s)), s, ())
            for s in range(4)
        ),
        ("linear", make_pipeline(StandardScaler(), LogisticRegression()), 4, ()),
        *((name, HistGradientBoostingClassifier(max_iter=80), 5, left_out) for name, left_out in SAID_MUCH.items()),
    ]


def without(batch: Array, places: list[int]) -> Array:
    seen = batch.copy()
    seen[:, places] = 0
    return seen


def trained(model: Any, train: Array, labels: NDArray[np.bool_], seed: int, left_out: list[int]) -> Any:
    picked = np.random.default_rng(seed).choice(len(train), TRAINED_ON, replace=False)
    return model.fit(without(train[picked], left_out), labels[picked])


def shapley(predict: Callable[[Array], Array], rows: Array, baseline: Array) -> Array:
    """(rows, features): by the same permutations for all models (Castro et al. 2009)."""
    rng = np.random.default_rng(5)
    values = np.zeros(rows.shape)
    for _ in range(PERMUTATIONS):
        batch = np.tile(baseline, (len(rows), 1))
        before = predict(batch)
        for feature in rng.permutation(rows.shape[1]):
            batch[:, feature] = rows[:, feature]
            after = predict(batch)
            values[:, feature] += after - before
            before = after
    return values / PERMUTATIONS


def explained(names: list[str], values: Array) -> Explained:
    ids = [str(place) for place in range(len(values))]
    samples = [
        ExplainSample(id=id_, row=place, sample=("representative",), reason="", fingerprint=id_)
        for place, id_ in enumerate(ids)
    ]
    return Explained(
        LocalValues(tuple(names), ("p",), dict(zip(ids, map(tuple, values.tolist()), strict=True))), samples
    )


def groups(names: list[str]) -> dict[str, list[tuple[str, str]]]:
    pairs = list(itertools.combinations(names, 2))

    def kind(name: str) -> str:
        return name.split(maxsplit=1)[0]

    return {
        "trained again": [(a, b) for a, b in pairs if kind(a) == kind(b) != "without"],
        "another kind": [(a, b) for a, b in pairs if kind(a) != kind(b) and "without" not in (kind(a), kind(b))],
        "other features": [(a, b) for a, b in pairs if "without" in (kind(a), kind(b))],
    }


def tell(title: str, outputs: list[DriftOf], warned: int) -> None:
    def span(values: list[float | None]) -> str:
        known = [value for value in values if value is not None]
        return f"{min(known):.2f} to {max(known):.2f}"

    print(
        f"{title:16} {len(outputs):3} pairs: correlation {span([one.rank_correlation.value for one in outputs])}, "
        f"overlap {span([one.top_overlap.value for one in outputs])}, "
        f"moved {span([one.moved.value for one in outputs])}; {warned} warned of"
    )


if __name__ == "__main__":
    main()
