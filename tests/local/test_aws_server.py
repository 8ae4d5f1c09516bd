"""The server answers those who mean it, and nobody else: no web page may read or wipe the store."""

import urllib.request
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from assay_local.cloud import Cloud


def status(cloud: Cloud, path: str = "/", **headers: str) -> int:
    address = urlsplit(cloud.endpoint)
    connection = HTTPConnection(str(address.hostname), address.port or 0, timeout=5)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse().status
    connection.close()
    return answer


def test_it_serves_on_loopback_only(cloud: Cloud) -> None:
    assert urlsplit(cloud.endpoint).hostname == "127.0.0.1"
    assert status(cloud) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_foreign_pages_are_refused(cloud: Cloud, headers: dict[str, str]) -> None:
    assert status(cloud, **headers) == 403


def test_its_own_origin_is_served(cloud: Cloud) -> None:
    assert status(cloud, Origin=cloud.endpoint, Sec_Fetch_Site="same-origin") == 200


@pytest.mark.parametrize("path", ["/moto-api/", "/moto-api/reset", "//moto-api/data.json"])
def test_moto_s_own_interface_is_closed(cloud: Cloud, path: str) -> None:
    assert status(cloud, path) == 403


def test_a_presigned_link_opens(cloud: Cloud) -> None:
    s3, bucket = cloud.client("s3"), cloud.outputs["BucketName"]
    s3.put_object(Bucket=bucket, Key="report page.html", Body=b"hello")
    link = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "report page.html"})
    with urllib.request.urlopen(link, timeout=5) as answer:
        assert answer.read() == b"hello"
