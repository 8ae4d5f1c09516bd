"""The job as SageMaker describes it to its container."""

from __future__ import annotations

import json
from typing import NamedTuple

from assay.errors import BadSettings
from job.folders import Folders


class DescribedJob(NamedTuple):
    name: str
    region: str
    instance_type: str | None
    """None where the job takes the first of several that is free."""


def described_job(folders: Folders) -> DescribedJob | None:
    """None where the program runs by itself, and the file is missing or says only where its inputs lie.

    Raises:
        BadSettings: the file is there, and is no description of a job.
    """
    try:
        content = json.loads(folders.config.read_bytes())
        if set(content) == {"ProcessingInputs"}:
            return None
        cluster = content["ProcessingResources"]["ClusterConfig"]
        region = content["ProcessingJobArn"].split(":")[3]
        return DescribedJob(content["ProcessingJobName"], region, cluster.get("InstanceType"))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise BadSettings(f"{folders.config}: expected the job's description, found none: {error!r}") from error
