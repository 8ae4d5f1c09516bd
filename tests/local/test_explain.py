"""`assay explain`: a configuration of Clarify's as it is, on this machine; what it would take; one record."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assay_local import cli
from assay_local.checked import Checked, Planned
from assay_local.explain import asks_model, failures, planned
from tests.standin import Answer, Asked, standing_in

HEADERS = ["age", "hours", "sex", "income"]
ROWS = [[20 + 3 * n, 20 + 7 * n % 30, "xy"[n % 2], int(n > 9)] for n in range(20)]

Ran = tuple[int, str, str]
Assay = Callable[..., Ran]


def score(row: list[str]) -> float:
    """By a number, or by how long a text is."""
    first = float(row[0]) if row[0].replace(".", "").isdigit() else len(row[0])
    return first / 100 + float(row[1]) / 1000


@pytest.fixture(scope="module")
def container() -> Iterator[str]:
    """Answers as a model's container does, at /invocations."""

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            rows = list(csv.reader(io.StringIO(body)))
            bad = any(len(row) != 2 for row in rows)
            content = "expected age, hours" if bad else "\n".join(str(score(row)) for row in rows)
            self.send_response(400 if bad else 200)
            self.send_header("Content-Type", "text/csv")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/invocations"
    server.shutdown()
    server.server_close()


def config(**changes: Any) -> dict[str, Any]:
    return {
        "version": "1.0",
        "dataset_type": "text/csv",
        "headers": HEADERS,
        "label": "income",
        "excluded_columns": ["sex"],
        "methods": {"shap": {"baseline": [[40, 30]]}, "report": {"name": "report"}},
        "predictor": {"endpoint_name": "census", "content_type": "text/csv", "accept_type": "text/csv"},
        **changes,
    }


@pytest.fixture
def assay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], container: str) -> Assay:
    """Runs `assay explain` in a folder that holds rows.csv, with the container at hand; options as written."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "rows.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(ROWS)

    def call(content: dict[str, Any] | str, *options: object, asked: bool = True) -> Ran:
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "analysis_config.json").write_text(text)
        here = ["--endpoint", f"census={container}"] if asked else []
        code = cli.main(["explain", *map(str, options), *here])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def local_values(folder: Path) -> list[list[float]]:
    with (folder / "explanations_shap/out.csv").open(newline="") as stream:
        return [list(map(float, row)) for row in list(csv.reader(stream))[1:]]


EXPECTED = [[(row[0] - 40) / 100, (row[1] - 30) / 1000] for row in ROWS]  # type: ignore[operator]


def test_a_configuration_is_done_as_it_is(assay: Assay, tmp_path: Path) -> None:
    code, said, _ = assay(config(), "--dataset", "rows.csv")
    assert code == 0
    assert [pytest.approx(row) for row in EXPECTED] == local_values(tmp_path / "explanation")
    assert re.search(r"income: the features that matter most\n  age +0\.\d+\n  hours +0\.0\d+", said)
    assert "explanation/report.html" in said
    assert json.loads((tmp_path / "analysis_config.json").read_text()) == config()


def test_addresses_are_mapped_to_folders(assay: Assay, tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "rows.csv").rename(tmp_path / "lake/rows.csv")
    (tmp_path / "lake/base.csv").write_text("40,30\n")
    (tmp_path / "lake/facets.csv").write_text("sex\n" + "x\ny\n" * 10)
    asked = config(
        dataset_uri="s3://bucket/census/rows.csv",
        facet_dataset_uri="s3://bucket/census/facets.csv",
        facet=[{"name_or_index": "sex", "value_or_threshold": ["x"]}],
        label_values_or_threshold=[1],
    )
    asked["methods"] = {
        "shap": {"baseline": "s3://bucket/census/base.csv"},
        "pre_training_bias": {"methods": ["CI"]},
    }
    code, _, wrong = assay(asked, "--map", "s3://bucket/census=lake", "--output", "out")
    assert (code, wrong) == (0, "")
    assert [pytest.approx(row) for row in EXPECTED] == local_values(tmp_path / "out")
    analysis = json.loads((tmp_path / "out/analysis.json").read_text())
    (facet,) = analysis["pre_training_bias_metrics"]["facets"]["sex"]
    assert facet["metrics"][0]["value"] == 0
    code, _, wrong = assay(asked, "--output", "other")
    assert code == 2
    assert "analysis_config.json: dataset_uri s3://bucket/census/rows.csv: there is no AWS on this machine" in wrong
    assert "--map s3://bucket/census/rows.csv=./copy" in wrong
    assert not (tmp_path / "other").exists()


def test_bias_alone_needs_no_model(assay: Assay, tmp_path: Path) -> None:
    asked = config(facet=[{"name_or_index": "sex", "value_or_threshold": ["x"]}], label_values_or_threshold=[1])
    asked["methods"] = {"pre_training_bias": {"methods": "all"}}
    del asked["predictor"]
    code, _, wrong = assay(asked, "--dataset", "rows.csv", asked=False)
    assert (code, wrong) == (0, "")
    assert "pre_training_bias_metrics" in json.loads((tmp_path / "explanation/analysis.json").read_text())


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (
            '{"dataset_type": ',
            (),
            "Unable to load analysis configuration as JSON. analysis_config.json, line 1, column",
        ),
        ('{"dataset_type": ', ("--dataset", "rows.csv"), "Unable to load analysis configuration as JSON. "),
        (
            config(label="wage", methods={"pre_training_bias": {"methods": "all"}}),
            ("--dataset", "rows.csv"),
            "Headers must contain label. Found no 'wage'",
        ),
        (config(), (), "which data? Say --dataset FILE: the configuration names none by dataset_uri"),
        (config(), ("--dataset", "gone.csv"), "--dataset gone.csv: no such file or folder"),
        (config(), ("--dataset", "rows.csv", "--model", "gone.tar.gz"), "gone.tar.gz does not exist; expected a model"),
        (config(), ("--dataset", "rows.csv"), "say where its container answers with --endpoint census=http://"),
        (
            config(predictor={"model_name": "census"}),
            ("--dataset", "rows.csv"),
            "predictor.model_name census: there is no AWS on this machine; say which archive it is with --model",
        ),
        (
            config(predictor={}),
            ("--dataset", "rows.csv"),
            "predictor names neither endpoint_name nor model_name; say which archive it is with --model",
        ),
        (config(), ("--config", "gone.json"), "Unable to load analysis configuration as JSON. gone.json: No such file"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    assay: Assay, content: dict[str, Any] | str, options: tuple[str, ...], says: str
) -> None:
    code, _, wrong = assay(content, *options, asked=False)
    assert code == 2
    assert wrong.startswith("assay: ")
    assert says in wrong
    assert "Traceback" not in wrong


def test_a_model_that_fails_says_why_and_leaves_nothing_that_looks_done(assay: Assay, tmp_path: Path) -> None:
    (tmp_path / "explanation").mkdir()
    (tmp_path / "explanation/analysis.json").write_text("of yesterday")
    asked = config(excluded_columns=[])
    asked["methods"]["shap"] = {"baseline": [[40, 30, "x"]]}
    code, _, wrong = assay(asked, "--dataset", "rows.csv")
    assert (code, "expected age, hours" in wrong) == (2, True)
    assert not (tmp_path / "explanation/analysis.json").exists()
    assert (tmp_path / "explanation/failure.json").exists()


def test_one_analysis_that_fails_is_shown_beside_those_that_do_not(assay: Assay) -> None:
    asked = config(label_values_or_threshold=[1], facet=[{"name_or_index": "race"}])
    asked["methods"]["pre_training_bias"] = {"methods": ["CI"]}
    code, said, _ = assay(asked, "--dataset", "rows.csv")
    assert code == 1
    assert "✗ pre_training_bias: Unable to locate the facet." in said
    assert "the features that matter most" in said


# --check


def test_a_check_says_what_would_be_done_and_does_nothing(assay: Assay, tmp_path: Path) -> None:
    asked = config(label_values_or_threshold=[1], facet=[{"name_or_index": "sex"}], group_variable="hours")
    asked["methods"] = {
        "shap": {"num_clusters": 3, "num_samples": 100.0},
        "pdp": {"features": ["age"], "grid_resolution": 10},
        "post_training_bias": {"methods": ["DPPL"]},
        "asymmetric_shapley_value": {},
    }
    code, said, _ = assay(asked, "--dataset", "rows.csv", "--check")
    assert code == 0
    assert "20 rows, 2 features: 2 numeric" in said
    calls = 3 + 20 * (1 + 2 * 3)
    assert f"20 rows × at most 2 coalitions of 2 features × 3 baseline rows; {calls} model calls at most" in said
    assert "1 feature, 10 points × 20 rows; 200 model calls at most" in said
    assert "2 facets of 20 rows; 20 model calls at most" in said
    assert "AWS would refuse     methods.shap.num_samples: 100.0 (AWS's own schema wants an integer)" in said
    assert "not yet: asymmetric_shapley_value" in said
    assert "without effect       group_variable: only CDDL and CDDPL compare within groups" in said
    assert f"{calls + 220:,} model calls at" in said
    assert "endpoint census, text/csv, 1 output: income" in said
    assert not (tmp_path / "explanation").exists()


def test_a_check_counts_the_pieces_of_texts(assay: Assay, tmp_path: Path) -> None:
    texts = ["Good. I liked it. Buy it.", "Bad."]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"features": [text, 7]}) for text in texts))
    by_sentence = {"granularity": "sentence", "language": "english"}
    asked = config(
        dataset_type="application/jsonlines",
        headers=["review", "stars"],
        features="features",
        excluded_columns=[],
        column_types={"review": "text"},
        methods={"shap": {"baseline": [["", 5]], "text_config": by_sentence}},
    )
    del asked["label"]
    code, said, wrong = assay(asked, "--dataset", "rows.jsonl", "--check")
    assert (code, wrong) == (0, "")
    coalitions = (2**4 - 2, 2**2 - 2)
    calls = f"{1 + sum(1 + each for each in coalitions)} model calls at most"
    assert f"at most 14 coalitions of 2 to 4 features and pieces of text × 1 baseline row; {calls}" in said


def test_a_check_finds_what_the_job_would(assay: Assay) -> None:
    code, _, wrong = assay(config(excluded_columns=["race"]), "--dataset", "rows.csv", "--check")
    assert code == 2
    assert "Feature names not found. excluded_columns: 'race' is not among age, hours, sex, income" in wrong


def test_time_is_told_by_what_one_call_took() -> None:
    found = Checked(
        data="1 row",
        analyses=(Planned(name="shap", how="it", model_calls=1_000_000),),
        model="m",
        call_seconds=0.0036,
        begin_seconds=2,
    )
    assert "60 minutes at most on this machine: 1,000,000 model calls at 3.6e+03 µs" in "\n".join(planned(found))
    assert "time" not in "\n".join(planned(found.model_copy(update={"call_seconds": None})))


# --record


@pytest.mark.parametrize(
    "record", ["30,50", "30,50,x,1", '{"age": 30, "hours": 50}', "[30, 50]", '{"hours": 50, "age": 30, "sex": "y"}']
)
def test_a_record_in_any_form_is_explained(assay: Assay, monkeypatch: pytest.MonkeyPatch, record: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(record + "\n"))
    code, said, _ = assay(config(), "--dataset", "rows.csv", "--record")
    assert code == 0
    lines = [line.split() for line in said.strip().splitlines()]
    assert lines[0] == ["income:", "0.35,", "of", "which", "the", "baseline", "has", "0.43"]
    assert lines[1:] == [["age", "30", "-0.1"], ["hours", "50", "+0.02"]]


def test_a_record_is_held_against_clusters_of_the_data(
    assay: Assay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = config()
    asked["methods"] = {"shap": {"num_clusters": 1}, "pdp": {"grid_resolution": 3}}
    monkeypatch.setattr("sys.stdin", io.StringIO("30,50"))
    code, said, _ = assay(asked, "--dataset", "rows.csv", "--record", "--output", "kept")
    assert code == 0
    ages, hours = [sum(row[place] for row in ROWS) / 20 for place in (0, 1)]  # type: ignore[misc]
    assert said.startswith(f"income: 0.35, of which the baseline has {ages / 100 + hours / 1000:.6g}")
    assert (tmp_path / "kept/explanations_shap/out.csv").exists()
    monkeypatch.setattr("sys.stdin", io.StringIO("30,50"))
    (tmp_path / "rows.csv").unlink()
    (tmp_path / "rows.csv").mkdir()
    code, _, wrong = assay(asked, "--dataset", "rows.csv", "--record")
    assert code == 2
    assert "Data must contain features." in wrong


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ("", "nothing came from standard input; expected a line of CSV, or JSON"),
        ("1,2,3", "3 values, expected 4 (age, hours, sex, income) or the 2 features alone"),
        ("1,2\n3,4", "expected one line, found 2"),
        ('{"age": 1, "wage": 2}', "no column 'wage'; there are age, hours, sex, income"),
        ('{"age": ', "begins like JSON, and is none"),
        ("old,2", "Could not convert string to float."),
    ],
)
def test_a_record_that_is_none_is_named(assay: Assay, monkeypatch: pytest.MonkeyPatch, record: str, says: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(record))
    code, _, wrong = assay(config(), "--dataset", "rows.csv", "--record")
    assert code == 2
    assert says in wrong


def test_a_json_record_needs_no_label(assay: Assay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = [json.dumps({"features": row[:2], "label": row[3]}) for row in ROWS]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    asked = config(
        dataset_type="application/jsonlines",
        headers=["age", "hours", "income"],
        features="features",
        label="label",
        excluded_columns=[],
    )
    asked["methods"] = {"shap": {"baseline": [{"features": [40, 30]}]}}
    monkeypatch.setattr("sys.stdin", io.StringIO('{"features": [30, 50]}'))
    code, said, wrong = assay(asked, "--dataset", "rows.jsonl", "--record")
    assert (code, wrong.count("assay:")) == (0, 0), wrong
    assert re.search(r"  age +30 +-0\.1\n  hours +50 +\+0\.02", said)


# What is read of files


@pytest.mark.parametrize(
    ("content", "asks"),
    [
        ({}, False),
        ({"methods": {"shap": {}}}, True),
        ({"methods": {"pre_training_bias": {}}}, False),
        ({"methods": {"post_training_bias": {}}}, True),
        ({"methods": {"post_training_bias": {}}, "predicted_label": "p"}, False),
        ({"methods": {"post_training_bias": {}}, "predicted_label_dataset_uri": "s3://b/p"}, False),
    ],
)
def test_which_analyses_ask_the_model(content: dict[str, Any], asks: bool) -> None:
    assert asks_model(content) is asks


def test_failures_are_found_wherever_they_stand() -> None:
    metrics = [{"name": "CI", "value": None, "error": "no facet"}]
    some = [{"name": "CI", "value": 0.1}, {"name": "CDDL", "value": None, "error": "no group"}]
    analysis = {
        "explanations": {"error": "no model", "pdp": [{"feature_name": "age", "error": "no grid"}]},
        "pre_training_bias_metrics": {"facets": {"sex": [{"metrics": metrics}]}},
        "post_training_bias_metrics": {"facets": {"sex": [{"metrics": some}]}},
    }
    found = [("shap", "no model"), ("pdp", "no grid"), ("pre_training_bias", "no facet")]
    assert list(failures(analysis)) == found
    curves = [{"feature_name": "age", "feature_values": [1]}, {"feature_name": "job", "error": "no scores"}]
    assert list(failures({"explanations": {"pdp": curves}})) == [("pdp of job", "no scores")]


def test_the_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["explain", "--help"])
    assert ended.value.code == 0
    assert "assay explain --config analysis_config.json --model model.tar.gz --dataset rows.csv" in (
        capsys.readouterr().out
    )


def test_pictures_are_explained_through_an_endpoint(assay: Assay, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        Image.new("RGB", (9, 9), (number * 80, 0, 0)).save(tmp_path / f"photos/{number}.png")
    asked = {
        "dataset_type": "application/x-image",
        "methods": {"shap": {"baseline": [[0]], "num_samples": 10, "image_config": {"num_segments": 4}}},
        "predictor": {"endpoint_name": "light", "content_type": "image/png", "label_headers": ["red"]},
    }

    def light(asked: Asked) -> Answer:
        return Answer(json.dumps([float(np.asarray(Image.open(io.BytesIO(asked.content)))[..., 0].mean()) / 255]))

    with standing_in(light) as there:
        here = ("--dataset", "photos", "--endpoint", f"light={there.url}/invocations")
        code, said, wrong = assay(asked, *here, "--check", asked=False)
        assert (code, wrong) == (0, "")
        assert "3 pictures × at most 10 coalitions of 4 segments; 36 model calls at most" in said
        assert "endpoint light, image/png" in said
        assert len(there.asked) == 2
        assert not (tmp_path / "explanation").exists()
        code, said, wrong = assay(asked, *here, asked=False)
        assert (code, wrong) == (0, "")
        assert "explanation/report.html" in said
    found = json.loads((tmp_path / "explanation/explanations_shap/shap_2.json").read_text())
    assert found["prediction"] == [pytest.approx(160 / 255)]
    assert sum(found["attributions"]["red"]) == pytest.approx(160 / 255)


# With an archive


@pytest.mark.tensorflow
def test_an_archive_is_asked_in_the_endpoints_place_and_pictures_are_counted(assay: Assay, tmp_path: Path) -> None:
    import tensorflow as tf

    class Ages(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> dict[str, Any]:
            return {"score": x[:, :1] / 100 + x[:, 1:2] / 1000}

    class Light(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> dict[str, Any]:
            light = tf.reduce_mean(x, axis=[1, 2, 3])[:, None]
            return {"scores": tf.concat([1 - light, light], axis=1)}

    for name, module in (("ages", Ages()), ("light", Light())):
        tf.saved_model.save(module, str(tmp_path / name), signatures={"serving_default": module.__call__})
    code, said, wrong = assay(config(), "--dataset", "rows.csv", "--model", "ages", asked=False)
    assert (code, wrong) == (0, "")
    found = local_values(tmp_path / "explanation")
    assert [pytest.approx(row, abs=1e-6) for row in EXPECTED] == found

    (tmp_path / "photos").mkdir()
    for number in range(3):
        Image.new("RGB", (9, 9), (number * 80, 0, 0)).save(tmp_path / f"photos/{number}.jpg")
    asked = {
        "dataset_type": "application/x-image",
        "methods": {"shap": {"num_samples": 10, "image_config": {"num_segments": 4, "segment_compactness": 0.01}}},
        "predictor": {"model_name": "light", "label_headers": ["dark", "light"]},
    }
    code, said, wrong = assay(asked, "--dataset", "photos", "--model", "light", "--check", asked=False)
    assert (code, wrong) == (0, "")
    assert "3 pictures × at most 10 coalitions of 4 segments; 36 model calls at most" in said
    assert "AWS would refuse     methods.shap.image_config.segment_compactness: 0.01" in said
    assert "36 model calls at" in said
