"""``POST /v1/jobs``: create a job, once."""

import hashlib
import json
import secrets
import time
from typing import Any, Final

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import InvalidEvent, UnknownJob
from streamproc.events import Event
from streamproc.gateway.backend import Backend
from streamproc.gateway.bodies import media_type, read_body
from streamproc.gateway.idempotency import idempotency_key
from streamproc.gateway.identity import identity_of
from streamproc.gateway.measured import template_of
from streamproc.gateway.tracing import traced, traceparent
from streamproc.gateway.writable import foreign
from streamproc.hub import Watch
from streamproc.position import key
from streamproc.telemetry.gateway import APPENDED
from streamproc.wire import decode

__all__ = ["post_job"]

_FOLD_SECONDS: Final = 1.0
_JSON: Final = "application/json"
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


async def post_job(request: Request) -> Response:
    """Append ``job.queued``. 201 with the job's snapshot, or its position where it isn't folded within a second.

    The same again is 200; other content for the same id is 409.
    """
    backend: Backend = request.app.state.backend
    opened = backend.get()
    media_type(request, _JSON)
    event, payload = _payload(await read_body(request), idempotency_key(request))
    job = event.job
    if await foreign(identity_of(request), opened.store, [event]):
        raise UnknownJob(f"job_id: {job} is none of yours")
    digest, payload = _digest(payload), traced(event, payload, traceparent(request))
    with await opened.hub.watch(job) as watch:
        position = await opened.store.create(job, payload, digest)
        snapshot = await _snapshot(watch, position)
    if position is not None:
        APPENDED.labels(template_of(request.scope)).inc()
    if snapshot is None:
        snapshot = msgspec.json.encode({"job_id": job, "position": position})
    else:
        snapshot = await opened.estimates.served(job, snapshot)
    headers = {"location": f"/v1/jobs/{job}"}
    return Response(snapshot, 200 if position is None else 201, headers, _JSON)


def _payload(body: bytes, key: str | None) -> tuple[Event, bytes]:
    """The event that the body asks for, and its payload. Raises `InvalidEvent`."""
    try:
        fields = _fields.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent(f"the body must be a JSON object: {error}") from None
    for field in ("job", "type"):
        if field in fields:
            raise InvalidEvent("is set by the gateway; job_id names the job", field)
    given = fields.pop("job_id", None)
    named: dict[str, Any] = {"job": _new_id(key) if given is None else given, "type": "job.queued"}
    try:
        payload = msgspec.json.encode(named | fields)
        return decode(payload), payload
    except InvalidEvent as error:
        raise InvalidEvent(error.reason, "job_id" if error.field == "job" else error.field) from None


def _new_id(key: str | None) -> str:
    """An id that sorts by time: milliseconds since 1970, then 64 random bits; under an idempotency key always the same.

    So a gateway that dies between creating the job and keeping the answer doesn't lead to another job.
    """
    if key is not None:
        return key[:29]
    return f"{time.time_ns() // 1_000_000:012x}-{secrets.token_hex(8)}"


def _digest(payload: bytes) -> str:
    """Of the content, however its JSON is written: order and spaces don't count. Numbers count as written."""
    content = json.loads(payload, parse_int="\0{}".format, parse_float="\0{}".format)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


async def _snapshot(watch: Watch, position: str | None) -> bytes | None:
    """The snapshot once it holds the event at a position; None where that takes too long."""
    with anyio.move_on_after(_FOLD_SECONDS):
        while not watch.closed:
            live = watch.look()
            if live is not None and (position is None or live.place >= key(position)):
                return live.snapshot
            await watch.changed()
    return None
