"""Jobs as they are now: lists, snapshots, units. What the folds wrote goes out as it is, but for the estimates."""

import hashlib
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import UnknownJob
from streamproc.gateway.backend import Backend
from streamproc.gateway.parameters import choice, cursor, job_of, limit, pack_cursor
from streamproc.gateway.problems import Problem

__all__ = ["get_job", "get_jobs", "get_units", "page_of", "splice"]

_STATUSES: Final = ("queued", "started", "running", "paused", "finished", "failed", "canceled")
_JSON: Final = "application/json"


def splice(name: str, items: Sequence[bytes], following: str | None) -> bytes:
    """A page of a list, of items that are JSON already."""
    return b'{"%b":[%b],"next":%b}' % (name.encode(), b",".join(items), msgspec.json.encode(following))


async def get_jobs(request: Request) -> Response:
    """Jobs, newest first; ``status``, ``kind`` and ``stalled=true`` narrow the list."""
    backend: Backend = request.app.state.backend
    most, before = limit(request), cursor(request)
    opened = backend.get()
    found = await opened.store.jobs(_index(request), before, most + 1)
    page = found[:most]
    following = pack_cursor(page[-1].created, page[-1].job) if len(found) > most else None
    served = await opened.estimates.all_served([(item.job, item.snapshot) for item in page])
    return page_of(request, "jobs", served, following)


def _index(request: Request) -> str:
    """The index that lists the jobs asked for: those of `projections`, by stall, status and kind, in this order."""
    stalled = choice(request, "stalled", ("true",))
    status, kind = choice(request, "status", _STATUSES), request.query_params.get("kind")
    if kind is not None and not 1 <= len(kind) <= 256:
        raise Problem(400, "invalid-parameter", "kind: must be 1 to 256 characters", parameter="kind")
    parts = [f"{name}:{value}" for name, value in (("status", status), ("kind", kind)) if value is not None]
    return ":".join(parts if stalled is None else ["stalled", *parts])


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
    return page_of(
        request, "units", [state for _, state in page], pack_cursor(page[-1][0]) if len(found) > most else None
    )


def page_of(request: Request, name: str, items: list[bytes], following: str | None) -> Response:
    """A page of a list as a response, with where the next one is."""
    headers = {"cache-control": "no-cache"}
    if following is not None:
        query = urlencode({**request.query_params, "cursor": following})
        headers["link"] = f'<{request.url.path}?{query}>; rel="next"'
    return Response(splice(name, items, following), 200, headers, _JSON)
