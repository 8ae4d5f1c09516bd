"""The program: one evaluation job from its folders to its results."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from assay.errors import BadPolicy, BadSettings
from assay.evaluation import EvaluationReport
from assay.not_yet import check_is_built
from assay.policy import Policy
from assay.run import Champion, Run
from evaluator.images_job import evaluate_images
from evaluator.outputs import Outputs
from evaluator.request import Request
from job.folders import Folders
from job.program import run_program
from job.progress import Progress


def main(root: Path) -> int:
    """Run the job that lies under `root`; 0 when its results are written."""
    return run_program("evaluator", evaluate, root)


def evaluate(folders: Folders, progress: Progress) -> None:
    """Read what is asked for, and do it."""
    policy, champion = read_run_of(folders)
    request = Request(folders, progress, policy, Outputs(folders.output), champion)
    report = report_of(request)
    # last: whoever finds the report finds all the rest
    request.outputs.record("report.json", report)


def report_of(request: Request) -> EvaluationReport:
    """Evaluate by the policy's task."""
    if request.policy.task == "image_classification":
        return evaluate_images(request)
    # these two import pyarrow, a fifth of a second
    if request.policy.task == "object_detection":
        from evaluator.boxes_job import evaluate_boxes

        return evaluate_boxes(request)
    from evaluator.rows_job import evaluate_rows

    return evaluate_rows(request)


def read_run_of(folders: Folders) -> tuple[Policy, Champion | None]:
    """What run.json says: the policy, and the champion of the run's start.

    Raises:
        BadSettings, BadPolicy, NotYet: there is none, it has no policy, or one that asks for what is not built.
    """
    file = folders.input("run") / "run.json"
    try:
        run = Run.model_validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise BadSettings(f"no {file}: the job has no input `run`") from error
    except ValidationError as error:
        raise BadSettings(f"{file}: not a run: {error}") from error
    if run.policy is None:
        raise BadPolicy("run.json holds no policy")
    check_is_built(run.policy)
    return run.policy, run.champion
