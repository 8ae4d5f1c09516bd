import pytest

from assay.errors import BadPolicy
from assay_aws.locations import resolved
from start_evaluation.data_sources import check_is_allowed

POLICY = "s3://archives/models/digits/assay.yaml"


@pytest.mark.parametrize(
    ("address", "means"),
    [
        ("s3://lake/a folder/test+1.csv", "s3://lake/a folder/test+1.csv"),
        ("test.csv", "s3://archives/models/digits/test.csv"),
        ("data/test/", "s3://archives/models/digits/data/test/"),
        ("./data//test/", "s3://archives/models/digits/data/test/"),
        ("../data/%2F/x", "s3://archives/models/data/%2F/x"),
        ("..", "s3://archives/models/"),
        (".", "s3://archives/models/digits/"),
    ],
)
def test_an_address_is_meant_beside_the_policys_file(address: str, means: str) -> None:
    assert resolved(address, POLICY) == means


@pytest.mark.parametrize(
    "address", ["../../../x", "/etc/passwd", "https://x/y", "file:///etc/passwd", "s3://", "s3://bucket", "s3:///key"]
)
def test_what_leads_elsewhere_is_refused(address: str) -> None:
    with pytest.raises(BadPolicy, match="data address"):
        resolved(address, POLICY)


def test_a_policy_at_the_root_may_name_a_folder_but_not_the_bucket() -> None:
    assert resolved("x/", "s3://archives/assay.yaml") == "s3://archives/x/"
    assert resolved("x.csv", "s3://archives/assay.yaml") == "s3://archives/x.csv"


ALLOWED = ("arn:aws:s3:::lake/adult/*", "arn:aws-cn:s3:::pond/test-?.csv")


@pytest.mark.parametrize(
    "address",
    [
        "s3://archives/anything",
        "s3://lake/adult/",
        "s3://lake/adult/a/b.csv",
        "s3://lake/adult/a\nb",
        "s3://pond/test-1.csv",
    ],
)
def test_the_own_bucket_and_what_the_deployer_allows_may_be_read(address: str) -> None:
    check_is_allowed(address, "archives", ALLOWED)


@pytest.mark.parametrize(
    "address",
    [
        "s3://lake/adults.csv",
        "s3://lake/",
        "s3://lake2/adult/x",
        "s3://pond/test-10.csv",
        "s3://archives2/x",
        "s3://lake",
    ],
)
def test_anything_else_may_not_be_read(address: str) -> None:
    with pytest.raises(BadPolicy, match=r"location not allowed; the deployer allows s3://archives/\*, s3://lake/adult"):
        check_is_allowed(address, "archives", ALLOWED)
