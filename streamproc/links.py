"""Live streams of a gateway that go on over one connection after another, and how the connection is."""

import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from email.utils import parsedate_to_datetime
from typing import Final

import anyio
import httpx

from streamproc.errors import ServerError
from streamproc.sse import Message, lines, messages

__all__ = ["Link", "linked"]

_RETRY_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
_CLOCK_SECONDS: Final = 2.0


class Link:
    """How the connection of a live stream is, for those who show what comes over it.

    Attributes:
        heard: when anything came last, in seconds of `time.monotonic`; None before.
        back: likewise, when it came back after there had been none; None where that was never.
        error: why there is no connection now, while another is tried; None while there is one.
        ahead: how many seconds the gateway's clock is ahead of ours; less than 2 count as none.
    """

    def __init__(self) -> None:
        self.heard: float | None = None
        self.back: float | None = None
        self.error: ServerError | None = None
        self.ahead = 0.0

    def hear(self) -> None:
        """Something came."""
        self.heard = time.monotonic()
        if self.error is not None:
            self.back, self.error = self.heard, None

    def set_clock(self, date: str | None) -> None:
        """Take what time it is there, by the header `Date`."""
        try:
            ahead = parsedate_to_datetime(date or "").timestamp() - time.time()
        except ValueError:
            return
        self.ahead = ahead if abs(ahead) > _CLOCK_SECONDS else 0.0


async def linked(
    connect: Callable[[dict[str, str]], AbstractAsyncContextManager[httpx.Response]], link: Link | None
) -> AsyncIterator[Message]:
    """The messages of a stream; where it breaks it is connected again, and goes on after the last message.

    Args:
        connect: opens it with headers. Where it raises `ServerError` at first, so does this.
        link: is told how the connection is. With it, another one is tried for as long as it takes; without, a few
            times, and then `ServerError` is raised.
    """
    token: str | None = None
    failures, begun = 0, False
    while True:
        try:
            headers = {"accept": "text/event-stream"} | ({"last-event-id": token} if token else {})
            async with connect(headers) as response:
                begun = True
                if link is not None:
                    link.set_clock(response.headers.get("date"))
                async for message in messages(_heard(lines(response), link)):
                    failures = 0
                    token = None if message.event == "reset" else message.id or token
                    yield message
        except ServerError as error:
            if not begun or (link is None and failures == len(_RETRY_SECONDS)):
                raise
            if link is not None:
                link.error = error
        # An ended stream without `end`: the gateway is stopping, and another may come.
        wait = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
        failures += 1
        await anyio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - to spread clients, not to keep secrets


async def _heard(lines: AsyncIterator[bytes], link: Link | None) -> AsyncIterator[bytes]:
    async for line in lines:
        if link is not None:
            link.hear()
        yield line
