"""Long jobs on rows: how sure each value is, part of the features, budgets, and going on after being killed."""

from __future__ import annotations

import csv
import io
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from explainer.analysis_config import Shap
from explainer.coding import coding_of
from explainer.rows import Place, explain_table
from explainer.stability import spearman
from explainer.table import Meaning, Table

FEATURES = 9
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(40, FEATURES)).round(3)
MIXED = RNG.normal(size=(FEATURES, 6))
NAMES = [f"f{number}" for number in range(FEATURES)]


def curved(batch: NDArray[Any]) -> NDArray[Any]:
    hidden = np.tanh(batch.astype(np.float64) @ MIXED)
    return np.asarray(
        np.stack([hidden.prod(axis=1) + hidden[:, 0], hidden[:, 1] * hidden[:, 2] * hidden[:, 3]], axis=1)
    )


def config(**shap: Any) -> dict[str, Any]:
    asked = {"baseline": [[0.0] * FEATURES], "num_samples": 100} | shap
    return {
        "dataset_type": "text/csv",
        "headers": NAMES,
        "methods": {"shap": {name: value for name, value in asked.items() if value is not None}},
        "predictor": {"model_name": "any", "label_headers": ["a", "b"]},
    }


@pytest.fixture
def rows(job: Any, give_model: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A job on forty rows of nine features, five to a block, and a model with interactions."""
    with (job.data / "data.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(ROWS.tolist())
    monkeypatch.setattr("explainer.shapley.explain.BATCH", 64)
    monkeypatch.setattr("explainer.shapley.explain.BLOCK", 8)
    give_model(curved, FEATURES)
    return job


def read(job: Any, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((job.output / name).read_text())))


def numbers(job: Any, name: str) -> NDArray[np.float64]:
    return np.array([[float(cell or "nan") for cell in row.values()] for row in read(job, name)])


def files(job: Any) -> dict[str, bytes]:
    found = [path for path in job.output.rglob("*") if path.is_file()]
    return {path.relative_to(job.output).as_posix(): path.read_bytes() for path in found}


def test_each_attribution_has_a_standard_error_and_an_interval(rows: Any) -> None:
    assert rows.run(config()) == 0, rows.message
    out, errors = numbers(rows, "explanations_shap/out.csv"), numbers(rows, "assay/standard_errors.csv")
    lower, upper = numbers(rows, "assay/lower.csv"), numbers(rows, "assay/upper.csv")
    header = list(read(rows, "explanations_shap/out.csv")[0])
    assert all(list(read(rows, f"assay/{name}.csv")[0]) == header for name in ("standard_errors", "lower", "upper"))
    assert errors.shape == (40, 2 * FEATURES)
    np.testing.assert_allclose(upper - out, 1.959964 * errors)
    np.testing.assert_allclose(out - lower, 1.959964 * errors)
    assert rows.run(config(num_samples=2**FEATURES)) == 0, rows.message
    exact = numbers(rows, "explanations_shap/out.csv")
    assert not numbers(rows, "assay/standard_errors.csv").any()
    assert 0.9 < np.mean((lower <= exact) & (exact <= upper)) < 1


def test_each_row_has_its_gap_and_its_calls(rows: Any) -> None:
    assert rows.run(config()) == 0, rows.message
    found = read(rows, "assay/rows.csv")
    assert [row["row"] for row in found] == [str(place) for place in range(40)]
    out = numbers(rows, "explanations_shap/out.csv").reshape(40, 2, FEATURES)
    scores = np.array([[float(row[f"prediction_{label}"]) for label in "ab"] for row in found])
    base = np.array([[float(row[f"base_{label}"]) for label in "ab"] for row in found])
    np.testing.assert_allclose(scores, curved(ROWS))
    gaps = np.abs(scores - base - out.sum(axis=2)).max(axis=1)
    np.testing.assert_allclose([float(row["additivity_gap"]) for row in found], gaps, atol=1e-15)
    assert gaps.max() < 1e-12
    assert {(row["explained"], row["exact"], row["model_calls"]) for row in found} == {("true", "false", "101")}
    widths = 1.959964 * numbers(rows, "assay/standard_errors.csv").max(axis=1)
    np.testing.assert_allclose([float(row["half_width"]) for row in found], widths)
    summary = rows.analysis["assay"]["attributions"]
    assert (summary["exact"], summary["explained"], summary["left_out"]) == (False, 40, 0)
    assert summary["half_width"] == pytest.approx(widths.max())


def test_below_three_calls_a_feature_errors_are_not_known(rows: Any) -> None:
    assert rows.run(config(num_samples=20)) == 0, rows.message
    assert set(read(rows, "assay/standard_errors.csv")[0].values()) == {""}
    assert read(rows, "assay/rows.csv")[0]["half_width"] == ""
    assert "half_width" not in rows.analysis["assay"]["attributions"]


def test_the_page_shows_intervals_and_how_sure_the_ranking_is(rows: Any) -> None:
    assert rows.run(config()) == 0, rows.message
    page = (rows.output / "report.html").read_text()
    found = rows.analysis["assay"]["attributions"]["rank_correlations"]
    assert set(found) == {"a", "b"}
    assert 0 < found["a"] <= 1
    assert f"two halves of the rows rank the features with a correlation of {found['a']:.2f}" in page
    assert page.count('class="whisker"') == 12 * 8
    assert " ± 0.0" in page
    assert rows.run(config(num_samples=2**FEATURES)) == 0, rows.message
    page = (rows.output / "report.html").read_text()
    assert 'class="whisker"' not in page
    assert " ± " not in page


def test_spearman_by_hand() -> None:
    assert spearman(np.array([1.0, 2.0, 3.0, 4.0]), np.array([10.0, 40.0, 30.0, 50.0])) == pytest.approx(0.8)
    assert spearman(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(0.8660254)
    ties = spearman(np.array([1.0, 1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert ties == pytest.approx(4.5 / (4.5 * 5) ** 0.5)  # both of the first share the rank 0.5
    assert spearman(np.array([1.0, 1.0]), np.array([1.0, 2.0])) is None


def test_only_the_features_asked_for_are_players(rows: Any) -> None:
    assert rows.run(config(features_to_explain=["f3", 1], num_samples=None)) == 0, rows.message
    assert list(read(rows, "explanations_shap/out.csv")[0]) == ["f1_a", "f3_a", "f1_b", "f3_b"]
    assert list(rows.analysis["explanations"]["kernel_shap"]["a"]["global_shap_values"]) == ["f1", "f3"]
    found = numbers(rows, "explanations_shap/out.csv").reshape(40, 2, 2)

    def scores(*absent: int) -> NDArray[Any]:
        changed = ROWS.copy()
        changed[:, list(absent)] = 0.0
        return curved(changed)

    expected = (scores() - scores(1) + scores(3) - scores(1, 3)) / 2
    np.testing.assert_allclose(found[:, :, 0], expected, atol=1e-12)
    base = [[float(row[f"base_{label}"]) for label in "ab"] for row in read(rows, "assay/rows.csv")]
    np.testing.assert_allclose(base, scores(1, 3), atol=1e-12)


def test_a_feature_to_explain_that_there_is_not_is_named(rows: Any) -> None:
    assert rows.run(config(features_to_explain=["height"])) == 1
    assert "methods.shap.features_to_explain: 'height' is not among f0, f1" in rows.message


def test_a_tolerance_spares_calls(rows: Any) -> None:
    assert rows.run(config(num_samples=500)) == 0, rows.message
    whole = rows.analysis["assay"]["model_calls"]
    assert rows.run(config(num_samples=500, tolerance=0.2)) == 0, rows.message
    assert rows.analysis["assay"]["model_calls"] < whole
    assert rows.analysis["assay"]["attributions"]["half_width"] <= 0.2
    assert len({row["model_calls"] for row in read(rows, "assay/rows.csv")}) > 1


@pytest.mark.parametrize(("asked", "used"), [(None, False), ("auto", False), (True, True), (False, False)])
def test_in_process_the_surrogate_is_used_when_asked_for(rows: Any, asked: bool | str | None, used: bool) -> None:
    assert rows.run(config(surrogate=asked)) == 0, rows.message
    assert rows.analysis["assay"]["attributions"]["surrogate"] is used
    found = files(rows)["explanations_shap/out.csv"]
    for surrogate in (False, True):
        assert rows.run(config(surrogate=surrogate)) == 0, rows.message
        assert (files(rows)["explanations_shap/out.csv"] == found) is (surrogate is used)


@pytest.mark.parametrize("identified", [False, True])
def test_when_the_time_is_over_the_rows_left_out_are_named(rows: Any, identified: bool) -> None:
    asked = config(time_budget=1e-9)
    if identified:
        with (rows.data / "data.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([*row, f"id-{place}"] for place, row in enumerate(ROWS.tolist()))
        asked |= {"headers": [*NAMES, "id"], "joinsource_name_or_index": "id"}
    assert rows.run(asked) == 0, rows.message
    summary = rows.analysis["assay"]["attributions"]
    explained = [int(row["row"]) for row in read(rows, "assay/rows.csv") if row["explained"] == "true"]
    assert len(explained) == summary["explained"] == 5
    assert explained != list(range(5))  # drawn by chance, as data may be sorted
    names = [f"id-{place}" if identified else f"row {place}" for place in range(40) if place not in explained]
    assert (summary["left_out"], summary["left_out_rows"]) == (35, names)
    assert (
        f"The time budget was over after 5 of 40 rows, drawn by chance. Left out are {names[0]}, {names[1]}"
        in (rows.output / "report.html").read_text()
    )
    out = read(rows, "explanations_shap/out.csv")
    if identified:
        assert [row["id"] for row in out] == [f"id-{place}" for place in explained]
    else:
        values = numbers(rows, "explanations_shap/out.csv")
        assert np.flatnonzero(~np.isnan(values).any(axis=1)).tolist() == explained
        found = rows.analysis["explanations"]["kernel_shap"]["a"]["global_shap_values"]
        np.testing.assert_allclose(list(found.values()), np.abs(values[explained, :FEATURES]).mean(axis=0))


@pytest.mark.parametrize("asked", [{}, {"tolerance": 0.2}, {"agg_method": "median"}, {"save_local_shap_values": False}])
def test_a_killed_job_goes_on_and_writes_the_same_bytes(
    rows: Any, give_model: Any, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    assert rows.run(config(**asked)) == 0, rows.message
    undisturbed, calls = files(rows), len(rows.calls)
    assert not (rows.output / "assay/parts").exists()
    shutil.rmtree(rows.output)
    monkeypatch.setattr("explainer.parts.SAVE_SECONDS", 0.0)

    def killed(batch: NDArray[Any]) -> NDArray[Any]:
        if len(rows.calls) > calls // 2:
            raise KeyboardInterrupt
        return curved(batch)

    rows.calls.clear()
    give_model(killed, FEATURES)
    with pytest.raises(KeyboardInterrupt):
        rows.run(config(**asked))
    assert any((rows.output / "assay/parts").rglob("*.npy"))
    shutil.move(rows.output, rows.root / "processing/input/resume")
    rows.calls.clear()
    give_model(curved, FEATURES)
    assert rows.run(config(**asked)) == 0, rows.message
    assert files(rows) == undisturbed
    assert len(rows.calls) < calls * 0.7


def test_what_another_job_knew_is_not_taken(rows: Any, give_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rows.run(config(seed=1)) == 0, rows.message
    undisturbed = files(rows)
    shutil.rmtree(rows.output)
    monkeypatch.setattr("explainer.parts.SAVE_SECONDS", 0.0)
    monkeypatch.setattr("explainer.parts.Parts.forget", lambda _: None)
    assert rows.run(config(seed=2)) == 0, rows.message
    shutil.move(rows.output, rows.root / "processing/input/resume")
    monkeypatch.undo()
    monkeypatch.setattr("explainer.shapley.explain.BATCH", 64)
    monkeypatch.setattr("explainer.shapley.explain.BLOCK", 8)
    give_model(curved, FEATURES)
    assert rows.run(config(seed=1)) == 0, rows.message
    assert {name: text for name, text in files(rows).items() if "parts" not in name} == undisturbed


def test_a_part_that_is_not_whole_is_explained_again(rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explainer.parts.SAVE_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr("explainer.parts.Parts.forget", lambda _: None)
        assert rows.run(config()) == 0, rows.message
    undisturbed = {name: content for name, content in files(rows).items() if "parts" not in name}
    part = sorted((rows.output / "assay/parts").rglob("*.npy"))[3]
    part.write_bytes(part.read_bytes()[:500])
    assert rows.run(config()) == 0, rows.message
    assert files(rows) == undisturbed


def test_memory_stays_flat_however_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explainer.parts.SAVE_BYTES", 2**20)
    monkeypatch.setattr("explainer.rows.AT_ONCE", 2**20)
    monkeypatch.setattr("explainer.shapley.explain.BATCH", 256)
    weights = RNG.normal(size=(4, 60))

    def peak(count: int) -> int:
        columns = {name: np.arange(count, dtype=np.float64) + 1 for name in NAMES[:4]}
        table = Table(Meaning(tuple(columns), None, None, None, None), dict.fromkeys(columns, "numeric"), columns)
        tracemalloc.start()
        explained = explain_table(
            table,
            coding_of(table.features, table.types, table.columns),
            np.zeros((1, 4)),
            lambda x: np.asarray(x @ weights),
            tuple(f"label{number}" for number in range(60)),
            Shap(agg_method="median"),
            representative=np.ones(count, dtype=np.bool_),
            surrogate=False,
            place=Place(tmp_path / str(count), lambda _: None),
        )
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        np.testing.assert_allclose(explained.importance.T[0], weights[:, 0] * (count + 1) / 2)
        return used

    few, many = peak(500), peak(8000)
    whole = 8 * 8000 * 4 * 60
    assert many < few + whole / 4
