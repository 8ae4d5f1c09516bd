"""Names that derive from content: the same upload always is the same run, and a run's jobs are known beforehand."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Literal, NamedTuple

Stage = Literal["evaluation", "explanation"]

_RUN_LENGTH = 20
_ARCHIVE_KEY = re.compile(r"models/(?P<path>.+)/model\.tar\.gz", re.DOTALL)
_VERSION = re.compile(r"v?\d[\d._T:-]*", re.IGNORECASE)
_JOB = re.compile(
    r"(?P<prefix>[a-z][a-z0-9]{0,15})-(?P<run>[a-z2-7]{20})-(?P<attempt>\d\d)-(?P<stage>evaluation|explanation)"
)


def run_id(bucket: str, key: str, version: str, request: str = "") -> str:
    """20 characters of lower-case base32 of the SHA-256 of what was uploaded and who asked.

    `request` is empty for an upload, so that however often its event comes it is one run; a re-run brings its own.
    """
    # NUL stands in no bucket, key or version, so no two different quadruples are joined to the same text
    digest = hashlib.sha256("\0".join((bucket, key, version, request)).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:_RUN_LENGTH]


def model_name(key: str) -> str:
    """The model that an archive's key belongs to: the folders below `models/`, without a last one that is a version.

    `models/birds/7/model.tar.gz` and `models/birds/v8/model.tar.gz` are both `birds`.

    Raises:
        ValueError: the key is not `models/<model>/model.tar.gz`.
    """
    match = _ARCHIVE_KEY.fullmatch(key)
    if match is None:
        raise ValueError(f"key {key!r} is not of the form models/<model>/model.tar.gz")
    folders = match["path"].split("/")
    if len(folders) > 1 and _VERSION.fullmatch(folders[-1]):
        folders = folders[:-1]
    return "/".join(folders)


class JobName(NamedTuple):
    """`<prefix>-<run>-<attempt>-<stage>`: at most 52 of the 63 characters that SageMaker allows.

    The prefix has no hyphen, so that one stack's event pattern never matches another's jobs.
    """

    prefix: str
    run: str
    attempt: int
    stage: Stage

    def __str__(self) -> str:
        return f"{self.prefix}-{self.run}-{self.attempt:02d}-{self.stage}"

    @classmethod
    def parse(cls, name: str, prefix: str) -> JobName | None:
        """The parts of a job's name; None for a job that is not this stack's."""
        match = _JOB.fullmatch(name)
        if match is None or match["prefix"] != prefix:
            return None
        stage: Stage = "evaluation" if match["stage"] == "evaluation" else "explanation"
        return cls(prefix, match["run"], int(match["attempt"]), stage)
