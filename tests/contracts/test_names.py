import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.names import JobName, model_name, run_id


def test_the_same_upload_always_is_the_same_run() -> None:
    # worked by hand: printf 'b\0models/m/model.tar.gz\0v1\0' | sha256sum | xxd -r -p | base32 | tr A-Z a-z | cut -c1-20
    assert run_id("b", "models/m/model.tar.gz", "v1") == "dyykslvw7bjd7bt2mkll"


def test_a_request_of_its_own_is_another_run() -> None:
    upload = ("b", "models/m/model.tar.gz", "v1")
    assert len({run_id(*upload), run_id(*upload, "nightly"), run_id(*upload, "ticket 7")}) == 3


def test_where_one_part_ends_and_the_next_begins_matters() -> None:
    assert run_id("b", "ab", "c") != run_id("b", "a", "bc")


@given(st.text(), st.text(), st.text(), st.text())
def test_a_run_id_always_fits_into_a_job_name(bucket: str, key: str, version: str, request: str) -> None:
    name = JobName("a" * 16, run_id(bucket, key, version, request), 99, "explanation")
    assert len(str(name)) <= 52
    assert JobName.parse(str(name), "a" * 16) == name


def test_one_stacks_jobs_are_foreign_to_another() -> None:
    name = str(JobName("assay", "a" * 20, 1, "evaluation"))
    assert JobName.parse(name, "assay") is not None
    assert JobName.parse(name, "assay2") is None
    assert JobName.parse(f"x{name}", "assay") is None


@pytest.mark.parametrize("name", ["assay-short-01-evaluation", "assay-" + "a" * 20 + "-1-evaluation", "training-7"])
def test_a_foreign_job_has_no_parts(name: str) -> None:
    assert JobName.parse(name, "assay") is None


@pytest.mark.parametrize(
    ("key", "model"),
    [
        ("models/birds/model.tar.gz", "birds"),
        ("models/birds/7/model.tar.gz", "birds"),
        ("models/birds/v1.2/model.tar.gz", "birds"),
        ("models/birds/2026-01-31/model.tar.gz", "birds"),
        ("models/team a/birds+/7/model.tar.gz", "team a/birds+"),
        ("models/7/model.tar.gz", "7"),
        ("models/v2ray/model.tar.gz", "v2ray"),
    ],
)
def test_a_models_name_leaves_its_version_out(key: str, model: str) -> None:
    assert model_name(key) == model


@pytest.mark.parametrize("key", ["runs/birds/x/input/model.tar.gz", "models/model.tar.gz", "models/birds/model.tar"])
def test_a_key_that_is_no_archives_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"models/<model>/model\.tar\.gz"):
        model_name(key)
