"""Where runs lie, in one layout: a results folder on this machine, or the bucket of a stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)
from pydantic import BaseModel, ValidationError

from assay.errors import BadSettings
from assay.title import Title
from assay_aws import objects
from assay_aws.refusals import denial_is_a_setting, text_of
from assay_local.problem import Problem

AnyModel = TypeVar("AnyModel", bound=BaseModel)
Read = Callable[[str], bytes | None]
"""A file of the results by its key, `runs/<model>/<run>/run.json`; None when there is none."""


class Link(NamedTuple):
    """What a browser opens."""

    url: str
    valid_until: datetime | None = None
    """None: for ever."""
    console: str | None = None
    """The page of AWS's console where it lies: it lasts, for whoever may read it."""


class Place(Protocol):
    """What the commands on runs ask of it. Keys are those of the bucket."""

    name: str
    """For people: the folder, or the stack with its bucket."""
    option: str
    """What the next command needs to come here again: empty, or ` --stack assay`."""

    def read(self, key: str) -> bytes | None: ...

    def below(self, prefix: str) -> tuple[list[str], list[str]]:
        """The names of the folders and of the files right below a prefix that ends with `/`."""

    def address(self, key: str) -> str:
        """Where a person finds it: a path, or `s3://…`."""

    def link(self, key: str) -> Link: ...

    def title(self, model: str) -> Title: ...

    def change_title(self, model: str, change: Callable[[Title], Title]) -> Title:
        """Change it if it still is what `change`, which is pure, was asked about; else ask again."""

    def who(self) -> str:
        """The person at the keyboard, for the record."""


def record_in(read: Read, key: str, kind: type[AnyModel], where: str) -> AnyModel | None:
    """A file as what it holds; Problem when that is something else."""
    content = read(key)
    if content is None:
        return None
    with readable(where):
        return kind.model_validate_json(content)


@contextmanager
def readable(where: str, otherwise: str = "not written by this version of Assay") -> Iterator[None]:
    """What cannot be parsed as a Problem that names the file and the first fault."""
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        what = f"{place}: {first['msg']}" if place else first["msg"]
        raise Problem(f"{where}: {otherwise}: {what}") from error


def content_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise Problem(f"{path}: {error.strerror}") from error


def object_reader(bucket: str) -> Read:
    """Of a bucket, with the credentials of whoever calls."""

    def read(key: str) -> bytes | None:
        address = f"s3://{bucket}/{key}"
        with as_problems("s3:GetObject", address):
            stored = objects.read(bucket, key)
        return None if stored is None else stored.content

    return read


@contextmanager
def as_problems(action: str, resource: str) -> Iterator[None]:
    """AWS's refusals, and the lack of what it takes to ask it, as sentences; `resource` is what was asked about."""
    try:
        with denial_is_a_setting(action, resource):
            yield
    except BadSettings as error:
        raise Problem(str(error)) from error
    except ClientError as error:
        raise Problem(f"{resource}: {text_of(error)}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise Problem(
            f"{resource}: no AWS credentials were found; log in (aws sso login, aws configure), or say which with "
            "AWS_PROFILE"
        ) from error
    except NoRegionError as error:
        raise Problem(f"{resource}: no AWS region is set; say which with AWS_DEFAULT_REGION or AWS_PROFILE") from error
    except ProfileNotFound as error:
        raise Problem(f"{error}; AWS_PROFILE names it") from error
    except BotoCoreError as error:  # no network, an expired login
        raise Problem(f"{resource}: {error}") from error
