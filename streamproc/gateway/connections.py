"""Connections: the server's protocols with limits of ours, and a way to write that takes no task of a client's own."""

import asyncio
from typing import Any, Final, Protocol

from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request as Handshake

__all__ = ["Connection", "HttpConnection", "Listener", "SocketConnection", "connection_of"]

_MAX_HEAD_BYTES: Final = 64 * 1024
_EXTENSION: Final = "streamproc.connection"


class Listener(Protocol):
    """Who is told what becomes of a connection. Neither may block."""

    def writable(self) -> None:
        """What was written has left, but for a little."""

    def lost(self) -> None:
        """The connection is gone."""


class Connection(Protocol):
    """A client's connection, while a response without an end is written to it.

    Attributes:
        listener: is told what becomes of it from now on.
        gone: the connection is lost already.
    """

    listener: Listener | None
    gone: bool

    @property
    def paused(self) -> bool:
        """Whether the client has yet to take what was written."""

    def write(self, data: bytes) -> None:
        """Write whole messages. Never waits; see `paused`."""

    def abort(self) -> None:
        """Drop the connection, unsent bytes and all."""

    def settle(self) -> None:
        """Let go of what nobody needs once a response without an end has begun."""


def connection_of(scope: Scope) -> Connection:
    """The connection that a request came over."""
    connection: Connection = scope["extensions"][_EXTENSION]
    return connection


_settled: Final = asyncio.Event()
"""Nobody waits for anything more to come from a client whose stream has begun."""


class _Flow(FlowControl):
    """Flow control whose event is made when somebody waits for it: mostly nobody does."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = False
        self.write_paused = False
        self._writable: asyncio.Event | None = None

    async def drain(self) -> None:
        if self.write_paused:
            self._writable = self._writable or asyncio.Event()
            await self._writable.wait()

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._writable is not None:
            self._writable.set()
            self._writable = None


class _Pipeline(list[Any]):
    """Requests that wait for the one before them: as a deque, which takes more when it is empty."""

    def appendleft(self, item: Any) -> None:
        self.insert(0, item)


class HttpConnection(HttpToolsProtocol):
    """HTTP/1.1 with a limit to what comes before a body."""

    listener: Listener | None = None
    gone = False
    _head_bytes = 0
    _in_body = False
    _was_in_body = False

    @property
    def paused(self) -> bool:
        return self.flow.write_paused

    def write(self, data: bytes) -> None:
        """Write a chunk of a body whose head has left, and which has no length."""
        if not self.transport.is_closing():  # it is lost at once, and its listener told of that a moment later
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def abort(self) -> None:
        self.transport.abort()

    def settle(self) -> None:
        self.cycle.message_event = _settled
        self.headers.clear()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self.pipeline = _Pipeline()  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.gone = True
        if self.listener is not None:
            self.listener.lost()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.listener is not None:
            self.listener.writable()

    def data_received(self, data: bytes) -> None:
        self._was_in_body = self._in_body
        super().data_received(data)
        self._head_bytes = 0 if self._was_in_body else self._head_bytes + len(data)
        if self._head_bytes > _MAX_HEAD_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: Any = self.scope
        scope["extensions"] = {_EXTENSION: self}

    def on_headers_complete(self) -> None:
        self._in_body = self._was_in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()


class SocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket."""

    listener: Listener | None = None
    gone = False

    @property
    def paused(self) -> bool:
        return not self.writable.is_set()

    def write(self, data: bytes) -> None:
        """Write whole frames."""
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(data)

    def abort(self) -> None:
        self.transport.abort()

    def settle(self) -> None:
        """There is nothing to let go of."""

    def handle_connect(self, event: Handshake) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # it was a handshake
            scope: Any = self.scope
            scope["extensions"][_EXTENSION] = self

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.gone = True
        if self.listener is not None:
            self.listener.lost()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.listener is not None:
            self.listener.writable()
