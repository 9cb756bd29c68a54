"""A relay that loses replies, as a connection does that breaks when the server has done its work already."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream, SocketAttribute

__all__ = ["losing_replies"]


@asynccontextmanager
async def losing_replies(port: int, *said: bytes) -> AsyncIterator[int]:
    """The port of a relay to another port of this machine.

    The first request in which each of these words is said is passed on, and its reply isn't: the connection ends.
    """
    waiting = list(said)

    async def relay(client: ByteStream) -> None:
        async with client, await anyio.connect_tcp("127.0.0.1", port) as server, anyio.create_task_group() as tasks:
            lost = anyio.Event()

            async def requests() -> None:
                async for piece in client:
                    for word in [word for word in waiting if word in piece]:
                        waiting.remove(word)
                        lost.set()
                    await server.send(piece)
                await server.send_eof()

            tasks.start_soon(requests)
            async for piece in server:
                if lost.is_set():
                    break
                await client.send(piece)
            tasks.cancel_scope.cancel()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, relay)
        yield listener.extra(SocketAttribute.local_port)  # noqa: S610  (it is no Django)
        tasks.cancel_scope.cancel()
    assert not waiting, f"nobody said {waiting}"
