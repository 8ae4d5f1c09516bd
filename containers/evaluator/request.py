"""What an evaluation job is asked for, and where its parts lie."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from assay.errors import BadData, BadSettings
from assay.evaluation import ModelFacts
from assay.layout import ARCHIVE_NAME
from assay.policy import Policy, Preprocessing
from assay.run import Champion
from evaluator.labels import answered_labels
from evaluator.outputs import Outputs
from job.folders import Folders
from job.progress import Progress
from model.archive import sha256, unpack
from model.endpoint import Endpoint
from model.load import Model, load_model
from model.picture_endpoint import PictureEndpoint
from model.predictor import open_endpoint, served
from model.preprocessing import preprocessing_of


@dataclass(frozen=True)
class Request:
    """One job."""

    folders: Folders
    progress: Progress
    policy: Policy
    outputs: Outputs
    champion: Champion | None = None
    """Of the run's start; what it left behind is the input `champion`."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of each part, filled as they end."""
    other_archive: Path | None = None
    """Asked in place of the job's own: the champion's."""
    only: Collection[int] | None = None
    """The places in the data that the model is asked about, from 0; None: all. `assay validate` tries a few."""

    @property
    def archive(self) -> Path:
        return self.other_archive or self.folders.input("model") / ARCHIVE_NAME

    @property
    def dataset(self) -> Path:
        """The folder of the data; raises BadData when it is missing or empty."""
        folder = self.folders.input("dataset")
        if not any(path.is_file() for path in folder.rglob("*")):
            raise BadData(f"no data: nothing lies at {self.policy.data.source}")
        return folder

    @property
    def annotations(self) -> Path:
        """The annotation file."""
        files = sorted(path for path in self.folders.input("annotations").rglob("*") if path.is_file())
        if len(files) != 1:
            raise BadData(f"expected one annotation file at {self.policy.data.annotations}, found {len(files)}")
        return files[0]

    def preprocessing(self, model_folder: Path) -> Preprocessing | None:
        """How pictures become the model's input."""
        return preprocessing_of(self.policy, model_folder)

    @contextmanager
    def model(self) -> Iterator[tuple[Model, Path]]:
        """The loaded model, and the folder its archive was unpacked into. This is where TensorFlow is imported."""
        with self._unpacked() as folder:
            with self.timed("load"):
                model = load_model(folder).asked_by(self.policy.model)
            yield model, folder

    @contextmanager
    def predictor(self) -> Iterator[tuple[Model | Endpoint, Path]]:
        """Who is asked about rows: `model`, or the policy's endpoint, for which nothing is loaded.

        An endpoint takes the features' columns as they are, `{name: batch.columns[name] for name in table.features}`.
        """
        if self.policy.model.predictor == "in_process":
            with self.model() as loaded:
                yield loaded
            return
        labels = None if self.policy.task == "tabular_regression" else answered_labels(self.policy)
        with self._unpacked() as folder, ExitStack() as stack:
            with self.timed("endpoint"):
                endpoint = stack.enter_context(open_endpoint(self.policy.model, labels, self.folders))
            yield endpoint, folder

    @contextmanager
    def picture_endpoint(self, labels: Mapping[str, int] | None) -> Iterator[tuple[PictureEndpoint, Path]]:
        """The policy's endpoint, to be asked about pictures, and the archive's folder, from which nothing is loaded.

        Args:
            labels: a label as it is answered → its class; None of a detector.
        """
        with self._unpacked() as folder, ExitStack() as stack:
            with self.timed("endpoint"):
                name, client = stack.enter_context(served(self.policy.model, self.folders))
            yield PictureEndpoint(name, self.policy.model, labels, self.preprocessing(folder), client), folder

    @contextmanager
    def _unpacked(self) -> Iterator[Path]:
        """The archive's folder; what is hostile in the archive is refused, whoever is asked."""
        if not self.archive.exists():
            raise BadSettings(f"no {self.archive}: the job has no input `model`")
        with TemporaryDirectory(prefix="model-") as temporary:
            folder = Path(temporary) / "model"
            with self.timed("unpack"):
                unpack(self.archive, folder)
            yield folder

    def facts(self, model: Model | Endpoint | PictureEndpoint, folder: Path) -> ModelFacts:
        return ModelFacts(
            format=model.format,
            runtime=model.runtime,
            runtime_reason=model.runtime_reason if isinstance(model, Model) else None,
            archive_sha256=sha256(self.archive),
            handler=(folder / "code" / "inference.py").is_file(),
            inputs=model.inputs,
            outputs=model.outputs,
        )

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[part] = round(time.monotonic() - began, 3)
