"""A stack that was deployed to one's own AWS account, asked with the credentials of whoever calls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import quote

import boto3
from botocore.config import Config

from assay.layout import champion_key
from assay.title import Title
from assay_aws import champions
from assay_aws.clients import s3
from assay_local import application
from assay_local.place import Link, as_problems, object_reader, readable
from assay_local.problem import Problem

BUCKET_OUTPUT = "BucketName"
LINK_LIFE = timedelta(hours=1)
"""Of a signed link: long enough to read a report, short enough for one that is passed on."""


class Deployed:
    """The results in a stack's bucket. A Place. Region and profile come by boto3's usual ways."""

    def __init__(self, stack: str) -> None:
        with as_problems("cloudformation:DescribeStacks", f"stack {stack}"):
            client = boto3.client("cloudformation")
            self.region = client.meta.region_name
            found = client.describe_stacks(StackName=stack)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
        if BUCKET_OUTPUT not in outputs:
            raise Problem(f"stack {stack} in {self.region}: no stack of Assay's: it has no output {BUCKET_OUTPUT}")
        self.bucket = outputs[BUCKET_OUTPUT]
        self.name = f"stack {stack} ({self.bucket})"
        self.option = f" --stack {stack}"
        self._read = object_reader(self.bucket)

    def read(self, key: str) -> bytes | None:
        return self._read(key)

    def below(self, prefix: str) -> tuple[list[str], list[str]]:
        folders: list[str] = []
        names: list[str] = []
        with as_problems("s3:ListBucket", self.address(prefix)):
            pages = s3().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, Delimiter="/")
            for page in pages:
                folders += [
                    found["Prefix"].removeprefix(prefix).rstrip("/") for found in page.get("CommonPrefixes", [])
                ]
                names += [found["Key"].removeprefix(prefix) for found in page.get("Contents", [])]
        return folders, [name for name in names if name]

    def address(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def link(self, key: str) -> Link:
        """Signed with the caller's credentials, which end it too when they are a role's."""
        with as_problems("s3:GetObject", self.address(key)):
            # botocore's defaults sign some links by version 2, which newer regions and encrypted objects refuse, and
            # for a host of no region, which redirects to the bucket's, where the signature does not hold
            style: Literal["path", "virtual"] = (
                "path" if "." in self.bucket else "virtual"
            )  # the certificate covers no dots before the host
            config = Config(signature_version="s3v4", s3={"addressing_style": style})
            client = boto3.client("s3", region_name=self.region, config=config)
            ends = datetime.now().astimezone() + LINK_LIFE
            url = client.generate_presigned_url(
                "get_object",
                Params={"Bucket": self.bucket, "Key": key},
                ExpiresIn=int(LINK_LIFE.total_seconds()),
            )
        return Link(url, ends, self._console(key))

    def _console(self, key: str) -> str:
        application.make_importable("functions")
        from publish_summary.console import DOMAINS

        partition = boto3.Session().get_partition_for_region(self.region)
        domain = DOMAINS.get(partition, DOMAINS["aws"])
        return f"https://{domain}/s3/object/{self.bucket}?region={self.region}&prefix={quote(key, safe='')}"

    def who(self) -> str:
        with as_problems("sts:GetCallerIdentity", "your AWS credentials"):
            return str(boto3.client("sts").get_caller_identity()["Arn"])

    def title(self, model: str) -> Title:
        address = self.address(champion_key(model))
        with as_problems("s3:GetObject", address), readable(address):
            return champions.title_of(self.bucket, model)

    def change_title(self, model: str, change: Callable[[Title], Title]) -> Title:
        address = self.address(champion_key(model))
        with as_problems("s3:PutObject", address), readable(address):
            return champions.change_title(self.bucket, model, change)
