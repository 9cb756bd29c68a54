"""``POST /v1/events``: append events, all or none of them checked before anything is written."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from anyio.lowlevel import checkpoint
from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import InvalidEvent
from streamproc.events import DECISIONS, Event
from streamproc.gateway import cloudevents
from streamproc.gateway.backend import Backend
from streamproc.gateway.bodies import MAX_EVENTS, media_type, read_body, split_array, split_lines
from streamproc.gateway.claims import lost_claims
from streamproc.gateway.cloudevents import attribute_error, attributes_of
from streamproc.gateway.identity import identity_of
from streamproc.gateway.measured import template_of
from streamproc.gateway.problems import Problem
from streamproc.gateway.tracing import traced, traceparent
from streamproc.gateway.writable import foreign
from streamproc.telemetry.gateway import APPENDED
from streamproc.wire import decode

__all__ = ["MEDIA_TYPES", "post_events"]

_JSON: Final = "application/json"
_NDJSON: Final = ("application/x-ndjson", "application/ndjson")
MEDIA_TYPES: Final = (_JSON, *_NDJSON, cloudevents.STRUCTURED, cloudevents.BATCH)
_MOST_ERRORS: Final = 100
_AT_ONCE: Final = 500
"""Events between two turns of other requests."""

Read = Callable[[bytes], tuple[Event, bytes]]
"""Reads an event out of what was sent of it: the event, and its payload. Raises `InvalidEvent`."""


async def post_events(request: Request) -> Response:
    """Append one event, a JSON array of events, or one a line; or CloudEvents. 201 with their positions, in order."""
    backend: Backend = request.app.state.backend
    opened = backend.get()
    sent, read = await _sent(request)
    events, payloads = await _check(sent, read, traceparent(request))
    jobs = [event.job for event in events]
    theirs = await foreign(identity_of(request), opened.store, events)
    if theirs:
        errors = [{"index": index, "field": "job", "detail": f"there is no job {jobs[index]}"} for index in theirs]
        raise _refusal(404, "unknown-job", errors)
    lost = await lost_claims(opened.claims, events)
    if lost:
        raise _refusal(403, "claimed-by-another", lost)
    positions: list[str] = []
    for at in range(0, len(payloads), _AT_ONCE):
        part = slice(at, at + _AT_ONCE)
        positions += await opened.log.append(zip(jobs[part], payloads[part], strict=True))
    APPENDED.labels(template_of(request.scope)).inc(len(positions))
    answer = {
        "events": [
            {"job": job, "position": position, "partition": opened.keys.of(job).partition}
            for job, position in zip(jobs, positions, strict=True)
        ]
    }
    return Response(msgspec.json.encode(answer), 201, media_type=_JSON)


async def _sent(request: Request) -> tuple[list[bytes], Read]:
    """What was sent of each event, and how to read it."""
    kind = media_type(request, *MEDIA_TYPES)
    body = await read_body(request)
    attributes = attributes_of(request.headers)
    if kind in (cloudevents.STRUCTURED, cloudevents.BATCH):
        return _split(kind, body), _read_cloud_event
    if attributes and kind == _JSON:
        return [body], lambda data: _checked(cloudevents.from_binary(attributes, data))
    return _split(kind, body), _read


def _read(body: bytes) -> tuple[Event, bytes]:
    return decode(body), body


def _read_cloud_event(body: bytes) -> tuple[Event, bytes]:
    return _checked(cloudevents.from_structured(body))


def _checked(payload: bytes) -> tuple[Event, bytes]:
    try:
        return decode(payload), payload
    except InvalidEvent as error:
        raise attribute_error(error) from None


def _split(kind: str, body: bytes) -> list[bytes]:
    if kind in _NDJSON:
        payloads = split_lines(body)
    elif kind == cloudevents.BATCH or (kind == _JSON and body.lstrip()[:1] == b"["):
        payloads = split_array(body)
    else:
        payloads = [body]
    if not payloads:
        raise Problem(400, "no-events", "there is no event in the body")
    if len(payloads) > MAX_EVENTS:
        raise Problem(413, "too-many-events", f"{len(payloads):,} events; a request holds at most {MAX_EVENTS:,}")
    return payloads


async def _check(sent: list[bytes], read: Read, trace: str | None) -> tuple[list[Event], list[bytes]]:
    """The events, and their payloads. Raises `Problem`, naming each that is no event, or none of a producer's."""
    events: list[Event] = []
    payloads: list[bytes] = []
    invalid: list[dict[str, Any]] = []
    decisions: list[dict[str, Any]] = []
    for index, body in enumerate(sent):
        if index % _AT_ONCE == 0:
            await checkpoint()
        try:
            event, payload = read(body)
        except InvalidEvent as error:
            invalid.append({"index": index, "field": error.field, "detail": error.reason})
            continue
        if event.type in DECISIONS:
            detail = f"{event.type} is for the server alone to write"
            decisions.append({"index": index, "field": "type", "detail": detail})
        events.append(event)
        payloads.append(traced(event, payload, trace))
    if invalid:
        raise _refusal(400, "invalid-event", invalid)
    if decisions:
        raise _refusal(403, "server-only", decisions)
    return events, payloads


def _refusal(status: int, name: str, errors: list[dict[str, Any]]) -> Problem:
    first = errors[0]
    where = f"event {first['index']}" + (f", {first['field']}" if first["field"] else "")
    rest = f" (and {len(errors) - 1:,} more)" if len(errors) > 1 else ""
    return Problem(status, name, f"{where}: {first['detail']}{rest}", errors=errors[:_MOST_ERRORS])
