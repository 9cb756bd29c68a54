"""Responses that are written piece by piece, to clients that may be slow or gone."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import anyio
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from streamproc.errors import ServerError
from streamproc.gateway.connections import connection_of
from streamproc.telemetry.gateway import CLIENTS_DROPPED

__all__ = ["Streaming", "Write"]

Write = Callable[[bytes], Awaitable[None]]

_SEND_SECONDS: Final = 20.0
_CLOSE_SECONDS: Final = 1.0
_logger = logging.getLogger("streamproc.gateway")


class Streaming(Response):
    """Runs `body`, which writes by the function that it is given, until it ends or the client is gone.

    A client that takes nothing for 20 s is cut off: the server under us would wait for it without limit. So is one
    whose body can't be completed; it sees a chunk missing, and not an end.

    Args:
        body: writes the body.
        media_type: of the body.
        headers: further ones.
        holding: entered for as long as the response lives.
    """

    def __init__(
        self,
        body: Callable[[Write], Awaitable[None]],
        media_type: str,
        headers: dict[str, str] | None = None,
        holding: AbstractContextManager[object] | None = None,
    ) -> None:
        super().__init__(None, 200, headers, media_type)
        del MutableHeaders(raw=self.raw_headers)["content-length"]
        self._body = body
        self._holding = holding or nullcontext()
        self._gone = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._holding:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
                return
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._notice, receive, tasks.cancel_scope)
                if not await self._written(send):
                    await self._abort(scope)
                tasks.cancel_scope.cancel()

    async def _written(self, send: Send) -> bool:
        async def write(piece: bytes, more: bool = True) -> None:
            with anyio.fail_after(_SEND_SECONDS):
                await send({"type": "http.response.body", "body": piece, "more_body": more})

        try:
            await self._body(write)
            await write(b"", more=False)
        except TimeoutError:
            CLIENTS_DROPPED.inc()
            _logger.info("a client took nothing for %.0f s, and was cut off", _SEND_SECONDS)
        except ServerError as error:
            _logger.warning("a response was broken off: %s", error)
        else:
            return True
        return False

    async def _notice(self, receive: Receive, scope: anyio.CancelScope) -> None:
        """Starlette learns that a client is gone when it sends; a silent stream would never."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone.set()
        scope.cancel()

    async def _abort(self, scope: Scope) -> None:
        connection_of(scope).abort()
        with anyio.move_on_after(_CLOSE_SECONDS):
            await self._gone.wait()
