"""A notebook may ask for several instances: one of them does the job."""

from __future__ import annotations

import json
from typing import Any

import pytest

CONFIG = {
    "dataset_type": "text/csv",
    "headers": ["age", "rich"],
    "label": "rich",
    "label_values_or_threshold": [1],
    "facet": [{"name_or_index": "age", "value_or_threshold": [40]}],
    "methods": {"pre_training_bias": {"methods": ["CI"]}},
}


@pytest.fixture
def instance(job: Any) -> Any:
    """Runs the job on this one of these hosts."""
    (job.data / "rows.csv").write_text("20.5,0\n50.5,1\n")
    (job.root / "config").mkdir()

    def run(host: str, hosts: list[str], distribution: str = "FullyReplicated") -> int:
        resources = {"current_host": host, "hosts": hosts, "network_interface_name": "eth0"}
        (job.root / "config/resourceconfig.json").write_text(json.dumps(resources))
        s3 = {"S3Uri": "s3://b/k", "LocalPath": "/opt/ml/processing/input/data", "S3DataDistributionType": distribution}
        inputs = {"ProcessingInputs": [{"InputName": "dataset", "S3Input": s3}]}
        (job.root / "config/processingjobconfig.json").write_text(json.dumps(inputs))
        code: int = job.run(CONFIG)
        return code

    return run


@pytest.mark.parametrize(("host", "works"), [("algo-1", True), ("algo-2", False)])
def test_the_first_of_several_instances_does_the_job_and_the_others_end(
    job: Any, instance: Any, host: str, works: bool
) -> None:
    assert instance(host, ["algo-2", "algo-1"]) == 0
    assert (job.output / "analysis.json").exists() == works
    assert (job.output / "report.html").exists() == works


def test_one_instance_may_have_the_only_part(job: Any, instance: Any) -> None:
    assert instance("algo-1", ["algo-1"], "ShardedByS3Key") == 0, job.message


def test_data_in_parts_is_an_error_on_each_instance(job: Any, instance: Any) -> None:
    assert instance("algo-2", ["algo-1", "algo-2"], "ShardedByS3Key") == 1
    assert job.message.startswith("the job's input dataset is ShardedByS3Key over 2 instances: each has a part of it; ")
