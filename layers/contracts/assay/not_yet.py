"""What a policy may ask for, rightly, but is not built yet."""

from __future__ import annotations

from collections.abc import Iterator

from assay.errors import NotYet
from assay.policy import Policy


def check_is_built(policy: Policy) -> None:
    """Raises NotYet: names everything in the policy that is not built yet, and what stands in its place."""
    missing = list(_missing(policy))
    if missing:
        raise NotYet("not yet: " + "; ".join(missing))


def _missing(policy: Policy) -> Iterator[str]:
    if policy.bias is not None and policy.task == "object_detection":
        yield "bias of detections"
    if policy.bias is not None and policy.task in ("tabular_regression", "image_classification"):
        yield f"bias of task {policy.task}"
