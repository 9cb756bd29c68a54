"""How long a request may take until its answer begins. Streams, once begun, may go on."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamproc.gateway.problems import Problem

__all__ = ["Deadlines"]


class Deadlines:
    """Ends requests that take too long with 503.

    Args:
        seconds: for each.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Every request passes here, and a cancel scope takes three times as long.
        waiting = asyncio.timeout(self._seconds)

        async def begun(message: Message) -> None:
            if message["type"] == "http.response.start":
                waiting.reschedule(None)
            await send(message)

        try:
            async with waiting:
                await self._app(scope, receive, begun)
        except TimeoutError:
            if not waiting.expired():
                raise
            detail = f"no answer within {self._seconds:g} s; whether it was done isn't known"
            await Problem(503, "timeout", detail, {"retry-after": "1"}).response()(scope, receive, send)
