import pytest

from assay.errors import BadPolicy
from assay_aws.policy_file import find_policy, parse_yaml

from ..conftest import BUCKET, POLICY, Aws


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: 1\nb: [1, 2\nc: 3\n", "p, line 3, column 2: did not find expected ',' or ']'"),
        (b"a: 1\nb:\n  c: 1\n  c: 2\n", "p, line 4, column 3: the key `c` stands here a second time"),
        (b"a: \xff\n", "p, line 1, column 4: byte 0xff is not UTF-8"),
        (b"a: &x 1\nb: *x\n", "p, line 2, column 4: aliases (*name) are not read here"),
        (b"[" * 10_000, "p, line 1, column 51: nested deeper than 50 levels"),
        (b"a: {" * 10_000, "nested deeper than 50 levels"),
        (b"- " * 10_000, "nested deeper than 50 levels"),
        (b"? [1]\n: 2\n", "p, line 1, column 3: a key must be a text"),
        (b"a: !!python/object/apply:os.system ['true']\n", "p, line 1, column 4: could not determine a constructor"),
        (b"a: 2026-02-31\n", "p: day is out of range for month"),
        (b"a: \x07\n", "control characters are not allowed"),
        (b"a: 1\n---\nb: 2\n", "p, line 2, column 1: but found another document"),
    ],
)
def test_what_is_no_policy_file_is_named_with_line_and_column(content: bytes, said: str) -> None:
    with pytest.raises(BadPolicy) as caught:
        parse_yaml(content, "p")
    assert said in str(caught.value)


def test_a_byte_order_mark_and_json_are_fine() -> None:
    assert parse_yaml(b"\xef\xbb\xbf" + b'{"a": [1, "b"]}', "p") == {"a": [1, "b"]}


def test_the_nearest_policy_counts(aws: Aws) -> None:
    aws.put("assay.yaml", POLICY.replace("image_classification", "tabular_regression"))
    aws.put("models/digits/assay.yaml", POLICY)
    aws.put("models/other/assay.yaml", "not: this one")
    where, policy = find_policy(BUCKET, "models/digits/7/model.tar.gz")
    assert (where, policy.task) == (f"s3://{BUCKET}/models/digits/assay.yaml", "image_classification")


def test_without_a_policy_the_places_are_named(aws: Aws) -> None:
    with pytest.raises(BadPolicy, match=r"no assay.yaml in s3://archives/models/digits/ or above it.*`task`"):
        find_policy(BUCKET, "models/digits/model.tar.gz")


def test_a_huge_file_is_not_read(aws: Aws) -> None:
    aws.put("assay.yaml", b"#" * (1 << 21))
    with pytest.raises(BadPolicy, match="2097152 bytes, expected at most 1048576"):
        find_policy(BUCKET, "models/digits/model.tar.gz")
