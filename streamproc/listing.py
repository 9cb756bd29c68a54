"""Lists of jobs: filtered, sorted, page by page, out of the indexes of all partitions.

A list is read off the index that holds the fewest jobs beyond those asked for, in its order, all partitions side by
side; what else is asked for, the jobs' snapshots tell. A job's place in an order is fixed by what it is sorted by
and its id. So whatever comes, goes or changes between two pages, a job that is asked for all the while is listed
once.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from msgspec import Struct
from redis.asyncio import Redis

from streamproc.connection import server_errors
from streamproc.filters import CREATED, STATUSES, Filter, Order, Place
from streamproc.indexes import by_state
from streamproc.keys import Keys, PartitionKeys

__all__ = ["MOST_LOOKED_AT", "Listing", "Page"]

MOST_LOOKED_AT: Final = 2000
"""Jobs that are looked at for one page; where more would have to be, it is short."""
_MOST_GATHERED: Final = 5000
"""Jobs that are sorted for one page, where no index has them in the order that is asked for."""
_AT_ONCE: Final = 250
_SPARE: Final = 8
_ALL: Final = 2**31


class Page(Struct):
    """Jobs in their order, each with its stored snapshot, and where the next page goes on, if there may be more."""

    jobs: list[tuple[str, bytes]]
    place: Place | None


class Listing:
    """The lists of a namespace's jobs. All of its methods raise `ServerError`.

    Args:
        client: its connections are used; none blocks.
        keys: the namespace.
    """

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def page(self, wanted: Filter, order: Order, after: Place | None, most: int) -> Page:
        """Up to `most` jobs after a place. A page with fewer, and a place to go on from, is not the last one."""
        found: list[tuple[Place, bytes]] = []
        looked_at = 0
        last: Place | None = None
        if wanted.nothing:
            return Page([], None)
        async for places, snapshots in self._looked_up(wanted, order, after, most):
            for place, snapshot in zip(places, snapshots, strict=True):
                # Where it ends early it does so between two moments: what is shown to nobody isn't named as its end.
                if looked_at >= MOST_LOOKED_AT and last is not None and place[0] != last[0]:
                    return Page([(job, stored) for (_, job), stored in found], order.end_of(last[0]))
                looked_at += 1
                last = place
                if snapshot is None or not wanted.matches(place[1], snapshot):
                    continue
                if len(found) == most:
                    return Page([(job, stored) for (_, job), stored in found], found[-1][0])
                found.append((place, snapshot))
        return Page([(job, stored) for (_, job), stored in found], None)

    async def _looked_up(
        self, wanted: Filter, order: Order, after: Place | None, most: int
    ) -> AsyncIterator[tuple[list[Place], list[bytes | None]]]:
        """Places in their order with the snapshots of the jobs; without that of a job that is gone, or not shown."""
        async for places in self._places(wanted, order, after, most + 1):
            for at in range(0, len(places), _AT_ONCE):
                some = places[at : at + _AT_ONCE]
                jobs = [job for _, job in some if wanted.shows is None or wanted.shows(job)]
                reads = [("HGET", self._keys.of(job).state(job), "snapshot") for job in jobs]
                snapshots = dict(zip(jobs, await self._replies(reads), strict=True))
                yield some, [snapshots.get(job) for _, job in some]

    async def _places(
        self, wanted: Filter, order: Order, after: Place | None, count: int
    ) -> AsyncIterator[list[Place]]:
        """Places in their order, of the jobs asked for and maybe others. About `count` are wanted."""
        sets = wanted.indexes()
        names: tuple[str, ...]
        word: str | None = None
        if not sets and not wanted.words:
            names = (order.index,)
        elif order.index == CREATED and not wanted.words and len(sets) == 1:
            names = sets[0]
        else:
            names, word = await self._fewest(sets, wanted.words, order)
        if word is not None or order.index not in (CREATED, *names):
            yield await self._gathered(names, word, order, after)
            return
        walk = _Walk(self._keys.partitions, names, order, after)
        while not walk.ended:
            walk.take(await self._replies(walk.reads(count)))
            yield walk.places()

    async def _fewest(
        self, sets: Sequence[tuple[str, ...]], words: Sequence[str], order: Order
    ) -> tuple[tuple[str, ...], str | None]:
        """What lists the fewest jobs of what may be used: a set of indexes, or a word."""
        partitions = self._keys.partitions
        sizes = iter(
            await self._replies(
                [("ZCARD", keys.index(name)) for names in sets for name in names for keys in partitions]
                + [("ZLEXCOUNT", keys.words, *_beginning(word)) for word in words for keys in partitions]
            )
        )
        found: list[tuple[int, tuple[str, ...], str | None]] = []
        for names in sets:
            size = sum(next(sizes) for _ in names for _ in partitions)
            if order.index == CREATED or size <= _MOST_GATHERED:
                found.append((size, names, None))
        for each in words:
            size = sum(next(sizes) for _ in partitions)
            if size <= _MOST_GATHERED:
                found.append((size, (), each))
        _, names, word = min(found, key=lambda each: each[0], default=(0, (order.index,), None))
        return names, word

    async def _gathered(
        self, names: tuple[str, ...], word: str | None, order: Order, after: Place | None
    ) -> list[Place]:
        """All jobs that indexes list, or a word, in an order that those don't have."""
        partitions = self._keys.partitions
        reads: list[tuple[Any, ...]]
        if word is None:
            everything = (_ALL, "ZRANGEBYSCORE", "-inf", "+inf")
            reads = [_listed(keys, names, *everything) for keys in partitions]
            found = [reply[::2] for reply in await self._replies(reads)]
        else:
            reads = [("ZRANGEBYLEX", keys.words, *_beginning(word)) for keys in partitions]
            members = await self._replies(reads)
            found = [list({member.partition(b"\0")[2]: None for member in reply}) for reply in members]
        own = [(keys, jobs) for keys, jobs in zip(partitions, found, strict=True) if jobs]
        scores = await self._replies([("ZMSCORE", keys.index(order.index), *jobs) for keys, jobs in own])
        places = [
            (int(score), job.decode())
            for (_, jobs), of_jobs in zip(own, scores, strict=True)
            for job, score in zip(jobs, of_jobs, strict=True)
            if score is not None
        ]
        return order.sorted([place for place in places if after is None or order.is_after(place, after)])

    async def counts(self, kinds: tuple[str, ...] | None, stalled: bool | None) -> dict[str, int]:
        """How many jobs have each status, of one of these kinds, and stalled or not, as asked for.

        A job that is gone counts until its partition is swept.
        """
        states = [(status, kind) for status in STATUSES for kind in ((None,) if kinds is None else kinds)]
        signs = {None: ((False, 1),), True: ((True, 1),), False: ((False, 1), (True, -1))}[stalled]
        reads = [
            ("ZCARD", keys.index(by_state(*state, stalled=among)))
            for state in states
            for among, _ in signs
            for keys in self._keys.partitions
        ]
        sizes = iter(await self._replies(reads))
        counts = dict.fromkeys(STATUSES, 0)
        for status, _ in states:
            for _, sign in signs:
                counts[status] += sign * sum(next(sizes) for _ in self._keys.partitions)
        return counts

    async def _replies(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        if not commands:
            return []
        with server_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                return await pipe.execute()


class _Part:
    """Where a walk is in a partition: what it has read and not handed out, and after which place it reads on."""

    __slots__ = ("ended", "keys", "read", "to")

    def __init__(self, keys: PartitionKeys, after: Place | None) -> None:
        self.keys = keys
        self.read: list[Place] = []
        self.to = after
        self.ended = False


class _Walk:
    """A walk along a set of indexes, all partitions side by side, in an order that these indexes have.

    Args:
        names: of the indexes.
        after: where it begins.
    """

    def __init__(
        self, partitions: Sequence[PartitionKeys], names: tuple[str, ...], order: Order, after: Place | None
    ) -> None:
        self._names = names
        self._order = order
        self._parts = [_Part(keys, after) for keys in partitions]
        self._hungry: list[_Part] = []
        self._count = 0

    @property
    def ended(self) -> bool:
        return all(part.ended and not part.read for part in self._parts)

    def reads(self, count: int) -> list[tuple[Any, ...]]:
        """What to read where nothing is left, so that all parts together have about so many."""
        self._hungry = [part for part in self._parts if not part.read and not part.ended]
        self._count = min(count, 2 * count // len(self._parts) + _SPARE)  # jobs are spread evenly
        return [_listed(part.keys, self._names, self._count, *self._range(part.to)) for part in self._hungry]

    def _range(self, after: Place | None) -> tuple[str | int, ...]:
        command = "ZREVRANGEBYSCORE" if self._order.newest_first else "ZRANGEBYSCORE"
        first, last = ("+inf", "-inf") if self._order.newest_first else ("-inf", "+inf")
        return (command, first, last) if after is None else (command, after[0], last, *after)

    def take(self, replies: Sequence[Sequence[bytes]]) -> None:
        """Take what was read, in the order of `reads`."""
        for part, reply in zip(self._hungry, replies, strict=True):
            places = self._order.sorted(
                [(int(score), job.decode()) for job, score in zip(reply[::2], reply[1::2], strict=True)]
            )
            part.ended = len(places) < self._count
            part.read = places[: self._count]  # of several indexes each has given as many
            if places:
                part.to = part.read[-1]

    def places(self) -> list[Place]:
        """The next places of all parts together: those up to where the first of them has to be read again."""
        ends = [part.read[-1] for part in self._parts if not part.ended]
        end = self._order.sorted(ends)[0] if ends else None
        found = []
        for part in self._parts:
            ready = [place for place in part.read if end is None or not self._order.is_after(place, end)]
            part.read = part.read[len(ready) :]
            found += ready
        return self._order.sorted(found)


def _listed(keys: PartitionKeys, names: tuple[str, ...], *arguments: str | int) -> tuple[Any, ...]:
    return ("FCALL_RO", "sp_listed", len(names), *map(keys.index, names), *arguments)


def _beginning(word: str) -> tuple[bytes, bytes]:
    """Where the members of all words stand that begin so: UTF-8 has no byte 255."""
    start = word.encode()
    return b"[" + start, b"(" + start + b"\xff"
