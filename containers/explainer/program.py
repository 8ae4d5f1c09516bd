"""The program: one job from its folders to its results."""

from __future__ import annotations

import logging
from pathlib import Path

from explainer.analysis_config import IMAGES
from explainer.instances import is_first
from explainer.request import read_request
from job.folders import Folders
from job.program import run_program
from job.progress import Progress

logger = logging.getLogger(__name__)


def main(root: Path) -> int:
    """Run the job that lies under `root`; 0 when its results are written."""
    return run_program("explainer", explain, root)


def explain(folders: Folders, progress: Progress) -> None:
    """Read what is asked for, and do it.

    All that can be wrong with the configuration and the data is found before the model is loaded.
    """
    request = read_request(folders, progress)
    if not is_first(folders.config.parent, request.job):
        logger.warning("the first instance does all of the job; this one ends: a larger one helps, a second does not")
        return
    request.shap_folder.mkdir(parents=True, exist_ok=True)
    # only now, and only what this job needs: a mistake in the configuration is told in half the time
    if request.config.dataset_type == IMAGES:
        from explainer.images_job import explain_images

        explain_images(request)
    else:
        from explainer.rows_job import explain_rows

        explain_rows(request)
