"""The bias metrics beside smclarify's, Clarify's own open library: on adult, and on random data.

Prints every value that differs in the fourth decimal, and where one of the two has none, why.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path[:0] = [
    str(Path(__file__).resolve().parents[2] / "containers"),
    str(Path(__file__).resolve().parents[2] / "layers" / "contracts"),
    str(Path(__file__).resolve().parent),
]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from goals import note  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from smclarify.bias import report as smclarify  # noqa: E402

from bias.metrics import FLIP_TEST, POST_TRAINING, PRE_TRAINING  # noqa: E402
from bias.report import Measured, Rows, after_training, before_training  # noqa: E402
from bias.selection import as_numbers, selections, within  # noqa: E402

TOLERANCE = 0.5e-4
Values = dict[tuple[str, str, str], float | str]
"""(facet, its value, metric) → the value, or why there is none."""


def theirs(
    data: pd.DataFrame, label: str, positive: list[Any], predicted: str, facets: dict[str, Any], group: str | None
) -> Values:
    features = data.drop(columns=[label, predicted])
    found: Values = {}
    for stage in (smclarify.StageType.PRE_TRAINING, smclarify.StageType.POST_TRAINING):
        for name, values in facets.items():
            report = smclarify.bias_report(
                features,
                smclarify.FacetColumn(name, None if values is None else list(values)),
                smclarify.LabelColumn(label, data[label], list(positive)),
                stage,
                smclarify.LabelColumn(predicted, data[predicted], list(positive)),
                group_variable=None if group is None else data[group],
            )
            for facet in report:
                for metric in facet["metrics"]:
                    value = metric["value"] if metric.get("error") is None else metric["error"]
                    found[name, facet["value_or_threshold"], metric["name"]] = (
                        float(value) if value in ("Infinity", "-Infinity") else value
                    )
    return found


def ours(
    data: pd.DataFrame, label: str, positive: list[Any], predicted: str, facets: dict[str, Any], group: str | None
) -> Values:
    truth = data[label].to_numpy()
    said = data[predicted].to_numpy()
    found: Values = {}
    (chosen,) = selections(truth, positive, None, "label")
    quantity = chosen.name.startswith("(")
    both = np.concatenate([truth, said])
    is_positive = [
        within(values, positive, both, "label").rows if quantity else next(selections(values, positive, None, "l")).rows
        for values in (truth, said)
    ]
    for name, values in facets.items():
        numbers = [as_numbers(data[column].to_numpy()) for column in data if column not in (label, predicted, name)]
        matrix = (
            np.stack([n for n in numbers if n is not None], axis=1) if all(n is not None for n in numbers) else None
        )
        rows = Rows(is_positive[0], is_positive[1], None if group is None else data[group].to_numpy(), matrix)
        for facet in selections(data[name].to_numpy(), values, None, name):
            before: list[Measured] = before_training(rows, facet.rows, tuple(PRE_TRAINING))
            after = after_training(rows, facet.rows, (*POST_TRAINING, FLIP_TEST[0]))
            for metric in (*before, *after):
                found[name, facet.name, metric.name] = metric.error or 0.0 if metric.value is None else metric.value
    return found


def compare(title: str, **data: Any) -> bool:
    ours_, theirs_ = ours(**data), theirs(**data)
    equal = missing = 0
    for key in sorted(ours_.keys() | theirs_.keys()):
        a, b = ours_.get(key, "not there"), theirs_.get(key, "not there")
        if isinstance(a, str) and isinstance(b, str):
            missing += 1
        elif isinstance(a, str) or isinstance(b, str) or not (a == b or abs(a - b) < TOLERANCE):
            print(f"  {' '.join(key)}: {a!r}, smclarify {b!r}")
        else:
            equal += 1
    every = len(ours_.keys() | theirs_.keys())
    print(f"{title}: {equal} of {every} values equal to 4 decimals, {missing} that neither has")
    return equal + missing == every


def adult(folder: Path) -> bool:
    train, test = (pd.read_csv(folder / f"{name}.csv", skipinitialspace=True) for name in ("train", "test"))
    numeric = [column for column in train if train[column].dtype.kind in "iuf"]
    model = LogisticRegression(max_iter=2000).fit(train[numeric] / train[numeric].std(), train["income"])
    test["predicted"] = model.predict(test[numeric] / train[numeric].std())
    positive = [max(test["income"].unique())]  # ">50K"
    same = compare(
        "adult, all columns",
        data=test,
        label="income",
        positive=positive,
        predicted="predicted",
        facets={"sex": None, "race": ["Black", "Other"], "age": [40]},
        group="occupation",
    )
    few = test[[*numeric, "income", "predicted"]].head(3000)
    return same & compare(
        "adult, numbers, with the flip test",
        data=few,
        label="income",
        positive=positive,
        predicted="predicted",
        facets={"age": [40]},
        group=None,
    )


def random_data(seed: int) -> bool:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(80, 500))  # of fewer rows smclarify takes codes for quantities: bias.selection
    data = pd.DataFrame(
        {
            "facet": rng.integers(0, int(rng.integers(1, 4)), n),
            "amount": rng.normal(40, 15, n),
            "group": rng.choice(["a", "b", "c"], n),
            "x": rng.normal(size=n),
        }
    )
    if seed % 3:
        del data["group"]
    labels = ["no", "yes"] if seed % 2 else [0, 1]
    data["label"] = rng.choice(labels, n, p=[0.7, 0.3] if seed % 5 else [0.97, 0.03])
    data["predicted"] = np.where(rng.random(n) < 0.3, rng.permutation(data["label"]), data["label"])
    if not (data["predicted"] == labels[1]).any() or not (data["label"] == labels[1]).any():
        return True  # smclarify raises
    return compare(
        f"random {seed} ({n} rows)",
        data=data,
        label="label",
        positive=[labels[1]],
        predicted="predicted",
        facets={"facet": None if seed % 4 else [0], "amount": [35]},
        group="group" if "group" in data else None,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adult", type=Path, metavar="FOLDER", help="train.csv and test.csv of UCI Adult")
    parser.add_argument("--random", type=int, default=20, metavar="N", help="random data sets (20)")
    parser.add_argument("--goals", type=Path, metavar="FILE", help="add what was found, for goals.py")
    arguments = parser.parse_args()
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    results = [random_data(seed) for seed in range(arguments.random)]
    if arguments.adult:
        results.append(adult(arguments.adult))
    note(arguments.goals, "data sets on which a bias metric differs in 4 decimals", results.count(False), "–", most=0)
    sys.exit(0 if all(results) else 1)
