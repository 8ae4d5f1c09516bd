"""What a run leaves in the bucket lies on disk under the same names, and the next run finds its champion there."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from assay.layout import RunFolder
from assay.run import Champion
from assay_local.cloud import Cloud
from assay_local.problem import Problem
from assay_local.results import Results

CHAMPION = Champion(
    model="birds",
    run="a" * 20,
    uploaded_at=datetime(2026, 5, 1, tzinfo=UTC),
    key="models/birds/1/model.tar.gz",
    version="v1",
    crowned_at=datetime(2026, 5, 1, tzinfo=UTC),
)


def bucket_of(cloud: Cloud, name: str) -> str:
    cloud.client("s3").create_bucket(Bucket=name)
    return name


def keys(cloud: Cloud, bucket: str) -> set[str]:
    return {entry["Key"] for entry in cloud.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])}


def test_a_run_and_its_champion_are_written_and_no_other_s(cloud: Cloud, tmp_path: Path) -> None:
    s3, bucket = cloud.client("s3"), bucket_of(cloud, "results-saved")
    for key in (
        "runs/birds/one/summary.html",
        "runs/birds/one/explanation/out 1+2.csv",
        "runs/birds/other/summary.html",
        "champions/birds.json",
        "champions/fish.json",
        "models/birds/1/model.tar.gz",
    ):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    results = Results(tmp_path / "results")
    results.save(s3, bucket, RunFolder("birds", "one"))
    found = {path.relative_to(results.folder).as_posix(): path.read_text() for path in results.folder.rglob("*.*")}
    assert found == {
        key: key
        for key in ("runs/birds/one/summary.html", "runs/birds/one/explanation/out 1+2.csv", "champions/birds.json")
    }


def test_the_champion_comes_back_with_its_run(cloud: Cloud, tmp_path: Path) -> None:
    results, bucket = Results(tmp_path), bucket_of(cloud, "results-put-back")
    report = results.path(CHAMPION.folder.report)
    report.parent.mkdir(parents=True)
    report.write_text("report")
    results.path("runs/birds/older/").mkdir()
    results.path("runs/birds/older/run.json").write_text("older")
    results.path("champions").mkdir()
    results.path("champions/birds.json").write_text(CHAMPION.to_json())
    assert results.put_back(cloud.client("s3"), bucket, "birds") == CHAMPION
    assert keys(cloud, bucket) == {"champions/birds.json", CHAMPION.folder.report}


def test_without_a_champion_nothing_is_put_back(cloud: Cloud, tmp_path: Path) -> None:
    bucket = bucket_of(cloud, "results-none")
    assert Results(tmp_path / "new").put_back(cloud.client("s3"), bucket, "birds") is None
    assert keys(cloud, bucket) == set()


def test_a_broken_champion_is_named(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "champions").mkdir()
    (tmp_path / "champions" / "birds.json").write_text("{")
    with pytest.raises(Problem, match=r"champions/birds\.json: not a champion's record .* remove it"):
        Results(tmp_path).put_back(cloud.client("s3"), "any", "birds")


def test_a_folder_that_cannot_be_made_is_named_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Problem, match=r"results folder .*file/results: Not a directory"):
        Results(tmp_path / "file" / "results").prepare()
