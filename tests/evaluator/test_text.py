"""Text is evaluated by models that take strings, alone and beside other columns."""

from __future__ import annotations

import csv
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import Job

pytestmark = pytest.mark.tensorflow

DATA = Path(__file__).parents[3] / "shared/data/reviews"
shared = pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the public reviews in {DATA}")

REVIEWS = [
    ("Good, good product!", 1),
    ("a bad one, I say", -1),
    ("it is a product", 0),
    ("good and bad and bad", -1),
    ("", 0),
    ('he said "good",\nand he "lied"', -1),
]
SAID = [1, -1, 0, -1, 0, 1]
"""What a model says of them that knows two words."""


def pack(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=".")
    return archive


def known_words(good: list[str], bad: list[str]) -> Any:
    """Scores of the classes -1, 0, 1 from the words of a text."""
    import tensorflow as tf

    layers = tf.keras.layers
    words = layers.TextVectorization(vocabulary=[*good, *bad], output_mode="count")
    text = tf.keras.Input((), dtype="string", name="text")
    dense = layers.Dense(3, activation="softmax", name="scores")
    model = tf.keras.Model(text, dense(words(text)))
    plus, minus = [[-1.0, 0.0, 1.0]] * len(good), [[1.0, 0.0, -1.0]] * len(bad)
    dense.set_weights([np.array([[0.0, 0.0, 0.0], *plus, *minus]), np.array([0.0, 0.5, 0.0])])
    return model


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Archives by name; each is made once."""
    root = tmp_path_factory.mktemp("archives")

    def keras() -> None:
        (root / "keras").mkdir()
        known_words(["good"], ["bad"]).save(root / "keras/model.keras")

    def saved_model() -> None:
        known_words(["good"], ["bad"]).export(str(root / "saved_model/1"), verbose=False)

    def sentiment() -> None:
        good = ["great", "good", "love", "easy", "best", "excellent", "easily", "perfect"]
        bad = ["not", "no", "waste", "bad", "never", "terrible", "useless", "refund", "worst", "support"]
        (root / "sentiment").mkdir()
        known_words(good, bad).save(root / "sentiment/model.keras")

    def beside() -> None:
        """A model of body and category: stars 1 to 5; any other category than Digital_Software loses a star."""
        import tensorflow as tf

        def stars(review_body: Any, product_category: Any) -> dict[str, Any]:
            good = tf.cast(tf.strings.regex_full_match(review_body, "(?is).*(great|easy|love|good).*"), tf.int32)
            bad = tf.cast(tf.strings.regex_full_match(review_body, "(?is).*(not|never|waste).*"), tf.int32)
            other = tf.cast(product_category != "Digital_Software", tf.int32)
            return {"scores": tf.one_hot(tf.clip_by_value(3 + good - 3 * bad - other, 0, 4), 5), "good": good}

        module = tf.Module()
        spec = tf.TensorSpec([None], tf.string)
        module.serve = tf.function(stars, input_signature=[spec, spec], autograph=False)
        tf.saved_model.save(module, str(root / "beside/1"), signatures={"serving_default": module.serve})

    makers = {"keras": keras, "saved_model": saved_model, "sentiment": sentiment, "beside": beside}

    def archive(name: str) -> Path:
        if not (root / f"{name}.tar.gz").exists():
            makers[name]()
            pack(root / name, root / f"{name}.tar.gz")
        return root / f"{name}.tar.gz"

    return archive


def write(path: Path) -> None:
    """The reviews, as the file's name says."""
    if path.suffix == ".jsonl":
        records = [{"review_body": text, "sentiment": label} for text, label in REVIEWS]
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return
    with path.open("w", newline="") as file:
        rows = [(number, label, text) for number, (text, label) in enumerate(REVIEWS)]
        csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",").writerows(
            [("number", "sentiment", "review_body"), *rows]
        )


@pytest.mark.parametrize(
    ("name", "model"), [("reviews.tsv", "keras"), ("reviews.csv", "saved_model"), ("reviews.jsonl", "keras")]
)
def test_texts_are_scored_measured_and_written_to_be_explained(
    job: Job, archives: Callable[[str], Path], name: str, model: str
) -> None:
    shutil.copy(archives(model), job.input("model") / "model.tar.gz")
    write(job.input("dataset") / name)
    data = {"source": name, "label": "sentiment", "labels": [-1, 0, 1], "text": ["review_body"]}
    if name != "reviews.jsonl":
        data["id"] = "number"
    assert job.run({"task": "text_classification", "data": data}) == 0, job.message

    report = job.report
    assert report.task == "text_classification" and report.labels == ("-1", "0", "1")
    true = [label for _, label in REVIEWS]
    assert report.metrics["accuracy"].value == pytest.approx(np.mean(np.equal(true, SAID)))
    assert report.confusion is not None and report.confusion.counts == ((2, 0, 1), (0, 2, 0), (0, 0, 1))
    assert report.data.rows == 6
    predictions = job.predictions
    assert [row["predicted"] for row in predictions] == [str(label) for label in SAID]
    assert [row["id"] for row in predictions] == ["0", "1", "2", "3", "4", "5"]
    expected = np.exp([-2, 0.5, 2]) / np.exp([-2, 0.5, 2]).sum()
    np.testing.assert_allclose(predictions[0]["scores"], expected, rtol=1e-5)
    assert "multiclass_classification_metrics" in job.evaluation
    assert report.explain is not None
    assert report.explain.headers == ("review_body", "sentiment", "assay_id")
    assert report.explain.types == {"review_body": "text"}
    with (job.output / "explain/rows/data.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert sorted(row[0] for row in rows) == sorted(text for text, _ in REVIEWS)


def test_a_column_that_the_model_does_not_see_is_told(job: Job, archives: Callable[[str], Path]) -> None:
    shutil.copy(archives("keras"), job.input("model") / "model.tar.gz")
    write(job.input("dataset") / "reviews.csv")
    data = {"source": "reviews.csv", "label": "sentiment", "labels": [-1, 0, 1], "text": ["review_body"]}
    assert job.run({"task": "text_classification", "data": data}) == 0, job.message
    assert [row["predicted"] for row in job.predictions] == [str(label) for label in SAID]
    told = [finding.text for finding in job.report.findings if "does not see" in finding.title]
    assert len(told) == 1 and "number" in told[0]


def test_where_no_column_is_the_models_text_both_are_named(job: Job, archives: Callable[[str], Path]) -> None:
    shutil.copy(archives("keras"), job.input("model") / "model.tar.gz")
    data = {"source": "x.csv", "labels": [-1, 0, 1], "text": ["title", "body"]}
    job.write_rows([("title", "body", "label"), ("good", "bad", 1)], "x.csv")
    assert job.run({"task": "text_classification", "data": data}) == 1
    assert "the model expects 1 feature, the data has 2: title, body" in job.message
    assert job.run({"task": "text_classification", "data": data, "model": {"inputs": {"body": "text"}}}) == 0
    assert [row["predicted"] for row in job.predictions] == ["-1"]


def test_text_beside_other_columns_goes_to_the_inputs_of_those_names(job: Job, archives: Callable[[str], Path]) -> None:
    shutil.copy(archives("beside"), job.input("model") / "model.tar.gz")
    records: list[dict[str, Any]] = [
        {"features": ["Great and easy to use", "Digital_Software"], "star_rating": 5},
        {"features": ["never again", "Digital_Software"], "star_rating": 1},
        {"features": ["good", "Gift Card"], "star_rating": 5},
        {"features": [None, "Digital_Software"], "star_rating": 4},
    ]
    (job.input("dataset") / "d.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert job.run(stars_policy("d.jsonl")) == 0, job.message
    assert [row["predicted"] for row in job.predictions] == ["5", "1", "4", "4"]
    assert [tensor.name for tensor in job.report.model.inputs] == ["product_category", "review_body"]
    assert job.report.metrics["accuracy"].value == 0.75


def stars_policy(source: str) -> dict[str, Any]:
    return {
        "task": "text_classification",
        "data": {
            "source": source,
            "features": "features",
            "headers": ["review_body", "product_category"],
            "text": ["review_body"],
            "label": "star_rating",
            "labels": [1, 2, 3, 4, 5],
        },
    }


@shared
def test_real_reviews_of_three_sentiments(job: Job, archives: Callable[[str], Path]) -> None:
    shutil.copy(archives("sentiment"), job.input("model") / "model.tar.gz")
    shutil.copy(DATA / "sentiment-test.tsv", job.input("dataset"))
    data = {"source": "sentiment-test.tsv", "label": "sentiment", "labels": [-1, 0, 1], "text": ["review_body"]}
    assert job.run({"task": "text_classification", "data": data}) == 0, job.message
    report = job.report
    assert report.data.rows == 1247
    assert report.confusion is not None
    assert [sum(row) for row in report.confusion.counts] == [416, 415, 416]
    accuracy, constant = report.metrics["accuracy"].value, report.metrics["accuracy_best_constant"].value
    assert accuracy is not None and constant is not None and accuracy > constant + 0.05


@shared
def test_the_labs_own_reviews_beside_their_category(job: Job, archives: Callable[[str], Path]) -> None:
    shutil.copy(archives("beside"), job.input("model") / "model.tar.gz")
    shutil.copy(DATA / "test_data_bias.jsonl", job.input("dataset"))
    assert job.run(stars_policy("test_data_bias.jsonl")) == 0, job.message
    records = [json.loads(line) for line in (DATA / "test_data_bias.jsonl").read_text().splitlines()]
    assert [row["true"] for row in job.predictions] == [str(record["star_rating"]) for record in records]
    assert job.report.data.rows == len(records)
