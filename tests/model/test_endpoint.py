"""A model behind an endpoint: a server on loopback stands in for SageMaker, and boto3 is the real one."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.config import Config
from botocore.stub import ANY, Stubber
from moto import mock_aws
from numpy.typing import NDArray

from assay.errors import BadModel, BadPolicy, BadSettings, JobFailed
from assay.policy import ModelOptions
from model.endpoint import PATIENCE, Endpoint
from model.payloads import AnswerFormat, RequestFormat, filled
from model.shadow import Shadow, delete, shadow_endpoint
from tests.standin import Answer, Asked, StandIn

KEYS: dict[str, Any] = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
STARS = {str(star): star - 1 for star in range(1, 6)}
REVIEWS: dict[str, NDArray[Any]] = {
    "review_body": np.array(['costs $features, "5" of them', "naïve\nsecond line", "ok"], dtype=object),
    "product_category": np.array(["Software", "Video, Games", "Software"], dtype=object),
}
LINES_TYPE = "application/jsonlines"
LINES = ModelOptions(predictor="endpoint", content_type="application/jsonlines", predicted_label="predicted_label")


class Runtime(StandIn):
    """Lines of JSON by default."""

    def __init__(self) -> None:
        super().__init__(lambda _: Answer("", LINES_TYPE))
        self.slept: list[float] = []

    def endpoint(self, options: ModelOptions, labels: dict[str, int] | None = None, **how: Any) -> Endpoint:
        config = Config(proxies={}, retries={"total_max_attempts": 1}, read_timeout=how.pop("read_timeout", 5))
        client = boto3.client("sagemaker-runtime", endpoint_url=self.url, config=config, **KEYS)
        return Endpoint("reviews-dev", options, labels, client, **{"sleep": self.slept.append, **how})


@pytest.fixture
def there() -> Iterator[Runtime]:
    made = Runtime()
    yield made
    made.close()


def failing(status: int, code: str, text: str, original: int | None = None) -> Answer:
    """An error as SageMaker words it; `original` is the model's own status."""
    body: dict[str, Any] = {"Message": text}
    if original is not None:
        body = {"Message": f"Received an error ({original})", "OriginalStatusCode": original, "OriginalMessage": text}
    return Answer(json.dumps(body), "application/json", status, (("x-amzn-ErrorType", code),))


def stars_of(asked: Asked) -> Answer:
    """The handler of a lab: a line a record, and only a label."""
    records = [json.loads(line)["features"] for line in asked.text.split("\n")]
    return Answer("\n".join(json.dumps({"predicted_label": 1 + len(text) % 5}) for text, _ in records), LINES_TYPE)


def test_rows_go_as_they_stand_and_labels_come_back_as_one_hot_scores(there: Runtime) -> None:
    there.answer = stars_of
    endpoint = there.endpoint(LINES, STARS)
    scores = endpoint.predict(REVIEWS)
    assert scores.argmax(axis=1).tolist() == [len(text) % 5 for text in REVIEWS["review_body"]]
    assert scores.shape == (3, 5)
    assert scores.sum() == 3
    assert endpoint.labels_only
    (asked,) = there.asked
    assert asked.path == "/endpoints/reviews-dev/invocations"
    assert asked.content_type == asked.accept == "application/jsonlines"
    assert json.loads(asked.text.split("\n")[1]) == {"features": ["naïve\nsecond line", "Video, Games"]}


def test_the_order_is_kept_however_many_requests_are_under_way(there: Runtime) -> None:
    under_way, most = 0, 0
    lock = threading.Lock()

    def slow_first(asked: Asked) -> Answer:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        numbers = [int(line) for line in asked.text.split("\n")]
        time.sleep(0.1 if 0 in numbers else 0.02)
        with lock:
            under_way -= 1
        return Answer("\n".join(str(number / 100) for number in numbers), "text/csv")

    there.answer = slow_first
    rows = np.arange(50.0)
    scores = there.endpoint(ModelOptions(predictor="endpoint"), max_records=7).predict({"x": rows})
    assert scores[:, 0].tolist() == (rows / 100).tolist()
    assert [len(asked.text.split("\n")) for asked in there.asked].count(7) == 7
    assert 2 <= most <= 4


def test_requests_stay_below_the_limit_of_the_body(there: Runtime) -> None:
    there.answer = stars_of
    rows = {"text": np.array(["é" * n for n in (10, 80, 30, 200, 5, 5, 5)], dtype=object)}
    there.endpoint(
        LINES.model_copy(update={"content_template": '{"features":[$features,0]}'}), STARS, body_limit=150
    ).predict({**rows})
    sizes = [len(asked.content) for asked in there.asked]
    alone = len('{"features":[[""],0]}')
    assert sorted(size for size in sizes if size > 150) == [alone + 160, alone + 400]  # rows by themselves
    assert len(sizes) < 7


@pytest.mark.parametrize(
    ("options", "n", "expected"),
    [
        ({}, 1, b'"a, ""b""",3,,0.5'),
        ({"content_type": "application/jsonlines"}, 1, b'{"features":["a, \\"b\\"",3,null,0.5]}'),
        (
            {"content_type": "application/json"},
            2,
            b'{"instances":[["a, \\"b\\"",3,null,0.5],["a, \\"b\\"",3,null,0.5]]}',
        ),
        (
            {
                "content_type": "application/json",
                "content_template": '{"rows":$records,"names":["$n"]}',
                "record_template": '{"text":"${t}","all":$features_kvp,"names":$feature_names}',
            },
            1,
            (
                b'{"rows":[{"text":"a, \\"b\\"","all":{"t":"a, \\"b\\"","i":3,"m":null,"f":0.5},'
                b'"names":["t","i","m","f"]}],"names":["$n"]}'
            ),
        ),
        (
            {"content_type": "application/json", "content_template": '{"row":$record}'},
            1,
            b'{"row":["a, \\"b\\"",3,null,0.5]}',
        ),
        (
            {
                "content_type": "application/json",
                "content_template": {"rows": "$records", "names": "$feature_names", "x": "1"},
            },
            1,
            b'{"rows":[["a, \\"b\\"",3,null,0.5]],"names":["t","i","m","f"],"x":"1"}',
        ),
    ],
)
def test_bodies(options: dict[str, Any], n: int, expected: bytes) -> None:
    form = RequestFormat(ModelOptions(predictor="endpoint", **options))
    names = ("t", "i", "m", "f")
    record = form.record(names, ('a, "b"', 3, None, 0.5))
    assert form.body([record] * n, names) == expected


def test_what_the_endpoint_is_told_beside_the_rows(there: Runtime) -> None:
    there.answer = lambda asked: Answer("1", "text/csv")
    there.endpoint(ModelOptions(predictor="endpoint")).predict({"x": np.ones(1)})
    options = ModelOptions(predictor="endpoint", custom_attributes="id=7", target_model="b.tar.gz")
    there.endpoint(options).predict({"x": np.ones(1)})
    assert [(asked.custom_attributes, asked.target_model) for asked in there.asked] == [
        (None, None),
        ("id=7", "b.tar.gz"),
    ]


def test_what_a_row_holds_is_no_template() -> None:
    assert filled('{"a":"${x}","b":$features}', ("x", "y"), ("$features", '"${x}"')) == (
        '{"a":"$features","b":["$features","\\"${x}\\""]}'
    )
    with pytest.raises(BadPolicy, match="names the feature 'z'; there are x, y"):
        filled('{"a":"${z}"}', ("x", "y"), (1, 2))


def test_a_template_for_one_record_takes_one_a_request(there: Runtime) -> None:
    there.answer = lambda asked: Answer(json.dumps({"y": json.loads(asked.text)["row"][0] * 2}), "application/json")
    options = ModelOptions(
        predictor="endpoint", content_type="application/json", content_template='{"row":$record}', probability="y"
    )
    assert there.endpoint(options).predict({"x": np.array([1.0, 2.0, 3.0])}).tolist() == [[2], [4], [6]]
    assert len(there.asked) == 3


@pytest.mark.parametrize(
    ("options", "body", "content_type", "n", "expected"),
    [
        ({}, "0.1,0.9\n0.7,0.3\n", "text/csv; charset=utf-8", 2, [[0.1, 0.9], [0.7, 0.3]]),
        ({}, "0.1,0.9,0.4", "text/csv", 3, [[0.1], [0.9], [0.4]]),  # SageMaker's XGBoost
        ({"probability": 1}, 'yes,"[0.1, 0.9]"\nno,"[0.7, 0.3]"', "text/csv", 2, [[0.1, 0.9], [0.7, 0.3]]),
        ({"probability": 0}, "0.25,x", "text/csv", 1, [[0.25]]),
        ({}, '{"predictions": [[0.1, 0.9], [0.7, 0.3]]}', "application/json", 2, [[0.1, 0.9], [0.7, 0.3]]),
        ({}, '{"predictions": [[0.1, 0.9]]}', "application/json", 1, [[0.1, 0.9]]),
        ({}, "[0.1, 0.9]", "application/json", 1, [[0.1, 0.9]]),
        ({}, "[0.1, 0.9]", "application/json", 2, [[0.1], [0.9]]),
        ({}, "[0.1, 0.9]\n[0.7, 0.3]", "application/jsonlines", 2, [[0.1, 0.9], [0.7, 0.3]]),
        ({"probability": "p"}, '{"p": [0.1, 0.9]}', "application/jsonlines", 1, [[0.1, 0.9]]),
        ({"probability": "p"}, '{"p": 0.1}\n{"p": null}\n', "application/json", 2, [[0.1], [np.nan]]),
        ({"probability": "r[*].s"}, '{"r": [{"s": 0.1}, {"s": 0.9}]}', "application/json", 2, [[0.1], [0.9]]),
        ({"probability": "[*].s"}, '[{"s": [1, 2]}]', "application/json", 1, [[1, 2]]),
        ({"predicted_label": "value"}, '{"value": 12.5}\n{"value": "3"}', "application/jsonlines", 2, [[12.5], [3]]),
    ],
)
def test_answers(options: dict[str, Any], body: str, content_type: str, n: int, expected: list[list[float]]) -> None:
    form = AnswerFormat(ModelOptions(predictor="endpoint", **options))
    np.testing.assert_array_equal(form.scores(body.encode(), content_type, n), expected)


@pytest.mark.parametrize(
    ("answer", "place"), [("5", 4), ('"5"', 4), ("5.0", 4), ("[1]", 0)], ids=["number", "text", "float", "list"]
)
def test_a_label_is_known_however_it_is_written(answer: str, place: int) -> None:
    form = AnswerFormat(LINES, STARS)
    assert form.scores(f'{{"predicted_label": {answer}}}'.encode(), "application/jsonlines", 1).argmax() == place


@pytest.mark.parametrize(
    ("options", "body", "content_type", "n", "says"),
    [
        ({}, "0.1\n0.2", "text/csv", 3, "answered 2 rows for 3 records"),
        ({}, '{"predictions": [[1]]}', "application/json", 2, "answered 1 values for 2 records"),
        ({}, '{"predictions": [[1, 2], [3]]}', "application/json", 2, "as many scores for each record, found 1 and 2"),
        ({}, '{"scores": [1, 2]}', "application/json", 1, "expected numbers, found an object with 'scores'; say where"),
        ({}, "<html>Bad gateway</html>", "application/json", 1, "expected JSON .* begins '<html>Bad gateway</html>'"),
        ({"probability": "p"}, '{"q": 1}', "application/jsonlines", 1, "nothing stands at model.probability 'p' in an"),
        ({"probability": 4}, "1,2", "text/csv", 1, "model.probability is column 4, answered were 2 columns"),
        ({}, "yes", "text/csv", 1, "expected numbers, found 'yes'"),
    ],
)
def test_an_answer_that_does_not_fit_is_shown(
    options: dict[str, Any], body: str, content_type: str, n: int, says: str
) -> None:
    form = AnswerFormat(ModelOptions(predictor="endpoint", **options))
    with pytest.raises(BadModel, match=says):
        form.scores(body.encode(), content_type, n)


def test_a_label_that_nobody_knows_is_named_with_the_endpoint(there: Runtime) -> None:
    there.answer = lambda _: Answer('{"predicted_label": 6}', LINES_TYPE)
    with pytest.raises(BadModel, match=r"endpoint reviews-dev: answered label 6, which is none of data.labels \(1, 2,"):
        there.endpoint(LINES, STARS).predict({"text": np.array(["x"], dtype=object)})


@pytest.mark.parametrize(
    "first",
    [
        failing(400, "ThrottlingException", "Rate exceeded"),
        failing(429, "ModelNotReadyException", "still loading"),
        failing(503, "ServiceUnavailable", "try again"),
        failing(424, "ModelError", "worker died", original=500),
    ],
    ids=["throttled", "not ready", "unavailable", "model 500"],
)
def test_what_passes_is_asked_again(there: Runtime, first: Answer) -> None:
    answers = [first, first]
    there.answer = lambda asked: answers.pop() if answers else stars_of(asked)
    assert there.endpoint(LINES, STARS).predict(REVIEWS).shape == (3, 5)
    assert len(there.asked) == 3
    assert len(set(there.slept)) == 2  # with jitter


def test_what_does_not_pass_ends_with_the_models_own_words(there: Runtime) -> None:
    there.answer = lambda _: failing(424, "ModelError", "KeyError: 'features'\n" + "x" * 400, original=400)
    with pytest.raises(BadModel, match=r"^endpoint reviews-dev: 400: \"KeyError: 'features' x{279}\"$"):
        there.endpoint(LINES, STARS).predict(REVIEWS)
    assert len(there.asked) == 1

    there.answer = lambda _: failing(424, "ModelError", "worker died", original=500)
    with pytest.raises(BadModel, match=f"500 after {PATIENCE['failed']} tries: 'worker died'"):
        there.endpoint(LINES, STARS).predict(REVIEWS)

    there.answer = lambda _: failing(400, "ThrottlingException", "Rate exceeded")
    with pytest.raises(JobFailed, match=f"after {PATIENCE['busy']} tries: 'Rate exceeded'"):
        there.endpoint(LINES, STARS).predict(REVIEWS)


def test_where_one_request_fails_for_good_the_others_do_not_go_on_trying(there: Runtime) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.text == "0":
            time.sleep(0.1)
            return failing(424, "ModelError", "no zero", original=400)
        return failing(503, "ServiceUnavailable", "try again")

    there.answer = answer
    endpoint = there.endpoint(ModelOptions(predictor="endpoint"), max_records=1, sleep=lambda _: time.sleep(0.05))
    with pytest.raises(BadModel, match="endpoint reviews-dev: 400: 'no zero'"):
        endpoint.predict({"x": np.arange(4.0)})
    assert len(there.asked) < 1 + 3 * PATIENCE["busy"]


@pytest.mark.parametrize(
    "refusal",
    [
        failing(413, "RequestEntityTooLarge", "too large"),
        failing(424, "ModelError", "Your invocation timed out while waiting for a response from container", original=0),
    ],
    ids=["too large", "too slow"],
)
def test_a_request_that_is_too_much_is_halved(there: Runtime, refusal: Answer) -> None:
    there.answer = lambda asked: refusal if asked.text.count("\n") else stars_of(asked)
    assert there.endpoint(LINES, STARS).predict(REVIEWS).argmax(axis=1).tolist() == [
        len(text) % 5 for text in REVIEWS["review_body"]
    ]
    assert sorted(asked.text.count("\n") for asked in there.asked) == [0, 0, 0, 1, 2]
    there.answer = lambda _: refusal
    with pytest.raises((BadModel, JobFailed), match=r"endpoint reviews-dev: (413|424)"):
        there.endpoint(LINES, STARS).predict({"text": np.array(["x"], dtype=object)})


def test_silence_is_halved_and_then_told(there: Runtime) -> None:
    def late(asked: Asked) -> Answer:
        time.sleep(0.3)
        return stars_of(asked)

    there.answer = late
    with pytest.raises(JobFailed, match=f"ReadTimeoutError after {PATIENCE['too slow']} tries"):
        there.endpoint(LINES, STARS, read_timeout=0.05).predict({"text": np.array(["x", "y"], dtype=object)})


def test_who_may_not_ask_and_who_is_not_there(there: Runtime) -> None:
    there.answer = lambda _: failing(403, "AccessDeniedException", "User: x is not authorized to perform: sagemaker:I")
    with pytest.raises(BadSettings, match=r"may not sagemaker:InvokeEndpoint on it; .* EndpointArns"):
        there.endpoint(LINES, STARS).predict(REVIEWS)
    there.answer = lambda _: failing(400, "ValidationError", "Endpoint reviews-dev of account 1 not found.")
    with pytest.raises(BadPolicy, match="endpoint reviews-dev: there is none of that name"):
        there.endpoint(LINES, STARS).predict(REVIEWS)


def test_no_rows_ask_nobody(there: Runtime) -> None:
    assert there.endpoint(LINES, STARS).predict({"x": np.array([])}).shape == (0, 1)
    assert there.asked == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"content_template": "{}", "content_type": "application/jsonlines"}, "has no place for features"),
        ({"content_template": '{"x":$features}', "content_type": "application/json"}, r"needs `\$records`"),
        ({"content_template": '{"x":$features}'}, "templates need `content_type"),
        ({"record_template": "$features", "content_type": "application/jsonlines"}, "a line is `content_template`"),
        ({"predictor": "in_process", "endpoint_name": "x"}, "`endpoint_name` needs `predictor: endpoint`"),
    ],
)
def test_options_that_cannot_fit_are_refused_when_they_are_read(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ModelOptions.model_validate({"predictor": "endpoint", **given})


# A shadow endpoint

JOB = "assay-aaaaaaaaaaaaaaaaaaaa-01-evaluation"
SHADOW = Shadow(name=JOB, model=JOB, instance_type="ml.m5.large")


@pytest.fixture
def aws() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("sagemaker", **KEYS)
        client.create_model(ModelName=JOB, ExecutionRoleArn="arn:aws:iam::123456789012:role/jobs")
        yield client


def test_a_shadow_endpoint_is_there_for_the_block_and_gone_after_it(aws: Any) -> None:
    with shadow_endpoint(SHADOW, aws) as name:
        variants = aws.describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"]
        assert [(v["ModelName"], v["InstanceType"], v["InitialInstanceCount"]) for v in variants] == [
            (JOB, "ml.m5.large", 1)
        ]
        arn = aws.describe_endpoint(EndpointName=name)["EndpointArn"]
        assert aws.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "assay:job", "Value": JOB}]
    assert aws.list_endpoints()["Endpoints"] == []
    assert aws.list_endpoint_configs()["EndpointConfigs"] == []
    delete(JOB, aws)  # a second time


@pytest.mark.parametrize("end", [KeyError("bug"), SystemExit(0)])
def test_it_is_deleted_however_the_block_ends(aws: Any, end: BaseException) -> None:
    with pytest.raises(type(end)), shadow_endpoint(SHADOW, aws):
        raise end
    assert aws.list_endpoints()["Endpoints"] == []


def test_a_stopped_job_deletes_it_too(aws: Any) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit), shadow_endpoint(SHADOW, aws):
        signal.raise_signal(signal.SIGTERM)
    assert aws.list_endpoints()["Endpoints"] == []
    assert signal.getsignal(signal.SIGTERM) == before


def stubbed(*answers: Any) -> tuple[Any, Stubber]:
    client = boto3.client("sagemaker", config=Config(retries={"total_max_attempts": 1}), **KEYS)
    stub = Stubber(client)
    stub.add_response("create_endpoint_config", {"EndpointConfigArn": "a" * 20}, None)
    for operation, answer in answers:
        if isinstance(answer, tuple):
            stub.add_client_error(operation, *answer)
        else:
            stub.add_response(operation, answer, {"EndpointName": JOB} if "describe" in operation else None)
    stub.add_response("delete_endpoint", {}, {"EndpointName": JOB})
    stub.add_response("delete_endpoint_config", {}, {"EndpointConfigName": ANY})
    stub.activate()
    return client, stub


def described(status: str, reason: str | None = None) -> dict[str, Any]:
    answer = {
        "EndpointName": JOB,
        "EndpointArn": "a" * 20,
        "EndpointStatus": status,
        "CreationTime": 0,
        "LastModifiedTime": 0,
    }
    return answer | ({} if reason is None else {"FailureReason": reason})


CREATED = ("create_endpoint", {"EndpointArn": "a" * 20})
QUOTA = (
    "The account-level service limit 'ml.m5.large for endpoint usage' is 0 Instances, with current utilization of 0 "
    "Instances and a request delta of 1 Instances."
)


@pytest.mark.parametrize(
    ("answers", "error", "says"),
    [
        (
            [("create_endpoint", ("ResourceLimitExceeded", QUOTA))],
            BadSettings,
            "quota 'ml.m5.large for endpoint usage' is 0: request an increase in Service Quotas, delete an endpoint",
        ),
        (
            [("create_endpoint", ("AccessDeniedException", "not authorized"))],
            BadSettings,
            "may not sagemaker:CreateEndpoint: deploy with AllowEndpointPredictor=true",
        ),
        (
            [CREATED, ("describe_endpoint", described("Failed", "did not pass the ping health check."))],
            BadModel,
            "the model cannot be served: did not pass the ping health check. .its log: /aws/sagemaker/Endpoints/assay-",
        ),
        (
            [CREATED, ("describe_endpoint", described("Failed", "Unable to provision requested ML compute capacity"))],
            JobFailed,
            "Unable to provision requested ML compute capacity; name another type with model.instance_type",
        ),
    ],
    ids=["quota", "denied", "unhealthy", "capacity"],
)
def test_what_can_go_wrong_says_what_to_do_and_leaves_nothing(answers: Any, error: Any, says: str) -> None:
    client, stub = stubbed(*answers)
    with pytest.raises(error, match=says), shadow_endpoint(SHADOW, client):
        pass
    stub.assert_no_pending_responses()  # deleted


def test_one_that_was_made_by_a_lost_answer_is_ours() -> None:
    client, stub = stubbed(
        ("create_endpoint", ("ValidationException", f'Cannot create already existing endpoint "arn:{JOB}".')),
        ("describe_endpoint", described("Creating")),
        ("describe_endpoint", described("InService")),
    )
    waited: list[float] = []
    with shadow_endpoint(SHADOW, client, sleep=waited.append):
        assert len(waited) == 1
    stub.assert_no_pending_responses()
