"""The policy that counts for an archive: found in S3, and read as YAML."""

from __future__ import annotations

from typing import Any

import yaml
from botocore.exceptions import ClientError

from assay.errors import BadPolicy, NoPolicy
from assay.layout import POLICY_NAME, policy_keys
from assay.policy import Policy, read_policy
from assay_aws.clients import s3
from assay_aws.refusals import denial_is_a_setting, is_not_found

LARGEST = 1 << 20
"""Bytes of a policy's file."""
DEEPEST = 50
"""Levels of nesting. The parser recurses, and in C an endless depth would end the process."""


def find_policy(bucket: str, archive_key: str) -> tuple[str, Policy]:
    """The address of the nearest `assay.yaml` at or above the archive's folder, and what it says.

    Raises:
        NoPolicy: there is none, with the places where it was looked for.
        BadPolicy: it is not valid.
    """
    keys = policy_keys(archive_key)
    for key in keys:
        where = f"s3://{bucket}/{key}"
        content = _read(bucket, key, where)
        if content is not None:
            return where, read_policy(parse_yaml(content, where), where)
    folder = keys[0].rpartition("/")[0]
    raise NoPolicy(
        f"no policy: no {POLICY_NAME} in s3://{bucket}/{folder}/ or above it, up to the bucket's root; "
        "expected one that names at least `task` and `data`"
    )


def _read(bucket: str, key: str, where: str) -> bytes | None:
    try:
        with denial_is_a_setting("s3:GetObject", where):
            answer = s3().get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if is_not_found(error):
            return None
        raise
    if answer["ContentLength"] > LARGEST:
        raise BadPolicy(f"{where}: {answer['ContentLength']} bytes, expected at most {LARGEST}")
    return answer["Body"].read()


def parse_yaml(content: bytes, where: str) -> object:
    """What a YAML file says, as dictionaries, lists, texts and numbers.

    Raises:
        BadPolicy: with line and column: not UTF-8, not YAML, a key twice, an alias, too deep.
    """
    try:
        text = content.decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise BadPolicy(
            f"{where}, line {line}, column {column}: byte 0x{content[error.start]:02x} is not UTF-8"
        ) from error
    try:
        _check_events(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise BadPolicy(f"{where}{place}: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise BadPolicy(f"{where}: {error}") from error
    except ValueError as error:  # a date such as 2026-02-31
        raise BadPolicy(f"{where}: {error}") from error


def _check_events(text: str) -> None:
    """Reading events needs no stack: so depth is known before the tree is built, which does."""
    depth = 0
    for event in yaml.parse(text, Loader=_PARSER):
        if isinstance(event, yaml.AliasEvent):
            raise _problem("aliases (*name) are not read here", event)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise _problem(f"nested deeper than {DEEPEST} levels", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _problem(text: str, at: Any) -> yaml.MarkedYAMLError:
    """`at` is an event or a node: what has a start_mark, which the C parser's are too."""
    return yaml.MarkedYAMLError(problem=text, problem_mark=at.start_mark)


_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_PARSER):  # type: ignore[misc]
    """A safe loader that takes no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                raise _problem("a key must be a text", key_node)
            if key in seen:
                raise _problem(f"the key `{key}` stands here a second time", key_node)
            seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping
