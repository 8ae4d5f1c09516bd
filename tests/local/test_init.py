"""`assay init`: a policy is guessed from what model and data show, tried where they do not, and is valid as written."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from assay.evaluation import ModelFacts, Tensor
from assay.policy import read_policy
from assay_local import cli
from assay_local.guessed import Guess
from assay_local.init import Options, flow, policy_text
from assay_local.readings import as_good, little_better, readings, spread, told, trial, usual_first

Ran = tuple[int, str, str]
Assay = Callable[..., Ran]


@pytest.fixture
def assay(capsys: pytest.CaptureFixture[str]) -> Assay:
    def call(*arguments: object) -> Ran:
        code = cli.main([*map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


# Readings


def read(labels: Sequence[str], classes: int) -> dict[str, list[int]]:
    return {
        way.text: way.true.tolist()
        for way in readings("label", labels, dict(zip(labels, labels, strict=True)), classes)
    }


def test_numbers_may_begin_with_0_or_1() -> None:
    assert read(["1", "2", "1"], 3) == {"0": [1, 2, 1], "1": [0, 1, 0]}
    assert read(["0", "2"], 3) == {"0": [0, 2]}
    assert read(["1", "3"], 3) == {"1": [0, 2]}
    assert read(["0", "3"], 3) == {}


def test_names_may_stand_in_some_orders() -> None:
    assert read(["wren", "owl", "robin"], 3) == {
        "in the order of text": [2, 0, 1],
        "in the order of the data": [0, 1, 2],
    }
    assert read(["no", "yes"], 2) == {"in the order of text": [0, 1], "in the order of text backwards": [1, 0]}
    assert read(["wren", "owl"], 3) == {}


def test_usual_columns_come_first_then_the_last_ones() -> None:
    assert usual_first(["a", "b", "Label", "class_id", "c"]) == ["class_id", "Label", "c", "b", "a"]


def test_a_sample_has_as_many_of_each_label_as_there_are() -> None:
    labels = ["a"] * 90 + ["b"] * 8 + ["c"] * 2
    drawn = [labels[place] for place in spread(labels, 20)]
    assert {label: drawn.count(label) for label in "abc"} == {"a": 10, "b": 8, "c": 2}


def scores(own: float, true: NDArray[np.int64]) -> NDArray[np.float64]:
    found = np.full((len(true), 3), (1 - own) / 2)
    found[np.arange(len(true)), true] = own
    return found


def test_what_chance_may_decide_is_decided_by_the_log_loss() -> None:
    true = np.arange(100) % 3
    sure, unsure = scores(0.9, true), scores(0.5, true)
    nearly = true.copy()
    nearly[:2] = (nearly[:2] + 1) % 3
    wrong = (true + (np.arange(100) < 40)) % 3
    found = {
        "0-1": trial(true, nearly, sure),
        "-1-1": trial(true, true, unsure),
        "none": trial(true, wrong, sure),
    }
    assert as_good(found) == ["0-1", "-1-1"]
    assert told(found, "0-1", close=False) == "right on 100 samples: 0-1 0.98, -1-1 1.00, none 0.60"
    assert told(found, "-1-1", close=True).startswith("right on 100 samples: -1-1 1.00 (log loss 0.69), 0-1 0.98 (log")


def test_a_model_that_is_hardly_better_than_one_answer_is_told() -> None:
    [way] = [way for way in readings("label", ["0", "1"] * 50, {"0": "0", "1": "1"}, 2) if way.text == "0"]
    places = np.arange(100)
    assert little_better(0.9, way, places) == ""
    assert "(0.52) than always answering one class would be (0.50): check labels" in little_better(0.52, way, places)


# What is written


FACTS = ModelFacts(
    format="Keras",
    runtime="Keras 3",
    archive_sha256="0",
    inputs=(Tensor(name="x", shape=(None, 4), dtype="float32"),),
    outputs=(Tensor(name="y", shape=(None, 2), dtype="float32"),),
)


def test_notes_stand_beside_what_they_are_about_and_what_is_open_is_left_to_a_person(tmp_path: Path) -> None:
    guess = Guess(
        task="tabular_classification",
        data={"source": f"{tmp_path}/data/test.csv", "labels": ["no", ">50K", "a, b"], "missing": ["?"]},
        notes={"data.labels": "right on 100 samples: 0.9"},
        unsure={"data.labels": "check them", "preprocessing.size": "say it"},
        supports={"no": 80, ">50K": 10, "a, b": 6},
        samples=96,
        facts=FACTS,
    )
    text = policy_text(guess, Options(tmp_path / "model.keras", tmp_path, tmp_path / "assay.yaml"))
    assert "  # NOT SURE: check them\n  # right on 100 samples: 0.9\n  labels: [" in text
    assert "# preprocessing:\n  # size:  # NOT GUESSED: say it\n" in text
    assert (
        "#   - {metric: accuracy, min: 0.9}  # passes from 93 of 96 right, fails up to 80; at 0.93 you need 390" in text
    )
    assert "# the smallest, a, b, can never pass on 6 samples, with all 6 right; at 0.8 you need 81" in text
    policy = read_policy(yaml.safe_load(text))
    assert (policy.data.source, policy.data.labels, policy.data.missing) == (
        "data/test.csv",
        ("no", ">50K", "a, b"),
        ("?",),
    )


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "0-1",
        "-1-1",
        "no",
        "yes",
        "12",
        "1.5",
        ">50K",
        "<=50K",
        "a, b",
        "a: b",
        "?",
        "",
        " x",
        "#1",
        "null",
        "é",
        "2026-01-31",
    ],
)
def test_texts_come_back_as_they_were(value: str) -> None:
    assert yaml.safe_load(f"a: [{flow(value)}, {flow([value, 1])}]\nb: {flow({'k': value})}\nc: {flow(value)}") == {
        "a": [value, [value, 1]],
        "b": {"k": value},
        "c": value,
    }


# Without a model


def test_a_policy_that_is_there_stays(assay: Assay, tmp_path: Path) -> None:
    policy = tmp_path / "assay.yaml"
    policy.write_text("mine")
    code, _, err = assay("init", tmp_path / "m", tmp_path, "-o", policy)
    assert (code, err) == (2, f"assay: {policy} is there already, and stays as it is; --force replaces it\n")
    assert policy.read_text() == "mine"


def test_data_that_is_not_there_is_named(assay: Assay, tmp_path: Path) -> None:
    code, _, err = assay("init", tmp_path / "m", tmp_path / "none", "-o", tmp_path / "assay.yaml")
    assert (code, err.count("\n")) == (2, 1)
    assert f"{tmp_path}/none does not exist; expected a folder of pictures, or CSV, JSON Lines or Parquet" in err


# With a model

LEVELS = (40, 130, 220)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`grey.keras` tells three levels of grey, scaled to 0 to 1, apart; `sum.keras` says logits of a + b > c."""
    import keras

    folder = tmp_path_factory.mktemp("models")
    layers = keras.layers
    grey = keras.Sequential([keras.Input((4, 4, 1)), layers.GlobalAveragePooling2D(), layers.Dense(3, "softmax")])
    grey.layers[-1].set_weights([np.array([[-60.0, 0.0, 60.0]]), np.array([20.0, 0.0, -40.0])])
    grey.save(folder / "grey.keras")
    total = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    total.layers[-1].set_weights([np.array([[-9.0, 9.0], [-9.0, 9.0], [9.0, -9.0]]), np.zeros(2)])
    total.save(folder / "sum.keras")
    price = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    price.layers[-1].set_weights([np.array([[0.3], [0.2], [-0.4]]), np.array([5.0])])
    price.save(folder / "price.keras")
    return folder


def save_pictures(folder: Path, files: Iterable[tuple[str, int]]) -> None:
    noise = np.random.default_rng(0)
    for name, level in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(level - 5, level + 5, (6, 5), dtype=np.uint8)).save(path)


def written(assay: Assay, model: Path, data: Path, folder: Path, *more: str) -> tuple[dict[str, Any], str]:
    """What `assay init` writes, once `assay validate` has taken it; and what it said."""
    policy = folder / "policy" / "assay.yaml"
    code, out, err = assay("init", model, data, "-o", policy, *more)
    assert (code, err) == (0, "")
    code, said, err = assay("validate", "--policy", policy, "--model", model)
    assert (code, err) == (0, ""), policy.read_text()
    assert said.endswith("\nValid.\n")
    content: dict[str, Any] = yaml.safe_load(policy.read_text())
    return content, out


@pytest.mark.tensorflow
def test_pictures_with_a_csv_beside_them(assay: Assay, tmp_path: Path, models: Path) -> None:
    """Classes are counted from 1, the column is called otherwise, and pixels are scaled to 0 to 1."""
    save_pictures(tmp_path / "photos", ((f"{number}.png", LEVELS[number % 3]) for number in range(60)))
    with (tmp_path / "birds.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["photo", "taken", "class_id", "class_name"])
        rows.writerows([f"{n}.png", 2000 + n, n % 3 + 1, ("wren", "robin", "owl")[n % 3]] for n in range(60))
    policy, out = written(assay, models / "grey.keras", tmp_path / "photos", tmp_path)
    assert policy == {
        "task": "image_classification",
        "data": {
            "source": "../photos/",
            "annotations": "../birds.csv",
            "file": "photo",
            "label": "class_id",
            "label_base": 1,
            "names": "class_name",
        },
        "preprocessing": {"scaling": "0-1"},
    }
    assert "  scaling    0-1: right on 60 samples: 0-1 1.00" in out
    assert "-1-1 0.33" in out or "-1-1 0.67" in out


@pytest.mark.tensorflow
def test_pictures_in_a_folder_a_class(assay: Assay, tmp_path: Path, models: Path) -> None:
    kinds = ("a-dark", "b-grey", "c-light")
    save_pictures(tmp_path / "photos", ((f"{kinds[n % 3]}/{n}.png", LEVELS[n % 3]) for n in range(30)))
    policy, _ = written(assay, models / "grey.keras", tmp_path / "photos", tmp_path)
    assert policy["data"] == {"source": "../photos/"}
    assert policy["preprocessing"] == {"scaling": "0-1"}


@pytest.mark.tensorflow
def test_boxes_tell_which_number_is_which_class(assay: Assay, tmp_path: Path) -> None:
    """The detector calls 1 what stands top left, the wren, and 2 what stands bottom right, the owl."""
    import tensorflow as tf

    class Detector(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8, name="input_tensor")])  # type: ignore[untyped-decorator]
        def __call__(self, image: Any) -> Any:
            return {
                "detection_boxes": tf.constant([[[0.1, 0.1, 0.5, 0.5], [0.5, 0.5, 0.9, 0.9]]]),
                "detection_classes": tf.constant([[1.0, 2.0]]),
                "detection_scores": tf.constant([[0.9, 0.6]]),
                "num_detections": tf.constant([2.0]),
            }

    detector = Detector()
    tf.saved_model.save(detector, str(tmp_path / "detector"), {"serving_default": detector.__call__})
    folder = tmp_path / "garden"
    folder.mkdir()
    with (folder / "boxes.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image_file_name", "class_name", "xmin", "ymin", "xmax", "ymax"])
        for number in range(4):
            (folder / "images").mkdir(exist_ok=True)
            Image.fromarray(np.full((100, 200, 3), number, dtype=np.uint8)).save(folder / f"images/{number}.png")
            rows.writerows([[f"{number}.png", "wren", 20, 10, 100, 50], [f"{number}.png", "owl", 100, 50, 180, 90]])
    policy, out = written(assay, tmp_path / "detector", folder, tmp_path)
    assert policy == {
        "task": "object_detection",
        "data": {
            "source": "../garden/images/",
            "annotations": "../garden/boxes.csv",
            "labels": {1: "wren", 2: "owl"},
        },
    }
    assert "so many lie on this class: wren 1.00, owl 1.00" in out
    assert "not sure" not in out


def rows_of(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = np.random.default_rng(0).normal(size=(n, 3)).round(3)
    return values, values @ [1, 1, -1]


@pytest.mark.tensorflow
def test_rows_with_an_id_and_logits(assay: Assay, tmp_path: Path, models: Path) -> None:
    values, total = rows_of(200)
    with (tmp_path / "test.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["row_id", "a", "b", "c", "above"])
        rows.writerows([f"r{n}", *row, "yes" if total[n] > 0 else "no"] for n, row in enumerate(values.tolist()))
    policy, _ = written(assay, models / "sum.keras", tmp_path / "test.csv", tmp_path)
    assert policy == {
        "task": "tabular_classification",
        "data": {"source": "../test.csv", "label": "above", "id": "row_id", "labels": ["no", "yes"]},
        "model": {"output_transform": "softmax"},
    }


@pytest.mark.tensorflow
def test_a_regression_in_parquet_whose_model_says_logarithms(assay: Assay, tmp_path: Path, models: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    values, _ = rows_of(200)
    columns = dict(zip("abc", values.T, strict=True))
    prices = np.exp(values @ [0.3, 0.2, -0.4] + 5)
    pq.write_table(pa.table({**columns, "price": prices}), tmp_path / "test.parquet")
    policy, out = written(assay, models / "price.keras", tmp_path / "test.parquet", tmp_path)
    assert policy == {
        "task": "tabular_regression",
        "data": {"source": "../test.parquet", "label": "price"},
        "model": {"output_transform": "exp"},
    }
    assert "mean error on 100 rows by output_transform: exp " in out


@pytest.mark.tensorflow
def test_what_fits_nothing_is_said(assay: Assay, tmp_path: Path, models: Path) -> None:
    save_pictures(tmp_path / "photos", [("1.png", 3 * 20), ("2.png", 90)])
    code, _, err = assay("init", models / "grey.keras", tmp_path / "photos", "-o", tmp_path / "assay.yaml")
    assert (code, err.count("\n")) == (2, 1)
    assert "1.png lies in no class's folder; expected <class>/<file>, or" in err
    (tmp_path / "test.jsonl").write_text("".join(json.dumps({"a": n, "b": n, "label": n % 2}) + "\n" for n in range(9)))
    code, _, err = assay("init", models / "sum.keras", tmp_path / "test.jsonl", "-o", tmp_path / "assay.yaml")
    assert (code, err.count("\n")) == (2, 1)
    assert "the model expects 3 features, the data has 2: a, b" in err
    assert not (tmp_path / "assay.yaml").exists()
