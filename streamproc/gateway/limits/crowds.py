"""How many requests, streams and sockets a client may have open, and all of them together."""

from collections import Counter
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from streamproc.gateway.limits.who import client_of, is_probe
from streamproc.gateway.problems import Problem

__all__ = ["Crowds"]

_CONNECTIONS: Final = ("http", "websocket")
_RETRY_AFTER: Final = {"retry-after": "5"}


class Crowds:
    """Refuses what is more than may be open at a time.

    Args:
        in_all: over all clients.
        each: by one client; 0 is as many as there may be in all.
    """

    def __init__(self, app: ASGIApp, in_all: int, each: int) -> None:
        self._app = app
        self._in_all = in_all
        self._each = each
        self._open: Counter[str] = Counter()
        self._total = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in _CONNECTIONS or is_probe(scope):
            await self._app(scope, receive, send)
            return
        client = client_of(scope) if self._each else ""
        if self._total >= self._in_all:
            full = Problem(503, "too-many-open", f"{self._in_all:,} requests and streams are open", _RETRY_AFTER)
            await full.response()(scope, receive, send)
            return
        if self._each and self._open[client] >= self._each:
            detail = f"you have {self._each:,} requests and streams open; close one"
            await Problem(429, "too-many-open", detail, _RETRY_AFTER).response()(scope, receive, send)
            return
        self._total += 1
        self._open[client] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._total -= 1
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]
