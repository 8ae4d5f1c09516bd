"""What a run leaves in the bucket lies on disk under the same names, and the next run finds its champion there."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assay.layout import RunFolder
from assay.run import Champion, LastRun
from assay.title import Title, Turn
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

TITLE = Title(model="birds", turns=(Turn(at=CHAMPION.crowned_at, cause="passed", champion=CHAMPION),))


def bucket_of(cloud: Cloud, name: str) -> str:
    cloud.client("s3").create_bucket(Bucket=name)
    return name


def keys(cloud: Cloud, bucket: str) -> set[str]:
    return {entry["Key"] for entry in cloud.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])}


def test_a_run_and_its_champion_are_written_and_no_other_s(cloud: Cloud, tmp_path: Path) -> None:
    s3, bucket = cloud.client("s3"), bucket_of(cloud, "results-saved")
    one = CHAMPION.folder.prefix
    for key in (
        f"{one}summary.html",
        f"{one}explanation/out 1+2.csv",
        "runs/birds/other/summary.html",
        "champions/fish.json",
        "models/birds/1/model.tar.gz",
    ):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    s3.put_object(Bucket=bucket, Key="champions/birds.json", Body=TITLE.to_json().encode())
    results = Results(tmp_path / "results")
    results.save(s3, bucket, CHAMPION.folder)
    found = {path.relative_to(results.folder).as_posix(): path.read_text() for path in results.folder.rglob("*.*")}
    assert found == {
        **{key: key for key in (f"{one}summary.html", f"{one}explanation/out 1+2.csv")},
        "champions/birds.json": TITLE.to_json(),
        "champions/.lock": "",
    }


def test_a_run_that_is_not_champion_leaves_the_folders_as_it_is(cloud: Cloud, tmp_path: Path) -> None:
    s3, bucket = cloud.client("s3"), bucket_of(cloud, "results-not-champion")
    s3.put_object(Bucket=bucket, Key="champions/birds.json", Body=TITLE.to_json().encode())
    results = Results(tmp_path)
    results.save(s3, bucket, RunFolder("birds", "b" * 20))
    assert results.title("birds").champion is None


def test_what_was_promoted_in_the_folder_meanwhile_stays_champion(cloud: Cloud, tmp_path: Path) -> None:
    """While a run passed in its own cloud, a person promoted a newer one here."""
    s3, bucket, results = cloud.client("s3"), bucket_of(cloud, "results-meanwhile"), Results(tmp_path)
    newer = CHAMPION.model_copy(update={"run": "n" * 20, "uploaded_at": datetime(2026, 6, 1, tzinfo=UTC)})
    results.change_title("birds", lambda title: title.promoted(newer, "ann", "in the field"))
    s3.put_object(Bucket=bucket, Key="champions/birds.json", Body=TITLE.to_json().encode())
    results.save(s3, bucket, CHAMPION.folder)
    assert results.title("birds").champion == newer


def test_changes_at_once_are_made_one_after_the_other(tmp_path: Path) -> None:
    runs = [
        CHAMPION.model_copy(update={"run": letter * 20, "uploaded_at": datetime(2026, 5, day, tzinfo=UTC)})
        for day, letter in enumerate("abcdefgh", start=1)
    ]

    def promote(one: Champion) -> None:
        Results(tmp_path).change_title("birds", lambda title: title.promoted(one, "ann", "why not"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(promote, runs))
    held = [turn.champion.run for turn in Results(tmp_path).title("birds").turns if turn.champion is not None]
    assert sorted(held) == sorted(run.run for run in runs)


def test_a_model_without_a_champion_any_more_has_none_in_the_next_run(cloud: Cloud, tmp_path: Path) -> None:
    """Its event that comes again must not bring the demoted one back there, either."""
    s3, bucket, results = cloud.client("s3"), bucket_of(cloud, "results-demoted"), Results(tmp_path)
    results.change_title("birds", lambda title: title.promoted(CHAMPION, "ann", "why not"))
    at = datetime(2026, 5, 2, tzinfo=UTC)
    title = results.change_title("birds", lambda title: title.demoted(CHAMPION.run, "ann", "it hallucinates", at))
    assert results.put_back(s3, bucket, "birds") is None
    assert Title.parse(s3.get_object(Bucket=bucket, Key="champions/birds.json")["Body"].read()) == title


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


def test_the_run_that_ended_last_comes_back_with_what_it_took(cloud: Cloud, tmp_path: Path) -> None:
    s3, bucket, results = cloud.client("s3"), bucket_of(cloud, "results-last"), Results(tmp_path)
    last = LastRun(model="birds", run="l" * 20, ended_at=datetime(2026, 5, 2, tzinfo=UTC))
    s3.put_object(Bucket=bucket, Key=last.folder.summary_json, Body=b"summary")
    s3.put_object(Bucket=bucket, Key="latest/birds.json", Body=last.to_json().encode())
    results.save(s3, bucket, last.folder)
    again = bucket_of(cloud, "results-last-again")
    assert results.put_back(s3, again, "birds") is None
    assert keys(cloud, again) == {"latest/birds.json", last.folder.summary_json}
    # another run, in a cloud of its own, ended before it and is saved after it
    earlier = last.model_copy(update={"run": "e" * 20, "ended_at": datetime(2026, 5, 1, tzinfo=UTC)})
    s3.put_object(Bucket=bucket, Key="latest/birds.json", Body=earlier.to_json().encode())
    results.save(s3, bucket, earlier.folder)
    assert results.last_run("birds") == last


def test_without_a_champion_nothing_is_put_back(cloud: Cloud, tmp_path: Path) -> None:
    bucket = bucket_of(cloud, "results-none")
    assert Results(tmp_path / "new").put_back(cloud.client("s3"), bucket, "birds") is None
    assert keys(cloud, bucket) == set()


def test_a_broken_champion_is_named(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "champions").mkdir()
    (tmp_path / "champions" / "birds.json").write_text("{")
    with pytest.raises(Problem, match=r"champions/birds\.json: not written by this version of Assay: Invalid JSON"):
        Results(tmp_path).put_back(cloud.client("s3"), "any", "birds")


def test_a_folder_that_cannot_be_made_is_named_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Problem, match=r"results folder .*file/results: Not a directory"):
        Results(tmp_path / "file" / "results").prepare()
