"""Policies of queues and roles are judged as IAM judges them."""

from typing import Any

import pytest

from assay_local.resource_policy import Request, allows, wildcard

QUEUE = "arn:aws:sqs:us-east-1:123456789012:start"
RULE = "arn:aws:events:us-east-1:123456789012:rule/upload"


def statement(**changes: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": QUEUE,
        "Condition": {"ArnEquals": {"aws:SourceArn": RULE}},
    } | changes


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


REQUEST = Request(
    "events.amazonaws.com", "sqs:SendMessage", QUEUE, {"aws:SourceArn": RULE, "aws:SecureTransport": "true"}
)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Action": ["sqs:ReceiveMessage", "sqs:SendMessage"]},
        {"Action": "SQS:Send*"},
        {"Principal": "*"},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]}},
        {"Resource": "*"},
        {"Condition": {}},
        {"Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:events:*:123456789012:rule/*"}}},
        {"Condition": {"ArnEquals": {"aws:SourceArn": ["arn:other", RULE]}}},
        {"Condition": {"StringEqualsIfExists": {"aws:SourceOrgID": "o-1"}}},
        {"Condition": {"StringNotEquals": {"aws:SourceAccount": "999999999999"}}},
    ],
)
def test_a_statement_that_covers_the_request_allows_it(changes: dict[str, Any]) -> None:
    assert allows([policy(statement(**changes))], REQUEST)


@pytest.mark.parametrize(
    "changes",
    [
        {"Action": "sqs:ReceiveMessage"},
        {"Principal": {"Service": "sns.amazonaws.com"}},
        {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}},
        {"Resource": f"{QUEUE}-other"},
        {"Condition": {"ArnEquals": {"aws:SourceArn": f"{RULE}2"}}},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}},  # the request does not say
        {"Condition": {"ArnEquals": {"aws:SourceArn": RULE}, "Bool": {"aws:SecureTransport": "false"}}},
    ],
)
def test_a_statement_that_misses_one_thing_does_not_allow(changes: dict[str, Any]) -> None:
    assert not allows([policy(statement(**changes))], REQUEST)


def test_without_a_policy_nothing_is_allowed() -> None:
    assert not allows([], REQUEST)


def test_a_denial_wins_over_any_permission() -> None:
    deny = statement(Effect="Deny", Condition={"Bool": {"aws:SecureTransport": "true"}})
    assert not allows([policy(statement()), policy(deny)], REQUEST)


def test_a_condition_operator_that_is_not_known_is_an_error_not_a_guess() -> None:
    with pytest.raises(ValueError, match="NumericLessThan: not known here"):
        allows([policy(statement(Condition={"NumericLessThan": {"aws:x": "1"}}))], REQUEST)


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [("a*c", "abbc", True), ("a?c", "abc", True), ("a?c", "abbc", False), ("a.c", "abc", False), ("[a]", "a", False)],
)
def test_only_star_and_question_mark_are_special(pattern: str, value: str, matches: bool) -> None:
    assert wildcard(pattern, value) is matches
