"""``GET /v1/slow``: the jobs that somebody should look at, as they take longer than is usual for their kind."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from streamproc.gateway.backend import Backend
from streamproc.gateway.identity import identity_of
from streamproc.gateway.paging import page_of
from streamproc.gateway.parameters import limit

__all__ = ["get_slow"]


async def get_slow(request: Request) -> Response:
    """The slowest for its kind first, how many there are, and how many are stalled.

    What is usual is told of all jobs of a kind; so who is limited to some owners or jobs isn't told what is slow.
    """
    backend: Backend = request.app.state.backend
    identity, most = identity_of(request), limit(request)
    opened = backend.get()
    if identity.owners is not None or identity.jobs is not None:
        return page_of(request, "jobs", [], None, {"slow": None, "stalled": None, "complete": False})
    found = await opened.overdue.found()
    late = [each for each in found.late if identity.kinds is None or each.kind in identity.kinds]
    shown = late[:most]
    snapshots = await opened.store.current([each.job for each in shown])
    items = [
        b'{"job":%b,%b' % (await opened.estimates.served(each.job, snapshot), msgspec.json.encode(each.slow)[1:])
        for each, (_, snapshot) in zip(shown, snapshots, strict=True)
        if snapshot is not None
    ]
    stalled = sum((await opened.listing.counts(identity.kinds, stalled=True)).values())
    return page_of(request, "jobs", items, None, {"slow": len(late), "stalled": stalled, "complete": found.complete})
