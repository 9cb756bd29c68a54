"""Whether the gateway lives, and whether it can serve."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import ServerError
from streamproc.gateway.backend import Backend
from streamproc.gateway.problems import Problem

__all__ = ["livez", "readyz"]

_HEADERS = {"cache-control": "no-store"}


async def livez(request: Request) -> Response:
    """200 for as long as the process answers."""
    return Response(b'{"live":true}', 200, _HEADERS, "application/json")


async def readyz(request: Request) -> Response:
    """200 while the server answers and the namespace is open, else 503 that says why.

    How many partitions have an owner is told, and doesn't count: without projectors reading still works.
    """
    backend: Backend = request.app.state.backend
    try:
        opened = backend.get()
        owned = await opened.store.owned()
    except ServerError as error:
        raise Problem(503, "not-ready", str(error), {"retry-after": "1"}, ready=False) from error
    body = {"ready": True, "partitions": len(opened.keys.partitions), "owned": owned}
    return Response(msgspec.json.encode(body), 200, _HEADERS, "application/json")
