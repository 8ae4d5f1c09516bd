"""Jobs on texts: Clarify's files, read back as Clarify's users read them."""

from __future__ import annotations

import csv
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from explainer.rows import aggregate
from explainer.text.parts import RowNumbers, TextParts
from explainer.text.totals import TopUnits
from job.progress import Progress

pytest.importorskip("spacy")

DATA = Path(__file__).parents[4] / "shared/data/reviews/test_data_explainability.jsonl"
GOOD, BAD = {"great": 1.0, "good": 0.5, "easy": 0.5}, {"not": 0.5, "bad": 1.0, "waste": 2.0}
ROWS: list[list[Any]] = [["Great and easy, easy!", "Books"], ["bad <b>bad</b> {{ 7 * 7 }}\nok", "Music"], ["", "Books"]]
TEXT = {"granularity": "token", "language": "en"}


def stars(columns: Any) -> NDArray[Any]:
    """Scores of two labels: the weights of good and of bad words, and one each for another category than books."""
    texts, kinds = (
        (columns["review_body"], columns["product_category"]) if isinstance(columns, Mapping) else (columns, [])
    )
    scores = np.array([[_sum(GOOD, text), _sum(BAD, text)] for text in np.asarray(texts).tolist()], dtype=np.float64)
    for row, kind in enumerate(kinds):
        scores[row] += [0.0, 0.25] if kind == "Books" else [0.125, 0.0]
    return scores


def _sum(weights: dict[str, float], text: str) -> float:
    return sum(weights.get(word, 0.0) for word in re.findall(r"\w+", text.lower()))


def config(*, text_config: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    shap = {"baseline": [["<UNK>", "Music"]], "text_config": TEXT | (text_config or {})} | changes.pop("shap", {})
    return {
        "dataset_type": "application/jsonlines",
        "headers": ["review_body", "product_category"],
        "features": "features",
        "methods": {"shap": {name: value for name, value in shap.items() if value is not None}},
        "predictor": {"model_name": "reviews", "label_headers": ["good", "bad"]},
        "column_types": {"review_body": "text"},
    } | changes


def write(job: Any, rows: list[list[Any]], **beside: Any) -> None:
    lines = [
        {"features": row} | {name: values[place] for name, values in beside.items()} for place, row in enumerate(rows)
    ]
    (job.data / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def reviews(job: Any, give_model: Any) -> Any:
    """The lab's shape: a text beside a category, JSON Lines."""
    write(job, ROWS)
    give_model(stars, review_body="string", product_category="string")
    return job


def explanations(job: Any) -> list[dict[str, Any]]:
    lines = (job.output / "explanations_shap/out.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_line_of_out_jsonl_is_clarifys(reviews: Any) -> None:
    assert reviews.run(config()) == 0, reviews.message
    body, kind = explanations(reviews)[0]["explanations"]
    assert list(explanations(reviews)[0]) == ["explanations"]
    assert list(body) == ["feature_name", "data_type", "attributions"]
    assert (body["feature_name"], body["data_type"]) == ("review_body", "free_text")
    found = [(one["description"]["partial_text"], one["description"]["start_idx"]) for one in body["attributions"]]
    assert found == [("Great", 0), ("and", 6), ("easy", 10), (",", 14), ("easy", 16), ("!", 20)]
    values = np.array([one["attribution"] for one in body["attributions"]])
    np.testing.assert_allclose(values[:, 0], [1.0, 0, 0.5, 0, 0.5, 0], atol=1e-9)
    np.testing.assert_allclose(values[:, 1], 0, atol=1e-9)
    assert (kind["feature_name"], kind["data_type"]) == ("product_category", "categorical")
    (only,) = kind["attributions"]
    assert only["attribution"] == pytest.approx([-0.125, 0.25], abs=1e-9)
    assert explanations(reviews)[2]["explanations"][0]["attributions"] == []  # of an empty text
    assert not (reviews.output / "explanations_shap/out.csv").exists()


def facts(job: Any) -> list[dict[str, str]]:
    with (job.output / "assay/rows.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_units_stand_where_they_say_and_add_up(reviews: Any) -> None:
    assert reviews.run(config()) == 0
    for row, line, extra in zip(ROWS, explanations(reviews), facts(reviews), strict=True):
        total = np.array([float(extra["base_good"]), float(extra["base_bad"])])
        for feature in line["explanations"]:
            for one in feature["attributions"]:
                total += one["attribution"]
                if "description" in one:
                    part, start = one["description"]["partial_text"], one["description"]["start_idx"]
                    assert row[0][start : start + len(part)] == part
        columns = {"review_body": np.array([row[0]], object), "product_category": [row[1]]}
        assert total.tolist() == pytest.approx(stars(columns)[0].tolist(), abs=1e-9)
        assert total.tolist() == pytest.approx([float(extra["prediction_good"]), float(extra["prediction_bad"])])
        assert float(extra["additivity_gap"]) < 1e-9
    assert reviews.analysis["assay"]["max_additivity_gap"] < 1e-9
    assert sum(int(extra["model_calls"]) for extra in facts(reviews)) == reviews.analysis["assay"]["model_calls"] - 1


def test_analysis_json_nests_the_top_texts_by_feature(reviews: Any) -> None:
    assert reviews.run(config(text_config={"max_top_tokens": 2})) == 0
    shap = reviews.analysis["explanations"]["kernel_shap"]
    assert list(shap) == ["good", "bad"]
    assert list(shap["bad"]) == ["global_shap_values", "expected_value", "global_top_shap_text"]
    assert shap["good"]["global_shap_values"] == pytest.approx({"product_category": 0.125 * 2 / 3})
    assert shap["good"]["expected_value"] == 0.125  # of one <UNK> and Music, as Clarify has it
    found = shap["bad"]["global_top_shap_text"]
    assert list(found) == ["review_body"]
    assert found["review_body"] == pytest.approx({"bad": 1.0, "bad</b": 1.0})
    assert list(shap["good"]["global_top_shap_text"]["review_body"]) == ["Great", "easy"]


@pytest.mark.parametrize(
    ("method", "expected"),
    [("mean_abs", 5 / 3), ("median", -2.0), ("mean_sq", 3.0)],  # by hand, of -1, -2, -2
)
def test_top_texts_are_aggregated_over_all_their_occurrences(
    job: Any, give_model: Any, method: str, expected: float
) -> None:
    give_model(lambda texts: np.array([[-float(text.count("worse") ** 2)] for text in texts.tolist()]), dtype="string")
    write(job, [["worse"], ["worse worse"]])  # worth -1, and -2 each
    asked = config(headers=["text"], column_types={}, shap={"baseline": [[""]], "agg_method": method})
    asked["predictor"] = {"label_headers": ["stars"]}
    assert job.run(asked) == 0, job.message
    found = job.analysis["explanations"]["kernel_shap"]["stars"]
    assert found["global_top_shap_text"] == {"text": {"worse": pytest.approx(expected)}}
    assert found["global_shap_values"] == {}


def test_sentences_and_paragraphs_are_units_too(reviews: Any) -> None:
    write(reviews, [["Great! Mr. X says\nbad. Waste", "Music"]])

    def found(granularity: str) -> dict[str, list[float]]:
        assert reviews.run(config(text_config={"granularity": granularity})) == 0, reviews.message
        body = explanations(reviews)[0]["explanations"][0]["attributions"]
        return {one["description"]["partial_text"]: [round(v, 9) for v in one["attribution"]] for one in body}

    assert found("Sentence") == {"Great!": [1, 0], "Mr. X says": [0, 0], "bad.": [0, 1], "Waste": [0, 2]}
    assert found("paragraph") == {"Great! Mr. X says": [1, 0], "bad. Waste": [0, 3]}


def test_without_a_baseline_absent_text_is_dropped_and_the_rest_is_clustered(reviews: Any) -> None:
    assert reviews.run(config(shap={"baseline": None, "num_clusters": 2})) == 0, reviews.message
    with (reviews.output / "explanations_shap/baseline.csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [["review_body", "product_category"], ["", "Books"], ["", "Music"]]
    kind = explanations(reviews)[0]["explanations"][1]["attributions"][0]["attribution"]
    assert kind == pytest.approx([-0.125 / 2, 0.25 / 2], abs=1e-9)


def test_the_labs_baseline_and_the_rows_identifier(reviews: Any) -> None:
    write(reviews, ROWS, review_id=["r-1", "r-2", "r-3"], star_rating=[5, 1, 3])
    asked = config(shap={"baseline": [{"features": ["ok", "Digital_Software"]}]}, joinsource_name_or_index="review_id")
    asked |= {"headers": ["review_body", "product_category", "star_rating"], "label": "star_rating"}
    asked["excluded_columns"] = []
    assert reviews.run(asked) == 0, reviews.message
    assert [line["review_id"] for line in explanations(reviews)] == ["r-1", "r-2", "r-3"]
    assert (reviews.output / "explanations_shap/baseline.csv").read_text().splitlines()[1] == "ok,Digital_Software"


@pytest.mark.parametrize(
    ("rows", "types", "text"),
    [
        ([["short", "a"], ["brief", "b"]], {}, "review_body"),
        ([["a", "the longest of all is not long"], ["b", "x"]], {}, "product_category"),
        ([["a", "b " * 60], ["c", "d " * 60]], {}, "product_category"),
        ([["a", "b " * 60], ["c", "d " * 60]], {"review_body": "text"}, "review_body"),
    ],
)
def test_which_column_is_text(
    reviews: Any, caplog: pytest.LogCaptureFixture, rows: list[list[str]], types: dict[str, str], text: str
) -> None:
    caplog.set_level("INFO")
    write(reviews, rows)
    assert reviews.run(config(column_types=types, shap={"num_samples": 20})) == 0, reviews.message
    found = {one["feature_name"]: one["data_type"] for one in explanations(reviews)[0]["explanations"]}
    assert [name for name, kind in found.items() if kind == "free_text"] == [text]
    assert f"explained as text: {text} (" in caplog.text


def test_numbers_alone_are_no_text(job: Any, give_model: Any) -> None:
    give_model(lambda batch: batch, 2)
    write(job, [[1, 2], [3, 4]])
    assert job.run(config(column_types={})) == 1
    assert "text_config: no feature holds text; all of review_body, product_category are numbers" in job.message


def test_dependence_of_the_other_features_stands_beside(reviews: Any) -> None:
    asked = config()
    asked["methods"]["pdp"] = {"grid_resolution": 5}
    assert reviews.run(asked) == 0, reviews.message
    (one,) = reviews.analysis["explanations"]["pdp"]
    assert (one["feature_name"], one["feature_values"]) == ("product_category", ["Books", "Music"])


def test_text_alone_and_dependence_asked_for_of_all(job: Any, give_model: Any) -> None:
    give_model(lambda texts: np.array([[len(text)] for text in texts.tolist()]), dtype="string")
    write(job, [["a bc"], ["de"]])
    asked = config(headers=["text"], column_types={}, shap={"baseline": [[""]]})
    asked["predictor"] = {}
    asked["methods"]["pdp"] = {"grid_resolution": 5}
    assert job.run(asked) == 0, job.message
    assert job.analysis["explanations"]["pdp"] == []
    assert list(job.analysis["explanations"]["kernel_shap"]) == ["label0"]


def test_the_page_highlights_hostile_text_literally(reviews: Any) -> None:
    hostile = 'great <script>alert(1)</script> bad" onmouseover="x &amp; {{ 7 * 7 }} \' waste \u202e'
    write(reviews, [[hostile, "Books"]])
    assert reviews.run(config()) == 0, reviews.message
    page = (reviews.output / "report.html").read_text("utf-8")
    assert "<script" not in page
    assert not re.search(r"<[^>]* onmouseover", page)
    (shown,) = re.findall(r'<p class="text" dir="auto">(.*?)</p>', page, flags=re.DOTALL)
    assert html.unescape(re.sub(r"</?span[^>]*>", "", shown)) == hostile
    # explained for `bad`, which it has most of: what raises and what lowers are told apart without colour
    assert re.search(r'<span class="raises" style="--strength:100%" title="\+2">waste</span>', page)
    assert "text-decoration-style: wavy" in page


def test_what_lowers_a_score_has_its_own_line_and_number(job: Any, give_model: Any) -> None:
    give_model(lambda texts: np.array([[1.0 - text.count("no")] for text in texts.tolist()]), dtype="string")
    write(job, [["no way"]])
    asked = config(headers=["text"], column_types={}, shap={"baseline": [[""]]})
    asked["predictor"] = {}
    assert job.run(asked) == 0, job.message
    page = (job.output / "report.html").read_text("utf-8")
    assert '<span class="lowers" style="--strength:100%" title="-1">no</span>' in page


def test_languages_without_rules_here_are_said_in_log_and_report(
    reviews: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert reviews.run(config(text_config={"language": "japanese"})) == 0, reviews.message
    page = (reviews.output / "report.html").read_text("utf-8")
    if "blank:ja" in page:
        pytest.skip("spaCy has all it needs for ja here")
    assert "spaCy has no rules for language ja here" in html.unescape(page)
    assert len([one for one in caplog.messages if "spaCy has no rules for language ja here" in one]) == 1


def test_one_seed_gives_the_same_bytes(reviews: Any) -> None:
    def run() -> dict[str, bytes]:
        assert reviews.run(config(shap={"baseline": None, "num_clusters": 2, "num_samples": 12, "seed": 5})) == 0
        return {str(path): path.read_bytes() for path in reviews.output.rglob("*") if path.is_file()}

    first = run()
    assert len(first) == 10
    assert run() == first


def test_standard_errors_stand_beside_in_the_same_shape(job: Any, give_model: Any) -> None:
    """A third of the words' pairs interact, so that 400 of 2^16 coalitions leave something to guess."""

    def found(num_samples: int) -> tuple[NDArray[Any], NDArray[Any]]:
        asked = config(headers=["text"], column_types={}, shap={"baseline": [[""]], "num_samples": num_samples})
        asked["predictor"] = {}
        assert job.run(asked) == 0, job.message
        lines = (job.output / "assay/standard_errors.jsonl").read_text("utf-8").splitlines()
        both = [explanations(job)[0], json.loads(lines[0])]
        parts = [one["explanations"][0]["attributions"] for one in both]
        assert [one["description"] for one in parts[0]] == [one["description"] for one in parts[1]]
        values, errors = ([one["attribution"][0] for one in part] for part in parts)
        return np.array(values), np.array(errors)

    def product(texts: Any) -> NDArray[Any]:
        return np.array([[np.sin(sum(ord(word) for word in text.split()))] for text in texts.tolist()])

    give_model(product, dtype="string")
    write(job, [["a c e g i k m o q s b d f h j l"]])
    exact, none = found(2**16)
    assert none.tolist() == [0.0] * 16
    assert job.analysis["assay"]["attributions"] == {
        "exact": True,
        "explained": 1,
        "left_out": 0,
        "left_out_rows": [],
        "half_width": 0.0,
        "surrogate": False,
        "rank_correlations": {},
    }
    values, errors = found(400)
    assert (errors > 0).all()
    for name, sign in (("lower", -1), ("upper", 1)):
        (line,) = (job.output / f"assay/{name}.jsonl").read_text("utf-8").splitlines()
        ends = [one["attribution"][0] for one in json.loads(line)["explanations"][0]["attributions"]]
        assert ends == pytest.approx((values + sign * 1.959964 * errors).tolist())
    assert float(facts(job)[0]["half_width"]) == pytest.approx(1.959964 * errors.max())
    inside = np.abs(values - exact) < 1.96 * errors
    assert inside.mean() > 0.7
    assert job.analysis["assay"]["attributions"]["half_width"] == pytest.approx(1.959964 * errors.max())
    _, unknown = found(20)
    assert unknown.tolist() == [None] * 16


def test_features_to_explain_are_the_only_ones(reviews: Any) -> None:
    asked = config(shap={"features_to_explain": ["review_body"]})
    asked["methods"]["pdp"] = {"grid_resolution": 5, "features": ["product_category"]}
    assert reviews.run(asked) == 0, reviews.message
    assert [one["feature_name"] for one in explanations(reviews)[0]["explanations"]] == ["review_body"]
    assert reviews.analysis["explanations"]["kernel_shap"]["good"]["global_shap_values"] == {}
    assert reviews.analysis["explanations"]["pdp"][0]["feature_name"] == "product_category"
    assert reviews.run(config(shap={"features_to_explain": ["product_category"]})) == 0, reviews.message
    (only,) = explanations(reviews)[0]["explanations"]
    assert only["attributions"] == [{"attribution": [pytest.approx(-0.125), pytest.approx(0.25)]}]


def test_a_killed_job_goes_on_where_it_was(reviews: Any, give_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explainer.text.parts.SAVE_SECONDS", 0.0)
    assert reviews.run(config()) == 0
    whole = (reviews.output / "explanations_shap/out.jsonl").read_bytes()
    every = sum(reviews.calls)
    assert not list((reviews.output / "assay").glob("parts/*"))  # all is written that is made of them

    def killed(columns: Any) -> NDArray[Any]:
        if any("bad" in text for text in columns["review_body"].tolist()):
            raise KeyboardInterrupt
        return stars(columns)

    give_model(killed, review_body="string", product_category="string")
    with pytest.raises(KeyboardInterrupt):
        reviews.run(config())
    assert len(list((reviews.output / "assay").glob("parts/*/*.jsonl"))) == 1
    reviews.calls.clear()
    give_model(stars, review_body="string", product_category="string")
    assert reviews.run(config()) == 0
    assert (reviews.output / "explanations_shap/out.jsonl").read_bytes() == whole
    assert sum(reviews.calls) < every
    assert reviews.analysis["assay"]["model_calls"] == every - 1  # as if it had never been killed


def interacting(texts: Any) -> NDArray[Any]:
    return np.array([[np.sin(sum(map(ord, text)))] for text in texts.tolist()])


def alone(**shap: Any) -> dict[str, Any]:
    """A text without anything beside it; absent words are dropped."""
    asked = config(headers=["text"], column_types={}, shap={"baseline": [[""]]} | shap)
    asked["predictor"] = {"label_headers": ["stars"]}
    return asked


def test_a_tolerance_spares_calls_of_texts_that_are_told_soon(job: Any, give_model: Any) -> None:
    def additive_or_not(texts: Any) -> NDArray[Any]:
        return np.where(
            [["z" not in text] for text in texts.tolist()], [[len(text)] for text in texts], interacting(texts)
        )

    give_model(additive_or_not, dtype="string")
    easy, hard = "a b c d e f g h i j k l m n", "z zz a b c d e f g h i j k l"
    write(job, [[easy], [hard]])
    assert job.run(alone(num_samples=2000, tolerance=0.2)) == 0, job.message
    soon, late = facts(job)
    assert int(soon["model_calls"]) < 250 < int(late["model_calls"]) <= 2002
    assert float(soon["half_width"]) <= 0.2
    assert float(soon["additivity_gap"]) < 1e-9
    values = [one["attribution"] for one in explanations(job)[0]["explanations"][0]["attributions"]]
    np.testing.assert_allclose(values, 1, atol=1e-9)


@pytest.mark.parametrize("identified", [False, True])
def test_when_the_time_is_over_the_texts_left_out_are_named(reviews: Any, identified: bool) -> None:
    rows = [[f"good number {place}", "Books"] for place in range(20)]
    ids = [f"id-{place}" for place in range(20)]
    write(reviews, rows, **({"id": ids} if identified else {}))
    joined: dict[str, Any] = {"joinsource_name_or_index": "id"} if identified else {}
    asked = config(shap={"time_budget": 1e-9}, **joined)
    assert reviews.run(asked) == 0, reviews.message
    summary = reviews.analysis["assay"]["attributions"]
    done = [place for place, one in enumerate(facts(reviews)) if one["explained"] == "true"]
    assert summary["explained"] == len(done) == 1
    assert done != [0]  # drawn by chance, as data may be sorted
    names = ids if identified else [f"row {place}" for place in range(20)]
    assert (summary["left_out"], summary["left_out_rows"]) == (19, [one for one in names if one != names[done[0]]])
    lines = explanations(reviews)
    if identified:
        assert [line["id"] for line in lines] == [names[done[0]]]
    else:
        assert [place for place, line in enumerate(lines) if line["explanations"]] == done
        assert len(lines) == 20
    found = reviews.analysis["explanations"]["kernel_shap"]["good"]["global_top_shap_text"]["review_body"]
    assert str(done[0]) in found and len(found) == 3
    page = (reviews.output / "report.html").read_text("utf-8")
    assert "The time budget was over after 1 of 20 rows, drawn by chance." in page


def test_halves_of_the_rows_tell_how_sure_the_ranking_is(job: Any, give_model: Any) -> None:
    """The text as a whole is one of the features; both numbers are said where people look."""

    def scores(columns: Any) -> NDArray[Any]:
        return np.array([[len(text) + 0.1 * a + 0.01 * b] for text, a, b in zip(*columns.values(), strict=True)])

    give_model(scores, text="string", a="float32", b="float32")
    write(job, [["x" * (5 + place) + " y", 1.0 + place, 2.0] for place in range(8)])
    asked = config(headers=["text", "a", "b"], column_types={"text": "text"}, shap={"baseline": [["", 0, 0]]})
    asked["predictor"] = {"label_headers": ["score"]}
    assert job.run(asked) == 0, job.message
    assert job.analysis["assay"]["attributions"]["rank_correlations"] == {"score": 1.0}
    assert "rank the features with a correlation of 1.00" in (job.output / "report.html").read_text("utf-8")


def test_a_surrogate_comes_closer_at_equal_calls(job: Any, give_model: Any) -> None:
    def smooth(texts: Any) -> NDArray[Any]:
        return np.array([[np.tanh(sum(ord(word) % 7 - 3 for word in text.split()) / 4)] for text in texts.tolist()])

    give_model(smooth, dtype="string")
    write(job, [["a c e g i k m o q s b d f h"]])

    def found(num_samples: int, surrogate: bool) -> NDArray[Any]:
        assert job.run(alone(num_samples=num_samples, surrogate=surrogate)) == 0, job.message
        assert job.analysis["assay"]["attributions"]["surrogate"] is surrogate
        return np.array([one["attribution"][0] for one in explanations(job)[0]["explanations"][0]["attributions"]])

    exact = found(2**14, False)
    without, with_it = (np.abs(found(700, surrogate) - exact).max() for surrogate in (False, True))
    assert with_it < 0.8 * without


def test_what_is_known_is_read_from_disk_again_whatever_file_it_is_in(tmp_path: Path) -> None:
    def numbers(place: int) -> RowNumbers:
        return RowNumbers(place, [[place + 0.1]], None, [0.5], [1.0], exact=False, calls=place)

    parts = TextParts(tmp_path)
    for place in (5, 3, 4):
        parts.add(numbers(place))
        if place == 3:
            parts.save()
    parts.save()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["000000000.jsonl", "000000002.jsonl"]
    again = TextParts(tmp_path)
    assert len(again) == 3
    assert [again.at(number).place for number in (2, 0, 1)] == [4, 5, 3]
    assert again.at(1) == numbers(3)
    (tmp_path / "000000002.jsonl").write_bytes(b'{"place": 4, "val')  # cut short, as a killed machine may leave it
    assert len(TextParts(tmp_path)) == 2


@pytest.mark.parametrize("agg_method", ["mean_abs", "mean_sq", "median"])
def test_units_taken_up_one_by_one_are_aggregated_as_all_at_once(agg_method: str) -> None:
    values = np.random.default_rng(4).normal(size=(9, 2))
    top = TopUnits(agg_method)
    for one in values:
        top.add([("word", one), ("other", 0 * one)])
    first, second = top.first(1, 2)
    assert [first["word"], second["word"]] == pytest.approx(aggregate(values, agg_method).tolist())
    assert (len(first), len(second)) == (1, 1)


def test_another_attempt_goes_on_though_it_has_less_time(
    reviews: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def killed(self: Progress, stage: str, done: int, total: int, unit: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("explainer.text.parts.SAVE_SECONDS", 0.0)
    with monkeypatch.context() as dying:
        dying.setattr(Progress, "report", killed)
        with pytest.raises(KeyboardInterrupt):
            reviews.run(config(shap={"time_budget": 1e9}))
    caplog.set_level("INFO")
    assert reviews.run(config()) == 0  # in another order
    assert "going on" not in caplog.text
    assert reviews.run(config(shap={"time_budget": 1e8})) == 0
    assert "going on after 2 rows" in caplog.text


def test_a_text_of_5000_words_is_explained_in_runs(job: Any, give_model: Any) -> None:
    give_model(lambda texts: np.array([[float(text.count("7"))] for text in texts.tolist()]), dtype="string")
    text = " ".join(f"w{place}" for place in range(5000))
    write(job, [[text]])
    asked = config(headers=["text"], column_types={}, shap={"baseline": [[""]], "num_samples": 60})
    asked["predictor"] = {}
    assert job.run(asked) == 0, job.message
    body = explanations(job)[0]["explanations"][0]["attributions"]
    assert len(body) == 1000
    assert body[1]["description"] == {"partial_text": "w5 w6 w7 w8 w9", "start_idx": 15}
    page = html.unescape((job.output / "report.html").read_text("utf-8"))
    assert "1 of the texts have more than 1,000 tokens" in page


@pytest.mark.skipif(not DATA.exists(), reason=f"needs {DATA}")
def test_the_labs_own_rows_with_a_model_that_is_known(reviews: Any) -> None:
    """Additive in words: a token that stands alone is worth its own weight, as the replacement has none."""
    (reviews.data / "data.jsonl").write_bytes(DATA.read_bytes())
    asked = config(shap={"baseline": [{"features": ["ok", "Digital_Software"]}], "num_samples": 200})
    del asked["column_types"]
    assert reviews.run(asked) == 0, reviews.message
    records = [json.loads(line)["features"] for line in DATA.read_text("utf-8").splitlines()]
    lines = explanations(reviews)
    assert len(lines) == len(records) == 450
    alone = 0
    for (text, _), line in zip(records, lines, strict=True):
        parts = line["explanations"][0]["attributions"]
        enough = len(parts) < 100  # pairs of coalitions to tell apart
        for one in parts:
            part, start = one["description"]["partial_text"], one["description"]["start_idx"]
            assert text[start : start + len(part)] == part
            spaced = f" {text} "
            if enough and spaced[start] == spaced[start + len(part) + 1] == " ":
                alone += 1
                assert one["attribution"] == pytest.approx([_sum(GOOD, part), _sum(BAD, part)], abs=1e-7)
    assert alone > 5_000
    assert reviews.analysis["assay"]["max_additivity_gap"] < 1e-9
