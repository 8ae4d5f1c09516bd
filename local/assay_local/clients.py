"""boto3 clients for the embedded AWS: nothing of the user's own AWS configuration, proxies or credentials."""

import os
import threading
from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.model import ServiceModel

OWNER = Credentials("embedded", "embedded")  # the account's owner: any key that is no role's

_lock = threading.Lock()


def client(service: str, endpoint: str, region: str, credentials: Credentials = OWNER) -> Any:
    config = Config(proxies={}, connect_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
    with _lock:  # a session may make one client at a time
        return session(region).client(  # type: ignore[call-overload]
            service,
            endpoint_url=endpoint,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.token,
            config=config,
        )


def service_model(service: str) -> ServiceModel:
    """botocore's own description of a service's requests."""
    return core().get_service_model(service)


@cache
def session(region: str) -> boto3.Session:
    return boto3.Session(botocore_session=core(), region_name=region)


@cache
def core() -> botocore.session.Session:
    """One for all: what it has read of the services' models, the next client need not read again."""
    # Where to read each from (a configuration's name, a variable of the environment), its default, a conversion.
    unread: dict[str, tuple[None, None, str | None, None]] = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    return botocore.session.Session(session_vars=unread)
