"""Where a job's parts lie: `/opt/ml` on SageMaker, a folder of its own on a laptop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folders:
    """The folders of one job.

    https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
    """

    root: Path = Path("/opt/ml")

    def input(self, name: str) -> Path:
        """The folder that an input was laid out in."""
        return self.root / "processing" / "input" / name

    @property
    def output(self) -> Path:
        """What lies here is uploaded."""
        return self.root / "processing" / "output"

    @property
    def config(self) -> Path:
        """The job as SageMaker describes it to its container."""
        return self.root / "config" / "processingjobconfig.json"

    @property
    def message(self) -> Path:
        """Its text becomes the job's ExitMessage."""
        return self.root / "output" / "message"

    @property
    def progress(self) -> Path:
        """How far the job is, for whoever looks on from outside the container."""
        return self.root / "output" / "progress.json"
