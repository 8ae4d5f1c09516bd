"""Where a person looks in AWS's console: a job, its log, a folder."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from assay_aws.jobs import is_on_a_laptop

LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
DOMAINS = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


class JobPages(NamedTuple):
    job: str
    log: str


def job_pages(arn: str) -> JobPages | None:
    """A processing job's own page and its log streams, whose names begin with the job's; None where there are none."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[1] not in DOMAINS or is_on_a_laptop(arn):
        return None
    _, partition, _, region, _, resource = parts
    console = f"https://{region}.{DOMAINS[partition]}"
    name = resource.rpartition("/")[2]
    streams = f"{in_fragment(LOG_GROUP)}$3FlogStreamNameFilter$3D{in_fragment(name + '/')}"
    return JobPages(
        job=f"{console}/sagemaker/home?region={region}#/processing-jobs/{quote(name, safe='')}",
        log=f"{console}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{streams}",
    )


def in_fragment(text: str) -> str:
    """As CloudWatch's console writes it behind `#`: percent signs encoded once more, and written as `$`."""
    return quote(quote(text, safe=""), safe="").replace("%", "$")


def folder_page(arn: str, bucket: str, prefix: str) -> str | None:
    """A folder in S3's console, where the job `arn` ran; without a job, wherever the bucket is.

    None where no console shows it.
    """
    parts = arn.split(":", 5)
    if len(parts) == 6 and (parts[1] not in DOMAINS or is_on_a_laptop(arn)):
        return None
    domain, region = (DOMAINS[parts[1]], parts[3]) if len(parts) == 6 else (DOMAINS["aws"], "")
    console = f"https://{region}.{domain}" if region else f"https://{domain}"
    where = f"region={region}&" if region else ""
    return f"{console}/s3/buckets/{quote(bucket, safe='')}?{where}prefix={quote(prefix, safe='')}"
