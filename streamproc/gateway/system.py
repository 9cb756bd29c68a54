"""How the system stands: its partitions, and what of the log could not be folded."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from streamproc.gateway.backend import Backend
from streamproc.gateway.identity import identity_of
from streamproc.gateway.identity.refusals import insufficient_scope
from streamproc.gateway.paging import page_of
from streamproc.gateway.parameters import after, invalid, limit, whole
from streamproc.position import START

__all__ = ["get_dead", "get_system"]

_HEADERS: Final = {"cache-control": "no-store"}


async def get_system(request: Request) -> Response:
    """The server, and how each partition stands. Who is limited to some jobs isn't told, as it is of all."""
    inspector = _backend(request).get().inspector
    server, partitions = await inspector.server(), await inspector.partitions()
    body = msgspec.json.encode({"server": server, "partitions": partitions})
    return Response(body, 200, _HEADERS, "application/json")


async def get_dead(request: Request) -> Response:
    """The dead letters of a partition, the oldest first, page by page: `next` is the place to go on `after`."""
    opened = _backend(request).get()
    partition = whole(request, "partition", 0, len(opened.keys.partitions) - 1)
    if partition is None:
        raise invalid("partition", "must say which partition's")
    most, token = limit(request), after(request)
    place = START if token is None else token.position
    found = await opened.inspector.dead_letters(partition, place, most + 1)
    page = found[:most]
    following = page[-1].position if len(found) > most else None
    return page_of(request, "dead_letters", [msgspec.json.encode(letter) for letter in page], following)


def _backend(request: Request) -> Backend:
    if identity_of(request).limited:
        raise insufficient_scope("log:read")
    backend: Backend = request.app.state.backend
    return backend
