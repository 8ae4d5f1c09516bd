"""What a job is asked for, and where its parts lie."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from assay.errors import BadModel, BadSettings
from assay.policy import ModelOptions, Policy, Preprocessing
from assay.run import Run
from explainer import not_yet
from explainer.analysis_config import AnalysisConfig, Shap, read_analysis_config
from explainer.inputs import JobConfig, local_path, read_job_config
from explainer.passed_over import passed_over
from explainer.refused_by_aws import refused_by_aws
from job.folders import Folders
from job.progress import Progress
from model.archive import unpack
from model.load import Model, load_model
from model.preprocessing import preprocessing_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """A job's configuration, read and found to be one that can be done, and its folders."""

    folders: Folders
    progress: Progress
    config: AnalysisConfig
    job: JobConfig

    @property
    def shap(self) -> Shap:
        """How attributions are asked for; only of a job that asks for them."""
        assert self.config.methods.shap is not None
        return self.config.methods.shap

    @property
    def dataset(self) -> Path:
        """The folder of the data: the one that brings `dataset_uri`, else the input `dataset`."""
        if self.config.dataset_uri is not None:
            return self.resolve(self.config.dataset_uri)
        return self.folders.input("data")

    @property
    def samples_file(self) -> Path:
        return self.folders.input("samples") / "samples.json"

    @property
    def shap_folder(self) -> Path:
        return self.folders.output / "explanations_shap"

    @property
    def assay_folder(self) -> Path:
        """What Clarify has no place for."""
        return self.folders.output / "assay"

    def parts(self, content: str) -> Path:
        """The folder for what this job knows so far: of this configuration, model and content, and of no other.

        What the last attempt had, the job's input `resume`, is there already.
        """
        archive = self.folders.input("model") / "model.tar.gz"
        config, shap = (
            self.config.model_dump_json(exclude={"methods": {"shap": {"time_budget"}}}),
            self.config.methods.shap,
        )
        # that time is short puts the rows in another order; how much of it an attempt still has changes no number
        hurried = shap is not None and shap.time_budget is not None
        digest = hashlib.sha256(f"{content}\n{config}\n{hurried}\n{self.model_options!r}\n".encode())
        if archive.exists():
            with archive.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        folder = self.assay_folder / "parts" / digest.hexdigest()[:32]
        before = self.folders.input("resume") / folder.relative_to(self.folders.output)
        if before.is_dir() and not folder.exists():
            shutil.copytree(before, folder)
        return folder

    def resolve(self, address: str) -> Path:
        """Where what lies at an S3 address lies in this job."""
        return local_path(address, self.job, self.folders.root)

    @cached_property
    def policy(self) -> Policy | None:
        """The run's; a job of Clarify's contract alone has none."""
        run = self.folders.input("run") / "run.json"
        return Run.model_validate_json(run.read_bytes()).policy if run.exists() else None

    @property
    def model_options(self) -> ModelOptions:
        """How the model is asked, where the policy says so."""
        return ModelOptions() if self.policy is None else self.policy.model

    def preprocessing(self, model_folder: Path) -> Preprocessing | None:
        """How pictures become the model's input."""
        return preprocessing_of(self.policy, model_folder)

    def write_text(self, name: str, text: str) -> None:
        """As `write_bytes`, in UTF-8."""
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file of the results, whole or not at all: they are uploaded while the job runs."""
        path = self.folders.output / name
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(content)
        part.replace(path)

    @property
    def archive(self) -> Path:
        """The job's input `model`; a job of Clarify's contract alone has none."""
        return self.folders.input("model") / "model.tar.gz"

    @contextmanager
    def model(self) -> Iterator[tuple[Model, Path]]:
        """The loaded model, and the folder its archive was unpacked into. This is where TensorFlow is imported."""
        with TemporaryDirectory(prefix="model-") as temporary:
            folder = Path(temporary)
            if not self.archive.exists():
                raise BadSettings(
                    f"no model: found neither {self.archive} nor predictor.model_name in the configuration"
                )
            unpack(self.archive, folder / "model")
            yield load_model(folder / "model").asked_by(self.model_options), folder / "model"


def read_request(folders: Folders, progress: Progress) -> Request:
    """Read the configuration; raises BadPolicy or NotYet when it cannot be done."""
    file = folders.input("config") / "analysis_config.json"
    config = read_analysis_config(file)
    for difference in refused_by_aws(json.loads(file.read_text(encoding="utf-8-sig"))):
        logger.warning("taken here, but AWS's Clarify would refuse it: %s", difference)
    not_yet.check_is_built(config)
    for key in passed_over(config):
        logger.warning("without effect: %s", key)
    for method in config.methods.asked:
        if method not in not_yet.ANALYSES:
            logger.warning("%s", not_yet.reason(method))
    return Request(folders, progress, config, read_job_config(folders.config))


@contextmanager
def unexplainable() -> Iterator[None]:
    """The mathematics knows no archive and no configuration: what it refuses is the model's answer."""
    try:
        yield
    except ValueError as error:
        raise BadModel(f"the predictions cannot be explained: {error}") from error
