"""The application's own template, on the embedded AWS."""

import pytest

from assay_local.cloud import Cloud, TemplateError


@pytest.mark.pipeline
@pytest.mark.parametrize("existing", ["", "archives-of-ours"])
def test_it_deploys_and_an_upload_s_first_step_and_notice_come(existing: str) -> None:
    buckets = (existing,) if existing else ()
    with Cloud(parameters={"ExistingBucketName": existing}, buckets=buckets, schedules=False) as cloud:
        bucket = cloud.outputs["BucketName"]
        assert existing in ("", bucket)
        cloud.client("s3").put_object(Bucket=bucket, Key="models/birds/1/model.tar.gz", Body=b"no policy anywhere")
        cloud.drain(timeout=60)
        assert [i.function for i in cloud.invocations] == ["StartEvaluationFunction", "PublishSummaryFunction"]
        assert [i.error for i in cloud.invocations] == [None, None]
        assert [notice.attributes["verdict"] for notice in cloud.notices()] == ["error"]
        assert cloud.undelivered == []
        cloud.fire("SweepFunction")


@pytest.mark.pipeline
def test_its_own_rules_of_parameters_hold() -> None:
    with pytest.raises(TemplateError, match="ExplainerEngine clarify needs ClarifyImageUri"):
        Cloud(parameters={"ExplainerEngine": "clarify"}).__enter__()
