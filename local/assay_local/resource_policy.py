"""Would AWS allow it? Resource policies (of a queue, of a role's trust) evaluated for a service's request."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """A service that wants to act on a resource: `events.amazonaws.com` that sends to a queue."""

    service: str
    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def allows(policies: Iterable[Policy], request: Request) -> bool:
    """At least one statement allows the request and none denies it, as IAM decides it."""
    statements = [statement for policy in policies for statement in listed(policy.get("Statement", []))]
    effects = {statement["Effect"] for statement in statements if applies(statement, request)}
    return effects == {"Allow"}


def applies(statement: Mapping[str, Any], request: Request) -> bool:
    return (
        principal_matches(statement, request.service)
        and listed_match(statement, "Action", request.action.lower(), str.lower)
        # A role's trust policy names no resource: the role is meant.
        and ("Resource" not in statement or listed_match(statement, "Resource", request.resource))
        and all(
            condition_holds(operator, key, listed(wanted), request.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def principal_matches(statement: Mapping[str, Any], service: str) -> bool:
    if "Principal" not in statement:
        raise ValueError(f"a statement without Principal: {dict(statement)}")
    principal = statement["Principal"]
    if principal == "*":
        return True
    return service in listed(principal.get("Service", [])) or "*" in listed(principal.get("AWS", []))


def listed_match(statement: Mapping[str, Any], key: str, value: str, form: Any = str) -> bool:
    if key not in statement:
        raise ValueError(f"a statement without {key}: {dict(statement)}")
    return any(wildcard(form(pattern), value) for pattern in listed(statement[key]))


def condition_holds(operator: str, key: str, wanted: list[Any], context: Mapping[str, str]) -> bool:
    """One key of one operator. A key that the request lacks fails, but for negated operators and …IfExists."""
    name = operator.removesuffix("IfExists")
    if name not in OPERATORS:
        raise ValueError(f"condition operator {operator}: not known here, expected one of {', '.join(OPERATORS)}")
    negated, compare = OPERATORS[name]
    found = {k.lower(): v for k, v in context.items()}.get(key.lower())
    if found is None:
        return negated or operator.endswith("IfExists")
    return negated != any(compare(str(value), found) for value in wanted)


def wildcard(pattern: str, value: str) -> bool:
    """AWS's own wildcards: * for any text, ? for one character, nothing else is special."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None


def equal(pattern: str, value: str) -> bool:
    return pattern == value


def equal_ignoring_case(pattern: str, value: str) -> bool:
    return pattern.lower() == value.lower()


OPERATORS = {
    "StringEquals": (False, equal),
    "StringNotEquals": (True, equal),
    "StringEqualsIgnoreCase": (False, equal_ignoring_case),
    "StringLike": (False, wildcard),
    "StringNotLike": (True, wildcard),
    # IAM treats ArnEquals and ArnLike alike: both know wildcards.
    "ArnEquals": (False, wildcard),
    "ArnNotEquals": (True, wildcard),
    "ArnLike": (False, wildcard),
    "ArnNotLike": (True, wildcard),
    "Bool": (False, equal_ignoring_case),
}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
