"""What a sweep of a partition reads, and what it writes as the partition's owner: events; and it forgets kinds."""

from collections.abc import Sequence

from msgspec import Struct
from redis.asyncio import Redis

from streamproc.connection import call, server_errors
from streamproc.keys import PartitionKeys
from streamproc.ownership import Lease
from streamproc.position import START, key, millis
from streamproc.queues import CLAIMS

__all__ = ["Folded", "Horizon", "Sweeps"]


class Folded(Struct, frozen=True):
    """How far a partition is folded.

    Args:
        cursor: where the commits are.
        end: the position of the newest entry in the log.
        now: the server's time, in ms since 1970.
    """

    cursor: str
    end: str
    now: int


class Horizon:
    """Up to when silences in a partition are known: no later than what is folded, and only once all of it is that its
    log held when it was taken, or that was appended since.

    Args:
        wait_for: the position that has to be folded first.
    """

    __slots__ = ("wait_for",)

    def __init__(self) -> None:
        self.wait_for: str | None = None

    def now(self, folded: Folded) -> int | None:
        """In ms since 1970; None where it isn't time yet to look."""
        if self.wait_for is None:
            self.wait_for = folded.end
        cursor = key(folded.cursor)
        if cursor < key(self.wait_for):
            return None
        return folded.now if cursor >= key(folded.end) else millis(folded.cursor)


class Sweeps:
    """The commands of a sweep.

    Args:
        client: its connections are used; none blocks.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def up_since(self) -> int:
        """About when the server started, in ms since 1970. Before, nobody could be heard."""
        with server_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.time()
                pipe.info("server")
                (seconds, _), facts = await pipe.execute()
        return int(1000 * (seconds - facts["uptime_in_seconds"]))

    async def folded(self, keys: PartitionKeys) -> Folded:
        """How far a partition is folded now."""
        with server_errors():
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.time()
                pipe.hget(keys.group, "cursor")
                pipe.execute_command("XREVRANGE", keys.log, "+", "-", "COUNT", 1)
                (seconds, micros), cursor, newest = await pipe.execute()
        end = newest[0][0].decode() if newest else START
        return Folded(cursor.decode() if cursor else START, end, seconds * 1000 + micros // 1000)

    async def count(self, keys: PartitionKeys, index: str, until: int) -> int:
        """How many jobs of an index were created up to a time, in ms since 1970. They are its first."""
        jobs: int = await call(self._client, "ZCOUNT", keys.index(index), "-inf", until)
        return jobs

    async def listed(self, keys: PartitionKeys, index: str, after: int, count: int) -> list[bytes]:
        """Up to `count` jobs of an index, after so many. Where jobs leave it meanwhile, some are passed over."""
        jobs: list[bytes] = await call(self._client, "ZRANGE", keys.index(index), after, after + count - 1)
        return jobs

    async def with_ended_leases(self, partitions: Sequence[PartitionKeys]) -> set[int]:
        """The numbers of the partitions in which a claim's lease has ended by now, as far as is indexed."""
        with server_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.time()
                for keys in partitions:
                    pipe.zrange(keys.queue(CLAIMS), 0, 0, withscores=True)
                (seconds, micros), *firsts = await pipe.execute()
        now = seconds * 1000 + micros // 1000
        return {keys.partition for keys, first in zip(partitions, firsts, strict=True) if first and first[0][1] <= now}

    async def ended_leases(self, keys: PartitionKeys, now: int, after: int, count: int) -> list[bytes]:
        """Up to `count` jobs whose leases have ended by a time, after so many."""
        jobs: list[bytes] = await call(
            self._client, "ZRANGEBYSCORE", keys.queue(CLAIMS), "-inf", now, "LIMIT", after, count
        )
        return jobs

    async def stale_kinds(self, keys: PartitionKeys, most: int, count: int) -> list[tuple[str, bytes]]:
        """Up to `count` of the kinds beyond `most`, the least recently used first, each with when it was used."""
        beyond = await call(self._client, "ZCARD", keys.kinds) - most
        if beyond <= 0:
            return []
        found = await call(self._client, "ZRANGE", keys.kinds, 0, min(beyond, count) - 1, "WITHSCORES")
        return [(kind.decode(), used) for kind, used in zip(found[::2], found[1::2], strict=True)]

    async def forget_kinds(self, lease: Lease, kinds: Sequence[tuple[str, bytes]]) -> int:
        """Forget the runs of kinds of a partition, and when they were used, unless they were used again.

        Raises:
            Fenced: the lease isn't ours any more, and nothing was forgotten.
        """
        keys = lease.keys
        names = [keys.owner, keys.kinds, *(keys.runs(kind) for kind, _ in kinds)]
        told = [value for kind in kinds for value in kind]
        forgotten: int = await call(self._client, "FCALL", "sp_forget_kinds", len(names), *names, lease.holder, *told)
        return forgotten

    async def append(self, lease: Lease, payloads: Sequence[bytes]) -> str:
        """Append checked payloads to the log of a partition. Returns the position of the last.

        Raises:
            Fenced: the lease isn't ours any more, and nothing was appended.
            ServerUnavailable: nobody knows whether they were.
        """
        keys = lease.keys
        position: bytes = await call(
            self._client, "FCALL", "sp_sweep", 2, keys.owner, keys.log, lease.holder, *payloads
        )
        return position.decode()
