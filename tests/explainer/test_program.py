"""The whole program on real models, and what it does not import."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

WEIGHTS = [[1.0, -1.0], [0.5, 2.0], [0.0, 1.0]]


@pytest.fixture
def archive(job: Any, tmp_path: Path) -> Any:
    """Packs a TensorFlow module into the job's model.tar.gz, as TensorFlow Serving expects it."""

    def pack(function: Any, *shape: int) -> None:
        import tensorflow as tf

        module = tf.Module()
        module.serve = tf.function(function, input_signature=[tf.TensorSpec([None, *shape], tf.float32, name="x")])
        folder = tmp_path / "1"
        tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
        with tarfile.open(job.root / "processing/input/model/model.tar.gz", "w:gz") as tar:
            tar.add(folder, arcname="1")

    return pack


@pytest.mark.tensorflow
def test_rows_of_a_saved_model(job: Any, archive: Any) -> None:
    import tensorflow as tf

    archive(lambda x: {"scores": tf.nn.softmax(x @ WEIGHTS)}, 3)
    (job.data / "data.csv").write_text("1,2,3,b\n-1,0.5,0,a\n")
    config = {
        "dataset_type": "text/csv",
        "headers": ["x", "y", "z", "class"],
        "label": "class",
        "methods": {"shap": {"baseline": [[0, 0, 0]]}},
        "predictor": {"model_name": "any", "label_headers": ["a", "b"]},
    }
    assert job.run(config) == 0
    values = np.loadtxt(job.output / "explanations_shap/out.csv", delimiter=",", skiprows=1).reshape(2, 2, 3)
    scores = np.exp(np.array([[1, 2, 3], [-1, 0.5, 0]]) @ WEIGHTS)
    scores /= scores.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(values.sum(axis=2), scores - 0.5, atol=1e-6)  # float32
    assert job.analysis["assay"]["max_additivity_gap"] < 1e-9
    progress = json.loads((job.root / "output/progress.json").read_text())
    assert progress == {"stage": "explaining", "done": 2, "total": 2, "unit": "rows"}


@pytest.mark.tensorflow
def test_pictures_of_a_saved_model(job: Any, archive: Any) -> None:
    import tensorflow as tf

    def corner(x: Any) -> Any:
        bright = tf.reduce_mean(x[:, :8, :8, 0], axis=[1, 2])
        return {"scores": tf.stack([bright, 1 - bright], axis=1)}

    archive(corner, 16, 16, 1)
    pixels = np.zeros((40, 40), dtype=np.uint8)
    pixels[:20, :20] = 255
    Image.fromarray(pixels).save(job.data / "corner.png")
    config = {
        "dataset_type": "application/x-image",
        "methods": {"shap": {"baseline": [[0]], "image_config": {"num_segments": 4}}},
        "predictor": {"model_name": "any", "label_headers": ["bright", "dark"]},
    }
    assert job.run(config) == 0
    found = json.loads((job.output / "explanations_shap/shap_corner.json").read_text())
    segments = np.load(job.output / "explanations_shap/shap_corner_segments.npy")
    attributions = np.array(found["attributions"]["bright"])
    assert found["prediction"] == pytest.approx([1.0, 0.0], abs=0.05)
    assert found["baseline_prediction"] == pytest.approx([0.0, 1.0], abs=1e-6)
    unseen = np.setdiff1d(np.unique(segments), np.unique(segments[:9, :9]))
    assert attributions.sum() == pytest.approx(found["prediction"][0], abs=1e-6)
    assert np.abs(attributions[unseen]).max(initial=0.0) < 1e-6


def test_tensorflow_is_not_imported_for_a_mistake_in_the_configuration(job: Any) -> None:
    job.configure({"dataset_type": "text/csv", "methods": {"shap": {}}})
    program = (
        "import sys; from pathlib import Path; from explainer.program import main;"
        "heavy = {'tensorflow', 'sklearn', 'skimage', 'boto3', 'jinja2', 'pyarrow'};"
        "print(main(Path(sys.argv[1])), sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(job.root)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.splitlines()[-1] == "1 []"
    assert "predictor: missing" in job.message


def test_the_mathematics_needs_nothing_but_numpy() -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'pydantic', 'PIL', 'sklearn', 'scipy', 'assay']));"
        "from explainer.shapley import explain_rows; import numpy as np;"
        "rows = explain_rows(lambda x: x @ np.ones((4, 1)), np.ones((1, 4)), np.zeros((1, 4)));"
        "print(next(rows).values.ravel().round(9).tolist())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.strip() == "[1.0, 1.0, 1.0, 1.0]"
