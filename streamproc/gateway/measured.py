"""Counts requests and clients, and tells of each request in the access log. Pure ASGI.

Only the route's template is told: paths hold the names of jobs, and queries may hold what is secret.
"""

import logging
import time
from functools import lru_cache
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamproc.telemetry import gateway as telemetry

__all__ = ["TEMPLATE", "Measured", "template_of"]

TEMPLATE: Final = "streamproc.route"
"""Where the scope of a request holds the template of its route."""

_STREAM: Final = b"text/event-stream"
_access = logging.getLogger("streamproc.access")


class Measured:
    """Stands around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        seen = _Seen(scope)
        started = time.perf_counter()

        async def look(message: Message) -> None:
            seen.look(message)
            await send(message)

        try:
            await self._app(scope, receive, look)
        except Exception:
            seen.status = 500
            raise
        finally:
            seen.end()
            route, method = template_of(scope), scope.get("method", "WS")
            _requests(method, route, seen.status).inc()
            if _access.isEnabledFor(logging.INFO):
                fields = {"method": method, "route": route, "status": seen.status}
                fields["ms"] = round(1000 * (time.perf_counter() - started), 1)
                _access.info("%s %s %d", method, route, seen.status, extra=fields)


class _Seen:
    """What is seen of one request: its status, and whether it is a client that waits for changes."""

    def __init__(self, scope: Scope) -> None:
        self.status = 0
        self._transport: str | None = None
        if scope["type"] == "websocket":
            self._wait("websocket")
        elif any(name == b"prefer" and b"wait" in value for name, value in scope["headers"]):
            self._wait("poll")

    def look(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start":
                self.status = message["status"]
                if any(name == b"content-type" and value.startswith(_STREAM) for name, value in message["headers"]):
                    self._wait("sse")
            case "websocket.http.response.start":
                self.status = message["status"]
            case "websocket.accept":
                self.status = 101

    def _wait(self, transport: str) -> None:
        self.end()
        self._transport = transport
        telemetry.CLIENTS.labels(transport).inc()

    def end(self) -> None:
        if self._transport is not None:
            telemetry.CLIENTS.labels(self._transport).dec()
            self._transport = None


def template_of(scope: Scope) -> str:
    """The template of the path that a request was routed by."""
    return str(scope.get(TEMPLATE, "other"))


@lru_cache(maxsize=4096)
def _requests(method: str, route: str, status: int) -> Any:
    return telemetry.REQUESTS.labels(method if method in _METHODS else "other", route, status)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WS"})
