"""A running projector, in this event loop."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
from redis.asyncio import Redis

from projections import ALL, STALLS
from streamproc import projector
from streamproc.config import Config
from streamproc.keys import Keys
from streamproc.projection import AnyProjection

__all__ = ["caught_up", "eventually", "projecting"]


@asynccontextmanager
async def projecting(config: Config, projections: Sequence[AnyProjection] = ALL) -> AsyncIterator[None]:
    """A projector that has started; it hands over at the end."""
    stop, ready = anyio.Event(), anyio.Event()

    async def run() -> None:
        await projector.run(config, projections, STALLS, stop=stop, started=ready.set)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await ready.wait()
        try:
            yield
        finally:
            stop.set()


async def eventually(condition: Callable[[], Awaitable[bool]], *, seconds: float = 20.0, what: str = "it") -> None:
    """Wait until a condition holds; fail after a deadline."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        await anyio.sleep(0.01)


async def caught_up(client: Redis, keys: Keys, *, seconds: float = 20.0) -> None:
    """Wait until every partition's cursor is at the end of its log."""

    async def done() -> bool:
        for partition in keys.partitions:
            newest = await client.xrevrange(partition.log, count=1)
            cursor = await client.hget(partition.group, "cursor")
            if newest and newest[0][0] != cursor:
                return False
        return True

    await eventually(done, seconds=seconds, what="catching up")
