"""boto3 clients for the embedded AWS: nothing of the user's own AWS configuration, proxies or credentials."""

import os
import threading
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials

OWNER = Credentials("embedded", "embedded")  # the account's owner: any key that is no role's

_lock = threading.Lock()
_sessions: list[boto3.Session] = []


def client(service: str, endpoint: str, region: str, credentials: Credentials = OWNER) -> Any:
    config = Config(proxies={}, connect_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
    with _lock:  # a session may make one client at a time
        return session().client(  # type: ignore[call-overload]
            service,
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.token,
            config=config,
        )


def session() -> boto3.Session:
    """One for all: what it has read of the services' models, the next client need not read again."""
    if not _sessions:
        core = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
        core.set_config_variable("config_file", os.devnull)
        core.set_config_variable("credentials_file", os.devnull)
        _sessions.append(boto3.Session(botocore_session=core))
    return _sessions[0]
