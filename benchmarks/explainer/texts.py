"""How fast texts are explained: `make benchmark-texts`.

The SHAP lab's 450 reviews beside their category, by token, with Clarify's default budget of 2F + 2048 coalitions; a
TensorFlow model that looks words up and adds their weights. Of the time, the part that the model itself takes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported
sys.path[:0] = [str(ROOT / "containers"), str(ROOT / "layers" / "contracts")]

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from explainer.text.game import RowGame, grouped  # noqa: E402
from explainer.text.units import segmenter  # noqa: E402
from model.features import Features  # noqa: E402
from model.load import Model, load_model  # noqa: E402

WEIGHTS = {"great": 1.0, "good": 0.5, "easy": 0.5, "love": 1.0, "not": -0.5, "waste": -2.0, "never": -1.0, "bad": -1.0}
COLUMNS = ("review_body", "product_category")


def lookup_model(folder: Path) -> Model:
    import tensorflow as tf

    words = tf.lookup.KeyValueTensorInitializer(tf.constant(list(WEIGHTS)), tf.constant(list(WEIGHTS.values())))
    module = tf.Module()
    module.table = tf.lookup.StaticHashTable(words, 0.0)

    def scores(review_body: Any, product_category: Any) -> dict[str, Any]:
        plain = tf.strings.regex_replace(tf.strings.lower(review_body), "[^a-z ]", " ")
        found = tf.ragged.map_flat_values(module.table.lookup, tf.strings.split(plain))
        total = tf.reduce_sum(found, axis=1) + 0.1 * tf.cast(product_category == "Gift Card", tf.float32)
        return {"scores": tf.nn.softmax(tf.stack([-total, 0 * total, total], axis=1))}

    spec = tf.TensorSpec([None], tf.string)
    module.serve = tf.function(scores, input_signature=[spec, spec], autograph=False)
    tf.saved_model.save(module, str(folder / "1"), signatures={"serving_default": module.serve})
    return load_model(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reviews", type=Path, required=True, help="the folder of the lab's reviews")
    parser.add_argument("--rows", type=int, default=450)
    asked = parser.parse_args()
    lines = (asked.reviews / "test_data_explainability.jsonl").read_text("utf-8").splitlines()
    rows = [dict(zip(COLUMNS, json.loads(line)["features"], strict=True)) for line in lines[: asked.rows]]
    baseline = {
        name: np.array([value], dtype=object) for name, value in zip(COLUMNS, ("ok", "Digital_Software"), strict=True)
    }
    with TemporaryDirectory() as temporary:
        model = lookup_model(Path(temporary))
    features = Features(model.inputs, COLUMNS, {"review_body": "text", "product_category": "categorical"}, {})
    tokens = segmenter("token", "en")
    spent = {"model": 0.0, "synthetic rows": 0, "tokens": 0}

    def ask(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        began = time.perf_counter()
        found = model.predict(features.arrange(columns))
        spent["model"] += time.perf_counter() - began
        spent["synthetic rows"] += len(found)
        return found

    ask(baseline)  # the model's own preparation
    spent["model"] = 0.0
    began = time.perf_counter()
    with threadpool_limits(1, user_api="blas"):
        for row in rows:
            spans = {"review_body": grouped(tokens.split(row["review_body"]))}
            spent["tokens"] += len(spans["review_body"])
            RowGame(row, spans, COLUMNS, baseline, ask).explain(None, 0, None)
    total = time.perf_counter() - began
    print(f"{len(rows)} reviews, {spent['tokens']:,} tokens, {spent['synthetic rows']:,} synthetic rows")
    print(f"{total:.1f} s, of which the model {spent['model']:.1f} s: {total / spent['model']:.2f} × pure passes")


if __name__ == "__main__":
    main()
