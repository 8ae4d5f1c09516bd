"""A job on several instances: the first does all of it, the others end at once.

Clarify spreads its calls of an endpoint over instances with Spark. Ours needs no second one; and two that did the same
job would make and delete one shadow endpoint, and upload each over the other.
"""

from __future__ import annotations

from pathlib import Path

from assay.base import Foreign
from assay.errors import BadSettings
from explainer.inputs import JobConfig


class _Resources(Foreign):
    """`config/resourceconfig.json`, as SageMaker lays it into each container."""

    current_host: str = ""
    hosts: tuple[str, ...] = ()


def is_first(config: Path, job: JobConfig) -> bool:
    """Whether this instance does the job; also where there is one only, or the program runs by itself.

    Args:
        config: the folder of SageMaker's own files.
        job: its description.

    Raises:
        BadSettings: each instance has a part of the data.
    """
    file = config / "resourceconfig.json"
    resources = _Resources.model_validate_json(file.read_bytes()) if file.exists() else _Resources()
    if len(resources.hosts) < 2:
        return True
    parted = [given.name for given in job.inputs if given.s3 is not None and given.s3.distribution == "ShardedByS3Key"]
    if parted:
        raise BadSettings(
            f"the job's input {parted[0]} is ShardedByS3Key over {len(resources.hosts)} instances: each has a part of "
            "it; expected S3DataDistributionType FullyReplicated, or one instance"
        )
    return resources.current_host == min(resources.hosts)
