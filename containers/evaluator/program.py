"""The program: one evaluation job from its folders to its results."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from assay.errors import BadPolicy, BadSettings
from assay.not_yet import check_is_built
from assay.policy import Policy
from assay.run import Run
from evaluator.images_job import evaluate_images
from evaluator.outputs import Outputs
from evaluator.request import Request
from evaluator.rows_job import evaluate_rows
from job.folders import Folders
from job.program import run_program
from job.progress import Progress


def main(root: Path) -> int:
    """Run the job that lies under `root`; 0 when its results are written."""
    return run_program("evaluator", evaluate, root)


def evaluate(folders: Folders, progress: Progress) -> None:
    """Read what is asked for, and do it."""
    request = Request(folders, progress, read_policy_of(folders), Outputs(folders.output))
    report = evaluate_images(request) if request.policy.task == "image_classification" else evaluate_rows(request)
    # last: whoever finds the report finds all the rest
    request.outputs.record("report.json", report)


def read_policy_of(folders: Folders) -> Policy:
    """The policy in run.json; raises BadSettings when there is none, NotYet when it asks for what is not built."""
    file = folders.input("run") / "run.json"
    try:
        policy = Run.model_validate_json(file.read_bytes()).policy
    except FileNotFoundError as error:
        raise BadSettings(f"no {file}: the job has no input `run`") from error
    except ValidationError as error:
        raise BadSettings(f"{file}: not a run: {error}") from error
    if policy is None:
        raise BadPolicy("run.json holds no policy")
    check_is_built(policy)
    return policy
