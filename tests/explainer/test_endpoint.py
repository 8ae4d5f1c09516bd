"""Rows explained through an endpoint: one that is named, and one that the job makes of a SageMaker Model."""

from __future__ import annotations

import csv
import io
import json
import logging
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import numpy as np
import pytest
from moto import mock_aws

from assay.errors import BadPolicy
from explainer.analysis_config import parse_analysis_config
from explainer.predictor import NAME_MAX, endpoint_options, shadow_name
from tests.standin import Answer, Asked, StandIn, point_boto3_at, standing_in

HEADERS = ["height", "width", "colour", "price"]
ROWS: list[list[Any]] = [[1, 2.5, "red", 1], [3, 0, "blue, or so", 0], [0.5, 1, "red", 1], [2, 2, "blue, or so", 0]]
COLOURS = {"red": 1.0, "blue, or so": -1.0}
JOB = "notebook-clarify-job"


def score(row: list[Any]) -> float:
    return 0.1 * float(row[0]) + 0.02 * float(row[1]) * float(row[0]) + 0.05 * COLOURS[row[2]] + 0.2


def scored(row: list[Any]) -> list[Any]:
    return [score(row), 1 - score(row)]


def of_csv(model: Callable[[list[Any]], list[Any]]) -> Callable[[Asked], Answer]:
    def answer(asked: Asked) -> Answer:
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows(model(row) for row in csv.reader(io.StringIO(asked.text)))
        return Answer(written.getvalue(), "text/csv; charset=utf-8")

    return answer


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with standing_in(of_csv(scored)) as made:
        point_boto3_at(made, monkeypatch)
        yield made


@pytest.fixture
def rows(job: Any, there: StandIn) -> Any:
    """A job on four rows, without an archive."""
    (job.root / "processing/input/model/model.tar.gz").unlink()
    with (job.data / "data.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(ROWS)
    return job


def config(**changes: Any) -> dict[str, Any]:
    predictor: dict[str, Any] = {"endpoint_name": "boxes-dev", "content_type": "text/csv", "accept_type": "text/csv"}
    predictor |= {"label_headers": ["cheap", "dear"]} | changes.pop("predictor", {})
    methods = changes.pop("methods", {"shap": {"baseline": [[1, 1, "red"]]}})
    content = {"version": "1.0", "dataset_type": "text/csv", "headers": HEADERS, "label": "price", "methods": methods}
    return content | {"predictor": {key: value for key, value in predictor.items() if value is not None}} | changes


def sums(job: Any, label: str) -> list[float]:
    """What the attributions of each row add up to."""
    with (job.output / "explanations_shap/out.csv").open(newline="") as stream:
        return [sum(float(row[f"{name}_{label}"]) for name in HEADERS[:3]) for row in csv.DictReader(stream)]


EXPECTED = [score(row) - score([1, 1, "red"]) for row in ROWS]


@pytest.mark.usefixtures("without_tensorflow")
def test_an_endpoint_of_any_framework_is_explained(rows: Any, there: StandIn) -> None:
    assert rows.run(config()) == 0, rows.message
    assert sums(rows, "cheap") == pytest.approx(EXPECTED)
    assert sums(rows, "dear") == pytest.approx([-value for value in EXPECTED])
    shap = rows.analysis["explanations"]["kernel_shap"]
    assert shap["cheap"]["expected_value"] == pytest.approx(score([1, 1, "red"]))
    assert rows.analysis["assay"]["attributions"]["surrogate"] is True  # each call costs a request
    assert {asked.path for asked in there.asked} == {"/endpoints/boxes-dev/invocations"}
    assert {(asked.content_type, asked.accept) for asked in there.asked} == {("text/csv", "text/csv")}
    lines = {line for asked in there.asked for line in asked.text.split("\n")}
    assert '3,0,"blue, or so"' in lines  # as it stands in the data


def of_lines(asked: Asked) -> Answer:
    records = [json.loads(line)["data"]["features"] for line in asked.text.split("\n")]
    lines = [json.dumps({"out": {"p": scored(features), "class": "x"}}) for features in records]
    return Answer("\n".join(lines), "application/jsonlines")


def of_json(asked: Asked) -> Answer:
    content = json.loads(asked.text)
    assert content["names"] == HEADERS[:3]
    return Answer(json.dumps([{"p": scored(list(record.values()))} for record in content["rows"]]))


def one_by_one(asked: Asked) -> Answer:
    record = json.loads(asked.text)
    return Answer(json.dumps({"p": scored([record["h"], record["w"], record["c"]])}))


@pytest.mark.parametrize(
    ("predictor", "answer", "accept"),
    [
        (
            {
                "content_type": "application/jsonlines",
                "accept_type": "application/jsonlines",
                "content_template": '{"data":{"features":$features}}',
                "probability": "out.p",
                "custom_attributes": "trace=7",
                "target_model": "boxes.tar.gz",
            },
            of_lines,
            "application/jsonlines",
        ),
        (
            {
                "content_type": "application/json",
                "accept_type": None,
                "content_template": {"rows": "$records", "names": "$feature_names"},
                "record_template": "$features_kvp",
                "probability": "[*].p",
            },
            of_json,
            "application/json",
        ),
        (
            {
                "content_type": "application/json",
                "accept_type": "application/json",
                "content_template": "$record",
                "record_template": '{"h":"${height}","w":"${width}","c":"${colour}"}',
                "probability": "p",
            },
            one_by_one,
            "application/json",
        ),
        (
            {"probability": 1, "content_template": "of no use for CSV"},
            of_csv(lambda row: ["x", json.dumps(scored(row))]),
            "text/csv",
        ),
    ],
)
def test_every_shape_of_request_and_answer(
    rows: Any, there: StandIn, predictor: dict[str, Any], answer: Callable[[Asked], Answer], accept: str
) -> None:
    there.answer = answer
    assert rows.run(config(predictor=predictor)) == 0, rows.message
    assert sums(rows, "cheap") == pytest.approx(EXPECTED)
    asked = there.asked[-1]
    assert asked.accept == accept
    beside = predictor.get("custom_attributes"), predictor.get("target_model")
    assert (asked.custom_attributes, asked.target_model) == beside


def test_json_lines_go_as_json_lines_where_nothing_else_is_said(rows: Any, there: StandIn) -> None:
    (rows.data / "data.csv").unlink()
    lines = [json.dumps({"features": row[:3], "label": row[3]}) for row in ROWS]
    (rows.data / "data.jsonl").write_text("\n".join(lines))
    there.answer = lambda asked: Answer(
        "\n".join(json.dumps(scored(json.loads(line)["features"])) for line in asked.text.split("\n")),
        "application/jsonlines",
    )
    asked = config(dataset_type="application/jsonlines", features="features", label="label")
    asked["predictor"] = {"endpoint_name": "boxes-dev"}
    asked["methods"] = {"shap": {"baseline": [{"features": [1, 1, "red"]}]}}
    assert rows.run(asked) == 0, rows.message
    assert sums(rows, "label0") == pytest.approx(EXPECTED)


def label_of(row: list[Any]) -> str:
    return "cheap" if score(row) > 0.4 else "dear"


def test_labels_alone_become_one_score_each(rows: Any, there: StandIn) -> None:
    there.answer = of_csv(lambda row: ["x", label_of(row)])
    assert rows.run(config(predictor={"label": 1})) == 0, rows.message
    expected = [float(label_of(row) == "cheap") - float(label_of([1, 1, "red"]) == "cheap") for row in ROWS]
    assert set(expected) == {0.0, 1.0}
    assert sums(rows, "cheap") == pytest.approx(expected)
    assert sums(rows, "dear") == pytest.approx([-value for value in expected])


def test_a_label_that_is_none_of_the_headers_is_shown(rows: Any, there: StandIn) -> None:
    there.answer = of_csv(lambda row: ["Cheap"])
    assert rows.run(config(predictor={"label": 0})) == 1
    assert "answered label 'Cheap', which is none of predictor.label_headers (cheap, dear)" in rows.message


OF_MODEL = Answer(
    json.dumps({"Message": "Received client error", "OriginalStatusCode": 400, "OriginalMessage": "what is red?"}),
    status=424,
    headers=(("x-amzn-ErrorType", "ModelError"),),
)
"""The model's own error, as SageMaker hands it on."""

BIAS = {
    "facet": [{"name_or_index": "colour", "value_or_threshold": ["red"]}],
    "methods": {"post_training_bias": {"methods": ["DPPL", "AD"]}},
}


def measured(job: Any) -> dict[str, float]:
    (facet,) = job.analysis["post_training_bias_metrics"]["facets"]["colour"]
    return {metric["name"]: metric["value"] for metric in facet["metrics"]}


@pytest.mark.parametrize(
    ("model", "predictor", "positive"),
    [
        (lambda row: [int(score(row) > 0.4)], {"label": 0, "label_headers": None}, 0),
        (lambda row: [float(score(row) > 0.4), 7], {"label": 0, "label_headers": None}, 0),
        (lambda row: [float(score(row) <= 0.4)], {"label": 0, "label_headers": ["zero"]}, 1),
        (lambda row: [str(int(score(row) > 0.4))], {"label": 0, "label_headers": ["0", "1"]}, 0),
        (lambda row: [score(row) / 0.8], {"label_headers": ["one"]}, 1),  # a probability
        (lambda row: [score(row) / 0.8], {"label": 0, "label_headers": ["one"]}, 1),  # the same at `label`
    ],
)
@pytest.mark.usefixtures("without_tensorflow")
def test_bias_of_what_an_endpoint_predicts(
    rows: Any, there: StandIn, model: Callable[[list[Any]], list[Any]], predictor: dict[str, Any], positive: int
) -> None:
    there.answer = of_csv(model)
    assert rows.run(config(predictor=predictor, label_values_or_threshold=[positive], **BIAS)) == 0, rows.message
    asks_for_low = positive == 0 or predictor["label_headers"] == ["zero"]
    said = [(score(row) <= 0.4) == asks_for_low for row in ROWS]
    red = [row[2] == "red" for row in ROWS]
    share = {side: np.mean([one for one, r in zip(said, red, strict=True) if r is side]) for side in (True, False)}
    assert measured(rows)["DPPL"] == pytest.approx(share[False] - share[True])


@pytest.mark.parametrize(
    "beside",
    [
        lambda row: "good" if score(row) > 0.4 else "bad",
        lambda row: ["bad", "good"],
    ],
    ids=["one", "in the order of the scores"],
)
def test_a_label_beside_the_scores_is_the_predicted_one(
    rows: Any, there: StandIn, beside: Callable[[list[Any]], Any]
) -> None:
    with (rows.data / "data.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([*row[:3], "good" if row[3] else "bad"] for row in ROWS)
    there.answer = lambda asked: Answer(
        "\n".join(
            json.dumps({"p": [0.8 - score(row), score(row)], "labels": beside(row)})
            for row in csv.reader(io.StringIO(asked.text))
        ),
        "application/jsonlines",
    )
    predictor = {"label": "labels", "probability": "p", "label_headers": None, "accept_type": "application/jsonlines"}
    asked = config(predictor=predictor, label_values_or_threshold=["good"], **BIAS)
    asked["methods"] = asked["methods"] | {"shap": {"baseline": [[1, 1, "red"]]}}
    assert rows.run(asked) == 0, rows.message
    said = [score(row) > 0.4 for row in ROWS]
    assert measured(rows)["DPPL"] == pytest.approx(np.mean([said[1], said[3]]) - np.mean([said[0], said[2]]))
    names = ["bad", "good"] if isinstance(beside(ROWS[0]), list) else ["label0", "label1"]
    assert list(rows.analysis["explanations"]["kernel_shap"]) == names
    assert sums(rows, names[1]) == pytest.approx(EXPECTED)


def test_labels_that_are_words_are_those_of_the_data(rows: Any, there: StandIn) -> None:
    named = [[*row[:3], "good" if row[3] else "bad"] for row in ROWS]
    with (rows.data / "data.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(named)
    there.answer = of_csv(lambda row: ["good" if score(row) > 0.4 else "bad"])
    asked = config(predictor={"label": 0, "label_headers": None}, label_values_or_threshold=["good"], **BIAS)
    assert rows.run(asked) == 0, rows.message
    said = [score(row) > 0.4 for row in ROWS]
    assert measured(rows)["DPPL"] == pytest.approx(np.mean([said[1], said[3]]) - np.mean([said[0], said[2]]))


@pytest.mark.parametrize(
    ("predictor", "answer", "says"),
    [
        ({"probability": "p"}, of_lines, "nothing stands at predictor.probability 'p' in an object with 'out'"),
        ({"probability": 3}, of_csv(scored), "predictor.probability is column 3, answered were 2 columns"),
        ({}, lambda _: OF_MODEL, "endpoint boxes-dev: 400: 'what is red?'"),
    ],
)
def test_what_is_wrong_with_an_answer_names_clarifys_keys(
    rows: Any, there: StandIn, predictor: dict[str, Any], answer: Callable[[Asked], Answer], says: str
) -> None:
    lines = {"content_type": "application/jsonlines", "content_template": '{"data":{"features":$features}}'}
    there.answer = answer
    assert rows.run(config(predictor={**predictor, **(lines if answer is of_lines else {})})) == 1
    assert says in rows.message
    assert "model." not in rows.message


@pytest.mark.parametrize(
    ("predictor", "says"),
    [
        ({"content_type": "image/jpeg"}, r"predictor\.content_type: image/jpeg is for images; rows are sent as text/"),
        (
            {"content_type": "application/json", "content_template": "{}", "record_template": "$features"},
            r"predictor: .*`content_template` needs `\$records`, or `\$record`",
        ),
        (
            {"content_type": "application/jsonlines", "content_template": '{"x":1}'},
            r"predictor: .*`content_template` has no place for features",
        ),
        (
            {
                "content_type": "application/json",
                "content_template": '{"x":$records}',
                "record_template": '{"age":${age}}',  # a name stands in quotes: "${age}"
            },
            r"predictor: .*`record_template` has no place for features: expected `\$features`",
        ),
    ],
)
def test_templates_that_cannot_work_are_said_before_anybody_is_asked(predictor: dict[str, Any], says: str) -> None:
    asked = parse_analysis_config(json.dumps(config(predictor=predictor)))
    assert asked.predictor is not None
    with pytest.raises(BadPolicy, match=says):
        endpoint_options(asked, asked.predictor)


# By model_name: loaded here where that is possible, else through a shadow endpoint


@pytest.fixture
def notebook(rows: Any, there: StandIn) -> Iterator[Any]:
    """A job as a notebook's SageMakerClarifyProcessor starts it: a configuration, data, and the name of a Model."""
    (rows.root / "config").mkdir()
    described = {
        "ProcessingJobArn": f"arn:aws:sagemaker:us-east-1:111122223333:processing-job/{JOB}",
        "ProcessingJobName": JOB,
        "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.c5.xlarge"}},
    }
    (rows.root / "config/processingjobconfig.json").write_text(json.dumps(described))
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="models")
        yield rows


def register(*files: str, containers: int = 1, **container: Any) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in files:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    boto3.client("s3").put_object(Bucket="models", Key="boxes/model.tar.gz", Body=packed.getvalue())
    one = {"Image": "image", "ModelDataUrl": "s3://models/boxes/model.tar.gz", **container}
    what: dict[str, Any] = {"PrimaryContainer": one} if containers == 1 else {"Containers": [one] * containers}
    role = "arn:aws:iam::111122223333:role/jobs"
    boto3.client("sagemaker").create_model(ModelName="boxes", ExecutionRoleArn=role, **what)


BY_NAME = {"endpoint_name": None, "model_name": "boxes", "instance_type": "ml.m5.large", "initial_instance_count": 2}


@pytest.mark.parametrize(
    ("files", "how", "why"),
    [
        (("1/saved_model.pb", "code/inference.py"), {}, "its archive has a handler, code/inference.py"),
        (("xgboost-model",), {}, "it is no TensorFlow model: its archive has xgboost-model"),
        (("1/saved_model.pb",), {"containers": 2}, "it is a pipeline of 2 containers"),
        (
            ("1/saved_model.pb",),
            {"Environment": {"SAGEMAKER_PROGRAM": "serve.py"}},
            "it has a program of its own, serve.py",
        ),
        ((), {"ModelDataUrl": "s3://models/weights/"}, "it names no model.tar.gz in S3"),
    ],
)
@pytest.mark.usefixtures("without_tensorflow")
def test_what_cannot_be_loaded_here_gets_a_shadow_endpoint(
    notebook: Any,
    there: StandIn,
    caplog: pytest.LogCaptureFixture,
    files: tuple[str, ...],
    how: dict[str, Any],
    why: str,
) -> None:
    register(*files, **how)
    made: list[Any] = []

    def look(asked: Asked) -> Answer:
        name = asked.path.split("/")[2]
        made.append(boto3.client("sagemaker").describe_endpoint_config(EndpointConfigName=name))
        return of_csv(scored)(asked)

    there.answer = look
    with caplog.at_level(logging.INFO):
        assert notebook.run(config(predictor={**BY_NAME, "endpoint_name_prefix": "team-7"})) == 0, notebook.message
    assert sums(notebook, "cheap") == pytest.approx(EXPECTED)
    name = shadow_name("team-7", JOB)
    assert name.startswith("team-7-")
    assert {one["EndpointConfigName"] for one in made} == {name}
    (variant,) = made[0]["ProductionVariants"]
    wanted = {"ModelName": "boxes", "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
    assert {key: variant[key] for key in wanted} == wanted
    assert f"SageMaker Model boxes is asked through the shadow endpoint {name}: {why}" in caplog.text
    sagemaker = boto3.client("sagemaker")
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []


def test_a_shadow_endpoint_is_deleted_when_its_model_fails(notebook: Any, there: StandIn) -> None:
    register("xgboost-model")
    there.answer = lambda _: OF_MODEL
    assert notebook.run(config(predictor=BY_NAME)) == 1
    assert "what is red?" in notebook.message
    assert boto3.client("sagemaker").list_endpoints()["Endpoints"] == []


def test_a_tensorflow_model_without_handler_is_loaded_here(
    notebook: Any, give_model: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    register("1/saved_model.pb")
    give_model(lambda batch: np.stack([batch["h"], -batch["h"]], axis=1), h="float32", w="float32", c="string")
    from explainer import request

    monkeypatch.setattr("explainer.predictor.load_model", request.load_model)  # type: ignore[attr-defined]
    (notebook.data / "data.csv").write_text("1,2,red,1\n3,4,blue,0\n")
    asked = config(predictor=BY_NAME, headers=["h", "w", "c", "price"])
    with caplog.at_level(logging.INFO):
        assert notebook.run(asked) == 0, notebook.message
    assert "the SageMaker Model boxes is loaded in this process, without endpoint" in caplog.text
    assert boto3.client("sagemaker").list_endpoints()["Endpoints"] == []


def test_without_a_sagemaker_job_no_endpoint_is_made(notebook: Any) -> None:
    register("xgboost-model")
    (notebook.root / "config/processingjobconfig.json").unlink()
    assert notebook.run(config(predictor=BY_NAME)) == 1
    assert "which only a SageMaker job makes; say predictor.endpoint_name" in notebook.message


def test_a_job_that_begins_again_finds_its_endpoint() -> None:
    assert shadow_name("a", JOB) == shadow_name("a", JOB)
    assert shadow_name("a", JOB) != shadow_name("a", "another")
    assert shadow_name(None, JOB).startswith("assay-shadow-")
    assert len(shadow_name("x" * 80, JOB)) == NAME_MAX
