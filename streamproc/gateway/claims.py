"""``POST /v1/claims``: a worker takes the next queued job; ``POST /v1/jobs/{job}/release``: it gives one back."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Final

import anyio
import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from streamproc.claims import Claims, Held, Waiting
from streamproc.errors import ServerError, UnknownJob
from streamproc.events import DECISIONS, WISHES, Event, Name, Text
from streamproc.gateway.backend import Backend, Opened
from streamproc.gateway.control import appended, body_of, folded, read_facts
from streamproc.gateway.identity import Identity, check_seen, identity_of, sees
from streamproc.gateway.parameters import job_of
from streamproc.gateway.problems import Problem
from streamproc.gateway.tracing import traceparent
from streamproc.position import millis, rfc3339
from streamproc.queues import Claim
from streamproc.wire import decode, encode

__all__ = ["ClaimAsked", "ReleaseAsked", "claim_next", "lost_claims", "post_claims", "post_release"]

_JSON: Final = "application/json"
_FOLD_SECONDS: Final = 5.0
_AT_ONCE: Final = 250
_NOT_OF_THE_WORKER: Final = WISHES | DECISIONS


class ClaimAsked(Struct, forbid_unknown_fields=True):
    """The body of a claim.

    Args:
        worker: who takes the job. Its events carry this name, or have no effect.
        kinds: of the jobs that it takes; none is all.
        lease_seconds: how long nothing may be heard of it before the job is taken from it.
        wait: how many seconds it waits for a job.
    """

    worker: Name
    kinds: Annotated[list[Name], Meta(max_length=100)] = []
    lease_seconds: Annotated[float, Meta(ge=1, le=86_400)] = 60.0
    wait: Annotated[float, Meta(ge=0, le=60)] = 0.0


class ReleaseAsked(Struct, forbid_unknown_fields=True):
    """The body of a release.

    Args:
        worker: who holds the job.
        reason: for people.
    """

    worker: Name
    reason: Text | None = None


async def post_claims(request: Request) -> Response:
    """Take the next queued job by priority, then age. 200 with the job; 204 where none comes within `wait`.

    The claim is appended, and then the fold decides whether it is true; only then it is answered. 503 where no
    projector folds it in time: the job is released again.
    """
    answer = await claim_next(request, await body_of(request, ClaimAsked))
    if answer is None:
        return Response(None, 204)
    return Response(msgspec.json.encode(answer), 200, {"cache-control": "no-store"}, _JSON)


async def claim_next(request: Request, asked: ClaimAsked) -> dict[str, Any] | None:
    """Claim a job for a worker: what it is told of it, or None where none comes in time."""
    backend: Backend = request.app.state.backend
    opened, identity = backend.get(), identity_of(request)
    for kind in asked.kinds or (None,):
        decode(encode(Event(job="-", type="-", worker=asked.worker, kind=kind)))
    deadline = anyio.current_time() + asked.wait
    with opened.queue.place(_kinds(asked.kinds, identity), limited=identity.limited) as place:
        while (waiting := await place.next(deadline)) is not None:
            if await request.is_disconnected():
                break
            answer = await _claim(opened, identity, asked, waiting, traceparent(request))
            if answer is not None:
                return answer
            place.passed |= await _foreign(opened, identity, place.behind)
    return None


async def _foreign(opened: Opened, identity: Identity, jobs: Sequence[str]) -> set[str]:
    """Which of some jobs aren't the identity's to have: many of them may stand before one that is."""
    found: set[str] = set()
    for at in range(0, len(jobs), _AT_ONCE):
        part = jobs[at : at + _AT_ONCE]
        stored = await opened.store.current(part)
        found |= {job for job, (_, one) in zip(part, stored, strict=True) if not sees(identity, job, one)}
    return found


def _kinds(asked: Sequence[str], identity: Identity) -> list[str] | None:
    """The kinds of a worker that are its identity's too; None is all."""
    if identity.kinds is None:
        return list(asked) or None
    return [kind for kind in identity.kinds if not asked or kind in asked]


async def _claim(
    opened: Opened, identity: Identity, asked: ClaimAsked, waiting: Waiting, trace: str | None
) -> dict[str, Any] | None:
    """Claim a job that is waiting. None where it isn't the worker's, as somebody was faster or it may not be."""
    job = waiting.job
    stored = (await opened.claims.held(job)).snapshot
    if stored is None or not sees(identity, job, stored):
        return None
    facts = read_facts(stored)
    # Who has begun with a job before may still be saying something: what it says is of an earlier attempt.
    attempt = facts.attempt + (facts.started_at is not None)
    event = Event(
        job=job,
        type="job.claimed",
        worker=asked.worker,
        attempt=attempt,
        lease_seconds=asked.lease_seconds,
        trace=trace,
    )
    position = await opened.claims.take(job, waiting.created, facts.kind, [decode(encode(event))])
    if position is None:
        return None
    held = await _folded(opened, event, position)
    claim = held.claim
    if claim is None or not claim.held or claim.position != position or held.snapshot is None:
        return None
    return {
        "job": msgspec.Raw(await opened.estimates.served(job, held.snapshot)),
        "params": None if held.params is None else msgspec.Raw(held.params),
        "worker": claim.worker,
        "attempt": claim.attempt,
        "lease_seconds": claim.lease_seconds,
        "expires_at": rfc3339(millis(position) + round(1000 * asked.lease_seconds)),
    }


async def _folded(opened: Opened, claimed: Event, position: str) -> Held:
    """The job once the claim at a position is folded. Where it isn't in time the job is released, and it raises."""
    job = claimed.job
    why = f"no projector has folded that within {_FOLD_SECONDS:.0f} s: is one running?"
    try:
        if await folded(opened.hub, job, position, _FOLD_SECONDS):
            return await opened.claims.held(job)
    except ServerError as error:
        why = str(error)
    released = Event(
        job=job,
        type="job.released",
        worker=claimed.worker,
        attempt=claimed.attempt,
        reason="nobody was told of the claim",
    )
    with suppress(ServerError):  # then its lease expires
        await opened.log.append([(job, encode(released))])
    raise Problem(503, "claim-not-folded", f"job {job} was claimed, and released again: {why}", {"retry-after": "1"})


async def post_release(request: Request) -> Response:
    """Give a job back to the queue, for its next attempt. 202; 403 where the worker doesn't hold it."""
    backend: Backend = request.app.state.backend
    job, asked = job_of(request), await body_of(request, ReleaseAsked)
    opened = backend.get()
    held = await opened.claims.held(job)
    check_seen(request, job, held.snapshot)
    if held.snapshot is None:
        raise UnknownJob(f"there is no job {job}")
    if held.claim is None or not held.claim.held or held.claim.worker != asked.worker:
        raise Problem(403, "claimed-by-another", _whose(asked.worker, job, held.claim))
    attempt = read_facts(held.snapshot).attempt
    event = Event(job=job, type="job.released", worker=asked.worker, attempt=attempt, reason=asked.reason)
    return await appended(request, opened, event)


async def lost_claims(claims: Claims, events: Sequence[Event]) -> list[dict[str, Any]]:
    """The errors of the events that their workers may not send, as others hold the jobs. One round trip at most."""
    said = [
        (index, event.job, event.worker)
        for index, event in enumerate(events)
        if event.worker is not None and event.type not in _NOT_OF_THE_WORKER
    ]
    if not said:
        return []
    found = await claims.refusing({job for _, job, _ in said})
    return [
        {"index": index, "field": "worker", "detail": _whose(worker, job, found[job])}
        for index, job, worker in said
        if job in found and found[job].refuses(worker)
    ]


def _whose(worker: str, job: str, claim: Claim | None) -> str:
    if claim is None:
        return f"{worker} doesn't hold job {job}: nobody does"
    if not claim.held and claim.worker == worker:
        return f"{worker} has lost job {job}: claim it again"
    return f"job {job} is claimed by {claim.worker}" if claim.held else f"{worker} doesn't hold job {job}: nobody does"
