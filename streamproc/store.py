"""The store: what the projections have made of the log. Written only by the commit, read by everybody."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis

from streamproc.connection import call, server_errors
from streamproc.errors import JobConflict
from streamproc.keys import Keys, PartitionKeys
from streamproc.log import Entry, stream_range
from streamproc.projection import Changes

__all__ = ["Commit", "Listed", "Store"]

_KEEP_CREATED_SECONDS = 86_400
_FIRST = 8
"""Where the operations begin among the arguments of `sp_commit`, counted from 1."""


class Commit:
    """What one batch writes, as the arguments of one call of `sp_commit`.

    Args:
        keys: of the partition.
        holder: the owner's ``epoch:token``.
        start: where the cursor must be.
        end: where the batch ends, and the cursor goes.
        read: how many events the group has folded at the end.
    """

    def __init__(self, keys: PartitionKeys, holder: str, start: str, end: str, read: int) -> None:
        self.partition = keys.partition
        self.end = end
        self.read = read
        self._keys = keys
        self._hashes: list[str] = []
        self._streams: list[str] = []
        self._zsets: dict[str, int] = {}
        self._head = [holder, start, end, read, Keys.GROUP]
        self._operations: list[str | bytes | int] = []

    def _zset(self, name: str) -> int:
        return self._zsets.setdefault(name, len(self._zsets) + 1)

    def _fields(self, hash_key: str, flat: list[str | bytes | int]) -> None:
        self._hashes.append(hash_key)
        # Lua unpacks at most some thousand values at once.
        for at in range(0, len(flat), 2000):
            part = flat[at : at + 2000]
            self._operations += ("H", len(self._hashes), len(part) // 2, *part)

    def sources(self, job: str, newest: dict[str, int]) -> None:
        """The newest `seq` of each source that the batch heard from."""
        self._fields(self._keys.sources(job), [value for item in newest.items() for value in item])

    def changes(self, job: str, fields: dict[str, bytes], changes: list[Changes]) -> None:
        """What the projections write for a job; `fields` are those of all of them, for one hash."""
        operations, keys = self._operations, self._keys
        start = len(operations)
        if fields:
            self._fields(keys.state(job), [value for item in fields.items() for value in item])
        for change in changes:
            if change.entries:
                self._history(job, change.entries)
            if change.units_dropped:
                self._hashes.append(keys.units(job))
                operations += ("U", len(self._hashes), "V", self._zset(keys.ranks(job)))
            if change.units:
                self._fields(keys.units(job), [value for item in change.units.items() for value in item])
            for unit, rank in change.ranks.items():
                operations += ("Z", self._zset(keys.ranks(job)), rank, unit)
            for index, score in change.indexes.items():
                zset = self._zset(keys.index(index))
                operations += ("R", zset, job) if score is None else ("Z", zset, score, job)
            if change.live is not None:
                operations += ("P", keys.live(job), _FIRST + self._where(change.live, start))

    def _where(self, value: bytes, start: int) -> int:
        """Where a value stands among the operations, so that it isn't sent twice."""
        for at in range(start, len(self._operations)):
            if self._operations[at] is value:
                return at
        raise ValueError("what watchers are sent must be one of the fields")

    def _history(self, job: str, entries: list[tuple[str, bytes, str | None]]) -> None:
        operations = self._operations
        self._streams.append(self._keys.events(job))
        stream = len(self._streams)
        start = -1
        for position, payload, mark in entries:
            if mark is not None:
                operations += ("M", stream, position, payload, mark)
                start = -1
                continue
            if start < 0:
                start = len(operations) + 2
                operations += ("E", stream, 0)
            operations += (position, payload)
            operations[start] += 1  # type: ignore[operator]

    def dead_letter(self, position: str, fields: Sequence[bytes], reason: str) -> None:
        """Keep an entry that could not be folded, as it was, with the reason."""
        self._operations += ("X", len(fields) // 2 + 1, position, "reason", reason, *fields)

    def arguments(self) -> list[Any]:
        """Number of keys, keys and arguments of the call."""
        keys = self._keys
        names = [keys.owner, keys.group, keys.log, keys.dead, *self._hashes, *self._streams, *self._zsets]
        return [len(names), *names, *self._head, len(self._hashes), len(self._streams), *self._operations]


class Listed(Struct):
    """A job in a list: its place in the order, and its snapshot."""

    created: int
    job: str
    snapshot: bytes


class Store:
    """The projections of a namespace.

    Args:
        client: its connections are used; none blocks.
        keys: the namespace.
    """

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def commit(self, commit: Commit) -> None:
        """Write a batch, whole or not at all.

        Raises:
            Fenced: the lease is not the batch's owner's.
            CursorConflict: the cursor is not where the batch begins.
            WrongKey, ServerError: nothing was written.
            ServerUnavailable: nobody knows whether it was written; the cursor does.
        """
        await call(self._client, "FCALL", "sp_commit", *commit.arguments())

    async def load(self, wanted: list[tuple[str, list[str]]]) -> list[list[bytes | None]]:
        """Fields of many hashes of one partition: for each key and its fields their values."""
        arguments: list[str | int] = []
        for _, fields in wanted:
            arguments.append(len(fields))
            arguments += fields
        reply: list[list[bytes | None]] = await call(
            self._client, "FCALL_RO", "sp_load", len(wanted), *(key for key, _ in wanted), *arguments
        )
        return reply

    async def snapshot(self, job: str) -> bytes | None:
        """A job's snapshot as it is stored, or None where no event of it was folded."""
        return await self.field(job, "snapshot")

    async def field(self, job: str, name: str) -> bytes | None:
        """One field of a job's state."""
        value: bytes | None = await call(self._client, "HGET", self._keys.of(job).state(job), name)
        return value

    async def jobs(self, index: str, before: tuple[int, str] | None, limit: int) -> list[Listed]:
        """Up to `limit` jobs of an index, newest first; `before` is the place of the last one of the page before."""
        newest = "+inf" if before is None else before[0]
        names = [keys.index(index) for keys in self._keys.partitions]
        with server_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.zcount(name, newest, newest)
                same = await pipe.execute()  # as old as the last one of the page before: read again, and dropped below
                for name, extra in zip(names, same, strict=True):
                    pipe.zrevrangebyscore(name, newest, "-inf", 0, limit + extra, withscores=True)
                pages = await pipe.execute()
        places = sorted(
            ((int(score), name.decode()) for page in pages for name, score in page),
            reverse=True,
        )
        if before is not None:
            places = [place for place in places if place < before]
        return await self._listed(places[:limit])

    async def _listed(self, places: list[tuple[int, str]]) -> list[Listed]:
        if not places:
            return []
        with server_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for _, job in places:
                    pipe.hget(self._keys.of(job).state(job), "snapshot")
                snapshots = await pipe.execute()
        return [
            Listed(created, job, snapshot)
            for (created, job), snapshot in zip(places, snapshots, strict=True)
            if snapshot is not None
        ]

    async def units(self, job: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Up to `limit` units of a job after a rank, each with its rank and its state as it is stored."""
        keys = self._keys.of(job)
        ranked: list[bytes] = await call(
            self._client, "ZRANGEBYSCORE", keys.ranks(job), f"({after}", "+inf", "WITHSCORES", "LIMIT", 0, limit
        )
        if not ranked:
            return []
        states = await call(self._client, "HMGET", keys.units(job), *ranked[::2])
        return [(int(rank), state) for rank, state in zip(ranked[1::2], states, strict=True) if state is not None]

    async def history(self, job: str, after: str, count: int) -> Sequence[Entry]:
        """Up to `count` entries of a job's history after a position: `e` is the payload, `mark` the mark."""
        return await stream_range(self._client, self._keys.of(job).events(job), after, count)

    async def incarnation(self, job: str) -> str:
        """The life that the job's partition is in; empty before a projector has had it."""
        value = await call(self._client, "HGET", self._keys.of(job).group, "incarnation")
        return value.decode() if value else ""

    async def create(self, job: str, payload: bytes, digest: str) -> str | None:
        """Append the event that creates a job, once. Returns its position, or None where it was done before.

        Raises:
            JobConflict: a job of this id was created with other content.
        """
        keys = self._keys.of(job)
        reply = await call(
            self._client,
            "FCALL", "sp_create", 2, keys.created(job), keys.log, digest, payload, _KEEP_CREATED_SECONDS,
        )  # fmt: skip
        if reply[0] < 0:
            raise JobConflict(f"job {job} was created with other content")
        return reply[1].decode() if reply[0] else None
