import pytest

from assay.errors import BadData, BadSettings
from assay_aws.locations import check_is_there
from assay_aws.settings import EvaluationSettings, ExplanationSettings

from ..conftest import ENVIRONMENT, Aws


def test_settings_are_read_from_the_environment_and_typed() -> None:
    settings = EvaluationSettings.from_environment(
        {**ENVIRONMENT, "DATA_OBJECT_ARNS": "arn:aws:s3:::a/*,arn:aws:s3:::b"}
    )
    assert settings.job_time_limit_seconds == 14400
    assert settings.data_object_arns == ("arn:aws:s3:::a/*", "arn:aws:s3:::b")
    assert EvaluationSettings.from_environment(ENVIRONMENT).data_object_arns == ()


def test_every_missing_or_wrong_variable_is_named_at_once() -> None:
    environment = {**ENVIRONMENT, "EXPLAINER_ENGINE": "shap", "JOB_VOLUME_GB": "many"}
    del environment["BUCKET_NAME"]
    with pytest.raises(BadSettings) as caught:
        ExplanationSettings.from_environment(environment)
    for part in ("BUCKET_NAME: Field required", "EXPLAINER_ENGINE: Input should be 'assay' or", "JOB_VOLUME_GB: Input"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://nowhere/x/", "s3://nowhere/x/ does not exist"),
        ("s3://archives/x", "s3://archives/x does not exist"),
        ("s3://archives/folder/", "holds no objects"),
        ("s3://archives/empty.csv", "no rows: the object is empty"),
    ],
)
def test_data_that_is_not_there_is_named(aws: Aws, address: str, said: str) -> None:
    aws.put("folder/", b"")  # as the console makes a folder
    aws.put("folders/x", b"1")
    aws.put("empty.csv", b"")
    with pytest.raises(BadData, match=said):
        check_is_there(address)
