import json
from typing import Any

import pytest

from assay.events import ForeignEvent
from assay.layout import champion_key
from assay_aws import archive
from assay_aws.run_store import RunStore
from start_evaluation.handler import handler, start_evaluation

from .conftest import BUCKET, KEY, POLICY, Aws, Context, Uploaded, Wire, champion, land, lost_answer, messages


def test_an_upload_starts_its_evaluation(aws: Aws) -> None:
    uploaded = land(aws)
    start_evaluation(uploaded.event)
    job = aws.sagemaker.jobs[uploaded.job("evaluation")]
    inputs = {given["InputName"]: given["S3Input"] for given in job["ProcessingInputs"]}
    assert {name: given["LocalPath"] for name, given in inputs.items()} == {
        name: f"/opt/ml/processing/input/{name}" for name in ("run", "model", "dataset", "annotations")
    }
    assert inputs["dataset"]["S3Uri"] == f"s3://{BUCKET}/models/test/"
    assert inputs["annotations"]["S3DataType"] == "ManifestFile"
    manifest = json.loads(aws.get(inputs["annotations"]["S3Uri"].removeprefix(f"s3://{BUCKET}/")))
    assert manifest == [{"prefix": f"s3://{BUCKET}/models/"}, "test.csv"]
    assert job["NetworkConfig"] == {"EnableNetworkIsolation": True}
    assert aws.get(uploaded.folder.archive) == "abc"
    assert aws.state(uploaded.folder).progress == "evaluating"
    assert aws.keys("active/") == [f"active/{uploaded.folder.run}"]


def test_a_second_upload_event_starts_nothing(aws: Aws) -> None:
    uploaded = land(aws)
    for _ in range(3):
        start_evaluation(uploaded.event)
    assert aws.sagemaker.creations == 1
    assert aws.state(uploaded.folder).revision == 1


def test_the_event_of_a_run_that_has_ended_wakes_nothing(aws: Aws) -> None:
    uploaded = land(aws)
    start_evaluation(uploaded.event)
    RunStore(BUCKET, uploaded.folder).change(lambda state: state.ended())
    aws.s3.delete_object(Bucket=BUCKET, Key=f"active/{uploaded.folder.run}")
    start_evaluation(uploaded.event)
    assert aws.keys("active/") == []
    assert aws.sagemaker.creations == 1


def test_a_lambda_killed_after_the_start_is_followed_by_one_that_finishes(aws: Aws) -> None:
    uploaded = land(aws)
    start_evaluation(uploaded.event)
    aws.s3.delete_object(Bucket=BUCKET, Key=uploaded.folder.state_json)
    start_evaluation(uploaded.event)
    assert len(aws.sagemaker.jobs) == 1
    assert [job.name for job in aws.state(uploaded.folder).jobs] == [uploaded.job("evaluation")]


@pytest.mark.parametrize("operation", ["PutObject", "CopyObject"])
@pytest.mark.parametrize("before", range(5))
def test_a_lost_answer_makes_no_second_job(aws: Aws, wire: Wire, operation: str, before: int) -> None:
    uploaded = land(aws)
    wire.next(operation, *[lambda carry_out: carry_out()] * before, lost_answer)
    start_evaluation(uploaded.event)
    assert len(aws.sagemaker.jobs) == 1
    assert [job.name for job in aws.state(uploaded.folder).jobs] == [uploaded.job("evaluation")]


def test_a_lost_answer_to_the_start_itself_is_a_start(aws: Aws, wire: Wire) -> None:
    uploaded = land(aws)
    wire.next("CreateProcessingJob", lost_answer)
    start_evaluation(uploaded.event)
    assert (aws.sagemaker.creations, len(aws.sagemaker.jobs)) == (2, 1)
    assert aws.state(uploaded.folder).progress == "evaluating"


def test_the_run_keeps_the_policy_that_it_read(aws: Aws) -> None:
    uploaded = land(aws)
    start_evaluation(uploaded.event)
    aws.put("models/assay.yaml", POLICY.replace("0.8", "0.1"))
    start_evaluation(uploaded.event)
    policy = aws.run(uploaded.folder).policy
    assert policy is not None
    assert policy.gates[0].min == 0.8


def test_the_champion_of_this_moment_is_frozen(aws: Aws) -> None:
    uploaded = land(aws)
    aws.put(champion_key("digits"), champion().to_json())
    start_evaluation(uploaded.event)
    aws.put(champion_key("digits"), champion("n" * 20).to_json())
    start_evaluation(uploaded.event)
    assert aws.run(uploaded.folder).champion == champion()


def test_what_the_champion_left_behind_comes_with_the_job(aws: Aws) -> None:
    uploaded = land(aws)
    aws.put(champion_key("digits"), champion().to_json())
    left = ("run.json", "input/model.tar.gz", "evaluation/report.json", "evaluation/predictions.parquet")
    for name in left:
        aws.put(champion().folder.prefix + name, name)
    aws.put(champion().folder.prefix + "run.json.bak", "not its")
    start_evaluation(uploaded.event)
    inputs = aws.sagemaker.jobs[uploaded.job("evaluation")]["ProcessingInputs"]
    (given,) = [given["S3Input"] for given in inputs if given["InputName"] == "champion"]
    assert given["S3DataType"] == "ManifestFile"
    manifest = json.loads(aws.get(given["S3Uri"].removeprefix(f"s3://{BUCKET}/")))
    assert manifest == [{"prefix": f"s3://{BUCKET}/{champion().folder.prefix}"}, *left]
    assert len(inputs) <= 10


@pytest.mark.parametrize("left", [[], ["run.json", "evaluation/predictions.parquet"]])
def test_of_a_champion_only_what_is_still_there_is_asked_for(aws: Aws, left: list[str]) -> None:
    """SageMaker fails a job whose manifest names an object that is gone."""
    uploaded = land(aws)
    aws.put(champion_key("digits"), champion().to_json())
    for name in left:
        aws.put(champion().folder.prefix + name, name)
    start_evaluation(uploaded.event)
    inputs = {given["InputName"] for given in aws.sagemaker.jobs[uploaded.job("evaluation")]["ProcessingInputs"]}
    assert ("champion" in inputs) == bool(left)
    if left:
        assert json.loads(aws.get(uploaded.folder.manifest("champion")))[1:] == left


def test_two_uploads_to_a_key_are_two_runs_with_their_own_bytes(aws: Aws) -> None:
    first = land(aws, archive=b"first")
    second = land(aws, archive=b"second")
    start_evaluation(second.event)
    start_evaluation(first.event)
    assert (aws.get(first.folder.archive), aws.get(second.folder.archive)) == ("first", "second")
    assert len(aws.sagemaker.jobs) == 2


def test_a_request_is_a_run_of_its_own_and_the_newest_version_when_it_names_none(aws: Aws) -> None:
    land(aws, archive=b"first")
    uploaded = land(aws, archive=b"second")
    detail = {"bucket": BUCKET, "key": KEY, "request": "nightly"}
    event = {"source": "pipeline", "detail-type": "Assay Run Requested", "detail": detail}
    start_evaluation(event)
    land(aws, archive=b"third")
    start_evaluation(event)
    (active,) = aws.keys("active/")
    assert active != f"active/{uploaded.folder.run}"
    frozen = [key for key in aws.keys("runs/") if key.endswith("/input/model.tar.gz")]
    assert [aws.get(key) for key in frozen] == ["second"]


@pytest.mark.parametrize(
    ("policy", "error", "said"),
    [
        (None, "NoPolicy", "no policy: no assay.yaml in s3://archives/models/digits/7/ or above it"),
        ("task: [", "BadPolicy", "s3://archives/models/assay.yaml, line "),
        (POLICY + "gatse: []\n", "BadPolicy", "gatse: unknown key; did you mean `gates`?"),
        (
            "{task: object_detection, data: {source: t/, annotations: a.csv}, bias: {facets: [{column: a, above: 1}]}}",
            "NotYet",
            "bias of detections",
        ),
        (POLICY.replace("test/,", "nowhere/,"), "BadData", "s3://archives/models/nowhere/ holds no objects"),
        (POLICY.replace("test.csv", "tset.csv"), "BadData", "s3://archives/models/tset.csv does not exist"),
        (
            POLICY.replace("test/,", "s3://lake/x/,"),
            "BadPolicy",
            "location not allowed; the deployer allows s3://archives/*",
        ),
        (POLICY.replace("test/,", "../../x/,"), "BadPolicy", "leads out of bucket archives"),
    ],
)
def test_what_cannot_be_evaluated_is_rejected_and_goes_to_the_summary(
    aws: Aws, policy: str | None, error: str, said: str
) -> None:
    uploaded = land(aws, policy=policy)
    start_evaluation(uploaded.event)
    rejected = aws.run(uploaded.folder).rejected
    assert rejected is not None
    assert rejected.error == error
    assert said in rejected.message
    assert aws.due("publish-summary") == [uploaded.folder.run]
    assert aws.sagemaker.creations == 0


def test_an_empty_archive_is_rejected(aws: Aws) -> None:
    uploaded = land(aws, archive=b"")
    start_evaluation(uploaded.event)
    rejected = aws.run(uploaded.folder).rejected
    assert rejected is not None
    assert "archive is empty" in rejected.message


def test_a_version_that_is_gone_is_rejected(aws: Aws) -> None:
    uploaded = land(aws)
    aws.s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=uploaded.version)
    start_evaluation(uploaded.event)
    rejected = aws.run(uploaded.folder).rejected
    assert rejected is not None
    assert "this version no longer exists" in rejected.message


def test_data_elsewhere_is_read_where_the_deployer_allows_it(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_OBJECT_ARNS", "arn:aws:s3:::other/*,arn:aws:s3:::lake/adult/*")
    aws.s3.create_bucket(Bucket="lake")
    aws.s3.put_object(Bucket="lake", Key="adult/test.csv", Body=b"a,b\n")
    uploaded = land(aws, policy="{task: tabular_classification, data: {source: 's3://lake/adult/test.csv', label: b}}")
    start_evaluation(uploaded.event)
    assert aws.run(uploaded.folder).rejected is None
    assert len(aws.sagemaker.jobs) == 1


def test_a_full_quota_lets_the_run_wait(aws: Aws) -> None:
    uploaded = land(aws)
    aws.sagemaker.refusals = [("ResourceLimitExceeded", "The account-level service limit 'x' is 2 Instances")] * 2
    start_evaluation(uploaded.event)
    waiting = aws.state(uploaded.folder).waiting
    assert waiting is not None
    assert (waiting.stage, waiting.instance_type) == ("evaluation", "ml.m5.xlarge")
    start_evaluation(uploaded.due)
    assert aws.state(uploaded.folder).waiting == waiting
    start_evaluation(uploaded.due)
    assert aws.state(uploaded.folder).waiting is None
    assert aws.state(uploaded.folder).progress == "evaluating"


def test_who_got_capacity_wakes_the_next_who_waits(aws: Aws) -> None:
    first, second = land(aws), land(aws, key="models/birds/model.tar.gz")
    aws.sagemaker.refusals = [("ResourceLimitExceeded", "The account-level service limit 'x' is 2 Instances")] * 2
    start_evaluation(first.event)
    start_evaluation(second.event)
    start_evaluation(first.due)
    assert aws.due("start-evaluation") == [second.folder.run]


def test_a_quota_of_zero_ends_the_run(aws: Aws) -> None:
    uploaded = land(aws)
    aws.sagemaker.refusals = [("ResourceLimitExceeded", "The account-level service limit 'x' is 0 Instances")]
    start_evaluation(uploaded.event)
    failure = aws.state(uploaded.folder).failures["evaluation"]
    assert (failure.error, failure.message) == ("BadSettings", "quota 'x' is 0: request an increase in Service Quotas")
    assert aws.due("publish-summary") == [uploaded.folder.run]
    start_evaluation(uploaded.event)
    assert aws.due("publish-summary") == [uploaded.folder.run]
    assert aws.sagemaker.creations == 1


def test_a_large_archive_is_left_to_the_next_invocation(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "ONE_COPY", 1)
    monkeypatch.setattr("start_evaluation.handler.COPYING", -1)
    uploaded = land(aws)
    start_evaluation(uploaded.event)
    assert aws.due("start-evaluation") == [uploaded.folder.run]
    monkeypatch.undo()


def test_a_step_due_for_a_run_that_has_ended_does_nothing(aws: Aws) -> None:
    start_evaluation(Uploaded(KEY, "gone").due)
    assert aws.keys() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bucket": {"name": "foreign"}}, "an object of bucket foreign, expected archives"),
        ({"object": {"key": KEY}}, "has no version"),
        ({"object": {"key": "runs/x/input/model.tar.gz", "version-id": "v"}}, "not of the form models/<model>"),
        ({"object": {"key": f"models/{'ü' * 301}/model.tar.gz", "version-id": "v"}}, "a model's name may have 600"),
        ({"object": {}}, "detail.object.key: Field required"),
    ],
)
def test_a_foreign_event_is_refused(aws: Aws, changes: dict[str, Any], said: str) -> None:
    event = Uploaded(KEY, "v").event
    event["detail"] |= changes
    with pytest.raises(ForeignEvent, match=said):
        start_evaluation(event)
    assert aws.keys() == []


def test_a_refused_message_is_not_tried_again_and_a_broken_one_is(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    uploaded = land(aws)
    aws.sagemaker.refusals = [("SomethingNew", "what")]
    answer = handler(messages("not JSON", "[1]", json.dumps(uploaded.event)), Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert '"EventsRefused":[1.0,1.0]' in capsys.readouterr().out
