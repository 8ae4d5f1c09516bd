"""Announcing once: claim with a lease, do, mark. Only a crash between doing and marking can do it twice."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from assay.run import Claim, RunState
from assay_aws.run_store import RunStore

LEASE = timedelta(seconds=120)
"""Twice a function's time-out: whoever holds it longer is dead."""


def do_once(store: RunStore, what: str, do: Callable[[], None]) -> bool:
    """Do it unless it is done; False while another invocation is at it."""
    owner = uuid.uuid4().hex
    claim = store.change(lambda state: _claimed(state, what, owner, datetime.now(UTC))).claims[what]
    if claim.done_at is not None:
        return True
    if claim.owner != owner:
        return False
    do()
    store.change(lambda state: _done(state, what, datetime.now(UTC)))
    return True


def _claimed(state: RunState, what: str, owner: str, now: datetime) -> RunState:
    claim = state.claims.get(what)
    if claim is not None and (claim.done_at is not None or claim.until > now):
        return state
    return _with(state, what, Claim(owner=owner, until=now + LEASE, id=f"{state.run}-{what}"))


def _done(state: RunState, what: str, now: datetime) -> RunState:
    claim = state.claims[what]
    return state if claim.done_at else _with(state, what, claim.model_copy(update={"done_at": now}))


def _with(state: RunState, what: str, claim: Claim) -> RunState:
    return state.model_copy(update={"claims": {**state.claims, what: claim}})
