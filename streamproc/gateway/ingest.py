"""``POST /v1/events``: append events, all or none of them checked before anything is written."""

from typing import Any, Final

import msgspec
from anyio.lowlevel import checkpoint
from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import InvalidEvent
from streamproc.events import DECISIONS
from streamproc.gateway.backend import Backend
from streamproc.gateway.bodies import MAX_EVENTS, media_type, read_body, split_array, split_lines
from streamproc.gateway.problems import Problem
from streamproc.wire import decode

__all__ = ["post_events"]

_JSON: Final = "application/json"
_NDJSON: Final = ("application/x-ndjson", "application/ndjson")
_MOST_ERRORS: Final = 100
_AT_ONCE: Final = 500
"""Events between two turns of other requests."""


async def post_events(request: Request) -> Response:
    """Append one event, a JSON array of events, or one a line. 201 with their positions, in order."""
    backend: Backend = request.app.state.backend
    opened = backend.get()
    payloads = _split(media_type(request, _JSON, *_NDJSON), await read_body(request))
    jobs = await _check(payloads)
    positions: list[str] = []
    for at in range(0, len(payloads), _AT_ONCE):
        part = slice(at, at + _AT_ONCE)
        positions += await opened.log.append(zip(jobs[part], payloads[part], strict=True))
    answer = {
        "events": [
            {"job": job, "position": position, "partition": opened.keys.of(job).partition}
            for job, position in zip(jobs, positions, strict=True)
        ]
    }
    return Response(msgspec.json.encode(answer), 201, media_type=_JSON)


def _split(kind: str, body: bytes) -> list[bytes]:
    if kind in _NDJSON:
        payloads = split_lines(body)
    elif body.lstrip()[:1] == b"[":
        payloads = split_array(body)
    else:
        payloads = [body]
    if not payloads:
        raise Problem(400, "no-events", "there is no event in the body")
    if len(payloads) > MAX_EVENTS:
        raise Problem(413, "too-many-events", f"{len(payloads):,} events; a request holds at most {MAX_EVENTS:,}")
    return payloads


async def _check(payloads: list[bytes]) -> list[str]:
    """The job of each payload. Raises `Problem`, naming each that is no event, or none of a producer's."""
    jobs: list[str] = []
    invalid: list[dict[str, Any]] = []
    decisions: list[dict[str, Any]] = []
    for index, payload in enumerate(payloads):
        if index % _AT_ONCE == 0:
            await checkpoint()
        try:
            event = decode(payload)
        except InvalidEvent as error:
            invalid.append({"index": index, "field": error.field, "detail": error.reason})
            continue
        if event.type in DECISIONS:
            detail = f"{event.type} is for the server alone to write"
            decisions.append({"index": index, "field": "type", "detail": detail})
        jobs.append(event.job)
    if invalid:
        raise _refusal(400, "invalid-event", invalid)
    if decisions:
        raise _refusal(403, "server-only", decisions)
    return jobs


def _refusal(status: int, name: str, errors: list[dict[str, Any]]) -> Problem:
    first = errors[0]
    where = f"event {first['index']}" + (f", {first['field']}" if first["field"] else "")
    rest = f" (and {len(errors) - 1:,} more)" if len(errors) > 1 else ""
    return Problem(status, name, f"{where}: {first['detail']}{rest}", errors=errors[:_MOST_ERRORS])
