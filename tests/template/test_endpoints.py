"""Who may make, ask and delete endpoints, by what the deployer says."""

import ast

import pytest

from assay_local.cloud import Cloud
from assay_local.resource_policy import listed

ENDPOINTS = "arn:aws:sagemaker:us-east-1:123456789012:endpoint"
OWN = [f"{ENDPOINTS}/assay-*", f"{ENDPOINTS}-config/assay-*"]
NAMED = [f"{ENDPOINTS}/reviews", f"{ENDPOINTS}/birds-*"]
ROLES = ("JobRole", "StartEvaluationFunctionRole", "PublishSummaryFunctionRole", "SweepFunctionRole")

Allowed = dict[str, dict[str, list[str]]]
"""Role → action → resources, of SageMaker's endpoints and models."""


def allowed(**parameters: str) -> Allowed:
    found: Allowed = {role: {} for role in ROLES}
    with Cloud(parameters=parameters, schedules=False) as cloud:
        iam = cloud.client("iam")
        for role in ROLES:
            (name,) = [entry["RoleName"] for entry in iam.list_roles()["Roles"] if role in entry["RoleName"]]
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
                for statement in filter(None, ast.literal_eval(str(document))["Statement"]):
                    for action in listed(statement["Action"]):
                        if action.endswith(("Endpoint", "Endpoints", "EndpointConfig", "Model")):
                            found[role].setdefault(action, []).extend(listed(statement["Resource"]))
    return found


def test_without_the_deployers_word_nobody_may() -> None:
    assert allowed(EndpointArns=",".join(NAMED)) == {role: {} for role in ROLES}


@pytest.mark.parametrize("named", [NAMED, []], ids=["named ones too", "only its own"])
def test_with_it_a_job_may_make_its_own_and_ask_those_and_the_named_ones(named: list[str]) -> None:
    found = allowed(AllowEndpointPredictor="true", EndpointArns=",".join(named))
    model = [f"{ENDPOINTS.removesuffix('endpoint')}model/assay-*"]
    job = found["JobRole"]
    assert sorted(job.pop("sagemaker:InvokeEndpoint")) == sorted([*named, *OWN])
    making = ("CreateEndpoint", "DescribeEndpoint", "DeleteEndpoint")
    assert job == {
        f"sagemaker:{action}{of}": OWN for action in making for of in ("", "Config")
    }  # and no model: who makes one passes the role on
    assert found["StartEvaluationFunctionRole"] == {"sagemaker:CreateModel": model}
    assert found["PublishSummaryFunctionRole"] == {"sagemaker:DeleteModel": model}
    assert found["SweepFunctionRole"] == {
        "sagemaker:ListEndpoints": ["*"],
        **{f"sagemaker:{action}": OWN for action in ("DescribeEndpoint", "DeleteEndpoint", "DeleteEndpointConfig")},
    }
