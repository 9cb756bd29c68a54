"""What is known of a watched job, and how what is heard and read of it is taken."""

from collections.abc import Callable
from typing import Final, NamedTuple

import anyio

from streamproc.errors import InvalidPosition, ServerError
from streamproc.position import Token, key

__all__ = ["Live", "Place", "Watched", "live_of"]

Place = tuple[int, int]
"""A position as it sorts."""

_FINISHED_AT: Final = b'"finished_at":'


class Live(NamedTuple):
    """What is known of a job: its snapshot, as it is stored, and where that stands."""

    incarnation: str
    position: str
    place: Place
    snapshot: bytes

    @property
    def token(self) -> Token:
        return Token(self.incarnation, self.position)

    @property
    def final(self) -> bool:
        """Whether the job's state is final. No text in a snapshot can hold the name of a field in bare quotes."""
        at = self.snapshot.rindex(_FINISHED_AT) + len(_FINISHED_AT)
        return not self.snapshot.startswith(b"null", at)


def live_of(incarnation: str, snapshot: bytes) -> Live:
    """Read where a snapshot stands off its last field: ``…,"position":"1763750000000-3"}``. Nothing is decoded.

    Raises:
        ServerError: it is no snapshot.
    """
    try:
        position = snapshot[snapshot.rindex(b'"', 0, -2) + 1 : -2].decode()
        return Live(incarnation, position, key(position), snapshot)
    except (ValueError, InvalidPosition) as error:
        raise ServerError(f"it isn't a snapshot: {snapshot[:60]!r}") from error


class Watched:
    """A job, for all its watchers.

    Attributes:
        now: its newest state; None where nothing of it was folded.
        ended: the newest final state that was seen, which `now` may have left behind: final states aren't skipped.
        loaded: it was read since it is watched.
        error: why it can't be shown, if so.
        life: rises when the past isn't what it was.
        version: rises with every change.
        listeners: are called at every change. They must not block.
    """

    __slots__ = (
        "bell",
        "channel",
        "ended",
        "error",
        "incarnation",
        "life",
        "listeners",
        "loaded",
        "name",
        "now",
        "partition",
        "version",
        "watchers",
    )

    def __init__(self, name: str, channel: str, partition: int) -> None:
        self.name = name
        self.channel = channel
        self.partition = partition
        self.watchers = 0
        self.loaded = False
        self.error: ServerError | None = None
        self.incarnation = ""
        self.life = 0
        self.now: Live | None = None
        self.ended: Live | None = None
        self.version = 0
        self.bell: anyio.Event | None = None
        self.listeners: set[Callable[[], None]] = set()

    def ring(self) -> None:
        self.version += 1
        if self.bell is not None:
            self.bell.set()
            self.bell = None
        for told in self.listeners:
            told()

    def rung(self, live: Live) -> None:
        """Take a doorbell."""
        if self.now is None or live.place > self.now.place:
            self._set(live)

    def read(self, known: Place | None, incarnation: str, live: Live | None) -> None:
        """Take what a read got that was sent when the job was known to be at a place."""
        gone_back = known is not None and (live is None or live.place < known or incarnation != self.incarnation)
        self.incarnation = incarnation
        if gone_back:
            self.life += 1
            self.ended = None
        elif live is None or (self.now is not None and live.place <= self.now.place):
            return
        self._set(live)

    def _set(self, live: Live | None) -> None:
        self.now = live
        if live is not None and live.final:
            self.ended = live
        self.ring()
