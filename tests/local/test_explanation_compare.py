"""`assay explain --compare`: two output folders, what decides, what is told beside."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay_local import cli
from assay_local.explanation_compare import rank_correlation

FEATURES = [f"f{n}" for n in range(12)]
VALUES = {name: 1.0 / (n + 1) for n, name in enumerate(FEATURES)}
BIAS = {"CI": 0.398, "DPL": -0.25, "KL": "Infinity", "CDDL": None}

Ran = tuple[int, str, str]
Compare = Callable[..., Ran]


def write(
    folder: Path,
    values: dict[str, float] | None = None,
    bias: dict[str, Any] | None = None,
    rows: list[list[float]] | None = None,
    label: str = "income",
    facet: str = "1",
) -> Path:
    (folder / "explanations_shap").mkdir(parents=True)
    metrics = [{"name": name, "description": name, "value": value} for name, value in (bias or {}).items()]
    shap = {label: {"global_shap_values": values, "expected_value": 0.1}}
    analysis = {
        "version": "1.0",
        "explanations": {"kernel_shap": shap} if values else {},
        "pre_training_bias_metrics": {"facets": {"sex": [{"value_or_threshold": facet, "metrics": metrics}]}},
    }
    (folder / "analysis.json").write_text(json.dumps(analysis))
    if rows is not None:
        with (folder / "explanations_shap/out.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([["a_income", "b_income", "id"], *([*row, "x7"] for row in rows)])
    return folder


@pytest.fixture
def compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Compare:
    def call(*options: object) -> Ran:
        folders = [str(tmp_path / name) for name in ("theirs", "ours")]
        code = cli.main(["explain", "--compare", *folders, *map(str, options)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_what_agrees_ends_with_0_and_a_page(compare: Compare, tmp_path: Path) -> None:
    rows = [[0.5, -0.2], [0.1, 0.001]]
    write(tmp_path / "theirs", VALUES, BIAS, rows, facet="1.0")
    close = {**BIAS, "DPL": -0.25009}
    write(tmp_path / "ours", {**VALUES, "f0": 0.9}, {**close, "TVD": 0.1}, [[0.51, -0.2], [0.1, -0.001]])
    code, said, _ = compare("--html", tmp_path / "page.html")
    assert code == 0
    assert "✓ bias metrics           4 metrics, largest difference 9e-05, allowed 0.0001; 1 only in ours" in said
    assert "✓ top ten features       100% the same" in said
    assert "rank correlation 1.000" in said
    # 0.001 and -0.001 are below a hundredth of the largest value
    assert "0 of 3 values above 1% of the largest have another sign (0.0%)" in said
    assert "They agree." in said
    page = (tmp_path / "page.html").read_text()
    assert "<h1>They agree.</h1>" in page
    assert "4 metrics, largest difference 9e-05" in page


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"DPL": -0.2502}, "DPL of sex = 1, before training: -0.25, ours -0.2502"),
        ({"KL": 5.0}, "KL of sex = 1, before training: inf, ours 5"),
        ({"CI": None}, "CI of sex = 1, before training: 0.398, ours none"),
        ({"CDDL": 0.0}, "CDDL of sex = 1, before training: none, ours 0"),
    ],
)
def test_a_bias_metric_that_differs_is_named(
    compare: Compare, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    write(tmp_path / "theirs", bias=BIAS)
    write(tmp_path / "ours", bias=BIAS | change)
    code, said, _ = compare()
    assert (code, says in said) == (1, True), said
    assert "They differ." in said


def test_a_metric_that_we_lack_differs(compare: Compare, tmp_path: Path) -> None:
    write(tmp_path / "theirs", bias=BIAS)
    write(tmp_path / "ours", bias={"CI": 0.398})
    code, said, _ = compare()
    assert code == 1
    assert "DPL of sex = 1, before training: -0.25, ours has none" in said


@pytest.mark.parametrize(("swapped", "code"), [(1, 0), (2, 1)])
def test_nine_of_ten_features_have_to_be_the_same(compare: Compare, tmp_path: Path, swapped: int, code: int) -> None:
    ours = dict(VALUES)
    for name in FEATURES[10 : 10 + swapped]:
        ours[name] = -2.0  # by magnitude
    write(tmp_path / "theirs", VALUES)
    write(tmp_path / "ours", ours)
    found, said, _ = compare()
    assert found == code
    assert f"{1 - swapped / 10:.0%} the same, needed 90%" in said
    assert "income: only in theirs f9" in said or "income: only in theirs f8, f9" in said


def test_labels_that_are_named_otherwise_are_paired_by_their_place(compare: Compare, tmp_path: Path) -> None:
    write(tmp_path / "theirs", VALUES, label="label0")
    write(tmp_path / "ours", VALUES)
    assert compare()[0] == 0


def test_signs_that_change_are_counted_and_shown(compare: Compare, tmp_path: Path) -> None:
    write(tmp_path / "theirs", VALUES, rows=[[0.5, -0.2], [0.3, 0.1]])
    write(tmp_path / "ours", VALUES, rows=[[0.5, 0.2], [0.3, 0.1]])
    code, said, _ = compare()
    assert code == 0
    assert "1 of 4 values above 1% of the largest have another sign (25.0%)" in said
    assert "row 0, b_income: -0.2, ours 0.2" in said
    assert "4 values, root mean square difference 0.2" in said


def test_local_values_of_texts_are_compared_piece_by_piece(compare: Compare, tmp_path: Path) -> None:
    for name, value in (("theirs", 0.2), ("ours", -0.2)):
        write(tmp_path / name, VALUES)
        piece = {"attribution": [value], "description": {"partial_text": "bad", "start_idx": 4}}
        line = {"explanations": [{"feature_name": "review", "data_type": "free_text", "attributions": [piece]}]}
        (tmp_path / name / "explanations_shap/out.jsonl").write_text(json.dumps(line) + "\n")
    assert "row 0, review[4] bad, label 0: 0.2, ours -0.2" in compare()[1]


def test_columns_of_labels_that_are_named_otherwise_are_the_same_columns(compare: Compare, tmp_path: Path) -> None:
    """Older saved outputs of Clarify have label0 where ours has the label's header."""
    for name, label, value in (("theirs", "label0", 0.2), ("ours", "income", 0.3)):
        write(tmp_path / name, VALUES, label=label)
        (tmp_path / name / "explanations_shap/out.csv").write_text(f"a_{label},b_income_{label}\n{value},1.5\n")
    assert "2 values, root mean square difference 0.0707" in compare()[1]


def curve(name: str, values: list[Any], *predictions: list[float]) -> dict[str, Any]:
    return {"feature_name": name, "feature_values": values, "model_predictions": list(predictions)}


def put(folder: Path, key: str, value: Any) -> None:
    analysis = json.loads((folder / "analysis.json").read_text())
    analysis["explanations"][key] = value
    (folder / "analysis.json").write_text(json.dumps(analysis))


THEIR_CURVES = [curve("age", [20.5, 40.123456789, 60], [0.1, 0.2, 0.3]), curve("sex", ["f", "m"], [0.4, 0.5])]


@pytest.mark.parametrize(
    ("ours", "code", "says"),
    [
        (
            [curve("sex", ["m", "f"], [0.5, 0.40005]), curve("age", [20.5, 40.1234568, 60.0], [0.1, 0.2, 0.3])],
            0,
            "✓ partial dependence     2 features, largest difference 5e-05 (sex), allowed 0.0001",
        ),
        (
            [curve("age", [20.5, 40.123456789, 60], [0.1, 0.2002, 0.3]), curve("sex", ["f"], [0.4])],
            1,
            "sex: at 1 of 2 values\n    age: 0.0002",
        ),
        ([{"feature_name": "age", "error": "no scores"}], 1, "age: ours has none: no scores\n    sex: only in theirs"),
        (
            [curve("age", [1, 2], [0, 1])],
            0,
            "· partial dependence     none of 2 can be compared\n    age: measured at other",
        ),
        ([curve("age", [20.5], [0.1], [0.9]), THEIR_CURVES[1]], 1, "age: 1 label in theirs, 2 labels in ours"),
    ],
)
def test_curves_are_compared_where_they_were_measured_at_the_same_values(
    compare: Compare, tmp_path: Path, ours: list[Any], code: int, says: str
) -> None:
    write(tmp_path / "theirs", VALUES)
    put(tmp_path / "theirs", "pdp", THEIR_CURVES)
    write(tmp_path / "ours", VALUES)
    put(tmp_path / "ours", "pdp", ours)
    found, said, _ = compare()
    assert says in said
    assert found == code


@pytest.mark.parametrize(("other", "code"), [("good", 0), ("awful", 1)])
def test_texts_alone_are_compared_by_their_ten_most_important_pieces(
    compare: Compare, tmp_path: Path, other: str, code: int
) -> None:
    for name, word in (("theirs", "good"), ("ours", other)):
        write(tmp_path / name)
        top = {word: 0.5, "bad": -0.4, "so": 0.01}
        put(tmp_path / name, "kernel_shap", {"label0": {"global_top_shap_text": {"review": top}}})
    found, said, _ = compare()
    assert found == code
    assert ("label0, review: only in theirs good; only in ours awful" in said) == bool(code)
    assert "top ten texts" in said


def test_names_stand_literally_in_the_page(compare: Compare, tmp_path: Path) -> None:
    write(tmp_path / "theirs", {"<script>": 1.0, "b": 2.0})
    write(tmp_path / "ours", {"c": 1.0, "b": 2.0})
    compare("--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_folders_without_results_are_an_error(compare: Compare, tmp_path: Path) -> None:
    write(tmp_path / "theirs")
    code, _, wrong = compare()
    assert code == 2
    assert "ours/analysis.json: No such file or directory; expected the output folder of a Clarify job" in wrong
    write(tmp_path / "ours")
    code, _, wrong = compare()
    assert code == 2
    assert "nothing to compare" in wrong
    (tmp_path / "ours/analysis.json").write_text("{")
    assert "ours/analysis.json: not JSON" in compare()[2]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1, 2, 3], [10, 20, 30], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 2, 2, 3], [1, 2, 3, 4], 0.9486832980505138),  # scipy.stats.spearmanr
        ([1, 1, 1], [1, 2, 3], 0.0),
        ([1, 1], [2, 2], 1.0),
    ],
)
def test_rank_correlation(one: list[float], other: list[float], expected: float) -> None:
    assert rank_correlation(np.array(one, dtype=float), np.array(other, dtype=float)) == pytest.approx(expected)
