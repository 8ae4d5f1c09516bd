"""Where a policy's data lies, and whether the deployer allows it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from assay.errors import BadPolicy
from assay.policy import Policy
from assay_aws.locations import bucket_and_key, resolved
from assay_aws.settings import EvaluationSettings


class DataSource(NamedTuple):
    """An input of the evaluation: `dataset` or `annotations`."""

    name: str
    address: str

    @property
    def is_folder(self) -> bool:
        return self.address.endswith("/")


def data_sources(policy: Policy, policy_source: str, settings: EvaluationSettings) -> list[DataSource]:
    """The policy's data.

    Raises:
        BadPolicy: an address is none, or of a place that the deployer does not allow.
    """
    given = {"dataset": policy.data.source, "annotations": policy.data.annotations}
    sources = [
        DataSource(name, resolved(address, policy_source)) for name, address in given.items() if address is not None
    ]
    for source in sources:
        check_is_allowed(source.address, settings.bucket_name, settings.data_object_arns)
    return sources


def baseline_address(policy: Policy, policy_source: str, settings: EvaluationSettings) -> str | None:
    """Where the explanation's baseline lies, if the policy says where; raises as `data_sources` does."""
    if policy.explain.baseline_address is None:
        return None
    address = resolved(policy.explain.baseline_address, policy_source)
    check_is_allowed(address, settings.bucket_name, settings.data_object_arns)
    return address


def check_is_allowed(address: str, bucket: str, patterns: Iterable[str]) -> None:
    """Raises BadPolicy unless the address lies in the application's bucket or where the deployer allows data.

    The jobs' role may read what any policy of this deployment needs; so a policy could otherwise read another's data.
    """
    if bucket_and_key(address)[0] == bucket:
        return
    path = address.removeprefix("s3://")
    allowed = [pattern.partition(":::")[2] for pattern in patterns]
    if not any(re.fullmatch(as_regex(pattern), path, re.DOTALL) for pattern in allowed):
        places = ", ".join(f"s3://{pattern}" for pattern in [f"{bucket}/*", *allowed])
        raise BadPolicy(f"data address {address}: location not allowed; the deployer allows {places}")


def as_regex(pattern: str) -> str:
    """IAM's wildcards: `*` stands for any text, `?` for one character."""
    return "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
