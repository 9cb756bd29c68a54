"""How the system stands: its server, its partitions, and what of the log could not be folded."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import InvalidPosition
from streamproc.findings import judge, judge_partitions
from streamproc.gateway.backend import Backend
from streamproc.gateway.identity import identity_of
from streamproc.gateway.paging import cursor, pack_cursor, page_of
from streamproc.gateway.parameters import after, invalid, limit, whole
from streamproc.gateway.problems import Problem
from streamproc.position import START, check

__all__ = ["get_dead", "get_system"]

_HEADERS: Final = {"cache-control": "no-store"}


async def get_system(request: Request) -> Response:
    """The server, how each partition stands, and what about them has to be mended."""
    inspector = _backend(request).get().inspector
    server, partitions = await inspector.server(), await inspector.partitions()
    findings = [*judge(server), *judge_partitions(partitions)]
    body = msgspec.json.encode({"server": server, "partitions": partitions, "findings": findings})
    return Response(body, 200, _HEADERS, "application/json")


async def get_dead(request: Request) -> Response:
    """Dead letters, page by page: of all partitions the newest first, or of one the oldest first."""
    opened = _backend(request).get()
    partition = whole(request, "partition", 0, len(opened.keys.partitions) - 1)
    most, dead = limit(request), opened.inspector.dead
    if partition is not None:
        token = after(request)
        found = await dead.of(partition, START if token is None else token.position, most + 1)
        following = found[most - 1].position if len(found) > most else None
    else:
        if "after" in request.query_params:
            raise invalid("after", "is a place in one partition: say which `partition`, or go on from a `cursor`")
        found = await dead.newest(_place(request), most + 1)
        following = None
        if len(found) > most:
            following = pack_cursor(request, found[most - 1].partition, found[most - 1].position)
    letters = [msgspec.json.encode(letter) for letter in found[:most]]
    return page_of(request, "dead_letters", letters, following)


def _place(request: Request) -> tuple[str, int] | None:
    """The dead letter that the request's cursor names."""
    found = cursor(request)
    if found is None:
        return None
    try:
        return check(found[1]), found[0]
    except InvalidPosition:
        raise invalid("cursor", "is not one that was given out here") from None


def _backend(request: Request) -> Backend:
    if identity_of(request).limited:
        detail = (
            "the whole system is told only to who may see all of its jobs, and your key or token is limited to some: "
            "it takes one without limits"
        )
        raise Problem(403, "limited", detail)
    backend: Backend = request.app.state.backend
    return backend
