"""``POST /v1/jobs/{job}/pause``, ``resume``, ``cancel`` and ``retry``: what people ask of a job."""

from contextlib import suppress
from typing import Any, Final, TypeVar

import anyio
import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import InvalidEvent, ServerError, UnknownJob
from streamproc.events import Event, Name, Text
from streamproc.gateway.backend import Backend, Opened
from streamproc.gateway.bodies import media_type, read_body
from streamproc.gateway.identity import EVERYBODY, check_seen, identity_of
from streamproc.gateway.parameters import job_of
from streamproc.gateway.problems import Problem
from streamproc.gateway.tracing import traceparent
from streamproc.hub import Hub
from streamproc.position import key, parse_rfc3339
from streamproc.wire import decode, encode, refusal

__all__ = [
    "Asked",
    "Facts",
    "appended",
    "body_of",
    "folded",
    "objection",
    "post_cancel",
    "post_pause",
    "post_resume",
    "post_retry",
    "read_facts",
]

S = TypeVar("S")

_JSON: Final = "application/json"
_FOLD_SECONDS: Final = 1.0
_FINAL: Final = ("finished", "failed", "canceled")
_ITSELF: Final = "gateway"
"""Who cancels a job that nobody works on, where nobody says who asked for it."""


class Asked(Struct, forbid_unknown_fields=True):
    """The body of what is asked of a job; there may be none.

    Args:
        reason: for people.
        by: who asks. A gateway that knows goes by what it knows.
        force: whether even a job that has finished is tried again.
    """

    reason: Text | None = None
    by: Name | None = None
    force: bool = False


class Facts(Struct):
    """What is read of a snapshot."""

    status: str
    created_at: str
    attempt: int
    kind: str | None = None
    requested: str | None = None
    started_at: str | None = None


read_facts: Final = msgspec.json.Decoder(Facts).decode


def objection(action: str, status: str, requested: str | None, *, force: bool = False) -> str | None:
    """Why a job's state makes no sense of what is asked of it, or None where it does.

    Args:
        action: ``pause``, ``resume``, ``cancel`` or ``retry``.
        status: of the job.
        requested: the wish that stands.
        force: see `Asked`.
    """
    if action == "retry":
        if status in ("failed", "canceled") or (status == "finished" and force):
            return None
        return (
            "has finished; with force it is tried again" if status == "finished" else f"is {status}, and has not ended"
        )
    if status in _FINAL:
        return f"has ended: it is {status}"
    if action == "cancel":
        return None
    if requested == "cancel":
        return "has been asked to stop"
    if action == "pause":
        return "is paused already" if status == "paused" and requested != "resume" else None
    return None if status == "paused" or requested == "pause" else f"is {status}, and was not asked to pause"


async def post_pause(request: Request) -> Response:
    """Ask the worker to stand still. 202; 409 where the job has ended, or is paused."""
    return await _wish(request, "pause")


async def post_resume(request: Request) -> Response:
    """Ask the worker to go on, or take back that it was asked to pause. 202; 409 where there is nothing to resume."""
    return await _wish(request, "resume")


async def post_cancel(request: Request) -> Response:
    """Ask the worker to stop. A job that waits in the queue is canceled at once. 202; 409 where it has ended."""
    return await _wish(request, "cancel")


async def post_retry(request: Request) -> Response:
    """Queue a job that has ended again, as its next attempt. 202; asked for twice at once it is one attempt."""
    opened, job, asked, facts = await _read(request, "retry")
    attempt = facts.attempt + 1
    event = Event(job=job, type="job.queued", attempt=attempt, reason=asked.reason, by=asked.by)
    return await appended(request, opened, event, attempt=attempt)


async def _wish(request: Request, action: str) -> Response:
    opened, job, asked, facts = await _read(request, action)
    wish = Event(job=job, type=f"job.{action}_requested", reason=asked.reason, by=asked.by)
    if action == "cancel" and facts.status == "queued":
        wish.trace = traceparent(request)
        # Nobody works on it, so nobody would answer. Whoever claims it first, or has, answers the wish instead.
        answer = Event(job=job, type="job.canceled", reason=asked.reason, by=asked.by or _ITSELF)
        created = parse_rfc3339(facts.created_at)
        position = await opened.claims.take(job, created, facts.kind, [_checked(wish), answer])
        if position is not None:
            return await _accepted(opened, job, position)
    return await appended(request, opened, wish)


async def _read(request: Request, action: str) -> tuple[Opened, str, Asked, Facts]:
    """What is asked of which job, and the job as it is. Raises where that makes no sense."""
    backend: Backend = request.app.state.backend
    job, asked = job_of(request), await body_of(request, Asked)
    opened = backend.get()
    stored = await opened.store.snapshot(job)
    check_seen(request, job, stored)
    if stored is None:
        raise UnknownJob(f"there is no job {job}")
    identity = identity_of(request)
    if identity is not EVERYBODY:
        asked.by = identity.name
    facts = read_facts(stored)
    why = objection(action, facts.status, facts.requested, force=asked.force)
    if why is not None:
        raise Problem(409, "status-conflict", f"job {job} {why}", job_status=facts.status, requested=facts.requested)
    return opened, job, asked, facts


async def body_of(request: Request, shape: type[S]) -> S:
    """The JSON object of a request; an empty body is an empty object. Raises `InvalidEvent`, naming the field."""
    media_type(request, _JSON)
    body = await read_body(request)
    try:
        return msgspec.json.decode(body.strip() or b"{}", type=shape)
    except msgspec.ValidationError as error:
        raise refusal(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent(f"the body must be a JSON object: {error}") from None


async def appended(request: Request, opened: Opened, event: Event, **members: Any) -> Response:
    """Append an event of the gateway's own. 202 with its position."""
    event.trace = traceparent(request)
    [position] = await opened.log.append([(event.job, encode(_checked(event)))])
    return await _accepted(opened, event.job, position, **members)


async def folded(hub: Hub, job: str, position: str, seconds: float) -> bool:
    """Wait until the event at a position is folded, so many seconds at most. Whether it is. Raises `ServerError`."""
    with anyio.move_on_after(seconds), await hub.watch(job) as watch:
        while not watch.closed:
            live = watch.look()
            if live is not None and live.place >= key(position):
                return True
            await watch.changed()
    return False


def _checked(event: Event) -> Event:
    """An event that a request had a say in, as its reader will have it. Raises `InvalidEvent`."""
    return decode(encode(event))


async def _accepted(opened: Opened, job: str, position: str, **members: Any) -> Response:
    """202, once it is folded: so what is asked next is asked of the job as it is then. But not for ever."""
    with suppress(ServerError):  # it is in the log
        await folded(opened.hub, job, position, _FOLD_SECONDS)
    answer = {"job": job, "position": position, "partition": opened.keys.of(job).partition, **members}
    return Response(msgspec.json.encode(answer), 202, media_type=_JSON)
