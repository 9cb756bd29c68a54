"""The subscription where its connection closes at an awkward moment."""

from typing import Any

import anyio
import pytest

from streamproc.errors import ServerUnavailable
from streamproc.subscription import Subscription
from tests.support.running import eventually


async def test_a_command_for_a_connection_that_has_just_closed_finds_the_server_gone(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored = 0

    def count() -> None:
        nonlocal restored
        restored += 1

    async def came_back(times: int) -> None:
        async def enough() -> bool:
            return restored >= times

        await eventually(enough, what="coming back")

    subscription = Subscription(server_url, lambda channel, message: None, count)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(subscription.run)
        await came_back(1)
        connection: Any = subscription._connection
        write = connection._send_packed_command

        async def close_and_write(command: Any) -> None:
            await connection.disconnect(nowait=True)
            await write(command)

        monkeypatch.setattr(connection, "_send_packed_command", close_and_write)
        with pytest.raises(ServerUnavailable, match="the Redis server is gone"):
            await subscription.subscribe("a channel")
        await came_back(2)  # and hears that channel then
        assert subscription._confirmed == {b"a channel"}
        tasks.cancel_scope.cancel()
