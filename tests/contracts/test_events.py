import pytest

from assay.events import ForeignEvent, JobChanged, StepDue, Upload

UPLOADED = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": "b"}, "object": {"key": "models/a b+c/%2F/model.tar.gz", "version-id": "v", "x": 1}},
}


def test_a_key_is_taken_to_the_letter() -> None:
    assert Upload.of_event(UPLOADED) == Upload(bucket="b", key="models/a b+c/%2F/model.tar.gz", version="v")


def test_a_request_brings_its_own_name() -> None:
    detail = {"bucket": "b", "key": "models/m/model.tar.gz", "request": "nightly"}
    upload = Upload.of_event({"source": "me", "detail-type": "Assay Run Requested", "detail": detail})
    assert upload == Upload(bucket="b", key="models/m/model.tar.gz", request="nightly")


@pytest.mark.parametrize("event", [{}, {**UPLOADED, "detail": {}}, {**UPLOADED, "source": "aws.ec2"}])
def test_another_shape_is_refused_with_what_is_wrong(event: dict[str, object]) -> None:
    with pytest.raises(ForeignEvent, match=r"^ModelUploaded: (source|detail)"):
        Upload.of_event(event)


def test_a_due_step_is_written_as_it_is_read() -> None:
    event = StepDue.of("r")
    assert StepDue.parse(event.model_dump(by_alias=True)) == event


def test_a_jobs_event_names_job_and_status() -> None:
    event = {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Processing Job State Change",
        "detail": {"ProcessingJobName": "n", "ProcessingJobStatus": "Failed", "CreationTime": 1},
    }
    assert (JobChanged.parse(event).detail.name, JobChanged.parse(event).detail.status) == ("n", "Failed")
