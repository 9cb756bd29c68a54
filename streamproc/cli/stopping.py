"""How a running command is stopped: once asked, in order; asked again, faster."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import FrameType

import anyio

__all__ = ["Stopping", "stop_at_end_of_stdin", "stopping_by_signals"]


class Stopping:
    """What the signals said.

    Args:
        asked: set by the first signal.
        hurry: set by the second.
    """

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.hurry = anyio.Event()

    def signal(self) -> None:
        """One more signal came."""
        if self.asked.is_set():
            self.hurry.set()
        self.asked.set()

    async def patiently(self, seconds: float, ending: Callable[[], Awaitable[object]]) -> None:
        """Wait for an ending, but no longer than this, nor once somebody is in a hurry. Not itself cancelled."""
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + seconds):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._cancel_in_a_hurry, tasks.cancel_scope)
                await ending()
                tasks.cancel_scope.cancel()

    async def _cancel_in_a_hurry(self, scope: anyio.CancelScope) -> None:
        await self.hurry.wait()
        scope.cancel()


@asynccontextmanager
async def stopping_by_signals() -> AsyncIterator[Stopping]:
    """Let SIGINT and SIGTERM ask for the end of what runs in the body."""
    stopping = Stopping()
    loop = asyncio.get_running_loop()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopping.signal)

    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(number, on_signal) for number in numbers]
    try:
        yield stopping
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)


async def stop_at_end_of_stdin(stopping: Stopping) -> None:
    """Ask for the end when the process that started us, and holds our stdin, is gone."""
    if sys.platform == "win32":
        return  # its pipes can't be waited for; there it ends us by itself
    await anyio.wait_readable(sys.stdin)
    stopping.asked.set()
