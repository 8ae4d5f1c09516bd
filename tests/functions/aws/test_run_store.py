from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from assay.errors import BadModel, JobFailed
from assay.evaluation import EvaluationReport
from assay.events import Upload
from assay.layout import RunFolder
from assay.run import ActiveRun, Job, Run, RunState
from assay_aws import objects
from assay_aws.run_store import RunStore, close_active, find_active, list_active, open_active

from ..conftest import BUCKET, Aws, Wire, lost_answer, refused_with

FOLDER = RunFolder("digits", "r" * 20)
STORE = RunStore(BUCKET, FOLDER)
NOW = datetime(2026, 11, 12, tzinfo=UTC)


def job(number: int) -> Job:
    return Job(name=f"job-{number}", stage="evaluation", attempt=number, started_at=NOW)


def run(opened_at: datetime = NOW) -> Run:
    return Run(id=FOLDER.run, model="digits", upload=Upload(bucket=BUCKET, key="k", version="v"), opened_at=opened_at)


def test_who_creates_a_run_second_gets_the_first_ones(aws: Aws) -> None:
    first = STORE.create(run())
    assert STORE.create(run(datetime(2027, 1, 1, tzinfo=UTC))) == first == STORE.run()


def test_a_creation_whose_answer_was_lost_is_a_creation(aws: Aws, wire: Wire) -> None:
    wire.next("PutObject", lost_answer)
    assert STORE.create(run()) == run() == STORE.run()


def test_two_who_change_the_state_at_once_lose_neither_change(aws: Aws) -> None:
    STORE.create_state()
    interrupted: list[RunState] = []

    def change(state: RunState) -> RunState:
        if not interrupted:
            interrupted.append(STORE.change(lambda state: state.started(job(1))))
        return state.started(job(2))

    state = STORE.change(change)
    assert [known.name for known in state.jobs] == ["job-1", "job-2"]
    assert state == STORE.state()
    assert state.revision == 2


def test_a_change_whose_answer_was_lost_is_made_once(aws: Aws, wire: Wire) -> None:
    STORE.create_state()
    wire.next("PutObject", lost_answer)
    asked = []

    def change(state: RunState) -> RunState:
        asked.append(state)
        return state.model_copy(update={"freezing": f"upload {len(asked)}"})

    state = STORE.change(change)
    assert len(asked) == 1
    assert (state.freezing, state.revision) == ("upload 1", 1)


def test_a_state_that_returned_to_what_it_was_is_not_taken_for_unchanged(aws: Aws) -> None:
    STORE.create_state()
    interrupted: list[RunState] = []

    def change(state: RunState) -> RunState:
        if not interrupted:
            interrupted.append(STORE.change(lambda state: state.model_copy(update={"freezing": "x"})))
            interrupted.append(STORE.change(lambda state: state.model_copy(update={"freezing": None})))
        return state.started(job(1))

    assert STORE.change(change).revision == 3


@pytest.mark.parametrize("status", [409, 412])
def test_conflicts_converge(aws: Aws, wire: Wire, status: int) -> None:
    STORE.create_state()
    wire.next("PutObject", *[refused_with(status)] * 3)
    state = STORE.change(lambda state: state.started(job(1)))
    assert (state.jobs, state.revision) == ((job(1),), 1)


def test_no_change_writes_nothing(aws: Aws) -> None:
    STORE.create_state()
    assert STORE.change(lambda state: state) == RunState(run=FOLDER.run)


def test_a_state_that_was_never_created_cannot_change(aws: Aws) -> None:
    with pytest.raises(LookupError, match=r"state\.json does not exist"):
        STORE.change(lambda state: state.ended())


def test_the_first_failure_of_a_stage_stays(aws: Aws) -> None:
    STORE.create_state()
    STORE.fail("evaluation", BadModel("no saved_model.pb"))
    state = STORE.fail("evaluation", JobFailed("and then that"))
    assert (state.failures["evaluation"].error, state.failures["evaluation"].message) == (
        "BadModel",
        "no saved_model.pb",
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "report.json is missing"),
        ("{", "report.json is broken: : Invalid JSON"),
        ("{}", "report.json is broken: task: Field required"),
    ],
)
def test_a_result_that_cannot_be_read_names_the_file(aws: Aws, content: str | None, said: str) -> None:
    if content is not None:
        aws.put(FOLDER.report, content)
    with pytest.raises(JobFailed) as caught:
        STORE.result(FOLDER.report, EvaluationReport)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"the job completed, but s3://{BUCKET}/runs/digits/")


def test_active_runs_are_listed_until_they_are_closed(aws: Aws) -> None:
    active = ActiveRun(upload=Upload(bucket=BUCKET, key="models/digits/model.tar.gz", version="v"), opened_at=NOW)
    open_active(BUCKET, active)
    open_active(BUCKET, active.model_copy(update={"opened_at": datetime(2027, 1, 1, tzinfo=UTC)}))
    assert list(list_active(BUCKET)) == [active.folder.run]
    assert find_active(BUCKET, active.folder.run) == active
    close_active(BUCKET, active.folder.run)
    close_active(BUCKET, active.folder.run)
    assert find_active(BUCKET, active.folder.run) is None


def test_an_objects_tag_changes_with_its_content(aws: Aws) -> None:
    STORE.create_state()
    before = objects.read(BUCKET, FOLDER.state_json)
    assert before is not None
    STORE.change(lambda state: state.ended())
    assert not objects.replace_record(BUCKET, FOLDER.state_json, RunState(run="x"), before.etag)


def test_a_bucket_that_does_not_exist_is_an_error_and_no_endless_loop(aws: Aws) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        RunStore("nowhere", FOLDER).create_state()
