"""Where everything lies: the keys of a run's folder and of the two indexes beside it."""

from __future__ import annotations

from typing import NamedTuple

ACTIVE_PREFIX = "active/"
"""One object for each run that has not ended: what the sweep lists."""

MODELS_PREFIX = "models/"
RUNS_PREFIX = "runs/"
ARCHIVE_NAME = "model.tar.gz"
POLICY_NAME = "assay.yaml"


def active_key(run: str) -> str:
    return f"{ACTIVE_PREFIX}{run}"


def champion_key(model: str) -> str:
    return f"champions/{model}.json"


def last_run_key(model: str) -> str:
    return f"latest/{model}.json"


def policy_keys(archive_key: str) -> list[str]:
    """Where a policy is looked for, the nearest first: beside the archive, then in each folder above it."""
    folders = archive_key.split("/")[:-1]
    return ["/".join([*folders[:depth], POLICY_NAME]) for depth in range(len(folders), -1, -1)]


class RunFolder(NamedTuple):
    """`runs/<model>/<run id>/`: a run's whole truth."""

    model: str
    run: str

    @property
    def prefix(self) -> str:
        return f"{RUNS_PREFIX}{self.model}/{self.run}/"

    def key(self, path: str) -> str:
        return self.prefix + path

    @property
    def run_json(self) -> str:
        return self.key("run.json")

    @property
    def state_json(self) -> str:
        return self.key("state.json")

    @property
    def archive(self) -> str:
        """The exact version that was uploaded."""
        return self.key(f"input/{ARCHIVE_NAME}")

    def manifest(self, name: str) -> str:
        """The ManifestFile that brings one single object into a job: a prefix would also fetch `test.csv.bak`."""
        return self.key(f"input/{name}.manifest")

    @property
    def evaluation(self) -> str:
        return self.key("evaluation/")

    @property
    def report(self) -> str:
        return self.evaluation + "report.json"

    @property
    def model_quality(self) -> str:
        """In SageMaker's shape, as the Model Registry reads it."""
        return self.evaluation + "evaluation.json"

    @property
    def predictions(self) -> str:
        """One row a sample."""
        return self.evaluation + "predictions.parquet"

    @property
    def samples(self) -> str:
        return self.evaluation + "explain/samples.json"

    @property
    def explain_images(self) -> str:
        return self.evaluation + "explain/images/"

    @property
    def explain_rows(self) -> str:
        return self.evaluation + "explain/rows/"

    @property
    def explanation(self) -> str:
        return self.key("explanation/")

    @property
    def analysis_config(self) -> str:
        return self.explanation + "analysis_config.json"

    @property
    def explanation_parts(self) -> str:
        """What an explanation knows so far: its next attempt goes on from there."""
        return self.explanation + "assay/parts/"

    @property
    def analysis(self) -> str:
        return self.explanation + "analysis.json"

    @property
    def bias(self) -> str:
        """In Clarify's shape, as the Model Registry reads it; only of a registered model."""
        return self.key("bias.json")

    @property
    def summary_json(self) -> str:
        return self.key("summary.json")

    @property
    def junit_xml(self) -> str:
        return self.key("junit.xml")

    @property
    def summary_html(self) -> str:
        return self.key("summary.html")

    @property
    def summary_md(self) -> str:
        return self.key("summary.md")
