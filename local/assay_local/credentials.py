"""A role's credentials, got from STS as Lambda and SageMaker get them, and known to the access log."""

import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

from botocore.credentials import Credentials
from moto.iam.models import iam_backends

from assay_local.access_log import AccessLog, Caller
from assay_local.clients import client
from assay_local.resource_policy import Request, allows


class CannotAssumeRole(Exception):
    """The role does not exist or does not trust the service."""


class Roles:
    def __init__(self, endpoint: str, account: str, region: str, access_log: AccessLog) -> None:
        self._account = account
        self._access_log = access_log
        self._sts = client("sts", endpoint, region)

    def trusts(self, role_arn: str, service: str) -> bool:
        roles = iam_backends[self._account]["aws"].roles.values()
        for role in roles:
            if role.arn == role_arn:
                policy = trust_policy(role)
                return allows([policy], Request(service, "sts:AssumeRole", role_arn))
        return False

    def assume(self, role_arn: str, service: str, caller: str) -> Credentials:
        if not self.trusts(role_arn, service):
            raise CannotAssumeRole(f"{role_arn} does not exist or does not allow {service} to assume it")
        answer = self._sts.assume_role(RoleArn=role_arn, RoleSessionName=caller[:64])
        keys = answer["Credentials"]
        credentials = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
        self._access_log.know(credentials, Caller(caller, role_arn))
        return credentials


def trust_policy(role: Any) -> Mapping[str, Any]:
    document = role.assume_role_policy_document
    if isinstance(document, str):
        document = json.loads(urllib.parse.unquote(document))
    return dict(document)


def environment(credentials: Credentials, endpoint: str, region: str) -> dict[str, str]:
    """What boto3 in a child process reads."""
    return {
        "AWS_ACCESS_KEY_ID": str(credentials.access_key),
        "AWS_SECRET_ACCESS_KEY": str(credentials.secret_key),
        "AWS_SESSION_TOKEN": str(credentials.token),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }
