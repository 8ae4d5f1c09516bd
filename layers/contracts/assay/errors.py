"""Errors say who can act.

`BadModel`, `BadPolicy`, `BadData`, `BadSettings` and `JobFailed` are not cured by retrying: they become the run's
result and a notice. `NoCapacity` waits. Anything else rises, and the queue keeps the event.
"""

from __future__ import annotations


class AssayError(Exception):
    """A sentence that names the thing, what was found and what was expected."""

    who_can_act: str = ""


class BadModel(AssayError):
    """The archive, or the model in it, cannot be used."""

    who_can_act = "the uploader of the model"


class BadPolicy(AssayError):
    """`assay.yaml` is missing, is not valid, or asks for what cannot be done."""

    who_can_act = "the owner of the policy"


class NoPolicy(BadPolicy):
    """There is no `assay.yaml` for the archive."""


class BadData(AssayError):
    """The data that the policy names is missing, cannot be read, or does not fit the model."""

    who_can_act = "the owner of the data"


class BadSettings(AssayError):
    """The deployment itself is wrong: a parameter, a permission, an image."""

    who_can_act = "the deployer of the stack"


class JobFailed(AssayError):
    """A job ended without its results; its log says more."""

    who_can_act = "the reader of the job's log"


class NoCapacity(AssayError):
    """No instance or quota free right now: the run waits."""

    who_can_act = "time"


class NotYet(BadPolicy):
    """Asked for rightly, but not built yet."""


RESULTS: dict[str, type[AssayError]] = {
    kind.__name__: kind for kind in (BadModel, BadPolicy, NoPolicy, BadData, BadSettings, JobFailed, NotYet)
}
"""The errors that end a run, by the name that stored records carry."""
