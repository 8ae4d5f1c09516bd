"""The whole chain for a model that reads texts: what it was wrong about is shown word by word."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from assay_local.cloud import Cloud

from .conftest import Application

pytest.importorskip("spacy")
pytestmark = [pytest.mark.pipeline, pytest.mark.tensorflow]

POLICY = """
task: text_classification
data:
  source: test.jsonl
  features: features
  headers: [review_body, product_category]
  text: [review_body]
  label: star_rating
  labels: [1, 2, 3]
  language: english
explain:
  chosen: {samples: 2}
  representative: {samples: 3}
"""
ROWS = [
    (["great, easy to use", "Digital_Software"], 3),
    (["bad", "Gift Card"], 1),
    (["it is ok", "Gift Card"], 2),
    (["not great <b>at all</b>\nreally", "Digital_Software"], 1),  # what the model gets wrong
]


def archive(folder: Path) -> bytes:
    """Three stars for what is great, one for what is bad, else two; a gift card says a little for two."""
    import tensorflow as tf

    def stars(review_body: Any, product_category: Any) -> dict[str, Any]:
        great = tf.cast(tf.strings.regex_full_match(review_body, "(?s).*great.*"), tf.float32)
        bad = tf.cast(tf.strings.regex_full_match(review_body, "(?s).*bad.*"), tf.float32)
        card = 0.5 * tf.cast(product_category == "Gift Card", tf.float32)
        return {"scores": tf.nn.softmax(tf.stack([2 * bad, 1 + card, 2 * great], axis=1))}

    module = tf.Module()
    spec = tf.TensorSpec([None], tf.string)
    module.serve = tf.function(stars, input_signature=[spec, spec], autograph=False)
    tf.saved_model.save(module, str(folder / "saved"), signatures={"serving_default": module.serve})
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        tar.add(folder / "saved", "1")
    return content.getvalue()


def test_a_mistake_about_a_text_is_shown_word_by_word(tmp_path: Path) -> None:
    with Cloud(schedules=False) as cloud:
        app = Application(cloud)
        app.put("models/m/assay.yaml", POLICY)
        lines = [json.dumps({"features": features, "star_rating": stars}) + "\n" for features, stars in ROWS]
        app.put("models/m/test.jsonl", "".join(lines))
        folder = app.upload(archive(tmp_path), "models/m/1/model.tar.gz")
        app.cloud.drain(timeout=180)
        app.check_is_whole()
        summary = app.summary(folder)
        assert (summary.explanation, summary.explanation_failure) == ("done", None), summary
        config = json.loads(app.get(folder.analysis_config))
        assert config["methods"]["shap"]["text_config"] == {"granularity": "token", "language": "en"}
        (mistake,) = summary.mistakes
        assert (mistake.true, mistake.predicted) == ("1", "3")
        moved = {one.text: one.value for one in mistake.texts["review_body"]}
        assert set(moved) >= {"not", "great", "really"}
        others = [value for text, value in moved.items() if text != "great"]
        assert moved["great"] > 0.3 and others == pytest.approx([0.0] * len(others), abs=1e-6)
        assert summary.max_additivity_gap is not None and summary.max_additivity_gap < 1e-6
        page = app.get(folder.summary_html).decode()
        assert ">great</span>" in page and "<b>at all" not in page
        lines = app.get(folder.explanation + "explanations_shap/out.jsonl").decode().splitlines()
        samples = json.loads(app.get(folder.samples))["samples"]
        assert [json.loads(line)["assay_id"] for line in lines] == [sample["id"] for sample in samples]
