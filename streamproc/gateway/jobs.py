"""A job as it is now, and its units. What the folds wrote goes out as it is, but for the estimates."""

import hashlib
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import UnknownJob
from streamproc.gateway.backend import Backend
from streamproc.gateway.paging import cursor, pack_cursor, page_of
from streamproc.gateway.parameters import job_of, limit

__all__ = ["get_job", "get_units"]

_JSON: Final = "application/json"


async def get_job(request: Request) -> Response:
    """A job's snapshot, with a strong ``ETag``; 304 where the client has it."""
    backend: Backend = request.app.state.backend
    job = job_of(request)
    opened = backend.get()
    stored = await opened.store.snapshot(job)
    if stored is None:
        raise UnknownJob(f"there is no job {job}")
    snapshot = await opened.estimates.served(job, stored)
    tag = f'"{hashlib.blake2b(snapshot, digest_size=12).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    if _matches(request.headers.get("if-none-match", ""), tag):
        return Response(None, 304, headers)
    return Response(snapshot, 200, headers, _JSON)


def _matches(wanted: str, tag: str) -> bool:
    """Whether ``If-None-Match`` names a tag: any of its list, weak or strong (RFC 9110, 13.1.2), or ``*``."""
    tags = [one.strip().removeprefix("W/") for one in wanted.split(",")]
    return tag in tags or tags == ["*"]


async def get_units(request: Request) -> Response:
    """A job's units, in the order in which they joined."""
    store = request.app.state.backend.get().store
    job, most, place = job_of(request), limit(request), cursor(request)
    found = await store.units(job, -1 if place is None else place[0], most + 1)
    if not found and await store.snapshot(job) is None:
        raise UnknownJob(f"there is no job {job}")
    page = found[:most]
    following = pack_cursor(request, page[-1][0]) if len(found) > most else None
    return page_of(request, "units", [state for _, state in page], following)
