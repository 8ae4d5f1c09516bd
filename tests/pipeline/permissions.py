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
        for action, resource in asked(call, cloud.account):
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


NAMED_BY = {
    "ModelName": "model",
    "ProcessingJobName": "processing-job",
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
}
"""A parameter of SageMaker → the kind of resource that it names; of one call all of them are authorised."""


def asked(call: Call, account: str) -> list[tuple[str, str]]:
    """The actions and resources that an IAM policy is asked about."""
    action, named = f"{call.service}:{call.action}", call.parameters
    if call.service == "sns":
        return [(action, str(named["TopicArn"]))]
    if call.service == "events":
        return [(action, f"arn:aws:events:us-east-1:{account}:event-bus/default")]
    if call.service != "sagemaker":
        return [(action, call.resource)]
    resources = [
        # SageMaker writes the names of endpoints into ARNs in lower case
        f"arn:aws:sagemaker:us-east-1:{account}:{kind}/{str(named[name]).lower()}"
        for name, kind in NAMED_BY.items()
        if name in named
    ]
    found = [(action, resource) for resource in resources or ["*"]]
    if "Tags" in named:
        found += [("sagemaker:AddTags", resource) for resource in resources]
    return found
