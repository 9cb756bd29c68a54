"""What is stored of kinds of jobs: which there are, their latest runs, and the jobs of them by status."""

from collections.abc import Generator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from redis.asyncio import Redis

from streamproc.connection import server_errors
from streamproc.indexes import STARTED
from streamproc.keys import Keys, PartitionKeys
from streamproc.position import key

__all__ = ["Runs", "latest"]

Commands = Sequence[tuple[Any, ...]]

_SPARE: Final = 8
_MOST_OF_AN_INDEX: Final = 1000


class Runs:
    """The kinds of a namespace. All of its methods raise `ServerError`.

    Args:
        client: its connections are used; none blocks.
        keys: the namespace.
    """

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._partitions = keys.partitions

    async def kinds(self) -> list[str]:
        """All kinds, by name."""
        found = await self._replies([("ZRANGE", keys.kinds, 0, -1) for keys in self._partitions])
        return sorted({kind.decode() for kinds in found for kind in kinds})

    async def knows(self, kind: str) -> bool:
        """Whether there are jobs of a kind, or runs."""
        used = [("ZSCORE", keys.kinds, kind) for keys in self._partitions]
        jobs = [("EXISTS", keys.index(f"kind:{kind}")) for keys in self._partitions]
        return any(found not in (None, 0) for found in await self._replies([*used, *jobs]))

    async def latest(self, kinds: Sequence[str], most: int) -> tuple[list[list[tuple[int, bytes]]], int]:
        """For each kind its latest runs over all partitions, the oldest first, each with when it ended in ms.

        Returns them, and the server's time in ms.
        """
        reading = latest(self._partitions, kinds, most)
        commands = next(reading)
        while True:
            try:
                commands = reading.send(await self._replies(commands))
            except StopIteration as read:
                found: tuple[list[list[tuple[int, bytes]]], int] = read.value
                return found

    async def counts(self, kinds: Sequence[str], statuses: Sequence[str]) -> list[dict[str, int]]:
        """For each kind, how many jobs of it have each of these statuses."""
        sizes = iter(await self._replies([("ZCARD", index) for index in self._indexes(kinds, statuses)]))
        return [{status: sum(next(sizes) for _ in self._partitions) for status in statuses} for _ in kinds]

    async def newest(self, kinds: Sequence[str], statuses: Sequence[str], most: int) -> list[list[str]]:
        """For each kind up to `most` jobs that have one of these statuses, about the newest."""
        last = _share(most, self._partitions) - 1
        indexes = self._indexes(kinds, statuses)
        pages = iter(await self._replies([("ZREVRANGE", index, 0, last, "WITHSCORES") for index in indexes]))
        found = []
        for _ in kinds:
            own = [next(pages) for _ in range(len(statuses) * len(self._partitions))]
            places = sorted((float(page[at + 1]), page[at]) for page in own for at in range(0, len(page), 2))
            found.append([job.decode() for _, job in reversed(places[-most:])])
        return found

    async def started_before(
        self, moments: Mapping[str, int], statuses: Sequence[str]
    ) -> tuple[list[tuple[int, str, str]], bool]:
        """The jobs that have one of these statuses and started before their kind's moment, in ms since 1970.

        Returns each with when it started and its kind, the earliest first; and whether these are all. Of a kind,
        status and partition 1,000 are looked at, those that were created first.
        """
        kinds = list(moments)
        at = [moments[kind] for kind in kinds for _ in statuses for _ in self._partitions]
        reads = [
            ("ZRANGEBYSCORE", index, "-inf", moment, "LIMIT", 0, _MOST_OF_AN_INDEX)  # none starts before it is created
            for index, moment in zip(self._indexes(kinds, statuses), at, strict=True)
        ]
        pages = await self._replies(reads)
        names = [kind for kind in kinds for _ in statuses for _ in self._partitions]
        partitions = [keys for _ in kinds for _ in statuses for keys in self._partitions]
        listed = [each for each in zip(names, partitions, pages, strict=True) if each[2]]
        starts = await self._replies([("ZMSCORE", keys.index(STARTED), *jobs) for _, keys, jobs in listed])
        found = [
            (int(started), kind, job.decode())
            for (kind, _, jobs), of_jobs in zip(listed, starts, strict=True)
            for job, started in zip(jobs, of_jobs, strict=True)
            if started is not None and started < moments[kind]
        ]
        return sorted(found), all(len(page) < _MOST_OF_AN_INDEX for page in pages)

    async def now(self) -> int:
        """The server's time, in ms since 1970."""
        [(seconds, micros)] = await self._replies([("TIME",)])
        return int(seconds) * 1000 + int(micros) // 1000

    def _indexes(self, kinds: Sequence[str], statuses: Sequence[str]) -> list[str]:
        """By kind, then by status, then by partition."""
        return [
            keys.index(f"status:{status}:kind:{kind}")
            for kind in kinds
            for status in statuses
            for keys in self._partitions
        ]

    async def _replies(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        with server_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                return await pipe.execute()


def latest(
    partitions: Sequence[PartitionKeys], kinds: Sequence[str], most: int
) -> Generator[Commands, list[Any], tuple[list[list[tuple[int, bytes]]], int]]:
    """How the latest runs of kinds are read, by whoever talks to the server; see `Runs.latest`.

    It yields commands, and is sent the replies to them; entries of streams are ``[position, [name, value]]``.
    """
    streams = {kind: [keys.runs(kind) for keys in partitions] for kind in kinds}
    count = _share(most, partitions)
    now, pages = yield from _pages(list(chain.from_iterable(streams.values())), count)

    def merged(kind: str) -> list[Any]:
        return sorted(chain.from_iterable(pages[stream] for stream in streams[kind]))[-most:]

    # What was left out of one partition may be later than what was found in the others.
    cut = [
        stream
        for kind in kinds
        for stream in streams[kind]
        if len(pages[stream]) == count < most and pages[stream][-1] >= merged(kind)[0]
    ]
    if cut:
        now, rest = yield from _pages(cut, most)
        pages |= rest
    return [[(place[0], run) for place, run in merged(kind)] for kind in kinds], now


def _pages(streams: Sequence[str], count: int) -> Generator[Commands, list[Any], tuple[int, dict[str, list[Any]]]]:
    """The server's time, and the newest entries of streams, the newest first: each its place and its run."""
    reads = [("XREVRANGE", stream, "+", "-", "COUNT", count) for stream in streams]
    (seconds, micros), *pages = yield [("TIME",), *reads]
    return int(seconds) * 1000 + int(micros) // 1000, {
        stream: [(key(position.decode()), run) for position, (_, run) in page]
        for stream, page in zip(streams, pages, strict=True)
    }


def _share(most: int, partitions: Sequence[PartitionKeys]) -> int:
    """How many of each partition will mostly hold the newest of all: jobs are spread evenly."""
    return min(most, 2 * most // len(partitions) + _SPARE)
