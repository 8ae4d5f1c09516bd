import time

import pytest

from assay.errors import BadModel, BadSettings
from assay.events import Upload
from assay.run import Run
from assay_aws import archive
from assay_aws.archive import describe_archive, freeze
from assay_aws.run_store import RunStore

from ..conftest import BUCKET, Aws, Uploaded, land

LATER = float("inf")


def opened(uploaded: Uploaded) -> tuple[RunStore, Run]:
    upload = Upload(bucket=BUCKET, key=uploaded.key, version=uploaded.version)
    store = RunStore(BUCKET, uploaded.folder)
    store.create_state()
    folder = uploaded.folder
    described = describe_archive(upload)
    return store, Run(
        id=folder.run, model=folder.model, upload=upload, archive=described, opened_at=described.uploaded_at
    )


def test_exactly_the_version_that_was_uploaded_is_frozen(aws: Aws) -> None:
    first = land(aws, key="models/a b+c/%2F/ü/model.tar.gz", archive=b"first")
    land(aws, key=first.key, archive=b"second")
    store, run = opened(first)
    assert freeze(store, run, LATER)
    assert aws.get(first.folder.archive) == "first"


def test_frozen_again_it_is_left(aws: Aws) -> None:
    store, run = opened(land(aws))
    freeze(store, run, LATER)
    before = aws.s3.head_object(Bucket=BUCKET, Key=store.folder.archive)["VersionId"]
    freeze(store, run, LATER)
    assert aws.s3.head_object(Bucket=BUCKET, Key=store.folder.archive)["VersionId"] == before


def test_the_uploads_tags_do_not_come_along(aws: Aws) -> None:
    uploaded = land(aws)
    aws.s3.put_object_tagging(
        Bucket=BUCKET,
        Key=uploaded.key,
        VersionId=uploaded.version,
        Tagging={"TagSet": [{"Key": "secret", "Value": "x"}]},
    )
    store, run = opened(uploaded)
    freeze(store, run, LATER)
    assert aws.s3.get_object_tagging(Bucket=BUCKET, Key=store.folder.archive)["TagSet"] == []


def test_a_large_archive_is_copied_by_parts_over_several_invocations(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    part = 5 << 20
    monkeypatch.setattr(archive, "ONE_COPY", part)
    monkeypatch.setattr(archive, "PART", part)
    content = bytes(range(256)) * (11 << 12)  # 11 MiB: two whole parts and a rest
    store, run = opened(land(aws, archive=content))
    assert not freeze(store, run, time.monotonic() - 1)
    state = store.state()
    assert state is not None
    assert state.freezing is not None
    assert freeze(store, run, LATER)
    assert aws.s3.get_object(Bucket=BUCKET, Key=store.folder.archive)["Body"].read() == content
    assert freeze(store, run, LATER)


def test_an_aborted_copy_begins_again(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "ONE_COPY", 1)
    store, run = opened(land(aws))
    assert not freeze(store, run, time.monotonic() - 1)
    state = store.state()
    assert state is not None
    assert state.freezing is not None
    aws.s3.abort_multipart_upload(Bucket=BUCKET, Key=store.folder.archive, UploadId=state.freezing)
    assert not freeze(store, run, LATER)
    assert freeze(store, run, LATER)
    assert aws.get(store.folder.archive) == "abc"


def test_a_version_that_is_gone_says_so(aws: Aws) -> None:
    uploaded = land(aws)
    store, run = opened(uploaded)
    aws.s3.delete_object(Bucket=BUCKET, Key=uploaded.key, VersionId=uploaded.version)
    with pytest.raises(BadModel, match="this version no longer exists"):
        freeze(store, run, LATER)
    with pytest.raises(BadModel, match="this version no longer exists"):
        describe_archive(run.upload)


def test_an_empty_archive_says_so(aws: Aws) -> None:
    uploaded = land(aws, archive=b"")
    with pytest.raises(BadModel, match=r"archive is empty \(0 bytes\), expected a gzip"):
        describe_archive(Upload(bucket=BUCKET, key=uploaded.key, version=uploaded.version))


def test_an_archive_in_cold_storage_says_so(aws: Aws) -> None:
    aws.s3.put_object(Bucket=BUCKET, Key="models/cold/model.tar.gz", Body=b"x", StorageClass="GLACIER")
    with pytest.raises(BadModel, match="storage class GLACIER cannot be read, restore it first"):
        describe_archive(Upload(bucket=BUCKET, key="models/cold/model.tar.gz"))


def test_a_bucket_without_versions_says_so(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="plain")
    aws.s3.put_object(Bucket="plain", Key="models/m/model.tar.gz", Body=b"x")
    with pytest.raises(BadSettings, match="keeps no versions"):
        describe_archive(Upload(bucket="plain", key="models/m/model.tar.gz"))


def test_the_newest_version_is_meant_where_none_is_named(aws: Aws) -> None:
    land(aws)
    second = land(aws, archive=b"second")
    assert describe_archive(Upload(bucket=BUCKET, key=second.key)).version == second.version
