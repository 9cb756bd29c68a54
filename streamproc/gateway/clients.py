"""One client of live streams: what it follows, over which connection, and until when.

Its task is the rule: it takes what its followers have for it, for as long as the connection takes that, and waits.
While it waits with nothing left it is *idle*, and whoever has news for many clients gives it to the idle ones at
once, without waking anybody. So a slow client is one that isn't idle: what comes meanwhile is conflated, or stays in
the history; what is held for it is what the connection buffers.
"""

import asyncio
import random
import time
from typing import Final

import anyio

from streamproc.errors import ServerError
from streamproc.gateway import messages
from streamproc.gateway.connections import Connection
from streamproc.gateway.followers import Follower
from streamproc.gateway.identity import Identity, sees
from streamproc.gateway.messages import Format
from streamproc.gateway.places import Places
from streamproc.telemetry.gateway import CLIENTS_DROPPED

__all__ = ["Client"]

_BATCH_BYTES: Final = 32 * 1024
_HEARTBEAT_SECONDS: Final = 15.0
_STALLED_SECONDS: Final = 20.0
_RETRY_SECONDS: Final = 1.0
_OF_AGE: Final = (0.9, 1.1)


class Client:
    """A client.

    Args:
        connection: of it.
        form: how it is told things.
        identity: what it may see, and until when.
        seconds: how long it may stay, give or take a tenth.
        places: numbers what is sent, where the messages' own tokens don't.
        beat: is sent when nothing else was for 15 s.

    Attributes:
        idle: it waits, and has all that was there.
        followers: by their jobs.
        reason: why it is over, if it is: ``end`` (all is told), ``gone``, ``slow``, ``age``, ``expired``, ``stopping``.
    """

    __slots__ = (
        "_beat",
        "_connection",
        "_dirty",
        "_ends",
        "_heard",
        "_said",
        "_stalled",
        "_waiter",
        "endless",
        "followers",
        "form",
        "identity",
        "idle",
        "places",
        "reason",
    )

    def __init__(
        self,
        connection: Connection,
        form: Format,
        identity: Identity,
        seconds: float,
        *,
        places: Places | None = None,
        beat: bytes = messages.COMMENT,
        endless: bool = False,
    ) -> None:
        self.form = form
        self.identity = identity
        self.places = places
        self.endless = endless
        self.followers: dict[str, Follower] = {}
        self.idle = False
        self.reason: str | None = "gone" if connection.gone else None
        self._connection = connection
        self._beat = beat
        self._dirty: dict[Follower, None] = {}
        self._said: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._heard = time.monotonic()
        self._stalled: float | None = None
        self._ends = (self._heard + seconds * random.uniform(*_OF_AGE), "age")  # noqa: S311 - to spread clients
        if identity.expires is not None:
            self._ends = min(self._ends, (self._heard + identity.expires - time.time(), "expired"))
        connection.listener = self

    def sees(self, job: str, snapshot: bytes) -> bool:
        """Whether a job is its to see."""
        return sees(self.identity, job, snapshot)

    # What it is given --------------------------------------------------------------------------------------------

    def mark(self, follower: Follower) -> None:
        """There may be something for one of its followers to take."""
        self._dirty[follower] = None
        self._wake()

    def send(self, pieces: list[bytes]) -> None:
        """Write messages. They are what its followers say that it has."""
        if not pieces or self.reason == "gone":
            return
        if self.places is not None:
            token = self.token()
            if token is not None:
                pieces = [*pieces[:-1], messages.numbered(pieces[-1], token)]
        self._connection.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        self._heard = time.monotonic()
        if self._connection.paused:
            self.idle = False

    def say(self, message: bytes) -> None:
        """Tell it something before what comes next for its followers."""
        self._said.append(message)
        self._wake()

    def forget(self, follower: Follower) -> None:
        """It follows something no longer."""
        self._dirty.pop(follower, None)

    def token(self) -> str | None:
        """Where it goes on when it comes back."""
        if self.places is not None:
            return self.places.token(self.followers)
        tokens = [follower.token for follower in self.followers.values()]
        return str(tokens[0]) if len(tokens) == 1 and tokens[0] is not None else None

    # Its task ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take what comes, until it is over; see `reason`."""
        while self.reason is None:
            if self._connection.paused:
                await self._wait()
            elif self._dirty or self._said:
                await self._catch_up()
            else:
                self.idle = True
                await self._wait()
                self.idle = False

    async def _catch_up(self) -> None:
        pieces, self._said = self._said, []
        try:
            while self._dirty and self.reason is None and sum(map(len, pieces)) < _BATCH_BYTES:
                follower = next(iter(self._dirty))
                del self._dirty[follower]
                if self.followers.get(follower.channel.job) is not follower:
                    continue
                try:
                    pieces += await follower.step()
                except ServerError:
                    self._dirty[follower] = None
                    raise
                if follower.done:
                    follower.channel.remove(follower)
        except ServerError:
            self.send(pieces)
            await self._pause()
        else:
            self.send(pieces)
            if not self.endless and self.followers and all(follower.done for follower in self.followers.values()):
                self.close("end")

    async def _pause(self) -> None:
        """Let a server that is gone come back."""
        with anyio.move_on_after(_RETRY_SECONDS):
            while self.reason is None:
                await self._wait()
        if self.reason is None and not self._connection.paused and self._beat:
            self._connection.write(self._beat)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        self.idle = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def abort(self) -> None:
        """Drop its connection."""
        self._connection.abort()

    # What ends it ------------------------------------------------------------------------------------------------

    def close(self, reason: str) -> None:
        """It is over."""
        if self.reason is None:
            self.reason = reason
            if reason == "slow":
                CLIENTS_DROPPED.inc()
        self._wake()

    def writable(self) -> None:
        self._stalled = None
        self._wake()

    def lost(self) -> None:
        self.reason = "gone"
        self._wake()

    def tick(self, now: float) -> None:
        """See to what time brings: called about once a second."""
        ends, why = self._ends
        if self._connection.paused:
            if self._stalled is None:
                self._stalled = now
            elif now - self._stalled > _STALLED_SECONDS:
                CLIENTS_DROPPED.inc()
                self._connection.abort()  # and then it is lost
        elif now >= ends:
            self.close(why)
        elif self._beat and now - self._heard >= _HEARTBEAT_SECONDS:
            self._connection.write(self._beat)
            self._heard = now
