"""What a job knows so far is found by the next attempt at the same question, and by no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from explainer.analysis_config import read_analysis_config
from explainer.inputs import JobConfig
from explainer.request import Request
from job.folders import Folders
from job.progress import Progress


def parts(root: Path, **shap: Any) -> Path:
    config = {
        "dataset_type": "text/csv",
        "headers": ["a", "b"],
        "methods": {"shap": {"baseline": [[0, 0]], **shap}},
        "predictor": {"model_name": "any"},
    }
    file = root / "analysis_config.json"
    file.write_text(json.dumps(config))
    folders = Folders(root)
    return Request(folders, Progress(folders.progress), read_analysis_config(file), JobConfig()).parts("content")


def test_an_attempt_that_has_less_time_left_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    assert parts(tmp_path, time_budget=900) == parts(tmp_path, time_budget=60)


@pytest.mark.parametrize("other", [{}, {"time_budget": 900, "seed": 7}])
def test_another_question_finds_nothing(tmp_path: Path, other: dict[str, Any]) -> None:
    assert parts(tmp_path, time_budget=900) != parts(tmp_path, **other)
