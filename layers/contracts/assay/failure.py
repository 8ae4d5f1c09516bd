"""`failure.json`: why a job has no result, as data."""

from __future__ import annotations

from typing import Literal

from assay.base import Record

MESSAGE_MAX = 1024
"""Bytes of `/opt/ml/output/message` that SageMaker keeps as ExitMessage."""
OUT_OF_MEMORY = "out of memory: use an instance type with more of it"
"""What a container says; its job is started again on a larger instance."""


class Failure(Record):
    schema_version: Literal[1] = 1
    error: str
    """The class of assay.errors, or the Python exception's own name when it is none of ours."""
    message: str
    """A sentence: the thing, what was found, what was expected."""
    details: tuple[str, ...] = ()
    """All of it, a line each: the problems of a policy, the unreadable files, the traceback of a bug."""
