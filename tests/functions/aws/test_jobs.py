import pytest
from botocore.exceptions import ClientError
from mypy_boto3_sagemaker.type_defs import CreateProcessingJobRequestTypeDef

from assay.errors import AssayError, BadSettings, NoCapacity
from assay_aws.job_request import folder_input, manifest_of, processing_job
from assay_aws.jobs import create_model, delete_model, describe_job, start_job, stop_job
from assay_aws.settings import EvaluationSettings

from ..conftest import BUCKET, ENVIRONMENT, Aws

LIMIT = (
    "The account-level service limit 'ml.m5.4xlarge for processing job usage' is {limit} Instances, with current "
    "utilization of {limit} Instances and a request delta of 2 Instances."
)


def request(run_json: str = "run.json") -> CreateProcessingJobRequestTypeDef:
    return processing_job(
        name="assay-x-01-evaluation",
        image="image",
        instance_type="ml.m5.4xlarge",
        inputs=[folder_input("run", f"s3://{BUCKET}/{run_json}", "run")],
        output=("evaluation", f"s3://{BUCKET}/out/"),
        isolated=True,
        settings=EvaluationSettings.from_environment(ENVIRONMENT),
    )


def test_a_job_that_is_started_twice_is_started_once(aws: Aws) -> None:
    start_job(request())
    start_job(request())
    assert list(aws.sagemaker.jobs) == ["assay-x-01-evaluation"]


def test_anothers_job_of_the_same_name_is_an_error(aws: Aws) -> None:
    start_job(request("another.json"))
    with pytest.raises(BadSettings, match="assay-x-01-evaluation exists already and is not this run's"):
        start_job(request())


@pytest.mark.parametrize(
    ("code", "message", "error", "said"),
    [
        (
            "ResourceLimitExceeded",
            LIMIT.format(limit=0),
            BadSettings,
            "quota 'ml.m5.4xlarge for processing job usage' is 0: request an increase",
        ),
        ("ResourceLimitExceeded", LIMIT.format(limit=20), NoCapacity, "is 20 Instances"),
        (
            "AccessDeniedException",
            "User: x is not authorized to perform: iam:PassRole on resource: y",
            BadSettings,
            "access denied: sagemaker:CreateProcessingJob on assay-x-01-evaluation: User: x is not authorized",
        ),
        ("ValidationException", "Could not assume role x.", BadSettings, "was refused: Could not assume role x."),
    ],
)
def test_a_refusal_says_who_can_act(aws: Aws, code: str, message: str, error: type[AssayError], said: str) -> None:
    aws.sagemaker.refusals = [(code, message)]
    with pytest.raises(error) as caught:
        start_job(request())
    assert said in str(caught.value)


def test_a_throttle_is_tried_again(aws: Aws) -> None:
    aws.sagemaker.refusals = [("ThrottlingException", "Rate exceeded")] * 4
    start_job(request())
    assert (aws.sagemaker.creations, len(aws.sagemaker.jobs)) == (5, 1)


def test_an_unknown_refusal_stays_what_it_is(aws: Aws) -> None:
    aws.sagemaker.refusals = [("SomethingNew", "what")]
    with pytest.raises(ClientError, match="SomethingNew"):
        start_job(request())


def test_a_described_job_has_what_is_read_of_it(aws: Aws) -> None:
    assert describe_job("nobody") is None
    start_job(request())
    aws.sagemaker.end("assay-x-01-evaluation", "Failed", ExitMessage="no rows", FailureReason="AlgorithmError: x")
    job = describe_job("assay-x-01-evaluation")
    assert job is not None
    assert (job.status, job.is_over, job.exit_message, job.instance_type) == (
        "Failed",
        True,
        "no rows",
        "ml.m5.4xlarge",
    )
    assert (job.time_limit_seconds, job.input_uris) == (14400, [f"s3://{BUCKET}/run.json"])


def test_stopping_what_is_not_there_is_no_error(aws: Aws) -> None:
    stop_job("nobody")


def test_a_model_is_made_once_and_deleted_once(aws: Aws) -> None:
    for _ in range(2):
        create_model("m", "image", f"s3://{BUCKET}/model.tar.gz", ENVIRONMENT["JOB_ROLE_ARN"])
    for _ in range(2):
        delete_model("m")


def test_a_manifest_names_exactly_one_object() -> None:
    assert manifest_of("s3://b/a folder/test+1.csv") == '[{"prefix": "s3://b/a folder/"}, "test+1.csv"]'
