"""What one client follows of one job: its snapshots, or its events; and where it is in them."""

import time
from typing import TYPE_CHECKING, Final

from streamproc.gateway import messages
from streamproc.hub import PAGE, Live, Place
from streamproc.position import START, Token, key

if TYPE_CHECKING:
    from streamproc.gateway.channels import Channel
    from streamproc.gateway.clients import Client

__all__ = ["Events", "Follower", "Snapshots", "at_once"]

_BEHIND_SECONDS: Final = 30.0
_MOST_BYTES: Final = 512 * 1024
"""Of events that a client is given at once: so much is held for one that doesn't read them."""


class Follower:
    """A client's place in a job.

    Args:
        client: whose it is.
        channel: of the job.
        token: what the client has; None where it has nothing.
        reason: why it has to start over, if so.

    Attributes:
        place: what the client has been given up to; None where it has nothing.
        done: the job has ended, and the client has been told.
        hidden: the job isn't the client's to see.
    """

    __slots__ = ("_ended", "channel", "client", "done", "hidden", "life", "place", "reason")

    def __init__(self, client: "Client", channel: "Channel", token: Token | None, reason: str | None) -> None:
        self.client = client
        self.channel = channel
        self.place = None if token is None or reason is not None else key(token.position)
        self.reason = reason
        self.life = channel.watch.life
        self.done = False
        self.hidden = False
        self._ended = channel.watch.ended

    @property
    def waits(self) -> bool:
        """Whether it has all that was there when it looked, and so may be given what comes next as it comes."""
        return self.client.idle and self.reason is None and self.life == self.channel.watch.life

    @property
    def is_level(self) -> bool:
        """Whether the client has all that is known of the job, or is to have none of it."""
        live = self.channel.watch.look()
        if live is None or self.done or self.hidden:
            return True
        level = self.place is not None and self.place >= live.place
        return level and self.reason is None and self.life == self.channel.watch.life

    @property
    def is_unknown(self) -> bool:
        """Whether there is nothing of the job for the client."""
        live = self.channel.watch.look()
        return live is None or not self.client.sees(self.channel.job, live.snapshot)

    @property
    def token(self) -> Token | None:
        """What the client has, as a token of this job."""
        live = self.channel.watch.look()
        if live is None or self.place is None:
            return None
        return Token(live.incarnation, f"{self.place[0]}-{self.place[1]}")

    async def step(self) -> list[bytes]:
        """What comes next for the client. Raises `ServerError` where that can't be read."""
        live = self.channel.watch.look()
        self.hidden = live is not None and not self.client.sees(self.channel.job, live.snapshot)
        if live is None or self.hidden:
            return []
        if self.life != self.channel.watch.life:
            self.life, self._ended, self.reason = self.channel.watch.life, None, "past"
        return await self._next(live)

    async def _next(self, live: Live) -> list[bytes]:
        raise NotImplementedError

    def _start_over(self) -> list[bytes]:
        if self.reason is None:
            return []
        message = messages.reset(self.client.form, self.channel.job, self.reason)
        if self.client.places is not None:
            self.client.places.forget(self.channel.watch.partition)
        self.place, self.reason = None, None
        return [message]

    def _end(self, live: Live) -> list[bytes]:
        self.done = True
        return [messages.end(self.client.form, self.channel.job, live)]


class Snapshots(Follower):
    """Follows the newest snapshot, and every final one."""

    __slots__ = ()

    async def _next(self, live: Live) -> list[bytes]:
        pieces = self._start_over()
        ended = self.channel.watch.ended
        if ended is not None and ended is not self._ended and ended.place < live.place and not self._has(ended):
            live = ended  # the job was begun anew since: its end isn't skipped for that
        if not self._has(live):
            pieces.append(await self._shown(live))
            self.place = live.place
        return pieces + self._end(live) if live.final else pieces

    async def _shown(self, live: Live) -> bytes:
        return await self.channel.shown(self.client.form, live)

    def _has(self, live: Live) -> bool:
        return self.place is not None and live.place <= self.place

    def offer(self, live: Live, message: bytes) -> None:
        """Give the client a snapshot that isn't final, if it waits for one; else it comes for it when it can."""
        if self.place is None or not self.waits:
            self.client.mark(self)
        elif live.place > self.place:
            self.place = live.place
            self.client.send([message])


class Events(Follower):
    """Follows every event.

    Attributes:
        position: of the last one.
    """

    __slots__ = ("_behind", "_caught_up", "position")

    def __init__(self, client: "Client", channel: "Channel", token: Token | None, reason: str | None) -> None:
        super().__init__(client, channel, token, reason)
        self.position = START if self.place is None or token is None else token.position
        self._caught_up = False
        self._behind: float | None = None

    async def _next(self, live: Live) -> list[bytes]:
        pieces = []
        if self.reason is not None:
            self.position = START
            pieces += self._start_over()
            pieces.append(await self.channel.shown(self.client.form, live, resumable=False))
        if not self._reaches(live):
            page = self.channel.watch.page(self.position)
            entries = await page.wait()
            lines = self.channel.lines(self.client.form, page, entries, live.incarnation)
            count = at_once(lines)
            pieces += lines[:count]
            if lines:
                self.advance(entries[count - 1][0].decode())
            if count < len(lines) or count == PAGE:
                self._fall_behind()
                self.client.mark(self)
                return pieces
        self._caught_up, self._behind = True, None
        return pieces + self._end(live) if live.final and self._reaches(live) else pieces

    def _reaches(self, live: Live) -> bool:
        return self.place is not None and self.place >= live.place

    def advance(self, position: str) -> None:
        self.position = position
        self.place = key(position)

    def _fall_behind(self) -> None:
        """Close a client that was live once and doesn't get there again: for it a read of its own goes on and on."""
        if not self._caught_up:
            return
        now = time.monotonic()
        if self._behind is None:
            self._behind = now
        elif now - self._behind > _BEHIND_SECONDS:
            self.client.close("slow")

    def offer(self, start: str, end: str, place: Place, pieces: list[bytes]) -> None:
        """Give the client the events of a page, if it waits for them; else it comes for them when it can."""
        if self.position == start and self.place is not None and self.waits:
            self.position, self.place = end, place
            self.client.send(pieces)
        else:
            self.client.mark(self)


def at_once(lines: list[bytes]) -> int:
    """How many messages go to a client at once: one at least."""
    size = 0
    for count, line in enumerate(lines):
        size += len(line)
        if size > _MOST_BYTES and count:
            return count
    return len(lines)
