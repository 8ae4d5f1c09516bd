"""Would IAM have allowed it? The embedded AWS asks no role, so each call is held against its role's policies here."""

from __future__ import annotations

import ast
from fnmatch import fnmatchcase
from typing import Any

from assay_local.access_log import Call
from assay_local.cloud import Cloud
from assay_local.resource_policy import listed

FEEDING = {"ReceiveMessage", "DeleteMessage"}  # Lambda's own calls, allowed by AWS's managed policy


def check_calls_are_allowed(cloud: Cloud) -> None:
    """Every call that a function or a job made is one that its role's policies in the template allow."""
    statements: dict[str, list[dict[str, Any]]] = {}
    for call in cloud.calls:
        if call.action in FEEDING:
            continue
        arn = call.caller.role_arn
        if arn not in statements:
            statements[arn] = statements_of(cloud, arn.rpartition("/")[2])
        action, resource = asked(call, cloud.account)
        patterns = [
            pattern
            for statement in statements[arn]
            if action in listed(statement["Action"])
            for pattern in listed(statement["Resource"])
        ]
        assert any(fnmatchcase(resource, pattern) for pattern in patterns), (
            f"{call.caller.name} may not {action} on {resource}"
        )


def statements_of(cloud: Cloud, role: str) -> list[dict[str, Any]]:
    iam = cloud.client("iam")
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    documents = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
    # moto gives a policy of a template back as the text of a Python dictionary, and AWS::NoValue as None
    read = [statement for document in documents for statement in ast.literal_eval(str(document))["Statement"]]
    return [statement for statement in read if statement is not None]


def asked(call: Call, account: str) -> tuple[str, str]:
    """A call's action and resource, as an IAM policy is asked about them."""
    resource, named = call.resource, call.parameters
    if call.service == "sns":
        resource = str(named["TopicArn"])
    elif call.service == "sagemaker":
        kind, name = ("model", "ModelName") if "ModelName" in named else ("processing-job", "ProcessingJobName")
        resource = f"arn:aws:sagemaker:us-east-1:{account}:{kind}/{named[name]}"
    return f"{call.service}:{call.action}", resource
