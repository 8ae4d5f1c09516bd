"""Opening a run: what was uploaded, the policy that counts, champion and last run of this moment. Decided once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from assay.errors import AssayError
from assay.events import Upload
from assay.not_yet import check_is_built
from assay.run import ActiveRun, Run, RunState
from assay_aws.archive import describe_archive
from assay_aws.champions import champion_of
from assay_aws.last_runs import last_run_of
from assay_aws.locations import check_is_there
from assay_aws.policy_file import find_policy
from assay_aws.run_store import RunStore, failure_of, open_active
from assay_aws.settings import EvaluationSettings
from start_evaluation.data_sources import baseline_address, data_sources
from start_evaluation.endpoint import check_endpoint


class Opened(NamedTuple):
    store: RunStore
    run: Run
    state: RunState


def open_run(upload: Upload, settings: EvaluationSettings) -> Opened:
    """The upload's run; opened now unless it was before."""
    active = ActiveRun(upload=upload, opened_at=datetime.now(UTC))
    store = RunStore(settings.bucket_name, active.folder)
    run, state = store.run(), store.state()
    if run is not None and state is not None and state.progress == "ended":
        return Opened(store, run, state)
    # First the index, so that no run is ever out of the sweep's sight.
    active = open_active(settings.bucket_name, active)
    run = run or store.create(new_run(active, settings))
    return Opened(store, run, state or store.create_state())


def new_run(active: ActiveRun, settings: EvaluationSettings) -> Run:
    """What the run is about; `rejected` says why when there is nothing to evaluate."""
    upload = active.upload
    folder = active.folder
    run = Run(
        id=folder.run,
        model=folder.model,
        upload=upload,
        opened_at=active.opened_at,
        champion=champion_of(settings.bucket_name, folder.model),
        previous=last_run_of(settings.bucket_name, folder.model),
    )
    try:
        run = run.model_copy(update={"archive": describe_archive(upload)})
        source, policy = find_policy(upload.bucket, upload.key)
        run = run.model_copy(update={"policy_source": source, "policy": policy})
        check_is_built(policy)
        check_endpoint(policy, settings)
        for data in data_sources(policy, source, settings):
            check_is_there(data.address)
        baseline = baseline_address(policy, source, settings)
        if baseline is not None:
            check_is_there(baseline)
    except AssayError as error:
        return run.model_copy(update={"rejected": failure_of(error)})
    return run
