"""Resume tokens of streams of many jobs: one text that says what a client has of all of them.

It holds two things. For each partition a place up to which the client has everything of its jobs, the partition's
*base*: it rises to the hub's horizon as soon as the client has all that is known of them. And for each job of which it
has more, how far. Both are only ever what the client was sent, so that who resumes gets what it hasn't, and nothing
twice. Where jobs come and go (a moving set) there are only bases, and what came after them is sent again.
"""

import base64
import binascii
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Struct

from streamproc.errors import InvalidPosition
from streamproc.hub import Place
from streamproc.position import Token, key

if TYPE_CHECKING:
    from streamproc.gateway.followers import Follower

__all__ = ["Horizons", "Places", "Start"]

Horizons = Callable[[], Mapping[int, Token]]
"""Up to where all that the client follows is known, by partition."""

_MOST_CHARACTERS: Final = 4096
_START: Final = (0, 0)


class Start(NamedTuple):
    """Where a client begins with a job.

    Args:
        token: what it has; None where that is nothing.
        exact: the token's position is that of an event of the job.
        reason: why it starts over, if that is known.
    """

    token: Token | None = None
    exact: bool = True
    reason: str | None = None


class _Packed(Struct, array_like=True):
    """What a token says. Times are in ms from a common one on, and -1 where there is none.

    Args:
        since: that time.
        digest: of what is followed.
        bases: partition, incarnation, time and number of each base.
        ahead: index, time and number of each job of which the client has more.
    """

    since: int
    digest: int
    bases: list[tuple[int, str, int, int]]
    ahead: list[tuple[int, int, int]]


_decode: Final = msgspec.msgpack.Decoder(_Packed).decode
_encode: Final = msgspec.msgpack.Encoder().encode


class Places:
    """What one client of many jobs has.

    Args:
        what: is followed, as the client asks for it each time that it comes.
        jobs: the same, where it is a list of jobs that stays; empty for a moving set.
        horizons: tells the horizons of now.
    """

    def __init__(self, what: str, jobs: Sequence[str], horizons: Horizons) -> None:
        self._digest = zlib.crc32(what.encode())
        self._jobs = jobs
        self._now = horizons
        self._horizons: Mapping[int, Token] = {}
        self._bases: dict[int, tuple[str, Place]] = {}
        self._ahead: dict[str, Place] = {}
        self._gone: set[int] = set()

    # Where a client goes on --------------------------------------------------------------------------------------

    def resume(self, text: str) -> None:
        """Begin where a token says.

        Raises:
            InvalidPosition: it is none, or is of something else.
        """
        try:
            packed = _decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
            self._ahead = {self._jobs[at]: (packed.since + ms, seq) for at, ms, seq in packed.ahead}
            self._bases = {
                partition: (life, (packed.since + ms, seq) if ms >= 0 else _START)
                for partition, life, ms, seq in packed.bases
            }
        except (binascii.Error, ValueError, msgspec.DecodeError, IndexError) as error:
            raise InvalidPosition(f"{text[:80]!r} is not a token that was given out here") from error
        if packed.digest != self._digest:
            raise InvalidPosition("the token is of a stream of other jobs; begin this one without")

    @property
    def partitions(self) -> set[int]:
        """Those that have a base."""
        return {partition for partition, (_, place) in self._bases.items() if place != _START}

    def check(self, cursors: Mapping[int, Token]) -> None:
        """Start over with the partitions whose bases are of another life, or beyond where their cursors are."""
        for partition, (life, place) in list(self._bases.items()):
            cursor = cursors.get(partition)
            if cursor is not None and (life != cursor.incarnation or place > key(cursor.position)):
                self.forget(partition)
                self._gone.add(partition)

    def forget(self, partition: int) -> None:
        """Of this one the past isn't what it was."""
        self._bases.pop(partition, None)

    def start(self, job: str, partition: int) -> Start:
        """Where to go on with a job."""
        ahead = self._ahead.pop(job, _START)
        if partition in self._gone:
            return Start(None, reason="past")
        life, base = self._bases.get(partition, ("", _START))
        place = max(base, ahead)
        return Start(None if place == _START else Token(life, f"{place[0]}-{place[1]}"), ahead > base)

    # What it is sent ---------------------------------------------------------------------------------------------

    def token(self, followers: "Mapping[str, Follower]") -> str | None:
        """The token of what its followers say that it has; None where that is too long to be sent each time."""
        self._rise(followers)
        ahead, since = [], []
        for index, job in enumerate(self._jobs):
            follower = followers.get(job)
            if follower is None or follower.place is None:
                continue
            watch = follower.channel.watch
            live = watch.look()
            _, base = self._bases.setdefault(watch.partition, (live.incarnation if live else "", _START))
            if follower.place > base:
                ahead.append((index, follower.place))
                since.append(follower.place[0])
        since += [ms for _, (ms, _) in self._bases.values() if ms]
        first = min(since, default=0)
        packed = _Packed(
            first,
            self._digest,
            [
                (partition, life, ms - first if (ms, seq) != _START else -1, seq)
                for partition, (life, (ms, seq)) in self._bases.items()
            ],
            [(index, ms - first, seq) for index, (ms, seq) in ahead],
        )
        text = base64.urlsafe_b64encode(_encode(packed)).rstrip(b"=").decode()
        return text if len(text) <= _MOST_CHARACTERS else None

    def _rise(self, followers: "Mapping[str, Follower]") -> None:
        """Raise bases to their horizons, where the client has all that is known."""
        horizons = self._now()
        if horizons is self._horizons:
            return
        waiting = {follower.channel.watch.partition for follower in followers.values() if not follower.is_level}
        for follower in followers.values():
            partition = follower.channel.watch.partition
            horizon = horizons.get(partition)
            if horizon is not None and partition not in waiting:
                base = (horizon.incarnation, key(horizon.position))
                life, place = self._bases.get(partition, base)
                self._bases[partition] = max((life, place), base) if life == base[0] else base
        if not waiting:
            self._horizons = horizons
