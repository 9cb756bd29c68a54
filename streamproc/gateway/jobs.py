"""A job as it is now, and its units. What the folds wrote goes out as it is, but for the estimates."""

from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import UnknownJob
from streamproc.gateway.backend import Backend
from streamproc.gateway.identity import check_seen, identity_of
from streamproc.gateway.paging import cursor, pack_cursor, page_of
from streamproc.gateway.parameters import job_of, limit
from streamproc.gateway.past import get_past
from streamproc.gateway.polling import changed, wait_of, while_there
from streamproc.gateway.tags import tagged

__all__ = ["get_job", "get_units"]


async def get_job(request: Request) -> Response:
    """A job's snapshot, with a strong ``ETag``; 304 where the client has it. ``Prefer: wait`` waits for a change.

    With ``at`` it is that of a past moment.
    """
    backend: Backend = request.app.state.backend
    job = job_of(request)
    opened = backend.get()
    if "at" in request.query_params:
        return await get_past(request, opened, job)
    wait = wait_of(request)
    headers = {"cache-control": "no-cache"}
    if wait is None:
        stored = await opened.hub.snapshots.get(job)
    else:
        stored = await while_there(request, lambda: changed(request, opened, job, wait))
        headers["preference-applied"] = f"wait={wait}"
    check_seen(request, job, stored)
    if stored is None:
        raise UnknownJob(f"there is no job {job}")
    return tagged(request, await opened.estimates.served(job, stored), headers)


async def get_units(request: Request) -> Response:
    """A job's units, in the order in which they joined."""
    store = request.app.state.backend.get().store
    job, most, place = job_of(request), limit(request), cursor(request)
    if identity_of(request).limited:
        check_seen(request, job, await store.snapshot(job))
    found = await store.units(job, -1 if place is None else place[0], most + 1)
    if not found and await store.snapshot(job) is None:
        raise UnknownJob(f"there is no job {job}")
    page = found[:most]
    following = pack_cursor(request, page[-1][0]) if len(found) > most else None
    return page_of(request, "units", [state for _, state in page], following)
