"""AWS's refusals, told apart, and those that no retry cures turned into ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError

from assay.errors import BadSettings

_NOT_ALLOWED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "403"}
_NOT_FOUND = {"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "404"}
_CONFLICT = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


def code_of(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def text_of(error: ClientError) -> str:
    """AWS's own sentence, on one line."""
    return " ".join(error.response.get("Error", {}).get("Message", "").split())


def is_not_found(error: ClientError) -> bool:
    return code_of(error) in _NOT_FOUND


def is_conflict(error: ClientError) -> bool:
    """Another write came first (412), or is under way (409)."""
    return code_of(error) in _CONFLICT


@contextmanager
def denial_is_a_setting(action: str, resource: str) -> Iterator[None]:
    """Raises BadSettings, naming action and resource, where AWS denies access: waiting will not grant it."""
    try:
        yield
    except ClientError as error:
        if code_of(error) not in _NOT_ALLOWED:
            raise
        raise BadSettings(f"access denied: {action} on {resource}: {text_of(error)}") from error
