"""Claims: whose a job is, where it waits for a worker, and what becomes of it when its worker falls silent.

A worker holds a job from ``job.claimed`` until it ends or is released, and loses it when nothing is heard of the worker
for as long as the lease lasts. Whether that is so the log's own times decide, at the place in the log where the
release stands: a word of the worker that came before it in time has kept the claim.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from projections.job import JobSnapshot, State, Sums
from streamproc.events import Error, Event
from streamproc.projection import CLAIMS, Claim, millis, parse_rfc3339, queue_member, queue_of

__all__ = ["MAX_ATTEMPTS", "claimable", "deadline_of", "decode_claim", "lapse", "lapsed", "moves", "queued_of"]

MAX_ATTEMPTS: Final = 20
"""So often a job is tried that doesn't say how often: one that ends its workers ends some day itself."""

Queued = tuple[str | None, str, int]
"""Where a job waits: its kind, its member of the queues, and its score in them."""

_decode_job = msgspec.json.Decoder(JobSnapshot).decode
_decode_sums = msgspec.json.Decoder(Sums).decode
decode_claim: Callable[[bytes], Claim | None] = msgspec.json.Decoder(Claim | None).decode


def claimable(state: State) -> bool:
    """Whether nobody works on a job."""
    return state.job.status == "queued" and (state.claim is None or not state.claim.held)


def queued_of(state: State) -> Queued | None:
    """Where a job waits for a worker; None where it doesn't. Only what was put into the queue can be claimed."""
    job, sums = state.job, state.sums
    if not sums.offered or not claimable(state):
        return None
    return job.kind, queue_member(sums.created, job.job_id), -sums.priority


def deadline_of(state: State) -> int | None:
    """When the lease of a job's worker ends, in ms since 1970; None where nobody holds it, or for ever."""
    claim = state.claim
    if claim is None or not claim.held or claim.lease_seconds is None:
        return None
    heard = _heard(state.job.heard_at, claim) if state.heard is None else millis(state.heard)
    return heard + round(1000 * claim.lease_seconds)


def _heard(heard_at: str | None, claim: Claim) -> int:
    """When the worker was heard of last: by its claim, where its attempt has begun anew since and was nothing."""
    return millis(claim.position) if heard_at is None else parse_rfc3339(heard_at)


def moves(state: State) -> list[tuple[str, str, int | None]]:
    """What changes in the queues and among the deadlines. It counts as written after this."""
    found: list[tuple[str, str, int | None]] = []
    queued, before = queued_of(state), state.queued
    if queued != before or state.taken:
        if before is not None:
            found += [(name, before[1], None) for name in _queues(before)]
        if queued is not None:
            found = [move for move in found if move[0] not in _queues(queued)]
            found += [(name, queued[1], queued[2]) for name in _queues(queued)]
        state.queued, state.taken = queued, False
    deadline = deadline_of(state)
    if deadline != state.deadline:
        found.append((CLAIMS, state.job.job_id, deadline))
        state.deadline = deadline
    return found


def _queues(queued: Queued) -> list[str]:
    return [queue_of(None)] if queued[0] is None else [queue_of(None), queue_of(queued[0])]


def lapsed(state: State, event: Event, position: str) -> bool:
    """Whether what a sweep has decided of a claim is true at its place in the log."""
    deadline = deadline_of(state)
    claim = state.claim
    return deadline is not None and claim is not None and event.worker == claim.worker and deadline <= millis(position)


def lapse(fields: Sequence[bytes | None], now: int, up_since: int) -> Event | int | None:
    """What becomes of a job whose lease may have ended: the event that says so; or when it ends; or None.

    Args:
        fields: `snapshot`, `sums` and `claim`, as they are stored.
        now: in ms since 1970.
        up_since: when the server began to hear anybody. What was before is no silence of the worker.
    """
    snapshot, sums, saved = fields
    if snapshot is None or sums is None or saved is None:
        return None
    job, claim = _decode_job(snapshot), decode_claim(saved)
    if claim is None or not claim.held or claim.lease_seconds is None:
        return None
    heard = _heard(job.heard_at, claim)
    ends: int = max(heard, up_since) + round(1000 * claim.lease_seconds)
    if ends > now:
        return ends
    silent = max(0, now - heard) / 1000
    told = Event(job=job.job_id, type="job.released", worker=claim.worker, attempt=job.attempt, silent_seconds=silent)
    detail = f"nothing was heard of {claim.worker} for {silent:.0f} s; its lease was {claim.lease_seconds:g} s"
    most = _decode_sums(sums).max_attempts or MAX_ATTEMPTS
    if job.requested == "cancel":
        told.type, told.reason = "job.canceled", f"canceled while its worker was gone: {detail}"
    elif job.attempt >= most:
        told.type = "job.failed"
        told.error = Error("LeaseExpired", f"attempt {job.attempt} of {most}: {detail}")
    else:
        told.reason = "lease expired"
    return told
