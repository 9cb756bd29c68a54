"""The doorbells: sharded channels, heard over one connection of their own."""

import logging
import random
from collections.abc import Callable
from typing import Any, Final

import anyio

from streamproc.connection import connect, server_errors
from streamproc.errors import ServerError, ServerUnavailable

__all__ = ["Subscription"]

_RETRY_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_CONFIRM_SECONDS: Final = 5.0
_SILENCE_SECONDS: Final = 15.0
"""A connection that is pinged every few seconds and says nothing for so long is dead."""
_logger = logging.getLogger("streamproc.subscription")


class Subscription:
    """Hears what is published on the channels that are wanted, and connects again for as long as it runs.

    Args:
        url: of the server.
        heard: is called with the channel and the message of everything that arrives. It must not block.
        restored: is called after each connection, once the server has confirmed all channels wanted then.
        outages: the level at which an outage is logged.
    """

    def __init__(
        self,
        url: str,
        heard: Callable[[bytes, bytes], None],
        restored: Callable[[], None],
        *,
        outages: int = logging.WARNING,
    ) -> None:
        self._url = url
        self._outages = outages
        self._heard = heard
        self._restored = restored
        self._connection: Any = None  # redis-py's, which has no types
        self._wanted: set[bytes] = set()
        self._confirmed: set[bytes] = set()
        self._waiting: dict[bytes, anyio.Event] = {}
        self._missing: set[bytes] = set()
        self._writing = anyio.Lock()

    async def run(self) -> None:
        """Listen until cancelled."""
        failures = 0
        while True:
            try:
                await self._listen()
            except ServerError as error:
                if self._connection is not None:
                    failures = 0
                if failures == 0:
                    _logger.log(self._outages, "live updates wait for the Redis server: %s", error)
                failures += 1
            finally:
                self._lost()
            wait = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS)) - 1]
            await anyio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - to spread gateways, not to keep secrets

    async def subscribe(self, *channels: str) -> None:
        """Hear channels. Returns once the server has confirmed them: nothing published from then on is missed.

        Raises:
            ServerUnavailable: the server is gone. The channels stay wanted, and are heard when it is back.
        """
        names = [channel.encode() for channel in channels]
        self._wanted.update(names)
        missing = [name for name in names if name not in self._confirmed]
        if not missing:
            return
        waiting = [self._waiting.setdefault(name, anyio.Event()) for name in missing]
        await self._send(*[("SSUBSCRIBE", name) for name in missing])
        with anyio.move_on_after(_CONFIRM_SECONDS):
            for confirmed in waiting:
                await confirmed.wait()
        if not self._confirmed.issuperset(missing):
            raise ServerUnavailable("the Redis server doesn't confirm a subscription")

    async def unsubscribe(self, channel: str) -> None:
        """Hear a channel no longer."""
        name = channel.encode()
        self._wanted.discard(name)
        self._confirmed.discard(name)
        if self._connection is not None:
            await self._send(("SUNSUBSCRIBE", name))

    async def ping(self) -> None:
        """Make the server say something, so that a dead connection is told from a silent one."""
        if self._connection is not None:
            await self._send(("PING",))

    async def _listen(self) -> None:
        """Connect, subscribe to all that is wanted, and hear until the connection breaks."""
        client = connect(self._url)
        try:
            with server_errors():
                connection: Any = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]
                # Fill `missing` before anybody else may subscribe over this connection.
                self._missing = set(self._wanted)
                self._connection = connection
                if self._missing:
                    await self._send(*[("SSUBSCRIBE", name) for name in self._missing])
                else:
                    self._restored()
                while True:
                    message = await connection.read_response(timeout=_SILENCE_SECONDS, disconnect_on_error=False)
                    if message is None:
                        raise ServerUnavailable(f"it said nothing for {_SILENCE_SECONDS:.0f} s")
                    self._hear(message)
        finally:
            with anyio.CancelScope(shield=True):
                await client.aclose()

    def _hear(self, message: Any) -> None:
        if not isinstance(message, list):
            return  # the answer to a ping while nothing is subscribed
        if message[0] == b"smessage":
            self._heard(message[1], message[2])
        elif message[0] == b"ssubscribe":
            self._confirm(message[1])

    def _confirm(self, name: bytes) -> None:
        if name in self._wanted:
            self._confirmed.add(name)
        waiting = self._waiting.pop(name, None)
        if waiting is not None:
            waiting.set()
        if self._missing:
            self._missing.discard(name)
            if not self._missing:
                self._restored()

    def _lost(self) -> None:
        self._connection = None
        self._confirmed.clear()
        for waiting in self._waiting.values():
            waiting.set()
        self._waiting.clear()

    async def _send(self, *commands: tuple[str | bytes, ...]) -> None:
        """Write commands; their answers come to `_hear`. They leave in the order in which they were given."""
        async with self._writing:
            connection = self._connection
            # redis-py would connect again by itself, and subscribe to nothing.
            if connection is None or not connection.is_connected:
                raise ServerUnavailable("the Redis server is gone")
            try:
                with server_errors(), anyio.CancelScope(shield=True):
                    packed = connection.pack_commands(commands)
                    await connection.send_packed_command(packed, check_health=False)
            except AttributeError as error:
                if connection.is_connected:
                    raise
                # redis-py writes to what the reader has closed meanwhile, and set to None.
                raise ServerUnavailable("the Redis server is gone") from error
