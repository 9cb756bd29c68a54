"""Responses that go on for as long as a client follows something, and cost little meanwhile."""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from streamproc.gateway import messages
from streamproc.gateway.clients import Client
from streamproc.gateway.connections import connection_of

__all__ = ["LiveResponse", "Streams"]

_HEADERS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_CLOSE_SECONDS: Final = 5.0
_STREAM: Final = "streamproc.stream"


class Streams:
    """Goes on with streams where routes have begun them, so that what a route needed is let go of by then."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
        go_on: Callable[[Send], Awaitable[None]] | None = scope.get(_STREAM)
        if go_on is not None:
            await go_on(send)


class LiveResponse(Response):
    """Serves a client until it is over.

    Args:
        client: that follows something.
        release: is called with it at the end.
        first: what it is sent at once.
    """

    def __init__(self, client: Client, release: Callable[[Client], None], first: bytes = b"") -> None:
        super().__init__(None, 200, _HEADERS, "text/event-stream")
        del MutableHeaders(raw=self.raw_headers)["content-length"]
        self._client = client
        self._release = release
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
                self._release(self._client)
                return
            connection = connection_of(scope)
            connection.write(messages.retry() + self._first)
            connection.settle()
            scope[_STREAM] = self._go_on
        except BaseException:
            self._release(self._client)
            raise

    async def _go_on(self, send: Send) -> None:
        client = self._client
        del self._first, self.raw_headers
        try:
            await client.run()
        finally:
            token = client.token()
            self._release(client)
        if client.reason == "gone":
            return
        with anyio.move_on_after(_CLOSE_SECONDS):
            await send({"type": "http.response.body", "body": _goodbye(client, token)})
            return
        client.abort()


def _goodbye(client: Client, token: str | None) -> bytes:
    """What a client is told at the end. Whoever can come back at once comes back without being told."""
    if client.reason in ("slow", "expired"):
        return messages.closed(client.form, client.reason, token, id=token)
    if client.reason == "end":
        return b"" if client.places is None else messages.closed(client.form, "end")
    return messages.retry() if client.reason == "stopping" else b""
